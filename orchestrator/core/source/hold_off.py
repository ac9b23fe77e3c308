"""Hold-off: a source that fails is not chosen for some time, which doubles with each failure in a row. Probation: a source that
has just been found to work again comes after the healthy ones for some time.

Both are computed from the source's row and the time, so every session and every restarted process get the same result.
"""

from __future__ import annotations

from orchestrator.core.model import Leg, Source, SourceStatus
from orchestrator.core.policy import Policy
from transcoder.source import hold_off as of_inputs


def hold_off_s(source_id: str, failures_in_a_row: int, policy: Policy) -> float:
    """As an attempt holds its inputs off, with the policy's limits."""
    return of_inputs.hold_off_s(source_id, failures_in_a_row, policy.hold_off_s, policy.hold_off_max_s)


def held_off_until(source: Source, policy: Policy) -> float:
    """0: it is not."""
    failing = source.failures_in_a_row > 0 or source.status is SourceStatus.PROBLEMATIC
    if not failing or source.last_failed_at is None:
        return 0.0
    return source.last_failed_at + hold_off_s(source.id, source.failures_in_a_row, policy)


def is_held_off(source: Source, now: float, policy: Policy) -> bool:
    return now < held_off_until(source, policy)


def is_on_probation(source: Source, policy: Policy) -> bool:
    """A probe has found it to work again; it has neither played since, nor stayed good for long enough."""
    return source.status is SourceStatus.RECOVERED and stayed_good_s(source) < policy.probation_s


def stayed_good_s(source: Source) -> float:
    """From the first to the last of the probes that have all succeeded."""
    if source.healthy_since is None or source.healthy_at is None or source.status is SourceStatus.PROBLEMATIC:
        return 0.0
    return source.healthy_at - source.healthy_since


def failures_in_a_row(source: Source, leg: Leg, now: float, policy: Policy) -> int:
    """This failure included. Sessions that fail together fail once; who had played steadily begins anew; who fails on
    probation is held off for twice the time at once."""
    before = source.failures_in_a_row
    if before and (source.last_failed_at or 0.0) > leg.started_at:
        return before
    if leg.live_at is not None and now - leg.live_at >= policy.steady_s:
        return 1
    return max(before, 1) + 1 if is_on_probation(source, policy) else before + 1
