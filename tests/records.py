"""Writes records as the orchestrator does: with a commit of the session, here of one that stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.model import Decision, Event, Record
from orchestrator.errors import Stale
from orchestrator.ports import Tables


async def record(
    tables: Tables, session_id: str, records: Sequence[Record], now: float, *, tries: int = 1
) -> tuple[Event, ...]:
    """`tries`: where others commit the same session meanwhile. Raises Stale, NotFound."""
    while True:
        session = (await tables.sessions.get(session_id)).session
        try:
            return await tables.sessions.commit(session, Decision(session=session, records=tuple(records)), now)
        except Stale:
            tries -= 1
            if tries == 0:
                raise
