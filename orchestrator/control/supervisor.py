"""Wake, observe, decide, commit, apply. Different sessions run concurrently; one session is worked on serially.

Whatever happens outside (a Docker event, a nudge, a row, a timer, the sweep) only ever wakes a session; what to do follows from
observing. A timer costs nothing while nothing is wrong: `decide` is pure, so it is first asked with what is already known, and
only if it would act is the world observed afresh.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from msgspec.structs import replace
from structlog.contextvars import bind_contextvars

from orchestrator.app.task_group import TaskGroup
from orchestrator.control.connection_inventory import ConnectionInventory
from orchestrator.control.connection_ledger import ConnectionLedger
from orchestrator.control.interpreter import Interpreter
from orchestrator.control.observer import Observer
from orchestrator.control.playlist_poller import PlaylistPoller
from orchestrator.control.wake_ups import WakeUps
from orchestrator.core.catalogue import failover_channels
from orchestrator.core.model import (
    Absent,
    Container,
    Decision,
    Observation,
    Phase,
    Playlist,
    Session,
    Source,
    SourceFailed,
    Unknown,
)
from orchestrator.core.policy import Policy
from orchestrator.core.session import choice
from orchestrator.core.session.decide import decide
from orchestrator.errors import EngineUnavailable, NotFound, Stale, Temporary
from orchestrator.ports import ContainerRuntime, Tables

log = logging.getLogger(__name__)

_FIRST_LOOKS = 32  # at once: in a rush those who are on their way come first, or all would get ready together and late
_MAX_STEPS = 20  # in one go; a session that wants more is looked at again a moment later
_RETRY_S = 1.0


class _Work:
    """What is kept in memory of one session: all of it can be lost."""

    __slots__ = ("asked_at", "doubtful", "observation", "outdated", "pending", "session", "task", "timer")

    def __init__(self) -> None:
        self.session: Session | None = None
        self.observation: Observation | None = None
        self.asked_at: float | None = None
        self.pending = False
        self.outdated = True  # rows may say something else than what is known of them
        self.doubtful = False  # what is known would be acted on: look at the playlist first
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None


class Supervisor:
    def __init__(
        self,
        *,
        tables: Tables,
        runtime: ContainerRuntime,
        poller: PlaylistPoller,
        observer: Observer,
        interpreter: Interpreter,
        ledger: ConnectionLedger,
        inventory: ConnectionInventory,
        wake_ups: WakeUps,
        tasks: TaskGroup,
        policy: Policy,
        may_act: Callable[[], Awaitable[None]],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._tables = tables
        self._runtime = runtime
        self._poller = poller
        self._observer = observer
        self._interpreter = interpreter
        self._ledger = ledger
        self._inventory = inventory
        self._wake_ups = wake_ups
        self._tasks = tasks
        self._policy = policy
        self._may_act = may_act
        self._now = now
        self._works: dict[str, _Work] = {}
        self._first_looks = asyncio.Semaphore(_FIRST_LOOKS)

    # --- waking -------------------------------------------------------------------------------------------------------

    def wake(self, session_id: str) -> None:
        """Look at this session now; if it is being worked on, once more afterwards."""
        self._wake(session_id, outdated=True)

    def glance(self, session_id: str) -> None:
        """The same, where only its container or its playlist has changed: rows are read if something would follow from it."""
        self._wake(session_id, outdated=False)

    def _wake(self, session_id: str, *, outdated: bool) -> None:
        if self._tasks.closed:
            return
        work = self._works.setdefault(session_id, _Work())
        work.pending = True
        work.outdated = work.outdated or outdated
        if work.task is None or work.task.done():
            work.task = self._tasks.start(self._work(session_id, work), f"session-{session_id}")

    async def follow_wake_ups(self) -> None:
        """Looks at whatever the other parts of the control loop have woken, for ever."""
        while True:
            woken = await self._wake_ups.take()
            for session_id, outdated in woken.sessions.items():
                self._wake(session_id, outdated=outdated)
            if woken.engine_is_silent:
                self._tasks.start_unless_running(self._await_engine, "wait for the engine")

    def tell(self, source: Source) -> None:
        """A probe has seen this source: whoever may use it decides with that, and is woken where something follows."""
        for session_id, work in tuple(self._works.items()):
            seen = work.observation
            if seen is not None and any(each.id == source.id for each in seen.sources):
                known = tuple(source if each.id == source.id else each for each in seen.sources)
                work.observation = replace(seen, sources=known)
                self._consider(session_id, work)

    def awaited(self) -> Mapping[str, tuple[Source, float]]:
        """Sources that live sessions would return to once they are known to be stable: by id, each with the shortest time
        for which it has to be so."""
        waited: dict[str, tuple[Source, float]] = {}
        for work in self._works.values():
            if work.session is None or work.observation is None:
                continue
            stable_s = work.observation.channel_policy.failback_stable_s
            for source in choice.better(work.session, work.observation):
                _, least_s = waited.get(source.id, (source, stable_s))
                waited[source.id] = source, min(stable_s, least_s)
        return waited

    async def resync(self) -> None:
        """Re-read the rows: every intent whose nudge was lost is found here (law 1)."""
        versions = await self._tables.sessions.versions()
        for session_id, version in versions.items():
            known = self._works.get(session_id)
            if known is None or known.session is None or known.session.version != version:
                self.wake(session_id)
        for session_id, work in tuple(self._works.items()):
            if session_id not in versions and (work.task is None or work.task.done()):
                self._forget(session_id, work)

    async def poll_containers(self) -> tuple[Container, ...]:
        """Compare all containers with what is known: the second detector beside the engine's events.

        Returns those of no session that this process works on, for the orphan sweep. Raises EngineUnavailable.
        """
        await self._inventory.take()  # also where there is no session: recovery must know what is in use
        by_session: dict[str, list[Container]] = {}
        for container in await self._runtime.containers():
            by_session.setdefault(container.session_id, []).append(container)
        for session_id in self._ledger.sessions:
            if session_id not in self._works:
                self._ledger.observed(session_id, by_session.get(session_id, ()))
        for session_id, work in tuple(self._works.items()):
            seen = tuple(by_session.pop(session_id, ()))
            if work.observation is not None and _differs(work.observation.containers, seen):
                self.wake(session_id)
        return tuple(container for containers in by_session.values() for container in containers)

    async def follow_containers(self) -> None:
        """Wakes sessions by the engine's events until the event stream breaks; the container poll finds what is missed until it
        is followed again. Raises EngineUnavailable."""
        async for event in self._runtime.events():
            self.glance(event.session_id)

    async def resync_channels(self) -> None:
        """Find what was edited behind running sessions: their channels, the sources that they may come to use, the order of
        these, and their providers' limits. Raises DatabaseUnavailable."""
        await self._inventory.limits()
        works = [(session_id, work) for session_id, work in self._works.items() if work.session and work.observation]
        lineups = await self._tables.catalogue.lineups({work.session.channel_id for _, work in works if work.session})
        for session_id, work in works:
            if work.session is not None and work.observation is not None:
                lineup = lineups.get(work.session.channel_id)
                if lineup != _signature(work.observation):
                    self.wake(session_id)

    def close(self) -> None:
        """No timer fires any more; the tasks are the group's to end."""
        for work in self._works.values():
            if work.timer is not None:
                work.timer.cancel()

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
        bind_contextvars(session=session_id)  # in every log line of this task
        steps = 0
        while work.pending and steps < _MAX_STEPS:
            work.pending = False
            steps += 1
            try:
                async with self._first_looks if work.asked_at is None else contextlib.nullcontext():
                    again = await self._step(session_id, work)
            except Stale:
                again = work.outdated = True
            except NotFound:
                return self._forget(session_id, work)
            except Temporary as error:
                log.warning("%s: %s", session_id, error)
                return self._try_again(session_id, work)
            except Exception:  # a bug must not cost a session its supervision
                log.exception("%s", session_id)
                return self._try_again(session_id, work)
            work.pending = work.pending or again
        if work.pending:
            self._try_again(session_id, work)
        return None

    def _try_again(self, session_id: str, work: _Work) -> None:
        work.observation, work.outdated = None, True  # what was known before is not enough to stay idle
        self._wake_at(session_id, work, self._now() + _RETRY_S)

    async def _step(self, session_id: str, work: _Work) -> bool:
        """Observe, decide, commit, apply, once. True: something was done, so look again."""
        if not work.outdated and await self._stays_idle(session_id, work):
            return False
        work.outdated = False
        row = await self._tables.sessions.get(session_id)
        session = work.session = row.session
        seen = await self._observer.observe(row)
        now = self._now()
        work.asked_at = work.asked_at or now
        seen = work.observation = replace(seen, asked_at=work.asked_at)
        decision = decide(session, seen, now, self._policy)
        self._ledger.decided(decision, seen)  # before anything is awaited: who decides meanwhile finds it taken
        changed = decision.session != session or bool(decision.records)
        if changed:
            try:
                await self._may_act()
                events = await self._tables.sessions.commit(session, decision, now)
            except BaseException:
                self._ledger.undone(decision)
                raise
            work.session = replace(decision.session, version=session.version + 1)
            _log_step(session, decision)
        else:
            events = ()
        # What was blamed, its row alone says
        work.outdated = work.outdated or any(isinstance(record, SourceFailed) for record in decision.records)
        news = await self._interpreter.apply(decision, seen, events)
        self._follow(decision.session)
        self._wake_at(session_id, work, decision.wake_at)
        return changed or news

    async def _stays_idle(self, session_id: str, work: _Work) -> bool:
        """Whether nothing follows from what the engine and the sweep say now, rows being as they were."""
        if work.session is None or work.observation is None:
            return False
        doubtful, work.doubtful = work.doubtful, False
        seen = await self._observer.glance(work.session, work.observation, doubtful=doubtful)
        decision = decide(work.session, seen, self._now(), self._policy)
        if not _is_idle(work.session, decision):
            return False
        work.observation = seen
        self._follow(work.session)
        self._wake_at(session_id, work, decision.wake_at)
        return True

    async def _await_engine(self) -> None:
        """Asks until the engine answers; the answer wakes the sessions whose containers are other than was known."""
        while True:
            await asyncio.sleep(_RETRY_S)
            with contextlib.suppress(EngineUnavailable):
                await self.poll_containers()
                return

    def _follow(self, session: Session) -> None:
        """Tell the sweep whom to hurry for."""
        attempt = session.attempt
        if attempt is None or attempt.live_at is not None:
            self._poller.no_longer_wait_for(session.id)
            return
        match self._poller.playlist(session.id):
            case Playlist(attempt=listed) if listed >= attempt.number:
                self._poller.no_longer_wait_for(session.id)
            case Playlist() | Absent() | Unknown():
                self._poller.wait_for(session.id, attempt.number)

    def _wake_at(self, session_id: str, work: _Work, at: float | None) -> None:
        if work.timer is not None:
            work.timer.cancel()
            work.timer = None
        if at is None or self._tasks.closed:
            return
        delay_s = max(0.0, at - self._now())
        work.timer = asyncio.get_running_loop().call_later(delay_s, self._timer_fired, session_id, work)

    def _timer_fired(self, session_id: str, work: _Work) -> None:
        work.timer = None
        self._consider(session_id, work)

    def _consider(self, session_id: str, work: _Work) -> None:
        """Look at the world only where something would follow from what is known."""
        if work.session is not None and work.observation is not None and (work.task is None or work.task.done()):
            try:
                known = self._observer.remembered(session_id, work.observation)
                decision = decide(work.session, known, self._now(), self._policy)
            except Exception:  # this is a timer's call, or one for many sessions: where work is supervised it is tried again
                log.exception("%s", session_id)
                self.wake(session_id)
                return
            if _is_idle(work.session, decision) and decision.wake_at is not None and decision.wake_at > self._now():
                self._wake_at(session_id, work, decision.wake_at)
                return
            work.doubtful = True
            self.glance(session_id)
            return
        self.wake(session_id)

    def _forget(self, session_id: str, work: _Work) -> None:
        if work.timer is not None:
            work.timer.cancel()
        self._works.pop(session_id, None)
        self._poller.forget(session_id)
        self._interpreter.forget(session_id)
        self._ledger.no_longer_waits(session_id)  # what its containers hold, they hold until they are seen to be gone


def _is_idle(session: Session, decision: Decision) -> bool:
    return decision.session == session and not decision.records and not decision.actions


def _differs(known: tuple[Container, ...] | Unknown, seen: tuple[Container, ...]) -> bool:
    if isinstance(known, Unknown):
        return True
    return {(c.attempt, c.state, c.healthy) for c in known} != {(c.attempt, c.state, c.healthy) for c in seen}


def _signature(seen: Observation) -> failover_channels.Signature | None:
    """As `Catalogue.lineups` has it."""
    return failover_channels.signature(seen.channel_policy, seen.sources) if seen.channel_enabled else None


def _log_step(before: Session, decision: Decision) -> None:
    after = decision.session
    if before.phase is not after.phase or before.attempt != after.attempt:
        attempt = after.attempt
        log.info(
            "%s: %s -> %s, attempt %s on %s (%s)",
            after.id, before.phase, after.phase, attempt.number if attempt else "-",
            attempt.source_id if attempt else "-", after.end_reason or (after.why.text if after.why else None),
        )  # fmt: skip
