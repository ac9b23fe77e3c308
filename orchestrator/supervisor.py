"""Wake, observe, decide, commit, apply. Different sessions run concurrently; one session is worked on serially.

Whatever happens outside (a Docker event, a nudge, a row, a timer, the sweep) only ever wakes a session; what to do follows from
observing. A timer costs nothing while nothing is wrong: `decide` is pure, so it is first asked with what is already known, and
only if it would act is the world observed afresh.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from orchestrator.core.decide import decide
from orchestrator.core.model import (
    Absent,
    Container,
    Decision,
    Desired,
    Observation,
    Phase,
    Playlist,
    Session,
    Unknown,
)
from orchestrator.core.policy import Policy
from orchestrator.errors import EngineUnavailable, FailoverError, NotFound, Stale, Temporary
from orchestrator.interpreter import Interpreter
from orchestrator.ports import Catalogue, ContainerRuntime, Sessions
from orchestrator.sweep import Sweep

log = logging.getLogger(__name__)

_MAX_STEPS = 20  # in one go; a session that wants more is looked at again a moment later
_RETRY_S = 1.0


class Tables(Protocol):
    """The two SQL ports, as both processes open them."""

    @property
    def catalogue(self) -> Catalogue: ...

    @property
    def sessions(self) -> Sessions: ...


class _Work:
    """What is kept in memory of one session: all of it can be lost."""

    __slots__ = ("decision", "observation", "pending", "session", "task", "timer")

    def __init__(self) -> None:
        self.session: Session | None = None
        self.observation: Observation | None = None
        self.decision: Decision | None = None
        self.pending = False
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None


class Supervisor:
    def __init__(
        self,
        *,
        tables: Tables,
        runtime: ContainerRuntime,
        sweep: Sweep,
        interpreter: Interpreter,
        policy: Policy,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._tables = tables
        self._runtime = runtime
        self._sweep = sweep
        self._interpreter = interpreter
        self._policy = policy
        self._now = now
        self._works: dict[str, _Work] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    # --- waking -------------------------------------------------------------------------------------------------------

    def wake(self, session_id: str) -> None:
        """Look at this session now; if it is being worked on, once more afterwards."""
        if self._closed:
            return
        work = self._works.setdefault(session_id, _Work())
        work.pending = True
        if work.task is None or work.task.done():
            work.task = self._spawn(self._work(session_id, work), f"session-{session_id}")

    def wake_channel(self, channel_id: str) -> None:
        """Wake the channel's sessions that this process knows."""
        for session_id, work in tuple(self._works.items()):
            if work.session is not None and work.session.channel_id == channel_id:
                self.wake(session_id)

    async def resync(self) -> None:
        """Re-read the rows: every intent whose nudge was lost is found here (law 1)."""
        rows = {session.id: session for session in await self._tables.sessions.unended()}
        for session_id, session in rows.items():
            known = self._works.get(session_id)
            if known is None or known.session is None or known.session.version != session.version:
                self.wake(session_id)
        for session_id, work in tuple(self._works.items()):
            if session_id not in rows and (work.task is None or work.task.done()):
                self._forget(session_id, work)

    async def poll_containers(self) -> tuple[Container, ...]:
        """Compare all containers with what is known: the second detector beside the engine's events.

        Returns those of no session that this process works on, for the orphan sweep. Raises EngineUnavailable.
        """
        by_session: dict[str, list[Container]] = {}
        for container in await self._runtime.containers():
            by_session.setdefault(container.session_id, []).append(container)
        for session_id, work in tuple(self._works.items()):
            seen = tuple(by_session.pop(session_id, ()))
            if work.observation is not None and _differs(work.observation.containers, seen):
                self.wake(session_id)
        return tuple(container for containers in by_session.values() for container in containers)

    async def follow_containers(self) -> None:
        """Wakes sessions by the engine's events, for ever; a broken event stream is replaced, the poll covers the hole."""
        while True:
            try:
                async for event in self._runtime.events():
                    self.wake(event.session_id)
            except EngineUnavailable as error:
                log.warning("engine events: %s", error)
            await asyncio.sleep(_RETRY_S)

    async def close(self) -> None:
        self._closed = True
        for work in self._works.values():
            if work.timer is not None:
                work.timer.cancel()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def phases(self) -> dict[Phase, int]:
        """How many known sessions are in which phase."""
        counts = dict.fromkeys(Phase, 0)
        for work in self._works.values():
            if work.session is not None:
                counts[work.session.phase] += 1
        return counts

    # --- working ------------------------------------------------------------------------------------------------------

    async def _work(self, session_id: str, work: _Work) -> None:
        steps = 0
        while work.pending and steps < _MAX_STEPS:
            work.pending = False
            steps += 1
            try:
                again = await self._step(session_id, work)
            except Stale:
                again = True
            except NotFound:
                self._forget(session_id, work)
                return
            except Temporary as error:
                log.warning("%s: %s", session_id, error)
                self._wake_at(session_id, work, self._now() + _RETRY_S)
                return
            except FailoverError:
                log.exception("%s", session_id)
                self._wake_at(session_id, work, self._now() + _RETRY_S)
                return
            work.pending = work.pending or again
        if work.pending:
            self._wake_at(session_id, work, self._now() + _RETRY_S)

    async def _step(self, session_id: str, work: _Work) -> bool:
        """Observe, decide, commit, apply, once. True: something was done, so look again."""
        row = await self._tables.sessions.get(session_id)
        session = work.session = row.session
        seen = work.observation = await self._observe(session)
        now = self._now()
        decision = work.decision = decide(session, seen, now, self._policy)
        changed = decision.session != session or bool(decision.records)
        if changed:
            events = await self._tables.sessions.commit(session, decision, now)
            work.session = decision.session  # its version is the row's old one: the next look reads the row anyway
            _log_step(session, decision)
        else:
            events = ()
        await self._interpreter.apply(decision, seen, events)
        self._follow(decision.session)
        self._wake_at(session_id, work, decision.wake_at)
        return changed or any(self._interpreter.is_observable(action) for action in decision.actions)

    async def _observe(self, session: Session) -> Observation:
        if session.desired is Desired.STOP or session.phase is Phase.ENDED:
            await self._sweep.look_at(session.id)
        containers, (enabled, sources) = await asyncio.gather(
            self._containers(session.id), self._interpreter.channel(session.channel_id)
        )
        return Observation(
            channel_enabled=enabled, sources=sources, containers=containers, playlist=self._sweep.playlist(session.id)
        )

    async def _containers(self, session_id: str) -> tuple[Container, ...] | Unknown:
        try:
            seen = await self._runtime.containers(session_id)
        except EngineUnavailable as error:
            return Unknown(str(error))
        return self._interpreter.with_refused(session_id, seen)

    def _follow(self, session: Session) -> None:
        """Tell the sweep whom to hurry for."""
        attempt = session.attempt
        if attempt is None or attempt.live_at is not None:
            self._sweep.no_longer_wait_for(session.id)
            return
        match self._sweep.playlist(session.id):
            case Playlist(attempt=listed) if listed >= attempt.number:
                self._sweep.no_longer_wait_for(session.id)
            case Playlist() | Absent() | Unknown():
                self._sweep.wait_for(session.id, attempt.number)

    def _wake_at(self, session_id: str, work: _Work, at: float | None) -> None:
        if work.timer is not None:
            work.timer.cancel()
            work.timer = None
        if at is None or self._closed:
            return
        delay_s = max(0.0, at - self._now())
        work.timer = asyncio.get_running_loop().call_later(delay_s, self._timer_fired, session_id, work)

    def _timer_fired(self, session_id: str, work: _Work) -> None:
        work.timer = None
        if work.session is not None and work.observation is not None and (work.task is None or work.task.done()):
            known = Observation(
                channel_enabled=work.observation.channel_enabled,
                sources=work.observation.sources,
                containers=work.observation.containers,
                playlist=self._sweep.playlist(session_id),
            )
            decision = decide(work.session, known, self._now(), self._policy)
            idle = decision.session == work.session and not decision.records and not decision.actions
            if idle and decision.wake_at is not None and decision.wake_at > self._now():
                self._wake_at(session_id, work, decision.wake_at)
                return
        self.wake(session_id)

    def _forget(self, session_id: str, work: _Work) -> None:
        if work.timer is not None:
            work.timer.cancel()
        self._works.pop(session_id, None)
        self._sweep.forget(session_id)
        self._interpreter.forget(session_id)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)


def _differs(known: tuple[Container, ...] | Unknown, seen: tuple[Container, ...]) -> bool:
    if isinstance(known, Unknown):
        return True
    return {(c.attempt, c.state, c.healthy) for c in known} != {(c.attempt, c.state, c.healthy) for c in seen}


def _log_step(before: Session, decision: Decision) -> None:
    after = decision.session
    if before.phase is not after.phase or before.attempt != after.attempt:
        attempt = after.attempt
        log.info(
            "%s: %s -> %s, attempt %s on %s (%s)",
            after.id, before.phase, after.phase, attempt.number if attempt else "-",
            attempt.source_id if attempt else "-", after.end_reason or after.reason,
        )  # fmt: skip
