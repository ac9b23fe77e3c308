"""The rule of a session that was requested: start on the best source, wait for a probe, or end because none works."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.core.model import Cause, Decision, EndReason, ProbeSources, Requested, Starting, Unknown, Why
from orchestrator.core.session import choice, ends, start_attempt
from orchestrator.core.session.situation import Situation


def wants_a_source(state: Requested, situation: Situation) -> Decision:
    """`choice.for_start` says which, and how long a probe is waited for. Probes need no engine; a start does."""
    session, seen, now, policy = situation.session, situation.seen, situation.now, situation.policy
    start = choice.for_start(session, seen, now, policy)
    if start.best is not None:
        if isinstance(seen.containers, Unknown):
            return situation.stays(now + policy.look_again_s)
        started = start_attempt.on_source(situation, start.best, Why(Cause.REQUESTED), Starting)
        # A source that was never probed may have longer segments than anybody thinks: a later attempt must know.
        strangers = choice.never_probed(session, seen, but=start.best)
        return replace(started, actions=(*started.actions, ProbeSources(strangers))) if strangers else started
    if start.wait_until is not None:
        return situation.stays(start.wait_until, *((ProbeSources(start.probe),) if start.probe else ()))
    return ends.end(situation, EndReason.NO_HEALTHY_SOURCE, sources=start.reasons)
