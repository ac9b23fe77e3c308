"""Every rule lives here, as ordered rules of which the first that matches wins. No I/O, no clock (law 2).

    decide(session, observation, now, policy) -> Decision(session, records, actions, wake_at)

A decision is applied and then everything is observed again, so a rule takes one step and trusts the next look. Nothing is
concluded from `Unknown` (law 3); a new attempt always has a higher number than anything that may ever have run (law 4).
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from orchestrator.core import choose
from orchestrator.core.blame import Failure, diagnose, of_container
from orchestrator.core.model import (
    Action,
    Attempt,
    AttemptEnded,
    AttemptLive,
    AttemptStarted,
    Decision,
    Desired,
    EventType,
    Fields,
    FinishPlaylist,
    Happened,
    Observation,
    Phase,
    Playlist,
    ProbeSources,
    Record,
    Session,
    Source,
    SourceFailed,
    StartAttempt,
    StopAttempt,
    Unknown,
)
from orchestrator.core.policy import Policy

Rule = Callable[[Session, Observation, float, Policy], Decision | None]

NEXT = "next"  # `switch_to`: whichever source comes next


def decide(session: Session, seen: Observation, now: float, policy: Policy) -> Decision:
    """One step. The same inputs always give the same decision."""
    for rule in RULES:
        decision = rule(session, seen, now, policy)
        if decision is not None:
            return _with_leftovers_stopped(decision, seen)
    return _with_leftovers_stopped(Decision(session=session, wake_at=_next_look(session, seen, policy)), seen)


# --- the rules, in order ----------------------------------------------------------------------------------------------


def has_ended(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    return Decision(session=session) if session.phase is Phase.ENDED else None


def channel_is_gone(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    if seen.channel_enabled or session.desired is Desired.STOP:
        return None
    return Decision(session=replace(session, desired=Desired.STOP, end_reason="channel_disabled"), wake_at=now)


def is_unwanted(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """Stop the containers, then finish the playlist, then end: each step follows from what is seen."""
    if session.desired is not Desired.STOP:
        return None
    if isinstance(seen.containers, Unknown):
        return Decision(session=session, wake_at=now + 1.0)
    if seen.containers:
        return Decision(
            session=session, actions=tuple(StopAttempt(each.attempt) for each in seen.containers), wake_at=now + 1.0
        )
    if isinstance(seen.playlist, Playlist) and not seen.playlist.ended:
        return Decision(session=session, actions=(FinishPlaylist(),), wake_at=now)
    return _end(session, session.end_reason or "stopped", now)


def wants_a_source(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    if session.phase is not Phase.REQUESTED:
        return None
    verdict = choose.for_start(seen.sources, session.created_at, now, policy)
    if verdict.best is not None:
        return _start(session, seen, verdict.best, "requested", Phase.STARTING, now, policy)
    if verdict.ask:
        return Decision(session=session, actions=(ProbeSources(verdict.ask),), wake_at=verdict.wait_until)
    return _end(session, "no_healthy_source", now, sources=verdict.reasons)


def has_gone_live(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """The current attempt has listed its first segment: it has fenced whatever was before it."""
    attempt = session.attempt
    if attempt is None or attempt.live_at is not None:
        return None
    if not isinstance(seen.playlist, Playlist) or seen.playlist.attempt != attempt.number:
        return None
    fields: Fields = {"source": attempt.source_id, "attempt": attempt.number}
    if session.phase is Phase.STARTING:
        event = Happened(EventType.SESSION_LIVE, fields | {"start_ms": round((now - session.created_at) * 1000)})
    else:
        recovered = session.unavailable_since is not None
        switch: Fields = {
            "from": session.from_source_id,
            "to": attempt.source_id,
            "reason": session.reason,
            "attempt": attempt.number,
            "gap_ms": round(seen.playlist.gap_s * 1000),
        }
        event = Happened(EventType.STREAM_RECOVERED if recovered else EventType.STREAM_SWITCH, switch)
    records: list[Record] = [AttemptLive(attempt.number, attempt.source_id), event]
    if session.previous is not None:
        records.append(AttemptEnded(session.previous.number, None, f"replaced: {session.reason}"))
    live = replace(
        session, phase=Phase.LIVE, attempt=replace(attempt, live_at=now), previous=None, tried=(),
        unavailable_since=None, retries=0, retry_at=None,
    )  # fmt: skip
    return Decision(session=live, records=tuple(records), wake_at=_next_look(live, seen, policy))


def planned_swap_failed(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """The attempt that should have taken over failed while the previous one goes on publishing: nothing happened."""
    attempt, previous = session.attempt, session.previous
    if attempt is None or previous is None:
        return None
    if isinstance(seen.containers, Unknown):
        return None
    if not any(each.attempt == previous.number and of_container(each) is None for each in seen.containers):
        return None
    failure = diagnose(session, seen, now, policy)
    if failure is None:
        return None
    back = replace(session, phase=Phase.LIVE, attempt=previous, previous=None, reason=None, from_source_id=None)
    return Decision(session=back, records=_records_of(failure, attempt), wake_at=_next_look(back, seen, policy))


def attempt_failed(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    attempt = session.attempt
    failure = diagnose(session, seen, now, policy)
    if attempt is None or failure is None:
        return None
    records = _records_of(failure, attempt)
    gone = replace(session, previous=None, from_source_id=session.from_source_id or attempt.source_id)
    if session.phase is Phase.LIVE:
        gone = replace(gone, from_source_id=attempt.source_id)
    if failure.source:
        gone = replace(gone, tried=(*session.tried, attempt.source_id))
        source = choose.after_failure(seen.sources, gone.tried, now, policy)
    else:
        again = session.fault_at is not None and now - session.fault_at < policy.fault_memory_s
        faults = session.faults + 1 if again else 1
        gone = replace(gone, fault_at=now, faults=faults)
        source = _after_fault(gone, seen, attempt.source_id, faults, now, policy)
    if session.unavailable_since is not None:
        # A retry failed: the delay grows, whichever source comes next.
        return _unavailable(gone, failure.reason, records, now, policy, seen)
    if source is None:
        return _unavailable(gone, failure.reason, records, now, policy, seen)
    phase = Phase.STARTING if session.phase is Phase.STARTING else Phase.SWITCHING
    return _start(gone, seen, source, failure.reason, phase, now, policy, records=records)


def source_is_gone(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """The playing source was deleted or disabled: swap to another one, without a gap."""
    attempt = session.attempt
    if session.phase is not Phase.LIVE or attempt is None:
        return None
    if any(each.id == attempt.source_id for each in choose.enabled(seen.sources)):
        return None
    source = choose.sound(seen.sources)
    return None if source is None else _swap(session, seen, source, "source removed", now, policy)


def switch_is_asked_for(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """The operator asks for a source: a planned swap, the old attempt publishes until the new one has taken over."""
    if session.switch_to is None or session.phase is not Phase.LIVE or session.attempt is None:
        return None
    asked = replace(session, switch_to=None)
    others = [each for each in choose.enabled(seen.sources) if each.id != session.attempt.source_id]
    if session.switch_to == NEXT:
        source = choose.sound(others) or next(iter(others), None)
    else:
        source = next((each for each in choose.enabled(seen.sources) if each.id == session.switch_to), None)
    if source is None:
        return Decision(session=asked, wake_at=now)
    return _swap(asked, seen, source, "operator", now, policy)


def may_retry(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    if session.phase is not Phase.UNAVAILABLE or session.attempt is not None:
        return None
    retry_at = session.retry_at or now
    failed_at = retry_at - policy.retry_delay_s(session.retries - 1)
    source = choose.healed_since(failed_at, seen.sources)
    if source is None and now >= retry_at:
        source = choose.for_retry(seen.sources)
    if source is None or isinstance(seen.containers, Unknown):
        return Decision(session=session, wake_at=max(retry_at, now + 1.0) if now >= retry_at else retry_at)
    return _start(session, seen, source, session.reason or "retry", Phase.UNAVAILABLE, now, policy)


RULES: tuple[Rule, ...] = (
    has_ended,
    channel_is_gone,
    is_unwanted,
    wants_a_source,
    has_gone_live,
    planned_swap_failed,
    attempt_failed,
    source_is_gone,
    switch_is_asked_for,
    may_retry,
)


# --- the steps that rules take ----------------------------------------------------------------------------------------


def _start(
    session: Session, seen: Observation, source: Source, reason: str, phase: Phase, now: float, policy: Policy,
    *, records: tuple[Record, ...] = (), previous: Attempt | None = None,
) -> Decision:  # fmt: skip
    listed = seen.playlist.attempt if isinstance(seen.playlist, Playlist) else 0
    number = max(session.last_attempt, listed) + 1
    started = replace(
        session,
        phase=phase,
        attempt=Attempt(number, source.id, now),
        previous=previous,
        last_attempt=number,
        reason=reason,
        target_duration_s=session.target_duration_s or policy.target_duration_s(seen.sources),
    )
    return Decision(
        session=started,
        records=(*records, AttemptStarted(number, source.id, reason)),
        actions=(StartAttempt(number, source.id),),
        wake_at=now + policy.start_budget_s,
    )


def _swap(session: Session, seen: Observation, source: Source, reason: str, now: float, policy: Policy) -> Decision:
    """A planned swap of a live session."""
    assert session.attempt is not None
    leaving = replace(session, from_source_id=session.attempt.source_id)
    return _start(leaving, seen, source, reason, Phase.SWITCHING, now, policy, previous=session.attempt)


def _after_fault(session: Session, seen: Observation, source_id: str, faults: int, now: float, policy: Policy) -> Source | None:
    """Not the source's fault: the same source at once; on a second fault within the memory the next one; then with delays."""
    same = next((each for each in choose.enabled(seen.sources) if each.id == source_id), None)
    if faults == 1 and same is not None:
        return same
    if faults <= 2:
        return choose.after_failure(seen.sources, (*session.tried, source_id), now, policy) or same
    return None


def _unavailable(
    session: Session, reason: str, records: tuple[Record, ...], now: float, policy: Policy, seen: Observation
) -> Decision:
    first = session.unavailable_since is None
    retry_at = now + policy.retry_delay_s(session.retries)
    if first:
        reasons = {each.id: each.last_failure_reason or reason for each in choose.enabled(seen.sources)}
        event = Happened(EventType.STREAM_UNAVAILABLE, {"reason": reason, "sources": reasons})
        records = (*records, event)
    waiting = replace(
        session, phase=Phase.UNAVAILABLE, attempt=None, reason=reason, retry_at=retry_at, retries=session.retries + 1,
        unavailable_since=now if first else session.unavailable_since,
    )  # fmt: skip
    return Decision(session=waiting, records=records, wake_at=retry_at)


def _end(
    session: Session, reason: str, now: float, *, records: tuple[Record, ...] = (), sources: dict[str, str] | None = None
) -> Decision:
    fields: Fields = {"reason": reason}
    if sources is not None:
        fields["sources"] = sources
    if session.attempt is not None and not records:
        records = (AttemptEnded(session.attempt.number, None, reason),)
    ended = replace(
        session, phase=Phase.ENDED, desired=Desired.STOP, attempt=None, previous=None, ended_at=now, end_reason=reason,
        retry_at=None, switch_to=None,
    )  # fmt: skip
    return Decision(session=ended, records=(*records, Happened(EventType.SESSION_ENDED, fields)))


def _records_of(failure: Failure, attempt: Attempt) -> tuple[Record, ...]:
    ended = AttemptEnded(attempt.number, failure.exit_code, failure.reason)
    if not failure.source:
        return (ended,)
    return (ended, SourceFailed(attempt.source_id, failure.reason, stalled=failure.stall))


def _with_leftovers_stopped(decision: Decision, seen: Observation) -> Decision:
    """Stop every container that is neither the current attempt's nor a previous one's that still publishes."""
    if isinstance(seen.containers, Unknown):
        return decision
    session = decision.session
    kept = {each.number for each in (session.attempt, session.previous) if each is not None}
    being_stopped = {action.attempt for action in decision.actions if isinstance(action, StopAttempt)}
    leftovers: tuple[Action, ...] = tuple(
        StopAttempt(each.attempt, grace_s=0.0)
        for each in seen.containers
        if each.attempt not in kept and each.attempt not in being_stopped
    )
    return replace(decision, actions=(*decision.actions, *leftovers)) if leftovers else decision


def _next_look(session: Session, seen: Observation, policy: Policy) -> float | None:
    """When silence alone would mean something."""
    attempt = session.attempt
    if attempt is None:
        return session.retry_at
    if attempt.live_at is None:
        return attempt.started_at + policy.start_budget_s
    if isinstance(seen.playlist, Playlist):
        changed_at = max(seen.playlist.changed_at, attempt.started_at)
        return changed_at + policy.stall_limit_s(session.target_duration_s or 1)
    return None
