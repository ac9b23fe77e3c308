"""Roll: gives every live session a new attempt, a few at a time and without a gap, for a new transcoder image or new
signatures.

It writes intents and reads rows, as any client does (law 1); the orchestrator makes the swaps. The next session waits until one
of those under way is done, so that a bad image reaches only a few sessions. These lose nothing either: the old attempt
publishes until the new one has listed a segment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from enum import StrEnum

from msgspec import Struct

from orchestrator.core.model import Desired, Phase, Session
from orchestrator.core.session.operator_switch import SAME
from orchestrator.errors import NotFound, Temporary
from orchestrator.ports import Sessions

_LOOK_S = 0.25


class Outcome(StrEnum):
    ROLLED = "rolled"
    FAILED = "failed"  # the old attempt goes on
    PASSED = "passed"  # there was nothing to swap: the session has ended meanwhile, or plays nothing


class RollResult(Struct, frozen=True):
    session_id: str
    outcome: Outcome
    reason: str = ""


async def to_roll(sessions: Sessions) -> tuple[Session, ...]:
    """Every live session that is not to stop. Raises DatabaseUnavailable."""
    return tuple(each for each in await sessions.unended() if each.phase is Phase.LIVE and each.desired is Desired.RUN)


async def roll(
    sessions: Sessions,
    chosen: Sequence[Session],
    nudge: Callable[[str], Awaitable[None]],
    *,
    at_once: int,
    limit_s: float,
    now: Callable[[], float] = time.monotonic,
) -> AsyncIterator[RollResult]:
    """Yields each session's result when it is done. Ends early where as many swaps in a row have failed as run at once.
    `limit_s`: for one swap."""
    waiting = list(reversed(chosen))
    swapping: set[asyncio.Task[RollResult]] = set()
    failed_in_a_row = 0
    try:
        while swapping or (waiting and failed_in_a_row < at_once):
            while waiting and len(swapping) < at_once and failed_in_a_row < at_once:
                swap = _swap(sessions, waiting.pop(), nudge, limit_s, now)
                swapping.add(asyncio.create_task(swap))
            done, swapping = await asyncio.wait(swapping, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                rolled = task.result()
                if rolled.outcome is not Outcome.PASSED:
                    failed_in_a_row = failed_in_a_row + 1 if rolled.outcome is Outcome.FAILED else 0
                yield rolled
    finally:
        for task in swapping:
            task.cancel()
        await asyncio.gather(*swapping, return_exceptions=True)


async def _swap(
    sessions: Sessions, session: Session, nudge: Callable[[str], Awaitable[None]], limit_s: float, now: Callable[[], float]
) -> RollResult:
    before = session.last_attempt
    deadline = now() + limit_s
    asked = False
    while now() < deadline:
        try:
            if not asked:
                await sessions.switch(session.id, SAME)
                asked = True
                await nudge(session.id)
            result = await _result(sessions, (await sessions.get(session.id)).session, before)
        except NotFound:
            return RollResult(session.id, Outcome.PASSED, "its row has gone")
        except Temporary:
            result = None  # it says nothing about the swap: read again
        if result is not None:
            return result
        await asyncio.sleep(_LOOK_S)
    return RollResult(session.id, Outcome.FAILED, f"not done within {limit_s:.0f} s")


async def _result(sessions: Sessions, session: Session, before: int) -> RollResult | None:
    """None: the swap is under way."""
    if session.phase is Phase.ENDED or session.desired is Desired.STOP:
        return RollResult(session.id, Outcome.PASSED, session.end_reason or "it has ended")
    if session.switch_to is not None or session.phase in (Phase.STARTING, Phase.SWITCHING):
        return None
    if session.attempt is None or session.phase is not Phase.LIVE:
        return RollResult(
            session.id, Outcome.PASSED, f"it is {session.phase.value}: {session.why.text if session.why else None}"
        )
    if session.attempt.number > before:
        return RollResult(session.id, Outcome.ROLLED)
    if session.last_attempt == before:
        return RollResult(session.id, Outcome.PASSED, "its source may not be started any more")
    tried = next((row for row in await sessions.attempts(session.id) if row.number == session.last_attempt), None)
    return RollResult(session.id, Outcome.FAILED, (tried and tried.end_reason) or "the new attempt did not take over")
