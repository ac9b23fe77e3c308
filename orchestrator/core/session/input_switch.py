"""Input switches: an attempt has gone on with another of its granted sources by itself. Follows it in the session's state.

Rules: reports say why a leg has ended, and only the playlist says that one plays. Clients are told of each as of a swap of
containers, with the time at which it happened. A leg that no report explains blames no source.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from orchestrator.core.model import (
    UNKNOWN_INPUT,
    Attempt,
    AttemptLive,
    Decision,
    EventType,
    Fields,
    Happened,
    Leg,
    LegsChanged,
    Live,
    Playlist,
    Record,
    ReportRead,
    Session,
    Starting,
    State,
    Switching,
    Unavailable,
)
from orchestrator.core.session import mail, operator_switch
from orchestrator.core.session.failure import source_failed, unique
from orchestrator.core.session.first_segment import switched
from orchestrator.core.session.next_look import UNEXPLAINED_S, next_look
from orchestrator.core.session.situation import Situation

LATE_S: Final = 10.0
"""An event that is told so long after it happened says so."""


def mail_is_read(state: State, situation: Situation) -> Decision | None:
    """A rule: what an attempt has reported is recorded, all of it at once."""
    seen, now, policy = situation.seen, situation.now, situation.policy
    numbers = {each.attempt for each in seen.mail} - seen.distrusted
    attempt = next((each for each in reversed(situation.session.attempts) if each.number in numbers), None)
    if attempt is None:
        return None
    shown = mail.shown_leg(attempt, seen.playlist)
    result = mail.read(attempt, seen.mail, shown, now)
    assert result.read is not None
    after = result.attempt if result.attempt.leg.number < shown else replace(result.attempt, ahead_since=None)
    gaps_s = {each.leg.number: each.gap_s for each in result.listed}
    blamed: list[Record] = []
    for each in result.failed:
        blamed += source_failed(each.leg, each.failure, situation, each.at)
        blamed += operator_switch.failed(each.leg, each.failure.why)
    records = (*blamed, *_told(state, attempt, after, gaps_s, situation), ReportRead(attempt.number, result.read))
    if after.legs != attempt.legs:
        records = (LegsChanged(attempt.number, after.legs), *records)
    session = replace(situation.session, state=_with_attempt(state, after))
    failed = tuple(each.leg.input for each in result.failed)
    if failed and attempt == situation.session.attempt:
        session = replace(session, state=_with_tried(session.state, failed))
    if any(each.leg.live_at is not None and each.at - each.leg.live_at >= policy.steady_s for each in result.failed):
        session = replace(session, retries=0)
    return Decision(session=_with_chosen(session, attempt, after), records=records, wake_at=now)


def leg_has_listed(state: Live, situation: Situation) -> Decision | None:
    """A rule: the attempt that plays has switched inputs, and the playlist shows the new leg."""
    attempt = state.attempt
    leg = mail.leg_shown(attempt, situation.seen.playlist)
    if leg is None or leg.live_at is not None:
        return None
    after = replace(attempt.listed(situation.now, leg.number), ahead_since=None)
    records = (LegsChanged(attempt.number, after.legs), *_told(state, attempt, after, {}, situation))
    session = _with_chosen(replace(situation.session, state=replace(state, attempt=after)), attempt, after)
    return Decision(session=session, records=records, wake_at=next_look(replace(situation, session=session)))


def leg_is_unexplained(state: Starting | Live | Switching | Unavailable, situation: Situation) -> Decision | None:
    """A rule: the playlist shows a leg of which no report tells. It is waited for; then the leg's source is not known."""
    now = situation.now
    for attempt in situation.session.attempts:
        shown = mail.shown_leg(attempt, situation.seen.playlist)
        if not attempt.granted or shown <= attempt.leg.number:
            continue
        if attempt.ahead_since is None:
            waiting = _with_attempt(state, replace(attempt, ahead_since=now))
            return situation.becomes(waiting, wake_at=now + UNEXPLAINED_S)
        if now >= attempt.ahead_since + UNEXPLAINED_S:
            after = replace(mail.with_unknown_legs(attempt, shown, now), ahead_since=None)
            return situation.becomes(_with_attempt(state, after), LegsChanged(attempt.number, after.legs), wake_at=now)
    return None


# --- what is told of a leg ------------------------------------------------------------------------------------------------


def _told(state: State, before: Attempt, after: Attempt, gaps_s: dict[int, float], situation: Situation) -> tuple[Record, ...]:
    """The records of legs that are known to have played, and were not before: only while their attempt plays. Until then its
    first segment is what counts (first_segment.py)."""
    if not isinstance(state, Live) or state.attempt.number != after.number:
        return ()
    records: list[Record] = []
    known = {each.number for each in before.legs if _is_known(each)}
    played: Leg | None = None
    for leg in after.legs:
        if _is_known(leg) and leg.number not in known and played is not None:
            if leg == after.leg and leg.plays:
                records.append(AttemptLive(after.number, leg.input))
            records.append(_switched(played, leg, after, gaps_s.get(leg.number), situation))
        if leg.live_at is not None:
            played = leg
    return tuple(records)


def _is_known(leg: Leg) -> bool:
    return leg.live_at is not None and leg.input != UNKNOWN_INPUT


def _switched(before: Leg, leg: Leg, attempt: Attempt, gap_s: float | None, situation: Situation) -> Happened:
    playlist, now = situation.seen.playlist, situation.now
    if gap_s is None:
        gap_s = playlist.gap_s if isinstance(playlist, Playlist) and mail.shown_leg(attempt, playlist) == leg.number else 0.0
    more: Fields = {"leg": leg.number, "by": "agent"}
    at = leg.live_at or now
    if now - at > LATE_S:
        more |= {"late": True, "at": at}
    return switched(EventType.STREAM_SWITCH, before.input, attempt, leg, gap_s, more)


# --- what becomes of the session ------------------------------------------------------------------------------------------


def _with_attempt(state: State, attempt: Attempt) -> State:
    """The state with this attempt in place of the one with its number."""
    fields = {
        name: attempt
        for name in ("attempt", "successor", "trying", "renewing", "shown")
        if isinstance(each := getattr(state, name, None), Attempt) and each.number == attempt.number
    }
    return replace(state, **fields)


def _with_tried(state: State, failed: tuple[str, ...]) -> State:
    """What an attempt has tried in vain is not tried again in this incident."""
    match state:
        case Starting(from_source_id=None):
            return replace(state, tried=unique(*state.tried, *failed), from_source_id=failed[0])
        case Starting() | Switching() | Unavailable():
            return replace(state, tried=unique(*state.tried, *failed))
        case _:
            return state


def _with_chosen(session: Session, before: Attempt, after: Attempt) -> Session:
    """What an operator has chosen is chosen until another source plays."""
    leg = after.played
    if not isinstance(session.state, Live) or session.state.attempt.number != after.number or leg == before.played:
        return session
    return session if leg is None or leg.input in (session.chosen, UNKNOWN_INPUT) else replace(session, chosen=None)
