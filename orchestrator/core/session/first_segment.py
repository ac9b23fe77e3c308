"""Makes the session live when its newest attempt appears in the playlist. By then it has fenced all earlier attempts.

Rule: only the playlist says that an attempt is live; the container's own state does not.
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from orchestrator.core.model import (
    UNKNOWN_INPUT,
    Attempt,
    AttemptEnded,
    AttemptLive,
    Cause,
    Causes,
    Decision,
    EventType,
    Fields,
    Happened,
    Leg,
    Live,
    Playlist,
    Record,
    Starting,
    Switching,
    Unavailable,
    Why,
)
from orchestrator.core.session import mail
from orchestrator.core.session.next_look import next_look
from orchestrator.core.session.situation import Situation


def goes_live(state: Starting | Live | Switching | Unavailable, situation: Situation) -> Decision | None:
    """A rule: the newest attempt, on a source, takes over."""
    attempt, playlist = situation.session.attempt, situation.seen.playlist
    leg = None if attempt is None else mail.leg_shown(attempt, playlist)
    if attempt is None or leg is None or not isinstance(playlist, Playlist):
        return None
    source_id, why = leg.input, leg.why
    replaced = Why(Cause.REPLACED, why.text)
    ended: tuple[Record, ...] = ()
    session = situation.session
    match state:
        case Starting():
            event = _session_live(attempt, leg, situation)
        case Live(attempt=before):
            event = switched(EventType.STREAM_SWITCH, (before.played or before.leg).input, attempt, leg, playlist.gap_s)
            ended = (AttemptEnded(before.number, None, replaced),)
            session = replace(session, retries=0)
        case Switching(from_source_id=before_id):
            event = switched(EventType.STREAM_SWITCH, before_id, attempt, leg, playlist.gap_s)
        case Unavailable(from_source_id=before_id, shown=slate):
            event = switched(EventType.STREAM_RECOVERED, before_id, attempt, leg, playlist.gap_s)
            ended = () if slate is None else (AttemptEnded(slate.number, None, replaced),)
        case _:
            assert_never(state)
    first = attempt.legs[0]
    asked_for = first.input if first.why.cause is Cause.OPERATOR else None
    live = replace(
        session,
        state=Live(attempt if leg.live_at is not None else attempt.listed(situation.now, leg.number)),
        chosen=source_id if source_id in (asked_for, session.chosen) else None,
        refused=tuple(each for each in session.refused if each != leg.address),
        # The agent that begins the playlist fits it to the keyframes that it sees; what is written holds (law 5).
        target_duration_s=playlist.target_duration_s or session.target_duration_s,
    )
    # A report may already have told that its source has failed since: it is not healthy
    works = source_id if leg.ended is None else UNKNOWN_INPUT
    records = (AttemptLive(attempt.number, works), event, *ended)
    return Decision(session=live, records=records, wake_at=next_look(replace(situation, session=live)))


def _session_live(attempt: Attempt, leg: Leg, situation: Situation) -> Happened:
    why = leg.why
    fields: Fields = {
        "source": leg.input,
        "attempt": attempt.number,
        "start_ms": round((situation.now - situation.session.created_at) * 1000),
    }
    if why.cause is not Cause.REQUESTED or not why.passed_over:
        return Happened(EventType.SESSION_LIVE, fields)
    return Happened(EventType.SESSION_LIVE, fields | {"reason": why.text}, Causes(why.cause))


def switched(
    event: EventType, from_source_id: str, attempt: Attempt, leg: Leg, gap_s: float, more: Fields | None = None
) -> Happened:
    """What clients are told where another source plays; `more`: further fields of the event."""
    why = leg.why
    fields: Fields = {
        "from": from_source_id,
        "to": leg.input,
        "reason": why.text,
        "attempt": attempt.number,
        "gap_ms": round(gap_s * 1000),
        **(more or {}),
    }
    return Happened(event, fields, Causes(why.cause))
