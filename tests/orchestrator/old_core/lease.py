# ruff: noqa
# mypy: ignore-errors
"""A session lives while somebody watches: it ends when nobody has renewed it for the policy's idle timeout.

Only time in which renewals could be written counts (law 3): a viewer whose heartbeat found no API, or an API that found no
database, has not left.
"""

from __future__ import annotations

from msgspec.structs import replace

from tests.orchestrator.old_core.model import Decision, Desired, Observation, Phase, Renewed, Session
from tests.orchestrator.old_core.policy import Policy

IDLE = "idle"  # the reason of the end


def idle_at(seen: Observation, policy: Policy) -> float | None:
    """When the session ends unless it is renewed; None: nobody can say."""
    if not isinstance(seen.renewed, Renewed):
        return None
    return max(seen.renewed.last_at, seen.renewed.since) + policy.idle_timeout_s


def nobody_watches(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """A rule: what nobody has renewed for so long is not wanted any more."""
    at = idle_at(seen, policy)
    if session.desired is Desired.STOP or at is None or now < at:
        return None
    return Decision(session=replace(session, desired=Desired.STOP, end_reason=IDLE), wake_at=now)


def until_idle(decision: Decision, seen: Observation, policy: Policy) -> Decision:
    """The next look comes no later than the lease's end."""
    session = decision.session
    at = idle_at(seen, policy)
    if at is None or session.desired is Desired.STOP or session.phase is Phase.ENDED:
        return decision
    return decision if decision.wake_at is not None and decision.wake_at <= at else replace(decision, wake_at=at)
