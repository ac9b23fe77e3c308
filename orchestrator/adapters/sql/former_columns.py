"""A session in the columns of the releases before migration 0018, which kept a state as nullable columns and a sentence.

They are written for one release beside the column `state`, so that the release before can take over again. To be deleted with
the columns.
"""

from __future__ import annotations

from typing import Any

from orchestrator.core.model import Attempt, Live, Session, Starting, Switching, Unavailable

_ATTEMPT = ("attempt", "source_id", "attempt_started_at", "attempt_live_at", "attempt_address")
_PREVIOUS = ("previous_attempt", "previous_source_id", "previous_started_at", "previous_live_at", "previous_address")


def former_columns(session: Session) -> dict[str, Any]:
    """What the release before would have written of this session, but for identity, intent and version."""
    state, reason, previous = session.state, session.why.text if session.why else None, None
    from_source_id = retry_at = slate_at = None
    slate_faults = 0
    match state:
        case Starting():
            from_source_id = state.from_source_id
        case Live():
            retry_at = state.backoff.until if state.backoff else None
            if state.successor is not None:
                previous, from_source_id = state.attempt, state.attempt.source_id
            elif state.backoff is not None:
                reason = "failback failed" if state.backoff.failback_only else None
        case Switching():
            from_source_id = state.from_source_id
        case Unavailable():
            previous = state.shown if state.trying or state.renewing else None
            reason = state.trying.leg.why.text if state.trying else state.why.text
            from_source_id, retry_at = state.from_source_id, state.retry_at
            slate_at, slate_faults = state.slate_at, state.slate_faults
        case _:
            pass
    return {
        **_attempt_columns(_ATTEMPT, session.attempt),
        **_attempt_columns(_PREVIOUS, previous),
        "target_duration_s": session.target_duration_s,
        "last_attempt": session.last_attempt,
        "reason": reason,
        "from_source_id": from_source_id,
        "chosen": session.chosen,
        "tried": session.tried,
        "refused": session.refused,
        "fault_at": session.fault_at,
        "faults": session.faults,
        "unavailable_since": session.unavailable_since,
        "retries": session.retries,
        "retry_at": retry_at,
        "slate_at": slate_at,
        "slate_faults": slate_faults,
        "ended_at": session.ended_at,
        "end_reason": session.end_reason,
    }


def _attempt_columns(names: tuple[str, ...], attempt: Attempt | None) -> dict[str, Any]:
    if attempt is None:
        return dict.fromkeys(names)
    leg = attempt.leg
    return dict(zip(names, (attempt.number, leg.input, leg.started_at, leg.live_at, leg.address), strict=True))
