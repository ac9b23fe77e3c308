"""Computes a session's next timer: the earliest limit that expires. Then it is decided again, although nothing has happened."""

from __future__ import annotations

from typing import Final

from orchestrator.core.model import Leg, Live, Session, Source, SourceStatus, Unavailable
from orchestrator.core.policy import Policy
from orchestrator.core.session.blame import patience_with
from orchestrator.core.session.situation import Situation

UNEXPLAINED_S: Final = 5.0
"""A leg that the playlist shows is explained by a report within so long; else nobody knows which source it plays."""


def next_look(situation: Situation) -> float | None:
    """Unix seconds. A moment later than now, where silence would mean something already but nobody has looked lately."""
    session, now, policy = situation.session, situation.now, situation.policy
    attempt = session.attempt
    if attempt is None:
        return session.state.retry_at if isinstance(session.state, Unavailable) else None
    patience = patience_with(attempt, situation)
    looks = [now if patience is None else patience.until, attempt.signed_at + policy.attempt_life_s]
    looks += [each.ahead_since + UNEXPLAINED_S for each in session.attempts if each.ahead_since is not None]
    backoff_until = _backoff_until(session)
    if backoff_until is not None and backoff_until > now:
        looks.append(backoff_until)
    if attempt.leg.plays and (failing := failing_source(attempt.leg, situation)) is not None:
        looks.append(steady_at(attempt.leg, failing, policy))
    at = min(looks)
    return at if at > now else now + policy.look_again_s


def failing_source(leg: Leg, situation: Situation) -> Source | None:
    """The leg's source, where it has failed and not proved itself since, at the address that plays."""
    source = situation.seen.source(leg.input)
    if source is None or not source.enabled or leg.address not in (None, source.address):
        return None
    return source if source.failures_in_a_row > 0 or source.status is SourceStatus.PROBLEMATIC else None


def steady_at(leg: Leg, source: Source, policy: Policy) -> float:
    """When the source has proved itself, if it lists until then."""
    return max(leg.live_at or leg.started_at, source.last_failed_at or 0.0) + policy.steady_s


def _backoff_until(session: Session) -> float | None:
    match session.state:
        case Live(backoff=backoff) if backoff is not None:
            return backoff.until
        case Unavailable(retry_at=retry_at):
            return retry_at
        case _:
            return None
