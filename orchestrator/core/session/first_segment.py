"""An attempt has listed its first segment: it has fenced all earlier attempts, and the session is live.

Law: only the playlist says that an attempt is live (law 1); the container's own state does not.
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from orchestrator.core.model import (
    Attempt,
    AttemptEnded,
    AttemptLive,
    Cause,
    Causes,
    Decision,
    EventType,
    Fields,
    Happened,
    Live,
    Playlist,
    Record,
    Starting,
    Switching,
    Unavailable,
    Why,
)
from orchestrator.core.session.next_look import next_look
from orchestrator.core.session.situation import Situation


def goes_live(state: Starting | Live | Switching | Unavailable, situation: Situation) -> Decision | None:
    """A rule: the newest attempt, on a source, takes over."""
    attempt, playlist = situation.session.attempt, situation.seen.playlist
    if attempt is None or not isinstance(playlist, Playlist) or playlist.attempt != attempt.number:
        return None
    source_id, why = attempt.leg.input, attempt.leg.why
    replaced = Why(Cause.REPLACED, why.text)
    ended: tuple[Record, ...] = ()
    session = situation.session
    match state:
        case Starting():
            event = _session_live(attempt, situation)
        case Live(attempt=before):
            event = _switched(EventType.STREAM_SWITCH, before.leg.input, attempt, playlist)
            ended = (AttemptEnded(before.number, None, replaced),)
            session = replace(session, retries=0)
        case Switching(from_source_id=before_id):
            event = _switched(EventType.STREAM_SWITCH, before_id, attempt, playlist)
        case Unavailable(from_source_id=before_id, shown=slate):
            event = _switched(EventType.STREAM_RECOVERED, before_id, attempt, playlist)
            ended = () if slate is None else (AttemptEnded(slate.number, None, replaced),)
        case _:
            assert_never(state)
    live = replace(
        session,
        state=Live(attempt.listed(situation.now)),
        chosen=source_id if why.cause is Cause.OPERATOR or source_id == session.chosen else None,
        refused=tuple(each for each in session.refused if each != attempt.leg.address),
        # The agent that begins the playlist fits it to the keyframes that it sees; what is written holds (law 5).
        target_duration_s=playlist.target_duration_s or session.target_duration_s,
    )
    records = (AttemptLive(attempt.number, source_id), event, *ended)
    return Decision(session=live, records=records, wake_at=next_look(replace(situation, session=live)))


def _session_live(attempt: Attempt, situation: Situation) -> Happened:
    why = attempt.leg.why
    fields: Fields = {
        "source": attempt.leg.input,
        "attempt": attempt.number,
        "start_ms": round((situation.now - situation.session.created_at) * 1000),
    }
    if why.cause is not Cause.REQUESTED or not why.passed_over:
        return Happened(EventType.SESSION_LIVE, fields)
    return Happened(EventType.SESSION_LIVE, fields | {"reason": why.text}, Causes(why.cause))


def _switched(event: EventType, from_source_id: str, attempt: Attempt, playlist: Playlist) -> Happened:
    why = attempt.leg.why
    fields: Fields = {
        "from": from_source_id,
        "to": attempt.leg.input,
        "reason": why.text,
        "attempt": attempt.number,
        "gap_ms": round(playlist.gap_s * 1000),
    }
    return Happened(event, fields, Causes(why.cause))
