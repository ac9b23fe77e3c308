"""Planned swaps: the attempt that plays is replaced although it has not failed. Swaps after a failure are in failure.py.

Rule: the attempt that plays publishes until its successor has listed a segment, so viewers see no gap. The exception is a
provider that allows one connection: there it ends first (`swap`).
"""

from __future__ import annotations

from orchestrator.core.model import UNKNOWN_INPUT, AttemptEnded, Cause, Decision, Live, Source, Switching, Why
from orchestrator.core.session import choice, start_attempt
from orchestrator.core.session.situation import Situation
from orchestrator.core.source.hold_off import is_held_off


def swap(state: Live, situation: Situation, source: Source, cause: Cause) -> Decision:
    """To an attempt on this source. Where both attempts need a connection and there is one, the one that plays ends first: a
    short gap, which the player's buffer covers, instead of no swap at all."""
    playing, why = state.attempt, Why(cause)
    if source.id in situation.seen.handed_on:
        ended = AttemptEnded(playing.number, None, Why(Cause.HANDED_ON, why.text))
        return start_attempt.on_source(
            situation,
            source,
            why,
            lambda new: Switching(new, playing.leg.input),
            records=(ended,),
            grace_s=situation.policy.stop_grace_s,
        )
    return start_attempt.on_source(situation, source, why, lambda new: Live(playing, successor=new, backoff=state.backoff))


def source_is_gone(state: Live, situation: Situation) -> Decision | None:
    """A rule: the playing source was deleted or disabled. Swap to another one."""
    source = situation.seen.source(state.attempt.leg.input)
    if _backs_off(state, situation) or (source is not None and source.enabled):
        return None
    if state.attempt.leg.input == UNKNOWN_INPUT:
        return None
    usable = choice.not_refused(situation.session, choice.with_connection(situation.seen))
    other = choice.best_usable(usable, situation.now, situation.policy)
    return None if other is None else swap(state, situation, other, Cause.SOURCE_REMOVED)


def source_has_moved(state: Live, situation: Situation) -> Decision | None:
    """A rule: the playing source's address or headers were edited. Swap to a fresh attempt on it."""
    leg, source = state.attempt.leg, situation.seen.source(state.attempt.leg.input)
    if _backs_off(state, situation) or source is None or not source.enabled or leg.address in (None, source.address):
        return None
    if source.address in situation.session.refused or is_held_off(source, situation.now, situation.policy):
        return None
    return swap(state, situation, source, Cause.SOURCE_CHANGED)


def attempt_is_old(state: Live, situation: Situation) -> Decision | None:
    """A rule: its signed addresses will run out. Swap to a fresh attempt on the same source, or on the best one where
    the one that plays is not known."""
    if _backs_off(state, situation) or situation.now < state.attempt.signed_at + situation.policy.attempt_life_s:
        return None
    source = situation.seen.source(state.attempt.leg.input)
    if state.attempt.leg.input == UNKNOWN_INPUT:
        usable = choice.not_refused(situation.session, choice.with_connection(situation.seen))
        source = choice.best_usable(usable, situation.now, situation.policy)
    if source is None or not source.enabled or source.id in situation.seen.full:
        return None
    return swap(state, situation, source, Cause.RENEWAL)


def better_source_is_stable(state: Live, situation: Situation) -> Decision | None:
    """A rule, failback: a source earlier in the line-up has been healthy for long enough. Return to it.

    What plays has played for as long: faults of ours may have been the reason to leave a source that is healthy.
    """
    seen, now, stable_s = situation.seen, situation.now, situation.seen.channel_policy.failback_stable_s
    if now < (state.attempt.leg.live_at or now) + stable_s or (state.backoff is not None and now < state.backoff.until):
        return None
    # Without a connection beside the one in use there is no way back without a gap.
    free = [
        each
        for each in choice.failback_candidates(situation.session, seen)
        if each.id not in seen.full and each.id not in seen.handed_on
    ]
    source = choice.best_stable(free, stable_s, now, situation.policy)
    return None if source is None else swap(state, situation, source, Cause.FAILBACK)


def _backs_off(state: Live, situation: Situation) -> bool:
    """The swap before this one has failed a moment ago."""
    return state.backoff is not None and not state.backoff.failback_only and situation.now < state.backoff.until
