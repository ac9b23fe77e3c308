"""Ends a session: on request, when nobody watches, when its channel is gone, when no source works at its start.

Rule: containers are stopped first, then the playlist is finished, then the session ends. Each step follows from what is seen,
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
from orchestrator.core.session.situation import Situation


def end_if_unwanted(situation: Situation) -> Decision | None:
    """What follows where the session is to end; None: it goes on."""
    if situation.session.desired is Desired.STOP:
        return _stop(situation)
    if not situation.seen.channel_enabled:
        return _wants_to_stop(situation, EndReason.CHANNEL_DISABLED)
    idle_at = lease.idle_at(situation.seen, situation.policy)
    if idle_at is not None and situation.now >= idle_at:
        return _wants_to_stop(situation, EndReason.IDLE)
    return None


def end(situation: Situation, reason: EndReason, *, sources: dict[str, Why] | None = None) -> Decision:
    """`sources`: why each does not work, where that is the reason."""
    session = situation.session
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
        state=Ended(situation.now, unavailable_since=session.unavailable_since),
    )
    return Decision(session=ended, records=(*ran, Happened(EventType.SESSION_ENDED, fields, causes)))


def _wants_to_stop(situation: Situation, reason: EndReason) -> Decision:
    stopping = replace(situation.session, desired=Desired.STOP, end_reason=reason)
    return Decision(session=stopping, wake_at=situation.now)


def _stop(situation: Situation) -> Decision:
    seen, again_at = situation.seen, situation.now + situation.policy.look_again_s
    if isinstance(seen.containers, Unknown):
        return situation.stays(again_at)
    if seen.containers:
        return situation.stays(again_at, *(StopAttempt(each.attempt) for each in seen.containers))
    match seen.playlist:
        case Corrupt():
            return end(situation, situation.session.end_reason or EndReason.STOPPED)
        case Unknown():
            return situation.stays(again_at)
        case Playlist(ended=False):
            return situation.stays(again_at, FinishPlaylist())
        case Playlist() | Absent():
            return end(situation, situation.session.end_reason or EndReason.STOPPED)
