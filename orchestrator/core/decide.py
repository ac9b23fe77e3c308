"""Every rule lives here, as ordered rules of which the first that matches wins. No I/O, no clock (law 2).

    decide(session, observation, now, policy) -> Decision(session, records, actions, wake_at)

A decision is applied and then everything is observed again, so a rule takes one step and trusts the next look. Nothing is
concluded from `Unknown` (law 3); a new attempt always has a higher number than anything that may ever have run (law 4).
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from orchestrator.core import choose, lease, steps
from orchestrator.core.blame import diagnose, of_container, patience_with
from orchestrator.core.model import (
    Absent,
    Action,
    AttemptEnded,
    AttemptLive,
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
    StopAttempt,
    Unknown,
)
from orchestrator.core.policy import Policy

Rule = Callable[[Session, Observation, float, Policy], Decision | None]

NEXT = "next"  # `switch_to`: whichever source comes next


def decide(session: Session, seen: Observation, now: float, policy: Policy) -> Decision:
    """One step. The same inputs always give the same decision."""
    decisions = (rule(session, seen, now, policy) for rule in RULES)
    decision = next((each for each in decisions if each is not None), None)
    if decision is None:
        decision = Decision(session=session, wake_at=_next_look(session, seen, now, policy))
    return lease.until_idle(_with_leftovers_stopped(decision, seen), seen, policy)


# --- the rules, in order ----------------------------------------------------------------------------------------------


def has_ended(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    return Decision(session=session) if session.phase is Phase.ENDED else None


def channel_is_gone(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    if seen.channel_enabled or session.desired is Desired.STOP:
        return None
    return Decision(session=replace(session, desired=Desired.STOP, end_reason="channel_disabled"), wake_at=now)


def is_unwanted(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """Stop the containers, then finish the playlist, then end: each step follows from what is seen, none from `Unknown`."""
    if session.desired is not Desired.STOP:
        return None
    again_at = now + policy.look_again_s
    if isinstance(seen.containers, Unknown):
        return Decision(session=session, wake_at=again_at)
    if seen.containers:
        stops = tuple(StopAttempt(each.attempt) for each in seen.containers)
        return Decision(session=session, actions=stops, wake_at=again_at)
    match seen.playlist:
        case Unknown():
            return Decision(session=session, wake_at=again_at)
        case Playlist(ended=False):
            return Decision(session=session, actions=(FinishPlaylist(),), wake_at=again_at)
        case Playlist() | Absent():
            return steps.end(session, session.end_reason or "stopped", now)


def wants_a_source(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    if session.phase is not Phase.REQUESTED:
        return None
    verdict = choose.for_start(seen.sources, session.created_at, now, policy)
    if verdict.best is not None:
        if isinstance(seen.containers, Unknown):
            return Decision(session=session, wake_at=now + policy.look_again_s)
        return steps.start(session, seen, verdict.best, "requested", Phase.STARTING, now, policy)
    if verdict.ask:
        return Decision(session=session, actions=(ProbeSources(verdict.ask),), wake_at=verdict.wait_until)
    return steps.end(session, "no_healthy_source", now, sources=verdict.reasons)


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
        unavailable_since=None, retry_at=None,
    )  # fmt: skip
    return Decision(session=live, records=tuple(records), wake_at=_next_look(live, seen, now, policy))


def planned_swap_failed(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """The attempt that should have taken over failed while the previous one goes on publishing: nothing happened.

    What is not asked for by an operator is not tried again at once: the fault may be in every attempt.
    """
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
    back = replace(
        session, phase=Phase.LIVE, attempt=previous, previous=None, reason=None, from_source_id=None,
        retries=session.retries + 1, retry_at=now + policy.retry_delay_s(session.retries),
    )  # fmt: skip
    return Decision(session=back, records=steps.records_of(failure, attempt), wake_at=_next_look(back, seen, now, policy))


def attempt_failed(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    attempt = session.attempt
    failure = diagnose(session, seen, now, policy)
    if attempt is None or failure is None:
        return None
    records = steps.records_of(failure, attempt)
    if session.previous is not None:
        records = (AttemptEnded(session.previous.number, None, "replaced"), *records)
    steady = attempt.live_at is not None and now - attempt.live_at >= policy.steady_s
    gone = replace(
        session,
        previous=None,
        from_source_id=attempt.source_id if session.phase is Phase.LIVE else session.from_source_id or attempt.source_id,
        retries=0 if steady else session.retries,
    )
    if failure.source:
        gone = replace(gone, tried=steps.once(*session.tried, attempt.source_id))
        source = choose.after_failure(seen.sources, gone.tried, now, policy)
    else:
        again = session.fault_at is not None and now - session.fault_at < policy.fault_memory_s
        gone = replace(gone, fault_at=now, faults=session.faults + 1 if again else 1)
        source = steps.after_fault(gone, seen, attempt.source_id, now, policy, steady=steady)
    if source is None or session.unavailable_since is not None:  # a retry failed: the delay grows, whatever comes next
        return steps.unavailable(gone, failure, attempt, records, seen, now, policy)
    phase = Phase.STARTING if session.phase is Phase.STARTING else Phase.SWITCHING
    return steps.start(gone, seen, source, failure.reason, phase, now, policy, records=records)


def source_is_gone(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """The playing source was deleted or disabled: swap to another one, without a gap."""
    attempt = session.attempt
    if session.phase is not Phase.LIVE or attempt is None or isinstance(seen.containers, Unknown):
        return None
    if session.retry_at is not None and now < session.retry_at:
        return None
    if any(each.id == attempt.source_id for each in choose.enabled(seen.sources)):
        return None
    source = choose.sound(seen.sources)
    return None if source is None else steps.swap(session, seen, source, "source removed", now, policy)


def attempt_is_old(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """Its signed addresses will run out: a fresh attempt on the same source, without a gap."""
    attempt = session.attempt
    if session.phase is not Phase.LIVE or attempt is None or isinstance(seen.containers, Unknown):
        return None
    if now < max(attempt.started_at + policy.attempt_life_s, session.retry_at or 0.0):
        return None
    source = next((each for each in choose.enabled(seen.sources) if each.id == attempt.source_id), None)
    return None if source is None else steps.swap(session, seen, source, "signatures run out", now, policy)


def switch_is_asked_for(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """The operator asks for a source: a planned swap, the old attempt publishes until the new one has taken over. Where
    nothing plays, it is the next one to be tried."""
    if session.switch_to is None or isinstance(seen.containers, Unknown):
        return None
    playing = session.attempt
    if session.phase not in (Phase.LIVE, Phase.UNAVAILABLE) or (playing is None) is (session.phase is Phase.LIVE):
        return None  # what is under way comes first
    asked = replace(session, switch_to=None)
    usable = choose.enabled(seen.sources)
    if session.switch_to == NEXT:
        others = [each for each in usable if playing is None or each.id != playing.source_id]
        source = choose.sound(others) or choose.for_retry(others, session.tried)
    else:
        source = next((each for each in usable if each.id == session.switch_to), None)
    if source is None:
        return Decision(session=asked, wake_at=now)
    if playing is None:
        return steps.start(asked, seen, source, "operator", Phase.UNAVAILABLE, now, policy)
    return steps.swap(asked, seen, source, "operator", now, policy)


def may_retry(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    if session.phase is not Phase.UNAVAILABLE or session.attempt is not None:
        return None
    retry_at = session.retry_at or now
    failed_at = retry_at - policy.retry_delay_s(session.retries - 1)
    source = choose.healed_since(failed_at, seen.sources)
    if source is None and now >= retry_at:
        source = choose.for_retry(seen.sources, session.tried)
    if source is None or isinstance(seen.containers, Unknown):
        return Decision(session=session, wake_at=max(retry_at, now + policy.look_again_s))
    return steps.start(session, seen, source, session.reason or "retry", Phase.UNAVAILABLE, now, policy)


RULES: tuple[Rule, ...] = (
    has_ended,
    channel_is_gone,
    lease.nobody_watches,
    is_unwanted,
    wants_a_source,
    has_gone_live,
    planned_swap_failed,
    attempt_failed,
    source_is_gone,
    switch_is_asked_for,
    attempt_is_old,
    may_retry,
)


# --- after every rule ------------------------------------------------------------------------------------------------


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


def _next_look(session: Session, seen: Observation, now: float, policy: Policy) -> float | None:
    """When silence alone would mean something; soon, where nobody has looked lately."""
    if session.attempt is None:
        return session.retry_at
    patience = patience_with(session, seen, policy)
    looks = [now if patience is None else patience.until, session.attempt.started_at + policy.attempt_life_s]
    if session.retry_at is not None and session.retry_at > now:
        looks.append(session.retry_at)
    at = min(looks)
    return at if at > now else now + policy.look_again_s
