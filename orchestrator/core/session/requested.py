"""The rule of a session that was requested: start on the best source, wait for a probe, or end because none works."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.core.model import Cause, Decision, EndReason, ProbeSources, Requested, Starting, Unknown, Why
from orchestrator.core.session import choice, ends, steps
from orchestrator.core.session.given import Given


def wants_a_source(state: Requested, given: Given) -> Decision:
    """`choice.for_start` says which, and how long a probe is waited for. Probes need no engine; a start does."""
    session, seen, now, policy = given.session, given.seen, given.now, given.policy
    verdict = choice.for_start(session, seen, now, policy)
    if verdict.best is not None:
        if isinstance(seen.containers, Unknown):
            return given.stays(now + policy.look_again_s)
        started = steps.start(given, verdict.best, Why(Cause.REQUESTED), Starting)
        # A source that was never probed may have longer segments than anybody thinks: a later attempt must know.
        strangers = choice.never_asked(session, seen, but=verdict.best)
        return replace(started, actions=(*started.actions, ProbeSources(strangers))) if strangers else started
    if verdict.wait_until is not None:
        return given.stays(verdict.wait_until, *((ProbeSources(verdict.ask),) if verdict.ask else ()))
    return ends.end(given, EndReason.NO_HEALTHY_SOURCE, sources=verdict.reasons)
