"""Failure handling: records why the newest attempt failed, marks its source where it is to blame, and chooses what starts next.

After a failure of the source, the session plays the next source; each source is tried once in an incident. After a failure that
was not the source's (a fault), it starts the same source again at once; if that fails too, the next one; then it backs off.
blame.py tells which of the two it was.
"""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.core.model import (
    UNKNOWN_INPUT,
    Absent,
    Attempt,
    AttemptEnded,
    Cause,
    Causes,
    Decision,
    EventType,
    Fields,
    Happened,
    Leg,
    Live,
    Record,
    Session,
    Source,
    SourceFailed,
    SourceStatus,
    Starting,
    State,
    SwapBackoff,
    Switching,
    Unavailable,
    Why,
)
from orchestrator.core.session import choice, operator_switch, slate, start_attempt
from orchestrator.core.session.blame import Failure, diagnose, failed_inputs, publishes
from orchestrator.core.session.next_look import next_look
from orchestrator.core.session.situation import Situation
from orchestrator.core.source.hold_off import failures_in_a_row

_REFUSALS = 64  # addresses kept of sources whose job the agent refuses


def swap_failed(state: Live, situation: Situation) -> Decision | None:
    """A rule: the successor of a planned swap failed while the attempt before it goes on publishing. It plays on.

    The fault may be in every attempt, so the next swap backs off, unless an operator asks for it. After a failed failback the
    better source has to prove itself anew, whoever was to blame; other swaps do not wait.
    """
    successor, session, policy = state.successor, situation.session, situation.policy
    if successor is None or not publishes(state.attempt, situation):
        return None
    failure = diagnose(successor, situation)
    reported = _failed_unlisted(state, successor) if failure is None else None
    failure = failure or reported
    if failure is None:
        return None
    failback = successor.leg.why.cause is Cause.FAILBACK
    stable_s = situation.seen.channel_policy.failback_stable_s
    longer_s = min(stable_s * 2.0 ** min(session.retries, 16), max(stable_s, policy.hold_off_max_s)) if failback else 0.0
    backoff = SwapBackoff(situation.now + max(policy.retry_delay_s(session.retries), longer_s), failback_only=failback)
    back = replace(session, state=Live(state.attempt, backoff=backoff), retries=session.retries + 1)
    if failure.is_refusal:
        back = _with_refusal(back, successor, situation)
    records: tuple[Record, ...] = (AttemptEnded(successor.number, None, failure.why),)
    if reported is None:  # else its report has told the rest
        records = (*_records_of(failure, successor, situation), *operator_switch.failed(successor.leg, failure.why))
    return Decision(session=back, records=records, wake_at=next_look(replace(situation, session=back)))


def attempt_failed(state: Starting | Live | Switching | Unavailable, situation: Situation) -> Decision | None:
    """A rule: the newest attempt has failed, and no attempt publishes except the slate's."""
    attempt = situation.session.attempt
    failure = None if attempt is None else diagnose(attempt, situation)
    if attempt is None or failure is None:
        return None
    records = (*_records_of(failure, attempt, situation), *operator_switch.failed(attempt.leg, failure.why))
    match state:
        case Live(attempt=before, successor=Attempt()):  # it has ended, too
            records = (AttemptEnded(before.number, None, Why(Cause.REPLACED)), *records)
        case Unavailable():
            state, ended = slate.beside_failed(state, situation)
            records = (*ended, *records)
        case _:
            pass
    live_at, now, policy = attempt.leg.live_at, situation.now, situation.policy
    steady = live_at is not None and now - live_at >= policy.steady_s
    tried = unique(*situation.session.tried, *failed_inputs(attempt))
    if steady:
        situation = situation.changed(retries=0)
    if failure.blames_source or failure.is_refusal:
        tried = unique(*tried, attempt.leg.input)
        if failure.is_refusal:
            situation = replace(situation, session=_with_refusal(situation.session, attempt, situation))
        usable = choice.not_refused(situation.session, choice.with_connection(situation.seen))
        source = choice.after_failure(usable, tried, now, policy)
    else:
        situation = _with_fault(situation)
        source = _after_fault(situation, attempt.leg.input, tried, steady=steady)
    if source is None or isinstance(state, Unavailable):  # a retry that failed makes the delay grow, whatever comes next
        return _unavailable(state, failure, attempt, tried, records, situation)
    from_source_id = _from(state, attempt)

    def into(new: Attempt) -> State:
        if isinstance(state, Starting):
            return Starting(new, tried, from_source_id)
        return Switching(new, from_source_id, tried)

    return start_attempt.on_source(situation, source, failure.why, into, tried=tried, records=records)


def unique(*source_ids: str) -> tuple[str, ...]:
    """Each of these once, in order."""
    return tuple(dict.fromkeys(source_ids))


# --- what follows from a fault, and when nothing is left -----------------------------------------------------------------


def _after_fault(situation: Situation, source_id: str, tried: tuple[str, ...], *, steady: bool) -> Source | None:
    """The same source at once; if it happens again, the next one; then with delays, unless the attempt had proved itself."""
    session = situation.session
    usable = choice.not_refused(session, choice.with_connection(situation.seen))
    # An attempt may have been trying by itself, once more, what had failed in the incident before.
    same = next((each for each in choice.not_disabled(usable) if each.id == source_id and source_id not in tried), None)
    if session.faults == 1 and same is not None:
        return same
    if session.faults <= 2 or steady:
        return choice.after_failure(usable, (*tried, source_id), situation.now, situation.policy) or same
    return None


def _unavailable(
    state: Starting | Live | Switching | Unavailable, failure: Failure, attempt: Attempt, tried: tuple[str, ...],
    records: tuple[Record, ...], situation: Situation,
) -> Decision:  # fmt: skip
    """No source works: back off. Clients are told once, and told of the slate where one will go on: a session that was never
    live has shown nothing that could go on."""
    session, seen, now = situation.session, situation.seen, situation.now
    tried = unique(*tried, attempt.leg.input)
    if all(each.id in tried for each in choice.not_refused(session, choice.not_disabled(seen.sources))):
        tried = ()  # the next round
    retry_at = now + situation.policy.retry_delay_s(session.retries)
    if isinstance(state, Unavailable):
        waiting = replace(state, why=failure.why, tried=tried, retry_at=retry_at, trying=None)
    else:
        slate = seen.slate and not isinstance(state, Starting) and not isinstance(seen.playlist, Absent)
        records = (*records, _told_unavailable(failure, attempt, situation, slate=slate))
        from_source_id = _from(state, attempt)
        waiting = Unavailable(since=now, why=failure.why, from_source_id=from_source_id, tried=tried, retry_at=retry_at)
    after = replace(session, state=waiting, retries=session.retries + 1)
    return Decision(session=after, records=records, wake_at=retry_at)


def _told_unavailable(failure: Failure, attempt: Attempt, situation: Situation, *, slate: bool) -> Happened:
    reasons = {each.id: _why_not(each, failure, attempt, situation) for each in choice.not_disabled(situation.seen.sources)}
    fields: Fields = {"reason": failure.why.text, "sources": {source_id: why.text for source_id, why in reasons.items()}}
    causes = Causes(failure.why.cause, {source_id: why.cause for source_id, why in reasons.items()})
    return Happened(EventType.STREAM_UNAVAILABLE, fields | {"slate": True} if slate else fields, causes)


def _why_not(source: Source, failure: Failure, attempt: Attempt, situation: Situation) -> Why:
    if source.id in situation.seen.full:
        return Why(Cause.PROVIDER_FULL, situation.seen.full[source.id])
    known = source.id != attempt.leg.input and source.status is SourceStatus.PROBLEMATIC
    return (source.last_failure or failure.why) if known else failure.why


# --- what is written of a failure ----------------------------------------------------------------------------------------


def _records_of(failure: Failure, attempt: Attempt, situation: Situation) -> tuple[Record, ...]:
    """The attempt's end, and the source's failure where it is to blame (law 7)."""
    ended = AttemptEnded(attempt.number, failure.exit_code, failure.why)
    if attempt.has_ended_leg:  # a report has told why; what that says of its source is recorded
        return (ended,)
    return (ended, *source_failed(attempt.leg, failure, situation))


def source_failed(leg: Leg, failure: Failure, situation: Situation, at: float | None = None) -> tuple[Record, ...]:
    """The record of the failure of this leg's source, where it is to blame (law 7). `at`: when it was; None: now."""
    source = situation.seen.source(leg.input)
    if not failure.blames_source or leg.input == UNKNOWN_INPUT:
        return ()
    if source is not None and leg.address not in (None, source.address):
        return ()  # its address was edited after the leg started: the new address has not failed
    now = situation.now if at is None else at
    in_a_row = 1 if source is None else failures_in_a_row(source, leg, now, situation.policy)
    return (SourceFailed(leg.input, failure.why, stalled=failure.is_stall, in_a_row=in_a_row, at=at),)


def _failed_unlisted(state: Live, successor: Attempt) -> Failure | None:
    """The successor has reported that the source which it was started for has failed, and nothing of it is listed. It would go
    on with another one, but what plays is good."""
    if state.attempt.is_switching or successor.played is not None or not failed_inputs(successor):
        return None
    ended = next(each.ended for each in successor.legs if each.ended is not None and Failure(each.ended).blames_source)
    return Failure(Why(ended.cause))


def _with_fault(situation: Situation) -> Situation:
    """A failure that was not the source's: how many there were within the policy's memory."""
    fault_at = situation.session.fault_at
    again = fault_at is not None and situation.now - fault_at < situation.policy.fault_memory_s
    return situation.changed(fault_at=situation.now, faults=situation.session.faults + 1 if again else 1)


def _with_refusal(session: Session, attempt: Attempt, situation: Situation) -> Session:
    """The agent refuses the job of this attempt's source; it would refuse it again, as long as the source stays as it is."""
    source = situation.seen.source(attempt.leg.input)
    address = attempt.leg.address or (source.address if source else None)
    if address is None:
        return session
    return replace(session, refused=unique(*session.refused[-(_REFUSALS - 1) :], address))


def _from(state: Starting | Live | Switching | Unavailable, attempt: Attempt) -> str:
    """The source that played before, for the event that tells of the next one."""
    match state:
        case Live(attempt=playing):
            return (playing.played or playing.leg).input
        case Starting(from_source_id=None):
            return attempt.legs[0].input
        case Starting(from_source_id=str(before)) | Switching(from_source_id=before) | Unavailable(from_source_id=before):
            return before
    raise AssertionError(state)
