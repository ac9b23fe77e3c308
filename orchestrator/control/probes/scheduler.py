"""Probe scheduler: runs probes on request, with deduplication (single-flight by source), priority and the providers' connection
limits. It does not decide when a source is probed.

Rule: a probe never takes a connection beyond its provider's limit, and never keeps a session from starting. Priority, highest
first: an attempt that starts, a probe that a session or a person waits for, a probe that nobody waits for (preemptible). A
probe that is cancelled to free its connection says nothing about its source (law 3).

Everything that needs a probe (sessions, an operator's request, re-probing, first probes) comes here, because only here the
connections that probes hold are counted beside those of attempts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from msgspec.structs import replace
from structlog.contextvars import bind_contextvars

from orchestrator.app.task_group import TaskGroup
from orchestrator.control.connection_ledger import ConnectionLedger
from orchestrator.core.model import Source
from orchestrator.errors import NotFound, Temporary
from orchestrator.ports import Catalogue, Prober, ProbeResult
from transcoder.source.redaction import Redaction

log = logging.getLogger(__name__)


class _RunningProbe:
    """`answer` is the probe itself, and is what is cancelled to free its connection; `task` waits for it and writes its result.
    `sessions` wait for it. `preemptible`: nobody waits for it."""

    __slots__ = ("answer", "preemptible", "sessions", "source", "task")

    def __init__(self, source: Source, answer: asyncio.Task[ProbeResult], task: asyncio.Task[Source | None]) -> None:
        self.source = source
        self.answer = answer
        self.task = task
        self.sessions: set[str] = set()
        self.preemptible = False


class ProbeScheduler:
    """`wake` is called with the id of each session whose probe has ended."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        prober: Prober,
        ledger: ConnectionLedger,
        tasks: TaskGroup,
        wake: Callable[[str], None],
        now: Callable[[], float],
    ) -> None:
        self._catalogue = catalogue
        self._prober = prober
        self._ledger = ledger
        self._tasks = tasks
        self._wake = wake
        self._now = now
        self._running: dict[str, _RunningProbe] = {}  # by the source's id

    @property
    def running(self) -> int:
        """How many probes run, of every kind."""
        return len(self._running)

    async def probe(self, source: Source) -> Source | None:
        """Probes the source, or waits for the probe of it that runs; returns the source as it is then. None: the result could
        not be written, the probe was cancelled, or the source's provider has no connection for a probe now."""
        task = self.start(source)
        if task is None and (preempted := self._preempt_one(source)) is not None:
            await asyncio.wait((preempted,))
            task = self.start(source)
        return None if task is None else await asyncio.shield(task)

    def start(self, source: Source) -> asyncio.Task[Source | None] | None:
        """The same without waiting. Returns the running probe, which the caller must not cancel, or None. A probe that runs at
        an address that the source no longer has is cancelled, and none is started now."""
        running = self._running.get(source.id)
        if running is not None and running.source.address != source.address:
            running.answer.cancel()
            return None
        probe = self._running_or_started(source)
        if probe is None:
            self._preempt_one(source)
            return None
        probe.preemptible = False
        return probe.task

    def start_preemptible(self, source: Source) -> asyncio.Task[Source | None] | None:
        """Starts a probe that nobody waits for: it is cancelled when anything else needs its connection. None where the source
        is being probed already, or its provider has no connection for a probe now."""
        if source.id in self._running:
            return None
        probe = self._running_or_started(source)
        if probe is None:
            return None
        probe.preemptible = True
        return probe.task

    def start_for_session(self, session_id: str, source: Source) -> None:
        """Wakes the session when the probe has ended. Where there is no connection for one, a probe that no session waits for
        is cancelled, and the session is woken when a connection becomes free."""
        probe = self._running_or_started(source)
        if probe is not None:
            probe.sessions.add(session_id)
            probe.preemptible = False
            return
        self._ledger.wait(session_id, (source,))
        if self._preempt_one(source) is not None:
            return
        for other in self._running.values():
            if other.source.provider_id == source.provider_id and not other.sessions:
                other.answer.cancel()
                break

    def preempt_for_attempt(self, source: Source) -> Collection[asyncio.Task[ProbeResult]]:
        """Cancels as many probes as are in the way of the connection that an attempt on this source has taken, those that
        nobody waits for first. Returns what has to end before the connection is free."""
        in_the_way = self._ledger.probes_in_the_way(source)
        probes = [each for each in self._running.values() if each.source.provider_id == source.provider_id]
        probes.sort(key=lambda each: (bool(each.sessions), not each.preemptible))
        cancelled = [each.answer for each in probes[:in_the_way]]
        for answer in cancelled:
            answer.cancel()
        return cancelled

    def _preempt_one(self, source: Source) -> asyncio.Task[Source | None] | None:
        """Cancels one preemptible probe of the source's provider; the task that ends when its connection is free. None: there
        is no such probe."""
        for other in self._running.values():
            if other.preemptible and source.provider_id is not None and other.source.provider_id == source.provider_id:
                other.answer.cancel()
                return other.task
        return None

    def _running_or_started(self, source: Source) -> _RunningProbe | None:
        """None: there is no connection for it."""
        probe = self._running.get(source.id)
        if probe is None and self._ledger.take_for_probe(source):
            answer = self._tasks.start(self._prober.probe(source), f"probe of {source.id}", awaited=True)
            task = self._tasks.start(self._record(source, answer), f"result of the probe of {source.id}")
            probe = self._running[source.id] = _RunningProbe(source, answer, task)
            task.add_done_callback(lambda _: self._ended(source.id))
        return probe

    async def _record(self, source: Source, answer: asyncio.Task[ProbeResult]) -> Source | None:
        bind_contextvars(source=source.id)  # in the log lines of this task
        try:
            try:
                await asyncio.wait((answer,))
            finally:
                answer.cancel()
            if answer.cancelled():
                log.info("source %s: its probe was cancelled, because its connection is needed", source.id)
                return None
            result = answer.result()
            if result.why:  # a prober may quote what the source said: no address and no credential goes into a row or a log
                detail = Redaction(source.url, source.headers)(result.why.detail)
                result = replace(result, why=replace(result.why, detail=detail))
            if result.media is None:
                log.info("source %s: %s", source.id, result.reason)
            return await self._catalogue.record_probe(source.id, result, self._now())
        except NotFound:
            return None  # deleted meanwhile
        except Temporary as error:
            log.warning("probe of %s: %s", source.id, error)
            return None
        except Exception:  # a bug of ours says nothing about the source, and must not end a round of probes
            log.exception("probe of %s", source.id)
            return None

    def _ended(self, source_id: str) -> None:
        sessions = self._running.pop(source_id).sessions
        self._ledger.probed(source_id)
        for session_id in sessions:
            self._wake(session_id)
