"""Computes when a session becomes idle and ends: when nobody has renewed its lease for the policy's idle timeout.

Law: only time in which renewals could be written counts (law 3). A viewer whose heartbeat found no API, or an API that found no
database, has not left.
"""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.core.model import Decision, Desired, Ended, Observation, Renewed
from orchestrator.core.policy import Policy


def idle_at(seen: Observation, policy: Policy) -> float | None:
    """When the session ends unless it is renewed; None: nobody can say."""
    if not isinstance(seen.renewed, Renewed):
        return None
    return max(seen.renewed.last_at, seen.renewed.since) + policy.idle_timeout_s


def until_idle(decision: Decision, seen: Observation, policy: Policy) -> Decision:
    """The same decision; its next look comes no later than the lease's end."""
    session = decision.session
    at = idle_at(seen, policy)
    if at is None or session.desired is Desired.STOP or isinstance(session.state, Ended):
        return decision
    return decision if decision.wake_at is not None and decision.wake_at <= at else replace(decision, wake_at=at)
