"""What has happened in the whole deployment, in memory, with the meaning of `orchestrator.adapters.sql.sessions.journal`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import convert
from msgspec.structs import replace

from orchestrator.core.model import Event
from orchestrator.core.presentation.day_history import Delivery, Run
from orchestrator.core.presentation.journal import JournalEntry
from orchestrator.errors import DatabaseUnavailable
from orchestrator.ports import AttemptRow

if TYPE_CHECKING:
    from tests.fakes.tables import FakeSessions


class FakeJournal:
    """`ports.Journal` over the sessions that are there when it is asked."""

    def __init__(self, sessions: Callable[[], FakeSessions]) -> None:
        self.refusing = False
        self.refused = 0
        self._sessions = sessions

    async def entries(self, after: int, limit: int = 1000) -> tuple[JournalEntry, ...]:
        return tuple(entry for entry in self._all() if entry.cursor > after)[:limit]

    async def newest(self, limit: int = 100) -> tuple[JournalEntry, ...]:
        return self._all()[-limit:]

    async def of_channel(self, channel_id: str, limit: int = 100) -> tuple[Event, ...]:
        own = [entry.event for entry in self._all() if entry.channel_id == channel_id]
        return tuple(sorted(own, key=lambda event: (event.at, event.session_id, event.id), reverse=True))[:limit]

    async def deliveries(self, since: float, channel_id: str | None = None) -> tuple[Delivery, ...]:
        entries = self._all()
        kept = self._sessions()
        return tuple(
            Delivery(
                channel_id=session.channel_id,
                created_at=session.created_at,
                ended_at=session.ended_at,
                unavailable_since=session.unavailable_since,
                runs=tuple(
                    convert(_with_switches(row), Run, from_attributes=True)
                    for (session_id, _), row in kept._attempts.items()
                    if session_id == session.id and (row.ended_at is None or row.ended_at > since)
                ),
                events=tuple(each.event for each in entries if each.event.session_id == session.id and each.event.at > since),
            )
            for session in [row.session for row in kept._rows.values()]
            if channel_id in (None, session.channel_id) and (session.ended_at is None or session.ended_at > since)
        )

    def _all(self) -> tuple[JournalEntry, ...]:
        if self.refusing:
            self.refused += 1
            raise DatabaseUnavailable("refusing")
        kept = self._sessions()
        return tuple(
            JournalEntry(cursor, kept._rows[event.session_id].session.channel_id, event)
            for cursor, event in enumerate(kept._journal, start=1)
            if event.session_id in kept._rows
        )


def _with_switches(row: AttemptRow) -> AttemptRow:
    """Its legs where it has switched inputs."""
    return replace(row, legs=row.legs if row.legs and len(row.legs) > 1 else ())
