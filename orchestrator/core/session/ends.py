"""Ends a session: on request, when nobody watches, when its channel is gone, when no source works at its start.

Law: containers are stopped first, then the playlist is finished, then the session ends. Each step follows from what is seen,
none from `Unknown` (law 3).
"""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.core.model import (
    Absent,
    AttemptEnded,
    Cause,
    Causes,
    Corrupt,
    Decision,
    Desired,
    Ended,
    EndReason,
    EventType,
    Fields,
    FinishPlaylist,
    Happened,
    Playlist,
    StopAttempt,
    Unknown,
    Why,
)
from orchestrator.core.session import lease
from orchestrator.core.session.given import Given


def end_if_unwanted(given: Given) -> Decision | None:
    """What follows where the session is to end; None: it goes on."""
    if given.session.desired is Desired.STOP:
        return _stop(given)
    if not given.seen.channel_enabled:
        return _wants_to_stop(given, EndReason.CHANNEL_DISABLED)
    idle_at = lease.idle_at(given.seen, given.policy)
    if idle_at is not None and given.now >= idle_at:
        return _wants_to_stop(given, EndReason.IDLE)
    return None


def end(given: Given, reason: EndReason, *, sources: dict[str, Why] | None = None) -> Decision:
    """`sources`: why each does not work, where that is the reason."""
    session = given.session
    fields: Fields = {"reason": reason.value}
    if sources is not None:
        fields["sources"] = {source_id: why.text for source_id, why in sources.items()}
    causes = Causes(sources={source_id: why.cause for source_id, why in (sources or {}).items()})
    why = Why(Cause.SESSION_ENDED, reason.value)
    ran = [AttemptEnded(each.number, None, why) for each in reversed(session.attempts)]
    ended = replace(
        session,
        desired=Desired.STOP,
        end_reason=reason,
        switch_to=None,
        state=Ended(given.now, unavailable_since=session.unavailable_since),
    )
    return Decision(session=ended, records=(*ran, Happened(EventType.SESSION_ENDED, fields, causes)))


def _wants_to_stop(given: Given, reason: EndReason) -> Decision:
    stopping = replace(given.session, desired=Desired.STOP, end_reason=reason)
    return Decision(session=stopping, wake_at=given.now)


def _stop(given: Given) -> Decision:
    seen, again_at = given.seen, given.now + given.policy.look_again_s
    if isinstance(seen.containers, Unknown):
        return given.stays(again_at)
    if seen.containers:
        return given.stays(again_at, *(StopAttempt(each.attempt) for each in seen.containers))
    match seen.playlist:
        case Corrupt():
            return end(given, given.session.end_reason or EndReason.STOPPED)
        case Unknown():
            return given.stays(again_at)
        case Playlist(ended=False):
            return given.stays(again_at, FinishPlaylist())
        case Playlist() | Absent():
            return end(given, given.session.end_reason or EndReason.STOPPED)
