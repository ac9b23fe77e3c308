"""Applies what was decided, after it was committed. Every action is idempotent: a crash here is repaired by observing again.

What an engine refuses is kept in memory and shown to the next observation as a refused container, so that `decide` answers it
like any other failure.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar, assert_never

from orchestrator import job
from orchestrator.core import payload
from orchestrator.core.model import (
    Action,
    Container,
    ContainerState,
    Decision,
    Event,
    FinishPlaylist,
    Observation,
    ProbeSources,
    Session,
    Source,
    StartAttempt,
    StopAttempt,
)
from orchestrator.errors import BusUnavailable, FailoverError, NotFound, Temporary
from orchestrator.ports import Catalogue, ContainerRuntime, EventBus, LineUp, ObjectStore, Prober
from orchestrator.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")

_RETRY_S = 1.0


class _Probe:
    """A probe under way: whoever asks meanwhile waits for the same answer."""

    __slots__ = ("sessions", "task")

    def __init__(self, task: asyncio.Task[Source | None]) -> None:
        self.task = task
        self.sessions: set[str] = set()


class Interpreter:
    """`woken` is called with a session's id when something that it waits for has been done."""

    def __init__(
        self,
        *,
        settings: Settings,
        catalogue: Catalogue,
        runtime: ContainerRuntime,
        store: ObjectStore,
        bus: EventBus,
        prober: Prober,
        now: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._runtime = runtime
        self._store = store
        self._bus = bus
        self._prober = prober
        self._now = now
        self._refused: dict[tuple[str, int], str] = {}
        self._probing: dict[str, _Probe] = {}
        self._stopping: set[tuple[str, int]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.woken: Callable[[str], None] = lambda _: None

    async def apply(self, decision: Decision, seen: Observation, events: Sequence[Event]) -> bool:
        """Starts before anything else; stops beside; tells the clients meanwhile. Raises nothing that can be tried again.

        Whether looking again at once shows something new.
        """
        actions = [self._act(action, decision.session, seen) for action in decision.actions]
        done, _ = await asyncio.gather(asyncio.gather(*actions), self._tell(events))
        return any(done)

    def with_refused(self, session_id: str, seen: tuple[Container, ...]) -> tuple[Container, ...]:
        """The observed containers and those that the engine would not start."""
        present = {container.attempt for container in seen}
        refused = (
            Container(id="", session_id=session_id, attempt=attempt, state=ContainerState.REFUSED, detail=detail)
            for (session, attempt), detail in self._refused.items()
            if session == session_id and attempt not in present
        )
        return (*seen, *refused)

    def forget(self, session_id: str) -> None:
        for key in [key for key in self._refused if key[0] == session_id]:
            del self._refused[key]

    async def lineup(self, channel_id: str) -> LineUp | None:
        """The channel and all sources that its sessions may come to use; None: it has been deleted."""
        try:
            return await self._catalogue.lineup(channel_id)
        except NotFound:
            return None

    async def probe(self, source: Source) -> Source | None:
        """Probe a source once, whoever asks meanwhile, and write the result. None: it could not be written."""
        return await asyncio.shield(self._probe_of(source).task)

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- one action ---------------------------------------------------------------------------------------------------

    async def _act(self, action: Action, session: Session, seen: Observation) -> bool:
        match action:
            case StartAttempt(attempt, source_id):
                await self._start(session, next(each for each in seen.sources if each.id == source_id), attempt)
                return True
            case StopAttempt(attempt, grace_s):
                self._stop(session.id, attempt, grace_s)
                return False
            case ProbeSources(source_ids):
                for source in seen.sources:
                    if source.id in source_ids:
                        self._probe_of(source).sessions.add(session.id)
                return False
            case FinishPlaylist():
                try:
                    await self._store.finish_playlist(session.id)
                except Temporary as error:
                    log.warning("%s: playlist not finished: %s", session.id, error)
                    return False
                return True
            case _:
                assert_never(action)

    async def _start(self, session: Session, source: Source, attempt: int) -> None:
        try:
            channel = await self._catalogue.channel(session.channel_id)
            await self._runtime.start(job.launch(session, source, channel.policy.profile, self._store, self._settings))
        except FailoverError as error:
            log.error("%s: attempt %s did not start: %s", session.id, attempt, error)
            self._refused[session.id, attempt] = str(error)

    def _stop(self, session_id: str, attempt: int, grace_s: float) -> None:
        """Beside the session's work: a container that will not die must not keep its successor waiting."""
        key = (session_id, attempt)
        self._refused.pop(key, None)
        if key in self._stopping:
            return
        self._stopping.add(key)

        async def stop() -> None:
            try:
                await self._runtime.stop(session_id, attempt, grace_s)
            except Temporary as error:
                log.warning("%s: attempt %s not stopped: %s", session_id, attempt, error)
                await asyncio.sleep(_RETRY_S)  # it is asked for again as long as it is seen
            finally:
                self._stopping.discard(key)
                self.woken(session_id)

        self._spawn(stop())

    def _probe_of(self, source: Source) -> _Probe:
        probe = self._probing.get(source.id)
        if probe is None:
            probe = self._probing[source.id] = _Probe(self._spawn(self._probe(source)))
            probe.task.add_done_callback(lambda _: self._probed(source.id))
        return probe

    async def _probe(self, source: Source) -> Source | None:
        try:
            result = await self._prober.probe(source)
            if result.media is None:
                log.info("source %s: %s", source.id, result.reason)
            return await self._catalogue.record_probe(source.id, result, self._now())
        except NotFound:
            return None  # deleted meanwhile
        except Temporary as error:
            log.warning("probe of %s: %s", source.id, error)
            return None

    def _probed(self, source_id: str) -> None:
        for session_id in self._probing.pop(source_id).sessions:
            self.woken(session_id)

    async def _tell(self, events: Sequence[Event]) -> None:
        """Best effort: the rows are written, whoever missed the message reads them (law 1)."""
        origin_url = self._settings.origin_url or ""
        for event in events:
            try:
                await self._bus.publish(event, payload.encode(event, origin_url))
            except BusUnavailable as error:
                log.warning("event %s of %s not published: %s", event.id, event.session_id, error)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_coro(), exc_info=error)
