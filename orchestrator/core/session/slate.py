"""The slate: while no source works, a generated picture is shown in the same playlist; it ends when a source works.

Rules: the slate is not a source. A failure of the slate blames no source, ends no session and delays no retry. The event for
viewers is `stream.unavailable`; there is no separate event for the slate. In the state it is `Unavailable.shown`. It goes on
publishing beside the source that is tried, until that source has listed a segment.
"""

from __future__ import annotations

from zlib import crc32

from msgspec.structs import replace

from orchestrator.core.model import (
    SLATE,
    Absent,
    Attempt,
    AttemptEnded,
    AttemptLive,
    Cause,
    Decision,
    Playlist,
    Record,
    Unavailable,
    Unknown,
    Why,
)
from orchestrator.core.session import start_attempt
from orchestrator.core.session.blame import Failure, diagnose, of_container, of_exit, publishes
from orchestrator.core.session.situation import Situation

# --- rules ------------------------------------------------------------------------------------------------------------


def slate_has_listed(state: Unavailable, situation: Situation) -> Decision | None:
    """A rule: its first segment has proved that it runs. Nobody is told, the phase stays."""
    slate, playlist = state.renewing or state.shown, situation.seen.playlist
    if slate is None or slate.leg.live_at is not None:
        return None
    if not isinstance(playlist, Playlist) or playlist.attempt != slate.number:
        return None
    records: list[Record] = [AttemptLive(slate.number, SLATE)]
    if state.renewing is not None and state.shown is not None:
        records.append(AttemptEnded(state.shown.number, None, Why(Cause.REPLACED, slate.leg.why.text)))
    shown = replace(state, shown=slate.listed(situation.now), renewing=None)
    return situation.becomes(shown, *records, wake_at=situation.now + situation.policy.look_again_s)


def slate_failed(state: Unavailable, situation: Situation) -> Decision | None:
    """A rule: whatever it failed by, it is started again (`slate_is_missing`): at once if it had proved itself, else with
    growing delays."""
    slate = state.renewing or state.shown
    failure = None if slate is None else diagnose(slate, situation)
    if slate is None or failure is None:
        return None
    without, records = _without(state, slate, failure, situation)
    older = without.shown  # it was to be renewed
    if older is not None and not publishes(older, situation):
        without, more = _without(without, older, _why_it_ended(older, situation), situation)
        records = (*more, *records)
    return situation.becomes(without, *records, wake_at=_due(without, situation))


def slate_is_unwanted(state: Unavailable, situation: Situation) -> Decision | None:
    """A rule: the operator has switched it off. As if there had never been one."""
    if situation.seen.slate or state.shown is None or isinstance(situation.seen.playlist, Unknown):
        return None
    ended = AttemptEnded(state.shown.number, None, Why(Cause.SLATE_OFF))
    return situation.becomes(replace(state, shown=None), ended, wake_at=state.retry_at)


def slate_is_missing(state: Unavailable, situation: Situation) -> Decision | None:
    """A rule: nothing is shown. Only a playlist that is there can go on: a session that was never live has none."""
    playlist = situation.seen.playlist
    if not situation.seen.slate or state.shown is not None or not isinstance(playlist, Playlist) or playlist.ended:
        return None
    if situation.now < _wanted_at(state, situation):
        return None
    return start_attempt.on_slate(situation, state.why, lambda new: replace(state, shown=new))


def slate_is_old(state: Unavailable, situation: Situation) -> Decision | None:
    """A rule: its signed addresses will run out. A fresh one takes over without a gap."""
    if state.shown is None or situation.now < max(
        state.shown.signed_at + situation.policy.attempt_life_s, state.slate_at or 0.0
    ):
        return None
    return start_attempt.on_slate(situation, Why(Cause.RENEWAL), lambda new: replace(state, renewing=new))


# --- what other rules ask -----------------------------------------------------------------------------------------------


def beside_failed(state: Unavailable, situation: Situation) -> tuple[Unavailable, tuple[Record, ...]]:
    """A source was tried and has failed: the slate is still shown where it publishes; else the state is without it."""
    if state.shown is None or publishes(state.shown, situation):
        return state, ()
    return _without(state, state.shown, _why_it_ended(state.shown, situation), situation)


def next_look(state: Unavailable, situation: Situation) -> float | None:
    """When a slate that is missing is due; soon where the store has yet to say whether there is a playlist."""
    if not situation.seen.slate or state.shown is not None or isinstance(situation.seen.playlist, Absent):
        return None
    return _due(state, situation)


# --- how ----------------------------------------------------------------------------------------------------------------


def _wanted_at(state: Unavailable, situation: Situation) -> float:
    """Jitter: sessions that lose their sources together do not all start an encoder at once. Players have buffer enough for a
    moment; the same session always draws the same delay."""
    chance = crc32(situation.session.id.encode()) / 2**32
    return max(state.slate_at or 0.0, state.since + situation.policy.slate_spread_s * chance)


def _due(state: Unavailable, situation: Situation) -> float:
    return max(_wanted_at(state, situation), situation.now + situation.policy.look_again_s)


def _why_it_ended(slate: Attempt, situation: Situation) -> Failure:
    container = situation.seen.container(slate.number)
    return Failure(Why(Cause.CONTAINER_GONE)) if container is None else of_container(container) or of_exit(None)


def _without(
    state: Unavailable, slate: Attempt, failure: Failure, situation: Situation
) -> tuple[Unavailable, tuple[Record, ...]]:
    """The state after this slate has ended, whether it was shown or was to be."""
    live_at, now, policy = slate.leg.live_at, situation.now, situation.policy
    steady = live_at is not None and now - live_at >= policy.steady_s
    faults = 0 if steady else state.slate_faults + 1
    without = replace(
        state,
        shown=None if state.shown == slate else state.shown,
        renewing=None if state.renewing == slate else state.renewing,
        slate_faults=faults,
        slate_at=now if faults == 0 else now + policy.retry_delay_s(faults - 1),
    )
    return without, (AttemptEnded(slate.number, failure.exit_code, failure.why),)
