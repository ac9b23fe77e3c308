"""A request to switch a session to another source, as the API and the command line make it: validated against the rows, then
answered by the session's events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

from msgspec import Struct

from orchestrator.core.model import Cause, Desired, Event, EventType, Phase, Session, SourceStatus
from orchestrator.errors import FailoverError, InvalidInput, NoConnectionLeft, NotFound
from orchestrator.ports import Catalogue, Providers, Sessions

_LOOK_S: Final = 0.25
_PAGE: Final = 1000
_PLAYS: Final = (EventType.SESSION_LIVE, EventType.STREAM_SWITCH, EventType.STREAM_RECOVERED)


class SwitchTables(Protocol):
    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def providers(self) -> Providers: ...


class SwitchAnswer(Struct, frozen=True, kw_only=True):
    """`refusal`: why the session was left as it is, for an operator; None: it was switched."""

    source_id: str | None = None
    attempt: int | None = None
    refusal: str | None = None


def is_over(session: Session) -> bool:
    return session.phase is Phase.ENDED or session.desired is Desired.STOP


async def check(tables: SwitchTables, session: Session, source_id: str) -> None:
    """Raises InvalidInput for a source that the session may not play, NoConnectionLeft where all connections of its provider
    are in use. This is an early check: the orchestrator takes the connection, and where there is none then, nothing is
    switched."""
    usable = (await tables.catalogue.lineup(session.channel_id)).sources
    source = next((each for each in usable if each.id == source_id), None)
    if source is None:
        raise InvalidInput("source_id", "not a source of the session's channel, nor of those behind it")
    if source.status is SourceStatus.DISABLED:
        raise InvalidInput("source_id", "the source is disabled")
    playing = session.attempt and await _provider_of(tables, session.attempt.source_id)
    # Within one provider the session hands its own connection on
    if source.provider_id is None or source.provider_id == playing:
        return
    provider, in_use = await tables.providers.get(source.provider_id), await tables.providers.in_use()
    if provider.max_connections is not None and in_use.get(provider.id, 0) >= provider.max_connections:
        raise NoConnectionLeft(provider.in_use)


def answer(events: Iterable[Event]) -> SwitchAnswer | None:
    """What the events since the request say; None: nothing yet."""
    for event in events:
        reason = str(event.fields.get("reason") or "")
        if event.type is EventType.SWITCH_REFUSED:
            return SwitchAnswer(refusal=reason)
        if event.type is EventType.SESSION_ENDED:
            return SwitchAnswer(refusal=f"the session has ended: {reason}")
        if event.type in _PLAYS and event.causes.reason is Cause.OPERATOR:
            return SwitchAnswer(source_id=str(event.fields.get("to")), attempt=int(str(event.fields.get("attempt"))))
    return None


async def last_event(sessions: Sessions, session_id: str) -> int:
    """The id of the session's last event; 0: it has none."""
    after = 0
    while events := await sessions.events(session_id, after, _PAGE):
        after = events[-1].id
    return after


async def answered(sessions: Sessions, session_id: str, after: int, limit_s: float) -> SwitchAnswer:
    """Waits for the answer among the events after the event `after`. Raises FailoverError where none comes within `limit_s`."""
    now = asyncio.get_running_loop().time
    deadline = now() + limit_s
    while (found := answer(await sessions.events(session_id, after, _PAGE))) is None:
        if now() >= deadline:
            raise FailoverError(
                f"no answer within {limit_s:.0f} s; the request stands, and `failover sessions show` tells what became of it"
            )
        await asyncio.sleep(_LOOK_S)
    return found


async def _provider_of(tables: SwitchTables, source_id: str) -> str | None:
    try:
        return (await tables.catalogue.source(source_id)).provider_id
    except NotFound:
        return None  # deleted meanwhile
