"""Retries while no source works: which source is tried next, and when. Exponential backoff; a probe that succeeds ends it."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.core.model import Decision, Source, Unavailable
from orchestrator.core.session import choice, slate, start_attempt
from orchestrator.core.session.next_look import next_look
from orchestrator.core.session.situation import Situation


def may_retry(state: Unavailable, situation: Situation) -> Decision | None:
    """A rule: try a source that was healed or waited for at once, else the next one of the round when its time has come."""
    session, seen, now, policy = situation.session, situation.seen, situation.now, situation.policy
    failed_at = state.retry_at - policy.retry_delay_s(session.retries - 1)
    usable = choice.not_refused(session, choice.with_connection(seen))
    waited_for = [each for each in usable if each.id in seen.awaited]
    source = choice.healed_since(failed_at, usable, now, policy) or choice.best_usable(waited_for, now, policy)
    if source is None and now >= _retry_at(state, situation):
        # Where the agent refuses the jobs of all of them it is asked again
        again = choice.with_connection(seen) if _all_refused(usable, situation) else usable
        source = choice.for_retry(again, state.tried, now, policy)
    if source is None:
        return None
    return start_attempt.on_source(situation, source, state.why, lambda new: replace(state, trying=new), tried=state.tried)


def next_try(state: Unavailable, situation: Situation) -> float:
    """When somebody looks again, where nothing is tried now."""
    looks = [max(_retry_at(state, situation), situation.now + situation.policy.look_again_s), slate.next_look(state, situation)]
    if state.shown is not None:  # the slate is watched like any other attempt
        looks.append(next_look(situation))
    return min(each for each in looks if each is not None)


def _retry_at(state: Unavailable, situation: Situation) -> float:
    """Later and later where the agent refuses every source's job: it will, until a release or an edit has mended it."""
    usable = choice.not_refused(situation.session, choice.with_connection(situation.seen))
    if not _all_refused(usable, situation):
        return state.retry_at
    return state.retry_at + situation.policy.refused_delay_s(situation.session.retries - 1)


def _all_refused(usable: tuple[Source, ...], situation: Situation) -> bool:
    return bool(situation.session.refused) and not choice.not_disabled(usable)
