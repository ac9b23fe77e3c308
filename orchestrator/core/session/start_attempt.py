"""Starts an attempt, on a source or on the slate: the next state, the record of it, and the action that runs its container.

Law: a new attempt has a higher number than anything that may ever have run in the session (law 4).
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from orchestrator.core.model import (
    HOLDING,
    SLATE,
    Attempt,
    AttemptStarted,
    Decision,
    Playlist,
    Record,
    Source,
    StartAttempt,
    State,
    Why,
)
from orchestrator.core.session import choice, grants
from orchestrator.core.session.situation import Situation

Into = Callable[[Attempt], State]
"""The state that the new attempt leads to."""


def on_source(
    situation: Situation, source: Source, why: Why, into: Into,
    *, tried: tuple[str, ...] = (), records: tuple[Record, ...] = (), grace_s: float = 0.0,
) -> Decision:  # fmt: skip
    """An attempt on a source. Where its provider has no connection but the one that the session holds, the session's containers
    are stopped first, with `grace_s` to list what they hold. `tried`: better sources that were not passed over."""
    passed_over = choice.passed_over(source, situation.seen, tried)
    why = why if passed_over is None else replace(why, passed_over=passed_over)
    after = _given_back(source, situation)
    granted = grants.granted(situation, source, tried)
    return _run(situation, source.id, why, into, source.address, records, after, grace_s, granted)


def on_slate(situation: Situation, why: Why, into: Into) -> Decision:
    """An attempt that shows the slate."""
    return _run(situation, SLATE, why, into, None, (), (), 0.0)


def _run(
    situation: Situation, input: str, why: Why, into: Into, address: str | None, records: tuple[Record, ...],
    after: tuple[int, ...], grace_s: float, granted: tuple[Source, ...] = (),
) -> Decision:  # fmt: skip
    session, seen, now, policy = situation.session, situation.seen, situation.now, situation.policy
    listed = seen.playlist.attempt if isinstance(seen.playlist, Playlist) else 0
    number = max(session.last_attempt, listed, *(each.attempt for each in seen.known_containers)) + 1
    ids = tuple(each.id for each in granted)
    attempt = Attempt.on(number, input, now, why=why, address=address)
    attempt = replace(attempt, granted=ids, addresses={each.id: each.address for each in granted})
    started = replace(
        session,
        state=into(attempt),
        last_attempt=number,
        target_duration_s=session.target_duration_s or policy.target_duration_s(seen.sources),
    )
    return Decision(
        session=started,
        records=(*records, AttemptStarted(number, input, why)),
        actions=(StartAttempt(number, input, after=after, grace_s=grace_s, granted=ids),),
        wake_at=now + policy.start_budget_s,
    )


def _given_back(source: Source, situation: Situation) -> tuple[int, ...]:
    """The attempts that end before one on this source is started: they hold the only connection that it can have."""
    if source.id not in situation.seen.handed_on:
        return ()
    return tuple(each.attempt for each in situation.seen.known_containers if each.state in HOLDING)
