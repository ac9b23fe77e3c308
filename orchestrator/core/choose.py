"""Which source comes next. Priority order, healthy before problematic, each source at most once in an incident."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from orchestrator.core.model import Observation, Source, SourceStatus
from orchestrator.core.policy import Policy


def enabled(sources: Iterable[Source]) -> list[Source]:
    """The sources that may be used at all, in priority order."""
    return sorted((each for each in sources if each.status is not SourceStatus.DISABLED), key=lambda each: each.priority)


def with_connection(seen: Observation) -> tuple[Source, ...]:
    """The sources whose provider has a connection for this session; the others are passed over, without blame."""
    return tuple(each for each in seen.sources if each.id not in seen.full)


def passed_over(source: Source, seen: Observation, tried: Iterable[str]) -> str | None:
    """Why a better source than this one was not taken, where it was for want of a connection."""
    for better in enabled(seen.sources):
        if better.id == source.id:
            break
        if better.status is not SourceStatus.PROBLEMATIC and better.id not in tried:
            reason = seen.full.get(better.id) or seen.awaited.get(better.id)
            if reason is not None:
                return reason
    return None


def sound(sources: Iterable[Source]) -> Source | None:
    """The best source that nothing speaks against."""
    return next((each for each in enabled(sources) if each.status is not SourceStatus.PROBLEMATIC), None)


def after_failure(sources: Iterable[Source], tried: tuple[str, ...], now: float, policy: Policy) -> Source | None:
    """The next source of an incident: the best one that is not problematic; else, as a last resort, the problematic one
    that has rested longest. None: no source is left."""
    left = [each for each in enabled(sources) if each.id not in tried]
    return sound(left) or _rested([each for each in left if now - (each.last_failed_at or 0.0) > policy.hold_off_s])


def for_retry(sources: Iterable[Source], tried: tuple[str, ...]) -> Source | None:
    """While nothing works, in turn: each source once in a round (`tried` are this round's), whatever it failed by."""
    left = enabled(sources)
    fresh = [each for each in left if each.id not in tried]
    return sound(fresh) or _rested(fresh or left)


def healed_since(at: float, sources: Iterable[Source]) -> Source | None:
    """The best source that a probe has found to work since then."""
    return sound(each for each in sources if (each.last_checked_at or 0.0) > at)


class Verdict(Struct, frozen=True):
    """What is known of a channel's sources for a new session."""

    best: Source | None = None  # take it now
    ask: tuple[str, ...] = ()  # probe these
    reasons: dict[str, str] = {}  # no source works: why, by source id
    wait_until: float | None = None  # probes are under way


def for_start(
    sources: tuple[Source, ...], requested_at: float, now: float, policy: Policy,
    *, full: Mapping[str, str] = {}, awaited: Mapping[str, str] = {},
) -> Verdict:  # fmt: skip
    """The best healthy source, by priority. A better one whose probe has not answered is waited for, but not for long.

    A verdict from shortly before the request spares a probe where some source works; a refusal is never from memory. What has
    no connection is passed over; where nothing else is left, a connection is waited for, but not for long.
    """
    usable = enabled(sources)
    candidates = [each for each in usable if each.id not in full]
    known = {each.id for each in candidates if _seen_at(each) > requested_at - policy.probe_fresh_s}
    healthy = [each for each in candidates if each.id in known and each.status is not SourceStatus.PROBLEMATIC]
    if healthy:
        best = healthy[0]
        better = [each for each in candidates[: candidates.index(best)] if each.id not in known]
        patience_until = requested_at + policy.probe_patience_s
        if not better or now >= patience_until:
            return Verdict(best=best)
        return Verdict(ask=tuple(each.id for each in candidates if each.id not in known), wait_until=patience_until)
    unanswered = tuple(each.id for each in candidates if _seen_at(each) <= requested_at)
    limit = requested_at + policy.probe_limit_s
    if unanswered and now < limit:
        return Verdict(ask=unanswered, wait_until=limit)
    limit = requested_at + policy.connection_patience_s
    if len(candidates) < len(usable) and now < limit:
        return Verdict(wait_until=limit)
    reasons = {each.id: _why(each, known=each.id not in unanswered) for each in usable}
    not_asked = {source_id: why for source_id, why in awaited.items() if source_id in unanswered}
    return Verdict(reasons=reasons | not_asked | {each.id: full[each.id] for each in usable if each.id in full})


def _rested(sources: Iterable[Source]) -> Source | None:
    return min(sources, key=lambda each: each.last_failed_at or 0.0, default=None)


def _seen_at(source: Source) -> float:
    failed_at = source.last_failed_at if source.status is SourceStatus.PROBLEMATIC else None
    return max(source.last_checked_at or 0.0, failed_at or 0.0)


def _why(source: Source, *, known: bool) -> str:
    return (source.last_failure_reason or "does not work") if known else "did not answer the probe in time"
