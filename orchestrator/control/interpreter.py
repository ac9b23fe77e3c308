"""Applies what was decided, after it was committed. Every action is idempotent: a crash here is repaired by observing again.

What an engine refuses is kept in memory and shown to the next observation as a refused container, so that `decide` answers it
like any other failure.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar, assert_never

from msgspec.structs import replace
from structlog.contextvars import bind_contextvars

from orchestrator.app.settings import Settings
from orchestrator.control import job
from orchestrator.control.connection_ledger import Connections
from orchestrator.core.model import (
    SLATE,
    Action,
    AttemptEnded,
    Container,
    ContainerState,
    Decision,
    Event,
    FinishPlaylist,
    Observation,
    ProbeSources,
    Record,
    Session,
    Source,
    StartAttempt,
    StopAttempt,
)
from orchestrator.core.reading import event_payload
from orchestrator.core.session import choice
from orchestrator.errors import BusUnavailable, FailoverError, NotFound, Temporary
from orchestrator.ports import Catalogue, ContainerRuntime, EventBus, ObjectStore, Prober, ProbeResult
from transcoder.ending import Ending
from transcoder.redaction import Redaction

log = logging.getLogger(__name__)
T = TypeVar("T")

_RETRY_S = 1.0


class _Probe:
    """A probe under way: whoever asks meanwhile waits for the same answer. `answer` may be cut off: then there is none.
    `gives_way`: to every other probe, while nobody else has asked for it."""

    __slots__ = ("answer", "gives_way", "sessions", "source", "task")

    def __init__(self, source: Source, answer: asyncio.Task[ProbeResult]) -> None:
        self.source = source
        self.answer = answer
        self.task: asyncio.Task[Source | None]
        self.sessions: set[str] = set()
        self.gives_way = False


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
        connections: Connections,
        may_act: Callable[[], Awaitable[None]],
        now: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._runtime = runtime
        self._store = store
        self._bus = bus
        self._prober = prober
        self._connections = connections
        self._may_act = may_act
        self._now = now
        self._refused: dict[tuple[str, int], Container] = {}
        self._bad_jobs_told: set[str] = set()
        self._probing: dict[str, _Probe] = {}
        self._stopping: set[tuple[str, int]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.woken: Callable[[str], None] = lambda _: None

    async def apply(self, decision: Decision, seen: Observation, events: Sequence[Event]) -> bool:
        """Starts before anything else; stops beside; tells the clients meanwhile. Whether looking again at once shows something
        new. Raises NotLeading, DatabaseUnavailable: nothing was done then.
        """
        self._tell_bad_jobs(decision.session, decision.records)
        if decision.actions:
            await self._may_act()
        actions = [self._act(action, decision.session, seen) for action in decision.actions]
        done, _ = await asyncio.gather(asyncio.gather(*actions), self._tell(events))
        return any(done)

    def with_refused(self, session_id: str, seen: tuple[Container, ...]) -> tuple[Container, ...]:
        """The observed containers, and those that the engine would not start or that nobody asked it to: the agent would have
        refused their jobs."""
        present = {container.attempt for container in seen}
        refused = (
            container
            for (session, attempt), container in self._refused.items()
            if session == session_id and attempt not in present
        )
        return (*seen, *refused)

    def forget(self, session_id: str) -> None:
        for key in [key for key in self._refused if key[0] == session_id]:
            del self._refused[key]

    async def probe(self, source: Source) -> Source | None:
        """Probe a source once, whoever asks meanwhile, and write the result. None: it could not be written, or its provider has
        no connection for a probe now."""
        task = self.begin_probe(source)
        if task is None and (first_look := self._make_way(source)) is not None:
            await asyncio.wait((first_look,))
            task = self.begin_probe(source)
        return None if task is None else await asyncio.shield(task)

    def begin_probe(self, source: Source) -> asyncio.Task[Source | None] | None:
        """The same at once: a probe that runs, which is not its caller's to cancel, or None. What runs at an address that the
        source has no more is cut off, and says nothing."""
        under_way = self._probing.get(source.id)
        if under_way is not None and under_way.source.address != source.address:
            under_way.answer.cancel()
            return None
        probe = self._probe_of(source)
        if probe is None:
            self._make_way(source)
            return None
        probe.gives_way = False
        return probe.task

    def begin_first_look(self, source: Source) -> asyncio.Task[Source | None] | None:
        """The same for a source that nobody waits for: its probe is cut off where its connection is needed for another one.
        None where it is being probed already."""
        if source.id in self._probing:
            return None
        probe = self._probe_of(source)
        if probe is None:
            return None
        probe.gives_way = True
        return probe.task

    @property
    def probes_under_way(self) -> int:
        """Of every kind."""
        return len(self._probing)

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- one action ---------------------------------------------------------------------------------------------------

    async def _act(self, action: Action, session: Session, seen: Observation) -> bool:
        match action:
            case StartAttempt(_, source_id):
                own = None if source_id == SLATE else next(each for each in seen.sources if each.id == source_id)
                await self._start(session, own, action, last_resort=choice.is_last_resort(session, seen, source_id))
                return True
            case StopAttempt(attempt, grace_s):
                self._stop(session.id, attempt, grace_s)
                return False
            case ProbeSources(source_ids):
                for source in seen.sources:
                    if source.id in source_ids:
                        self._probe_for(session.id, source)
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

    async def _start(self, session: Session, source: Source | None, action: StartAttempt, *, last_resort: bool) -> None:
        """`source`: None for the slate."""
        attempt = action.attempt
        bind_contextvars(attempt=attempt, source=action.source_id)  # in the log lines of this task
        try:
            if source is not None:
                await self._make_room(session.id, source, action)
            channel = await self._catalogue.channel(session.channel_id)
            launch = job.launch(session, source, channel, self._store, self._settings, last_resort=last_resort)
            if fault := job.fault(launch):
                self._refuse(session.id, attempt, fault, exit_code=Ending.BAD_JOB)
            else:
                await self._runtime.start(launch)
        except FailoverError as error:
            log.error("%s: attempt %s did not start: %s", session.id, attempt, error)
            self._refuse(session.id, attempt, error.title[:1].lower() + error.title[1:])  # its words are for the log

    def _refuse(self, session_id: str, attempt: int, detail: str, exit_code: int | None = None) -> None:
        """Seen as a container that the engine would not start; or, with an exit code, that has ended at once."""
        state = ContainerState.REFUSED if exit_code is None else ContainerState.EXITED
        self._refused[session_id, attempt] = Container(
            id="", session_id=session_id, attempt=attempt, state=state, exit_code=exit_code, detail=detail
        )

    def _tell_bad_jobs(self, session: Session, records: Sequence[Record]) -> None:
        """Each field once in this process's life: it is the same fault of ours in every session that meets it."""
        for record in records:
            if (
                isinstance(record, AttemptEnded)
                and record.exit_code == Ending.BAD_JOB
                and record.reason not in self._bad_jobs_told
            ):
                self._bad_jobs_told.add(record.reason)
                log.error(
                    "%s: the agent refuses the job of attempt %s (%s): a fault of this software, not of the source; told once",
                    session.id, record.attempt, record.reason,
                )  # fmt: skip

    def _stop(self, session_id: str, attempt: int, grace_s: float) -> None:
        """Beside the session's work: a container that will not die must not keep its successor waiting."""
        key = (session_id, attempt)
        self._refused.pop(key, None)
        if key in self._stopping:
            return
        self._stopping.add(key)

        async def stop() -> None:
            bind_contextvars(attempt=attempt)
            try:
                await self._runtime.stop(session_id, attempt, grace_s)
            except Temporary as error:
                log.warning("%s: attempt %s not stopped: %s", session_id, attempt, error)
                await asyncio.sleep(_RETRY_S)  # it is asked for again as long as it is seen
            finally:
                self._stopping.discard(key)
                self.woken(session_id)

        self._spawn(stop())

    async def _make_room(self, session_id: str, source: Source, action: StartAttempt) -> None:
        """End what has the connection that was taken for this attempt. Raises EngineUnavailable."""
        in_the_way = self._connections.probes_in_the_way(source)
        probes = [each for each in self._probing.values() if each.source.provider_id == source.provider_id]
        probes.sort(key=lambda each: (bool(each.sessions), not each.gives_way))  # first those that nobody waits for
        cut_off = [each.answer for each in probes[:in_the_way]]
        for answer in cut_off:
            answer.cancel()
        for number in action.after:
            await self._runtime.stop(session_id, number, action.grace_s)
        if cut_off:
            await asyncio.wait(cut_off)

    def _probe_for(self, session_id: str, source: Source) -> None:
        """Where there is no connection the session is woken when there is one; a probe that no session asked for makes room."""
        probe = self._probe_of(source)
        if probe is not None:
            probe.sessions.add(session_id)
            probe.gives_way = False
            return
        self._connections.wait(session_id, (source,))
        if self._make_way(source) is not None:
            return
        for other in self._probing.values():
            if other.source.provider_id == source.provider_id and not other.sessions:
                other.answer.cancel()
                break

    def _make_way(self, source: Source) -> asyncio.Task[Source | None] | None:
        """Cut one first look of the source's provider off: what ends when it is gone. None: there is none."""
        for other in self._probing.values():
            if other.gives_way and source.provider_id is not None and other.source.provider_id == source.provider_id:
                other.answer.cancel()
                return other.task
        return None

    def _probe_of(self, source: Source) -> _Probe | None:
        """None: there is no connection for it."""
        probe = self._probing.get(source.id)
        if probe is None and self._connections.take_for_probe(source):
            answer = asyncio.create_task(self._prober.probe(source))  # `_probe` reads what it raises
            self._tasks.add(answer)
            answer.add_done_callback(self._tasks.discard)
            probe = self._probing[source.id] = _Probe(source, answer)
            probe.task = self._spawn(self._probe(source, probe.answer))
            probe.task.add_done_callback(lambda _: self._probed(source.id))
        return probe

    async def _probe(self, source: Source, answer: asyncio.Task[ProbeResult]) -> Source | None:
        bind_contextvars(source=source.id)  # in the log lines of this task
        try:
            try:
                await asyncio.wait((answer,))
            finally:
                answer.cancel()
            if answer.cancelled():
                log.info("source %s: its probe has made room", source.id)
                return None
            result = answer.result()
            if result.reason:  # whatever a prober says: nothing of the source's address goes into a row or a log
                result = replace(result, reason=Redaction(source.url, source.headers)(result.reason))
            if result.media is None:
                log.info("source %s: %s", source.id, result.reason)
            return await self._catalogue.record_probe(source.id, result, self._now())
        except NotFound:
            return None  # deleted meanwhile
        except Temporary as error:
            log.warning("probe of %s: %s", source.id, error)
            return None
        except Exception:  # a bug of ours says nothing of the source, nor may it end a round of probes
            log.exception("probe of %s", source.id)
            return None

    def _probed(self, source_id: str) -> None:
        sessions = self._probing.pop(source_id).sessions
        self._connections.probed(source_id)
        for session_id in sessions:
            self.woken(session_id)

    async def _tell(self, events: Sequence[Event]) -> None:
        """Best effort: the rows are written, whoever missed the message reads them (law 1)."""
        origin_url = self._settings.origin_url or ""
        for event in events:
            try:
                await self._bus.publish(event, event_payload.encode(event, origin_url))
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
