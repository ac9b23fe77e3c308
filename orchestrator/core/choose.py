"""Which source comes next. Priority order, healthy before problematic, each source at most once in an incident."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from orchestrator.core.model import Source, SourceStatus
from orchestrator.core.policy import Policy


def enabled(sources: Iterable[Source]) -> list[Source]:
    """The sources that may be used at all, in priority order."""
    return sorted((each for each in sources if each.status is not SourceStatus.DISABLED), key=lambda each: each.priority)


def after_failure(sources: Iterable[Source], tried: tuple[str, ...], now: float, policy: Policy) -> Source | None:
    """The next source of an incident: the best one that is not problematic; else, as a last resort, the problematic one
    that has rested longest. None: no source is left."""
    left = [each for each in enabled(sources) if each.id not in tried]
    sound = [each for each in left if each.status is not SourceStatus.PROBLEMATIC]
    if sound:
        return sound[0]
    rested = [each for each in left if now - (each.last_failed_at or 0.0) > policy.hold_off_s]
    return min(rested, key=lambda each: each.last_failed_at or 0.0, default=None)


def for_retry(sources: Iterable[Source]) -> Source | None:
    """While nothing works, in turn: the source that failed longest ago."""
    return min(enabled(sources), key=lambda each: max(each.last_failed_at or 0.0, each.last_checked_at or 0.0), default=None)


def sound(sources: Iterable[Source]) -> Source | None:
    """The best source that nothing speaks against."""
    return next((each for each in enabled(sources) if each.status is not SourceStatus.PROBLEMATIC), None)


def healed_since(at: float, sources: Iterable[Source]) -> Source | None:
    """The best source that a probe has found to work since then."""
    return sound(each for each in sources if (each.last_checked_at or 0.0) > at)


class Verdict(Struct, frozen=True):
    """What is known of a channel's sources for a new session."""

    best: Source | None = None  # take it now
    ask: tuple[str, ...] = ()  # probe these
    reasons: dict[str, str] = {}  # no source works: why, by source id
    wait_until: float | None = None  # probes are under way


def for_start(sources: tuple[Source, ...], requested_at: float, now: float, policy: Policy) -> Verdict:
    """The best healthy source, by priority. A better one whose probe has not answered is waited for, but not for long."""
    candidates = enabled(sources)
    since = requested_at - policy.probe_fresh_s
    fresh = {each.id for each in candidates if _seen_at(each) > since}
    unknown = tuple(each.id for each in candidates if each.id not in fresh)
    healthy = [each for each in candidates if each.id in fresh and each.status is not SourceStatus.PROBLEMATIC]
    if healthy:
        best = healthy[0]
        better = [each for each in candidates[: candidates.index(best)] if each.id in unknown]
        patience_until = requested_at + policy.probe_patience_s
        if not better or now >= patience_until:
            return Verdict(best=best)
        return Verdict(ask=unknown, wait_until=patience_until)
    limit = requested_at + policy.probe_limit_s
    if unknown and now < limit:
        return Verdict(ask=unknown, wait_until=limit)
    return Verdict(
        reasons={
            each.id: (each.last_failure_reason or "does not work") if each.id in fresh else "did not answer the probe in time"
            for each in candidates
        }
    )


def _seen_at(source: Source) -> float:
    failed_at = source.last_failed_at if source.status is SourceStatus.PROBLEMATIC else None
    return max(source.last_checked_at or 0.0, failed_at or 0.0)
