"""Interpreter: applies the actions of a decision, after the decision has been committed.

Rule: every action is idempotent, so a crash in between is repaired by observing again. A container that the engine refuses to
start is kept in memory and shown to the next observation as a refused container, so that `decide` answers it like any failure.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import assert_never

from structlog.contextvars import bind_contextvars

from orchestrator.app.settings import Settings
from orchestrator.app.task_group import TaskGroup
from orchestrator.control import job
from orchestrator.control.input_switches import InputSwitches
from orchestrator.control.probes.scheduler import ProbeScheduler
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
from orchestrator.core.presentation import event_payload
from orchestrator.core.session import choice
from orchestrator.errors import BusUnavailable, EngineUnavailable, FailoverError, Temporary
from orchestrator.ports import Catalogue, ContainerRuntime, EventBus, ObjectStore
from transcoder.ending import Ending

log = logging.getLogger(__name__)

_RETRY_S = 1.0


class Interpreter:
    """`wake` is called with a session's id when something that it waits for has been done."""

    def __init__(
        self,
        *,
        settings: Settings,
        catalogue: Catalogue,
        runtime: ContainerRuntime,
        store: ObjectStore,
        bus: EventBus,
        probes: ProbeScheduler,
        tasks: TaskGroup,
        input_switches: InputSwitches,
        may_act: Callable[[], Awaitable[None]],
        wake: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._runtime = runtime
        self._store = store
        self._bus = bus
        self._probes = probes
        self._tasks = tasks
        self._input_switches = input_switches
        self._may_act = may_act
        self._wake = wake
        self._refused: dict[tuple[str, int], Container] = {}
        self._bad_jobs_told: set[str] = set()  # fields of jobs, as the agent names them

    async def apply(self, decision: Decision, seen: Observation, events: Sequence[Event]) -> bool:
        """Applies all actions concurrently, and publishes the events meanwhile; stops go on in the background. Returns whether
        looking again at once would show something new. Raises NotLeading, DatabaseUnavailable: then nothing has been done.
        """
        self._tell_bad_jobs(decision.session, decision.records)
        if decision.actions:
            await self._may_act()
        actions = [self._act(action, decision.session, seen) for action in decision.actions]
        done, _ = await asyncio.gather(asyncio.gather(*actions), self._tell(events))
        return any(done)

    def with_refused(self, session_id: str, seen: tuple[Container, ...]) -> tuple[Container, ...]:
        """The observed containers, and those that were not started: the engine refused, or the agent would have refused the
        job."""
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

    # --- one action ---------------------------------------------------------------------------------------------------

    async def _act(self, action: Action, session: Session, seen: Observation) -> bool:
        match action:
            case StartAttempt():
                await self._start(session, action, seen)
                return True
            case StopAttempt(attempt, grace_s):
                self._stop(session.id, attempt, grace_s)
                return False
            case ProbeSources(source_ids):
                for source in seen.sources:
                    if source.id in source_ids:
                        self._probes.start_for_session(session.id, source)
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

    async def _start(self, session: Session, action: StartAttempt, seen: Observation) -> None:
        attempt, source_id = action.attempt, action.source_id
        source = None if source_id == SLATE else next(each for each in seen.sources if each.id == source_id)
        bind_contextvars(attempt=attempt, source=source_id)  # in the log lines of this task
        try:
            if action.granted and not await self._input_switches.understood():
                raise EngineUnavailable("the transcoder image has been replaced by one that does not understand orders")
            if source is not None:
                await self._make_room(session.id, source, action)
            channel = await self._catalogue.channel(session.channel_id)
            launch = job.launch(
                session, source, channel, self._store, self._settings,
                last_resort=choice.is_last_resort(session, seen, source_id), reserves=_reserves(session, action, seen),
            )  # fmt: skip
            if fault := job.fault(launch):
                self._refuse(session.id, attempt, fault, exit_code=Ending.BAD_JOB)
            else:
                await self._runtime.start(launch)
        except FailoverError as error:
            log.error("%s: attempt %s did not start: %s", session.id, attempt, error)
            # The title alone: the message may name addresses, and is for the log
            self._refuse(session.id, attempt, error.title[:1].lower() + error.title[1:])

    def _refuse(self, session_id: str, attempt: int, detail: str, exit_code: int | None = None) -> None:
        """From now on seen as a container that the engine refuses to start; with an exit code, as one that ended at once."""
        state = ContainerState.REFUSED if exit_code is None else ContainerState.EXITED
        self._refused[session_id, attempt] = Container(
            id="", session_id=session_id, attempt=attempt, state=state, exit_code=exit_code, detail=detail
        )

    def _tell_bad_jobs(self, session: Session, records: Sequence[Record]) -> None:
        """Logs each field once in this process's life: every session that meets it meets the same fault of ours."""
        for record in records:
            if (
                isinstance(record, AttemptEnded)
                and record.exit_code == Ending.BAD_JOB
                and record.why.detail not in self._bad_jobs_told
            ):
                self._bad_jobs_told.add(record.why.detail)
                log.error(
                    "%s: the agent refuses the job of attempt %s (%s): our software is at fault, not the source; logged once",
                    session.id, record.attempt, record.why.text,
                )  # fmt: skip

    def _stop(self, session_id: str, attempt: int, grace_s: float) -> None:
        """In the background: a container that is slow to end must not delay its successor."""
        self._refused.pop((session_id, attempt), None)

        async def stop() -> None:
            bind_contextvars(attempt=attempt)
            try:
                await self._runtime.stop(session_id, attempt, grace_s)
            except Temporary as error:
                log.warning("%s: attempt %s not stopped: %s", session_id, attempt, error)
                await asyncio.sleep(_RETRY_S)  # as long as the container is seen, `decide` asks for it again
            finally:
                self._wake(session_id)

        self._tasks.start_unless_running(stop, f"stop of {session_id}-{attempt}")

    async def _make_room(self, session_id: str, source: Source, action: StartAttempt) -> None:
        """Ends what still uses the connection that has been taken for this attempt. Raises EngineUnavailable."""
        cancelled = self._probes.preempt_for_attempt(source)
        for number in action.after:
            await self._runtime.stop(session_id, number, action.grace_s)
        if cancelled:
            await asyncio.wait(cancelled)

    async def _tell(self, events: Sequence[Event]) -> None:
        """Best effort: the events are rows already, and a client that has missed a message reads them (law 1)."""
        origin_url = self._settings.origin_url or ""
        for event in events:
            try:
                await self._bus.publish(event, event_payload.encode(event, origin_url))
            except BusUnavailable as error:
                log.warning("event %s of %s not published: %s", event.id, event.session_id, error)


def _reserves(session: Session, action: StartAttempt, seen: Observation) -> tuple[job.Reserve, ...] | None:
    """What the attempt is granted besides what it begins with, in order; None: it gets no orders."""
    if not action.granted:
        return None
    found = (seen.source(each) for each in action.granted if each != action.source_id)
    return tuple(job.Reserve(each, choice.is_last_resort(session, seen, each.id)) for each in found if each is not None)
