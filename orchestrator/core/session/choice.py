"""Which source comes next. In the line-up's order, healthy before problematic, each source at most once in an incident.

The line-up is the channel's own sources by priority, then those of its failover channels: a `priority` has a meaning within
one channel only. A source that is held off (hold_off.py) is chosen only where no other source can be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from orchestrator.core.model import Cause, Live, Observation, Session, Source, SourceStatus, Why
from orchestrator.core.policy import Policy
from orchestrator.core.source.hold_off import held_off_until, is_held_off, is_on_probation, stayed_good_s


def not_disabled(sources: Iterable[Source]) -> list[Source]:
    """The sources that may be used at all, in their order."""
    return [each for each in sources if each.status is not SourceStatus.DISABLED]


def with_connection(seen: Observation) -> tuple[Source, ...]:
    """The sources whose provider has a connection for this session; the others are passed over, without blame."""
    return tuple(each for each in seen.sources if each.id not in seen.full)


def not_refused(session: Session, sources: Iterable[Source]) -> tuple[Source, ...]:
    """Without those whose job the agent refuses in this session: it would refuse it again."""
    return tuple(each for each in sources if each.address not in session.refused)


def passed_over(source: Source, seen: Observation, tried: Iterable[str]) -> str | None:
    """Why a better source than this one was not taken, where it was for want of a connection."""
    for better in not_disabled(seen.sources):
        if better.id == source.id:
            break
        if better.status is not SourceStatus.PROBLEMATIC and better.id not in tried:
            reason = seen.full.get(better.id) or seen.awaited.get(better.id)
            if reason is not None:
                return reason
    return None


def best_usable(sources: Iterable[Source], now: float, policy: Policy) -> Source | None:
    """The best source that is neither problematic nor held off."""
    return _preferred([each for each in _working(sources) if not is_held_off(each, now, policy)], policy)


def after_failure(sources: Iterable[Source], tried: tuple[str, ...], now: float, policy: Policy) -> Source | None:
    """The next source of an incident: the best one that is not problematic; one that is held off where there is no other,
    because it has answered a probe since, and its picture is better than none; else, as a last resort, the likeliest of the
    problematic ones that have rested. None: no source is left."""
    left = [each for each in not_disabled(sources) if each.id not in tried]
    return (
        best_usable(left, now, policy)
        or _preferred(_working(left), policy)
        or _likeliest(each for each in left if not is_held_off(each, now, policy))
    )


def for_retry(sources: Iterable[Source], tried: tuple[str, ...], now: float, policy: Policy) -> Source | None:
    """While nothing works, in turn: each source once in a round (`tried` are this round's), whatever it failed by. Where
    all are held off, the one whose hold-off ends first is tried: viewers see nothing anyway."""
    left = not_disabled(sources)
    fresh = [each for each in left if each.id not in tried]
    free, others = ([each for each in some if not is_held_off(each, now, policy)] for some in (fresh, left))
    return (
        best_usable(free, now, policy)
        or _likeliest(free)
        or _preferred(_working(fresh), policy)
        or best_usable(others, now, policy)
        or _likeliest(others)
        or min(fresh or left, key=lambda each: held_off_until(each, policy), default=None)
    )


def is_last_resort(session: Session, seen: Observation, source_id: str) -> bool:
    """Whether no other source is known to work that the session can have and has not tried in vain: then what
    this one lacks is accepted."""
    within_reach = not_refused(session, with_connection(seen))
    return all(each.id == source_id or each.id in session.tried for each in _working(within_reach))


def healed_since(at: float, sources: Sequence[Source], now: float, policy: Policy) -> Source | None:
    """The best source that a probe has found to work since then; one that is held off where there is no other at all."""
    working = _working(sources)
    healed = [each for each in working if (each.last_checked_at or 0.0) > at]
    last_resort = _preferred(healed, policy) if best_usable(working, now, policy) is None else None
    return best_usable(healed, now, policy) or last_resort


def failback_candidates(session: Session, seen: Observation) -> list[Source]:
    """The sources that a live session would return to, as soon as they are known to be stable. None after an operator's
    switch, which is meant to last."""
    match session.state:
        case Live(attempt=playing, successor=None) if playing.source_id != session.chosen:
            pass
        case _:
            return []
    if seen.channel_policy.failback == "never":
        return []
    usable = not_disabled(seen.sources)
    index = next((index for index, each in enumerate(usable) if each.id == playing.source_id), 0)
    return list(not_refused(session, usable[:index]))


def best_stable(sources: Iterable[Source], stable_s: float, now: float, policy: Policy) -> Source | None:
    """The best source that has been healthy for so long by its probes, the last of them a recent one."""
    probed_after = now - max(stable_s, policy.probe_fresh_s)
    return next(
        (
            each
            for each in _working(sources)
            if not is_held_off(each, now, policy)
            and stayed_good_s(each) >= stable_s
            and (each.healthy_at or 0.0) >= probed_after
        ),
        None,
    )


class StartChoice(Struct, frozen=True):
    """Which source a new session begins with, or what is missing to choose one."""

    best: Source | None = None  # take it now
    probe: tuple[str, ...] = ()  # probe these
    reasons: dict[str, Why] = {}  # no source works: why, by source id
    wait_until: float | None = None  # probes are under way


def for_start(session: Session, seen: Observation, now: float, policy: Policy) -> StartChoice:
    """The best healthy source, in order. A better one whose probe has not answered is waited for, but not for long; then the
    channel's last good source is taken without an answer.

    Failover channels are asked when none of the channel's own sources is known to work, and taken when none does. A recent
    probe result is enough to start a session; a session is refused only after new probes. Sources without a free connection
    are passed over; where nothing else is left, a connection is waited for, but not for long.
    """
    # Under load a request waits in a queue: the time for its probes counts from when it is first handled
    asked_at = max(session.created_at, seen.asked_at or 0.0)
    patience_until = asked_at + policy.probe_patience_s
    limit = asked_at + policy.probe_limit_s
    candidates = not_disabled(with_connection(seen))
    own = [each for each in candidates if each.channel_id == session.channel_id]
    others = [each for each in candidates if each.channel_id != session.channel_id]
    fresh = {each.id for each in candidates if _seen_at(each) > session.created_at - policy.probe_fresh_s}

    def settled(sources: list[Source]) -> StartChoice | None:
        best = best_usable([each for each in sources if each.id in fresh], now, policy)
        if best is None:
            return None
        rivals = sources if is_on_probation(best, policy) else sources[: sources.index(best)]
        if now >= patience_until or all(each.id in fresh for each in rivals):
            return StartChoice(best=best)
        return StartChoice(probe=_ids(each for each in sources if each.id not in fresh), wait_until=patience_until)

    def resting(sources: list[Source]) -> Source | None:
        working = [each for each in _working(sources) if each.id in fresh]
        return min(working, key=lambda each: held_off_until(each, policy), default=None)

    def unanswered(sources: list[Source]) -> list[Source]:
        return [each for each in sources if _seen_at(each) <= session.created_at]

    if choice := settled(own):
        return choice
    # None of its own is known to work, but for those that are held off
    silent = unanswered(own)
    remembered = next((each for each in silent if each.id == seen.last_good and _is_good(each, now, policy)), None)
    second_best = remembered or resting(own)
    if silent and now < patience_until:
        return StartChoice(probe=_ids(silent), wait_until=patience_until if second_best or others else limit)
    if silent and second_best:
        return StartChoice(best=second_best)
    if not silent or now >= limit:
        if choice := settled(others):
            return choice
        second_best = second_best or resting(others)
    silent += unanswered(others)
    if silent and now < limit and not (second_best and now >= patience_until):
        return StartChoice(probe=_ids(silent), wait_until=patience_until if second_best else limit)
    if second_best:
        return StartChoice(best=second_best)
    usable, late = not_disabled(seen.sources), set(_ids(silent))
    limit = asked_at + policy.connection_patience_s
    if len(candidates) < len(usable) and now < limit:
        return StartChoice(wait_until=limit)
    reasons = {each.id: _why(each, known=each.id not in late) for each in usable}
    not_asked = {source_id: Why(Cause.PROVIDER_FULL, why) for source_id, why in seen.awaited.items() if source_id in late}
    full = {each.id: Why(Cause.PROVIDER_FULL, seen.full[each.id]) for each in usable if each.id in seen.full}
    return StartChoice(reasons=reasons | not_asked | full)


def never_probed(session: Session, seen: Observation, *, but: Source) -> tuple[str, ...]:
    """The channel's own sources of which nothing is known."""
    own = (each for each in not_disabled(with_connection(seen)) if each.channel_id == session.channel_id and each.id != but.id)
    return _ids(each for each in own if each.last_checked_at is None and each.last_failed_at is None)


def _ids(sources: Iterable[Source]) -> tuple[str, ...]:
    return tuple(each.id for each in sources)


def _working(sources: Iterable[Source]) -> list[Source]:
    return [each for each in not_disabled(sources) if each.status is not SourceStatus.PROBLEMATIC]


def _preferred(working: Sequence[Source], policy: Policy) -> Source | None:
    """The first; but one on probation comes behind the healthy ones of its channel."""
    if not working:
        return None
    best = working[0]
    if not is_on_probation(best, policy):
        return best
    healthy = (SourceStatus.HEALTHY, SourceStatus.RECOVERED)
    others = (each for each in working if each.channel_id == best.channel_id and each.status in healthy)
    return next((each for each in others if not is_on_probation(each, policy)), best)


def _likeliest(sources: Iterable[Source]) -> Source | None:
    """Of sources that have failed, the one that is likeliest to work: those that failed their last probe come last; then the
    one with the fewest failures in a row, then the one that failed longest ago."""

    def doubt(source: Source) -> tuple[bool, int, float]:
        failed_at = source.last_failed_at or 0.0
        return failed_at > 0.0 and failed_at == source.last_checked_at, source.failures_in_a_row, failed_at

    return min(sources, key=doubt, default=None)


def _is_good(source: Source, now: float, policy: Policy) -> bool:
    known = source.status in (SourceStatus.HEALTHY, SourceStatus.RECOVERED)
    return known and not is_held_off(source, now, policy)


def _seen_at(source: Source) -> float:
    failed_at = source.last_failed_at if source.status is SourceStatus.PROBLEMATIC else None
    return max(source.last_checked_at or 0.0, failed_at or 0.0)


def _why(source: Source, *, known: bool) -> Why:
    return (source.last_failure or Why(Cause.NOT_WORKING)) if known else Why(Cause.PROBE_LATE)
