# ruff: noqa
# mypy: ignore-errors
"""The steps that rules take: start an attempt, swap, give up for a while, end. Each makes the next state, what is to be written
with it, and what is to be done."""

from __future__ import annotations

from msgspec.structs import replace

<<<<<<<< HEAD:tests/orchestrator/old_core/steps.py
from tests.orchestrator.old_core import choose
from tests.orchestrator.old_core.blame import Failure
from tests.orchestrator.old_core.hold_off import failures_in_a_row
from tests.orchestrator.old_core.model import (
========
from orchestrator.core.model import (
>>>>>>>> main:orchestrator/core/session/steps.py
    HOLDING,
    Attempt,
    AttemptEnded,
    AttemptStarted,
    Decision,
    Desired,
    EventType,
    Fields,
    Happened,
    Observation,
    Phase,
    Playlist,
    Record,
    Session,
    Source,
    SourceFailed,
    SourceStatus,
    StartAttempt,
    Unknown,
)
<<<<<<<< HEAD:tests/orchestrator/old_core/steps.py
from tests.orchestrator.old_core.policy import Policy
========
from orchestrator.core.policy import Policy
from orchestrator.core.session import choice
from orchestrator.core.session.blame import Failure
from orchestrator.core.source.hold_off import failures_in_a_row
>>>>>>>> main:orchestrator/core/session/steps.py

REQUESTED = "requested"  # why a session's first attempt is started
RENEWAL = "signatures run out"  # the reason of a fresh attempt before they do


def start(
    session: Session, seen: Observation, source: Source, reason: str, phase: Phase, now: float, policy: Policy,
    *, records: tuple[Record, ...] = (), previous: Attempt | None = None, grace_s: float = 0.0,
) -> Decision:  # fmt: skip
    """A source that has no connection but the one that the session holds is started when that one has been given back."""
    passed_over = choice.passed_over(source, seen, session.tried)
    reason = reason if passed_over is None else f"{reason}; {passed_over}"
    after = _given_back(source, seen)
    return run(
        session, seen, source.id, reason, phase, now, policy,
        address=source.address, records=records, previous=previous, after=after, grace_s=grace_s,
    )  # fmt: skip


def run(
    session: Session, seen: Observation, source_id: str, reason: str, phase: Phase, now: float, policy: Policy,
    *, address: str | None = None, records: tuple[Record, ...] = (), previous: Attempt | None = None,
    after: tuple[int, ...] = (), grace_s: float = 0.0,
) -> Decision:  # fmt: skip
    """A new attempt on a source, or (`SLATE`) without one. `after`: attempts that end first."""
    listed = seen.playlist.attempt if isinstance(seen.playlist, Playlist) else 0
    present = () if isinstance(seen.containers, Unknown) else (each.attempt for each in seen.containers)
    number = max(session.last_attempt, listed, *present) + 1
    started = replace(
        session,
        phase=phase,
        attempt=Attempt(number, source_id, now, address=address),
        previous=previous,
        last_attempt=number,
        reason=reason,
        target_duration_s=session.target_duration_s or policy.target_duration_s(seen.sources),
    )
    return Decision(
        session=started,
        records=(*records, AttemptStarted(number, source_id, reason)),
        actions=(StartAttempt(number, source_id, after=after, grace_s=grace_s),),
        wake_at=now + policy.start_budget_s,
    )


def _given_back(source: Source, seen: Observation) -> tuple[int, ...]:
    """The attempts that end before one on this source is started."""
    if source.id not in seen.handed_on or isinstance(seen.containers, Unknown):
        return ()
    return tuple(each.attempt for each in seen.containers if each.state in HOLDING)


def swap(session: Session, seen: Observation, source: Source, reason: str, now: float, policy: Policy) -> Decision:
    """A planned swap of a live session: the old attempt publishes until the new one takes over. Where both need a connection
    and there is one, the old one ends first: a short gap, which the player's buffer covers, instead of no swap at all."""
    assert session.attempt is not None
    leaving = replace(session, from_source_id=session.attempt.source_id)
    if source.id in seen.handed_on:
        ended = AttemptEnded(session.attempt.number, None, f"ended for its successor ({reason}): no connection for both")
        return start(leaving, seen, source, reason, Phase.SWITCHING, now, policy, records=(ended,), grace_s=policy.stop_grace_s)
    return start(leaving, seen, source, reason, Phase.SWITCHING, now, policy, previous=session.attempt)


def after_fault(
    session: Session, seen: Observation, source_id: str, now: float, policy: Policy, *, steady: bool
) -> Source | None:
    """Not the source's fault: the same source at once; if it happens again, the next one; then with delays, unless the
    attempt had proved itself."""
    usable = choice.not_refused(session, choice.with_connection(seen))
    same = next((each for each in choice.enabled(usable) if each.id == source_id), None)
    if session.faults == 1 and same is not None:
        return same
    if session.faults <= 2 or steady:
        return choice.after_failure(usable, (*session.tried, source_id), now, policy) or same
    return None


def unavailable(
    session: Session, failure: Failure, attempt: Attempt, records: tuple[Record, ...], seen: Observation, now: float,
    policy: Policy, *, slate: bool = False,
) -> Decision:  # fmt: skip
    """What publishes beside the failed attempt (`session.previous`) goes on; `slate`: clients are told that one will."""
    first = session.unavailable_since is None
    if first:
        reasons = {each.id: _why_not(each, failure, attempt, seen) for each in choice.enabled(seen.sources)}
        fields: Fields = {"reason": failure.reason, "sources": reasons}
        records = (*records, Happened(EventType.STREAM_UNAVAILABLE, fields | {"slate": True} if slate else fields))
    tried = once(*session.tried, attempt.source_id)
    if all(each.id in tried for each in choice.not_refused(session, choice.enabled(seen.sources))):
        tried = ()  # the next round
    retry_at = now + policy.retry_delay_s(session.retries)
    waiting = replace(
        session, phase=Phase.UNAVAILABLE, attempt=session.previous, previous=None, reason=failure.reason, retry_at=retry_at,
        retries=session.retries + 1, unavailable_since=now if first else session.unavailable_since, tried=tried,
    )  # fmt: skip
    return Decision(session=waiting, records=records, wake_at=retry_at)


def _why_not(source: Source, failure: Failure, attempt: Attempt, seen: Observation) -> str:
    if source.id in seen.full:
        return seen.full[source.id]
    known = source.id != attempt.source_id and source.status is SourceStatus.PROBLEMATIC
    return (source.last_failure_reason or failure.reason) if known else failure.reason


def refused(session: Session, attempt: Attempt, seen: Observation) -> Session:
    """The session that knows that the agent refuses the job of this attempt's source, as long as the source stays as it is."""
    source = next((each for each in seen.sources if each.id == attempt.source_id), None)
    address = attempt.address or (source.address if source else None)
    return session if address is None else replace(session, refused=once(*session.refused[-63:], address))


def once(*source_ids: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(source_ids))


def end(session: Session, reason: str, now: float, *, sources: dict[str, str] | None = None) -> Decision:
    fields: Fields = {"reason": reason}
    if sources is not None:
        fields["sources"] = sources
    ran = [AttemptEnded(each.number, None, reason) for each in (session.previous, session.attempt) if each is not None]
    ended = replace(
        session, phase=Phase.ENDED, desired=Desired.STOP, attempt=None, previous=None, ended_at=now, end_reason=reason,
        retry_at=None, switch_to=None,
    )  # fmt: skip
    return Decision(session=ended, records=(*ran, Happened(EventType.SESSION_ENDED, fields)))


def records_of(failure: Failure, attempt: Attempt, seen: Observation, now: float, policy: Policy) -> tuple[Record, ...]:
    ended = AttemptEnded(attempt.number, failure.exit_code, failure.reason)
    source = next((each for each in seen.sources if each.id == attempt.source_id), None)
    if not failure.source or not (source is None or attempt.address in (None, source.address)):
        return (ended,)  # what failed may be the old address: the new one has done nothing
    in_a_row = 1 if source is None else failures_in_a_row(source, attempt, now, policy)
    return (ended, SourceFailed(attempt.source_id, failure.reason, stalled=failure.stall, in_a_row=in_a_row))
