"""The slate: while no source works, a generated picture goes on in the same playlist, and gives way by itself.

Laws: it is nobody's source, so nothing that happens to it blames one, ends a session or makes a retry wait; viewers are told
that the stream is unavailable, and of the slate by nothing else. It is `Unavailable.shown`, and publishes beside the source
that is tried until that one has listed a segment.
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
from orchestrator.core.session import steps
from orchestrator.core.session.blame import Failure, diagnose, of_container, of_exit, publishes
from orchestrator.core.session.given import Given

# --- rules ------------------------------------------------------------------------------------------------------------


def slate_has_listed(state: Unavailable, given: Given) -> Decision | None:
    """A rule: its first segment has proved that it runs. Nobody is told, the phase stays."""
    slate, playlist = state.renewing or state.shown, given.seen.playlist
    if slate is None or slate.leg.live_at is not None:
        return None
    if not isinstance(playlist, Playlist) or playlist.attempt != slate.number:
        return None
    records: list[Record] = [AttemptLive(slate.number, SLATE)]
    if state.renewing is not None and state.shown is not None:
        records.append(AttemptEnded(state.shown.number, None, Why(Cause.REPLACED, slate.leg.why.text)))
    shown = replace(state, shown=slate.listed(given.now), renewing=None)
    return given.becomes(shown, *records, wake_at=given.now + given.policy.look_again_s)


def slate_failed(state: Unavailable, given: Given) -> Decision | None:
    """A rule: whatever it failed by, it is started again (`slate_is_missing`): at once if it had proved itself, else with
    growing delays."""
    slate = state.renewing or state.shown
    failure = None if slate is None else diagnose(slate, given)
    if slate is None or failure is None:
        return None
    without, records = _without(state, slate, failure, given)
    older = without.shown  # it was to be renewed
    if older is not None and not publishes(older, given):
        without, more = _without(without, older, _why_it_ended(older, given), given)
        records = (*more, *records)
    return given.becomes(without, *records, wake_at=_due(without, given))


def slate_is_unwanted(state: Unavailable, given: Given) -> Decision | None:
    """A rule: the operator has switched it off. As if there had never been one."""
    if given.seen.slate or state.shown is None or isinstance(given.seen.playlist, Unknown):
        return None
    ended = AttemptEnded(state.shown.number, None, Why(Cause.SLATE_OFF))
    return given.becomes(replace(state, shown=None), ended, wake_at=state.retry_at)


def slate_is_missing(state: Unavailable, given: Given) -> Decision | None:
    """A rule: nothing is shown. Only a playlist that is there can go on: a session that was never live has none."""
    playlist = given.seen.playlist
    if not given.seen.slate or state.shown is not None or not isinstance(playlist, Playlist) or playlist.ended:
        return None
    if given.now < _wanted_at(state, given):
        return None
    return steps.start_slate(given, state.why, lambda new: replace(state, shown=new))


def slate_is_old(state: Unavailable, given: Given) -> Decision | None:
    """A rule: its signed addresses will run out. A fresh one takes over without a gap."""
    if state.shown is None or given.now < max(state.shown.signed_at + given.policy.attempt_life_s, state.slate_at or 0.0):
        return None
    return steps.start_slate(given, Why(Cause.RENEWAL), lambda new: replace(state, renewing=new))


# --- what other rules ask -----------------------------------------------------------------------------------------------


def beside_failed(state: Unavailable, given: Given) -> tuple[Unavailable, tuple[Record, ...]]:
    """A source was tried and has failed: the slate is still shown where it publishes; else the state is without it."""
    if state.shown is None or publishes(state.shown, given):
        return state, ()
    return _without(state, state.shown, _why_it_ended(state.shown, given), given)


def next_look(state: Unavailable, given: Given) -> float | None:
    """When a slate that is missing is due; soon where the store has yet to say whether there is a playlist."""
    if not given.seen.slate or state.shown is not None or isinstance(given.seen.playlist, Absent):
        return None
    return _due(state, given)


# --- how ----------------------------------------------------------------------------------------------------------------


def _wanted_at(state: Unavailable, given: Given) -> float:
    """Jitter: sessions that lose their sources together do not all start an encoder at once. Players have buffer enough for a
    moment; the same session always draws the same delay."""
    chance = crc32(given.session.id.encode()) / 2**32
    return max(state.slate_at or 0.0, state.since + given.policy.slate_spread_s * chance)


def _due(state: Unavailable, given: Given) -> float:
    return max(_wanted_at(state, given), given.now + given.policy.look_again_s)


def _why_it_ended(slate: Attempt, given: Given) -> Failure:
    container = given.seen.container(slate.number)
    return Failure(Why(Cause.CONTAINER_GONE)) if container is None else of_container(container) or of_exit(None)


def _without(state: Unavailable, slate: Attempt, failure: Failure, given: Given) -> tuple[Unavailable, tuple[Record, ...]]:
    """The state after this slate has ended, whether it was shown or was to be."""
    live_at, now, policy = slate.leg.live_at, given.now, given.policy
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
