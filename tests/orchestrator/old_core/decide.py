# ruff: noqa
# mypy: ignore-errors
"""Every rule lives here, as ordered rules of which the first that matches wins. No I/O, no clock (law 2).

    decide(session, observation, now, policy) -> Decision(session, records, actions, wake_at)

A decision is applied and then everything is observed again, so a rule takes one step and trusts the next look. Nothing is
concluded from `Unknown` (law 3); a new attempt always has a higher number than anything that may ever have run (law 4).
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

<<<<<<<< HEAD:tests/orchestrator/old_core/decide.py
from tests.orchestrator.old_core import choose, lease, slate, steps, wish
from tests.orchestrator.old_core.blame import diagnose, of_container, patience_with
from tests.orchestrator.old_core.hold_off import is_held_off
from tests.orchestrator.old_core.model import (
========
from orchestrator.core.model import (
>>>>>>>> main:orchestrator/core/session/decide.py
    Absent,
    Action,
    Attempt,
    AttemptEnded,
    AttemptLive,
    AttemptSteady,
    Corrupt,
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
    SourceStatus,
    StartAttempt,
    StopAttempt,
    Unknown,
)
<<<<<<<< HEAD:tests/orchestrator/old_core/decide.py
from tests.orchestrator.old_core.policy import Policy
========
from orchestrator.core.policy import Policy
from orchestrator.core.session import choice, lease, operator_switch, slate, steps
from orchestrator.core.session.blame import diagnose, of_container, patience_with
from orchestrator.core.source.hold_off import is_held_off
>>>>>>>> main:orchestrator/core/session/decide.py

Rule = Callable[[Session, Observation, float, Policy], Decision | None]

FAILBACK = "failback"  # the reason of a swap back to a better source
CHANGED = "source changed"  # of one to the new address
FAILBACK_FAILED = "failback failed"  # what plays plays on; the next failback waits, no other swap does

PLANNED = frozenset({choice.OPERATOR, FAILBACK, operator_switch.ROLLED, CHANGED, steps.RENEWAL})
"""Reasons of swaps that nothing has gone wrong for."""


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
        case Corrupt():
            return steps.end(session, session.end_reason or "stopped", now)
        case Unknown():
            return Decision(session=session, wake_at=again_at)
        case Playlist(ended=False):
            return Decision(session=session, actions=(FinishPlaylist(),), wake_at=again_at)
        case Playlist() | Absent():
            return steps.end(session, session.end_reason or "stopped", now)


def wants_a_source(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    if session.phase is not Phase.REQUESTED:
        return None
    verdict = choice.for_start(session, seen, now, policy)
    if verdict.best is not None:
        if isinstance(seen.containers, Unknown):
            return Decision(session=session, wake_at=now + policy.look_again_s)
        started = steps.start(session, seen, verdict.best, steps.REQUESTED, Phase.STARTING, now, policy)
        # What has never been asked may have longer segments than anybody thinks: a later attempt must know.
        strangers = choice.never_asked(session, seen, but=verdict.best)
        return replace(started, actions=(*started.actions, ProbeSources(strangers))) if strangers else started
    if verdict.wait_until is not None:
        asked = (ProbeSources(verdict.ask),) if verdict.ask else ()
        return Decision(session=session, actions=asked, wake_at=verdict.wait_until)
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
        passed_over = session.reason is not None and session.reason.startswith(f"{steps.REQUESTED};")
        why: Fields = {"reason": session.reason} if passed_over else {}
        event = Happened(EventType.SESSION_LIVE, fields | {"start_ms": round((now - session.created_at) * 1000)} | why)
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
    swapped = session.previous is not None and not slate.is_slate(session.previous)
    is_chosen = choice.cause(session.reason) == choice.OPERATOR or attempt.source_id == session.chosen
    live = replace(
        session, phase=Phase.LIVE, attempt=replace(attempt, live_at=now), previous=None, tried=(),
        chosen=attempt.source_id if is_chosen else None,
        refused=tuple(each for each in session.refused if each != attempt.address),
        # The agent that begins the playlist fits it to the keyframes that it sees; what is written holds (law 5).
        target_duration_s=seen.playlist.target_duration_s or session.target_duration_s,
        unavailable_since=None, retry_at=None, slate_at=None, slate_faults=0,
        retries=0 if swapped else session.retries,
    )  # fmt: skip
    return Decision(session=live, records=tuple(records), wake_at=_next_look(live, seen, now, policy))


def planned_swap_failed(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """The attempt that should have taken over failed while the previous one goes on publishing: nothing happened.

    What is not asked for by an operator is not tried again at once: the fault may be in every attempt. A better source has
    to prove itself anew, whoever was to blame.
    """
    attempt, previous = session.attempt, session.previous
    if attempt is None or previous is None or slate.is_slate(previous):
        return None  # beside the slate it is a retry that fails
    if isinstance(seen.containers, Unknown):
        return None
    if not any(each.attempt == previous.number and of_container(each) is None for each in seen.containers):
        return None
    failure = diagnose(session, seen, now, policy)
    if failure is None:
        return None
    failback = choice.cause(session.reason) == FAILBACK
    stable_s = seen.channel_policy.failback_stable_s
    longer_s = min(stable_s * 2.0 ** min(session.retries, 16), max(stable_s, policy.hold_off_max_s)) if failback else 0.0
    back = replace(
        session, phase=Phase.LIVE, attempt=previous, previous=None, reason=FAILBACK_FAILED if failback else None,
        from_source_id=None, retries=session.retries + 1,
        retry_at=now + max(policy.retry_delay_s(session.retries), longer_s),
    )  # fmt: skip
    if failure.refused:
        back = steps.refused(back, attempt, seen)
    records = (
        *steps.records_of(failure, attempt, seen, now, policy),
        *operator_switch.failed(session, attempt, failure.reason),
    )
    return Decision(session=back, records=records, wake_at=_next_look(back, seen, now, policy))


def attempt_failed(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    attempt = session.attempt
    failure = diagnose(session, seen, now, policy)
    if attempt is None or failure is None:
        return None
    records = (
        *steps.records_of(failure, attempt, seen, now, policy),
        *operator_switch.failed(session, attempt, failure.reason),
    )
    previous, told = session.previous, slate.is_to_be_told(session, seen)
    if slate.is_slate(previous):
        session, ended = slate.left_by(session, seen, now, policy)
        records = (*ended, *records)
    elif previous is not None:
        session = replace(session, previous=None)
        records = (AttemptEnded(previous.number, None, "replaced"), *records)
    steady = attempt.live_at is not None and now - attempt.live_at >= policy.steady_s
    gone = replace(
        session,
        from_source_id=attempt.source_id if session.phase is Phase.LIVE else session.from_source_id or attempt.source_id,
        retries=0 if steady else session.retries,
    )
    if failure.source or failure.refused:
        gone = replace(gone, tried=steps.once(*session.tried, attempt.source_id))
        gone = steps.refused(gone, attempt, seen) if failure.refused else gone
        usable = choice.not_refused(gone, choice.with_connection(seen))
        source = choice.after_failure(usable, gone.tried, now, policy)
    else:
        again = session.fault_at is not None and now - session.fault_at < policy.fault_memory_s
        gone = replace(gone, fault_at=now, faults=session.faults + 1 if again else 1)
        source = steps.after_fault(gone, seen, attempt.source_id, now, policy, steady=steady)
    if source is None or session.unavailable_since is not None:  # a retry failed: the delay grows, whatever comes next
        return steps.unavailable(gone, failure, attempt, records, seen, now, policy, slate=told)
    phase = Phase.STARTING if session.phase is Phase.STARTING else Phase.SWITCHING
    return steps.start(gone, seen, source, failure.reason, phase, now, policy, records=records)


def source_is_gone(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """The playing source was deleted or disabled: swap to another one, without a gap."""
    attempt = session.attempt
    if session.phase is not Phase.LIVE or attempt is None or isinstance(seen.containers, Unknown):
        return None
    if now < _swap_at(session):
        return None
    if any(each.id == attempt.source_id for each in choice.enabled(seen.sources)):
        return None
    source = choice.sound(choice.not_refused(session, choice.with_connection(seen)), now, policy)
    return None if source is None else steps.swap(session, seen, source, "source removed", now, policy)


def source_has_moved(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """The playing source's address or headers were edited: a fresh attempt on it, without a gap."""
    attempt = session.attempt
    if session.phase is not Phase.LIVE or attempt is None or isinstance(seen.containers, Unknown):
        return None
    if now < _swap_at(session):
        return None
    usable = choice.not_refused(session, choice.enabled(seen.sources))
    source = next((each for each in usable if each.id == attempt.source_id), None)
    if source is None or attempt.address in (None, source.address) or is_held_off(source, now, policy):
        return None
    return steps.swap(session, seen, source, CHANGED, now, policy)


def attempt_is_old(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """Its signed addresses will run out: a fresh attempt on the same source, without a gap."""
    attempt = session.attempt
    if session.phase is not Phase.LIVE or attempt is None or isinstance(seen.containers, Unknown):
        return None
    if now < max(attempt.started_at + policy.attempt_life_s, _swap_at(session)):
        return None
    source = next((each for each in choice.enabled(choice.with_connection(seen)) if each.id == attempt.source_id), None)
    return None if source is None else steps.swap(session, seen, source, steps.RENEWAL, now, policy)


def source_has_proved_itself(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """It has listed for long enough since it last failed: its failures in a row are over."""
    attempt, source = session.attempt, _failing(session, seen)
    if session.phase is not Phase.LIVE or attempt is None or source is None or not isinstance(seen.playlist, Playlist):
        return None
    if seen.playlist.attempt != attempt.number or seen.playlist.changed_at < _steady_at(attempt, source, policy):
        return None
    return Decision(session=session, records=(AttemptSteady(attempt.number, source.id),), wake_at=now)


def better_source_is_stable(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """Failback: a source earlier in the line-up has been healthy for long enough: return to it, without a gap. What plays has
    played for as long: faults of ours may have been the reason to leave a source that is healthy."""
    attempt, stable_s = session.attempt, seen.channel_policy.failback_stable_s
    if attempt is None or attempt.live_at is None or isinstance(seen.containers, Unknown):
        return None
    if now < max(attempt.live_at + stable_s, session.retry_at or 0.0):
        return None
    # Without a connection beside the one in use there is no way back without a gap.
    free = [each for each in choice.better(session, seen) if each.id not in seen.full and each.id not in seen.handed_on]
    source = choice.stable(free, stable_s, now, policy)
    return None if source is None else steps.swap(session, seen, source, FAILBACK, now, policy)


def may_retry(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    if not slate.nothing_is_tried(session):
        return None
    retry_at = session.retry_at or now
    failed_at = retry_at - policy.retry_delay_s(session.retries - 1)
    usable = choice.not_refused(session, choice.with_connection(seen))
    waited_for = [each for each in usable if each.id in seen.awaited]
    source = choice.healed_since(failed_at, usable, now, policy) or choice.sound(waited_for, now, policy)
    if session.refused and not choice.enabled(usable):  # the agent refuses them all: it is asked again, but ever more rarely
        usable, retry_at = choice.with_connection(seen), retry_at + policy.refused_delay_s(session.retries - 1)
    if source is None and now >= retry_at:
        source = choice.for_retry(usable, session.tried, now, policy)
    if source is None or isinstance(seen.containers, Unknown):
        looks = [max(retry_at, now + policy.look_again_s), slate.next_look(session, seen, now, policy)]
        if session.attempt is not None:  # the slate is watched like any other attempt
            looks.append(_next_look(session, seen, now, policy))
        return Decision(session=session, wake_at=min(each for each in looks if each is not None))
    reason = session.reason or "retry"
    return steps.start(session, seen, source, reason, Phase.UNAVAILABLE, now, policy, previous=session.attempt)


RULES: tuple[Rule, ...] = (
    has_ended,
    channel_is_gone,
    lease.nobody_watches,
    is_unwanted,
    wants_a_source,
    slate.slate_has_listed,
    has_gone_live,
    slate.slate_failed,
    slate.slate_is_unwanted,
    planned_swap_failed,
    attempt_failed,
    source_has_proved_itself,
    source_is_gone,
    slate.slate_is_missing,
    operator_switch.switch_is_asked_for,
    source_has_moved,
    attempt_is_old,
    slate.slate_is_old,
    better_source_is_stable,
    may_retry,
)


# --- after every rule ------------------------------------------------------------------------------------------------


def _with_leftovers_stopped(decision: Decision, seen: Observation) -> Decision:
    """Stop every container that is neither the current attempt's nor a previous one's that still publishes; with a moment to
    upload its log."""
    if isinstance(seen.containers, Unknown):
        return decision
    session = decision.session
    kept = {each.number for each in session.attempts}
    being_stopped = {action.attempt for action in decision.actions if isinstance(action, StopAttempt)}
    being_stopped.update(*(action.after for action in decision.actions if isinstance(action, StartAttempt)))
    leftovers: tuple[Action, ...] = tuple(
        StopAttempt(each.attempt) for each in seen.containers if each.attempt not in kept and each.attempt not in being_stopped
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
    if session.attempt.live_at is not None and (failing := _failing(session, seen)) is not None:
        looks.append(_steady_at(session.attempt, failing, policy))
    at = min(looks)
    return at if at > now else now + policy.look_again_s


def _swap_at(session: Session) -> float:
    """Not before: the swap before this one has failed."""
    return 0.0 if session.retry_at is None or session.reason == FAILBACK_FAILED else session.retry_at


def _failing(session: Session, seen: Observation) -> Source | None:
    """The playing source, where it has failed and not proved itself since: at the address that plays."""
    attempt = session.attempt
    if attempt is None:
        return None
    source = next((each for each in choice.enabled(seen.sources) if each.id == attempt.source_id), None)
    if source is None or attempt.address not in (None, source.address):
        return None
    return source if source.failures_in_a_row > 0 or source.status is SourceStatus.PROBLEMATIC else None


def _steady_at(attempt: Attempt, source: Source, policy: Policy) -> float:
    return max(attempt.live_at or attempt.started_at, source.last_failed_at or 0.0) + policy.steady_s
