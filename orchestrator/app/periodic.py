"""The periodic jobs, on APScheduler: each runs once at a time, and late runs are merged into one.

A job never ends the process: what can be tried again is logged and tried at the next run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from orchestrator.app.settings import Settings
from orchestrator.control.first_probes import FirstLooks
from orchestrator.control.leadership import RENEW_S, Leadership
from orchestrator.control.lease_renewals import Renewals
from orchestrator.control.playlist_poller import Sweep
from orchestrator.control.presence import BEAT_S, Heartbeat
from orchestrator.control.reprobing import Recovery
from orchestrator.control.requested_probes import AskedProbes
from orchestrator.control.supervisor import Supervisor
from orchestrator.core.model import Phase
from orchestrator.errors import EngineUnavailable, NotFound, Temporary
from orchestrator.housekeeping.history_retention import History
from orchestrator.housekeeping.segment_retention import Retention
from orchestrator.ports import ContainerRuntime, Sessions

log = logging.getLogger(__name__)

_POLL_CONTAINERS_S = 5.0
_RESYNC_CHANNELS_S = 2.0
_HISTORY_S = 300.0
_LOOK_AFTER_S = 1.0  # the shortest time for which a source may have to be stable
_RENEWALS_S = 5.0


class Jobs:
    def __init__(
        self,
        *,
        settings: Settings,
        supervisor: Supervisor,
        sweep: Sweep,
        renewals: Renewals,
        recovery: Recovery,
        asked_probes: AskedProbes,
        first_looks: FirstLooks,
        retention: Retention,
        history: History,
        heartbeat: Heartbeat,
        leadership: Leadership,
        sessions: Sessions,
        runtime: ContainerRuntime,
        now: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._recovery = recovery
        self._retention = retention
        self._history = history
        self._sessions = sessions
        self._runtime = runtime
        self._leadership = leadership
        self._now = now
        self._scheduler = AsyncIOScheduler(job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None})
        self._every("playlist sweep", settings.sweep_interval_s, sweep.look)
        self._every("row resync", settings.resync_interval_s, supervisor.resync)
        self._every("channel resync", _RESYNC_CHANNELS_S, supervisor.resync_channels)
        self._every("renewals", min(_RENEWALS_S, settings.idle_timeout_s / 4), renewals.look)
        self._every("container poll", _POLL_CONTAINERS_S, self._poll_containers)
        self._every("recovery", settings.recovery_interval_s, self._acting(self._recover))
        self._every("failback probes", _LOOK_AFTER_S, self._acting(recovery.look_after))
        self._every("asked probes", settings.resync_interval_s, asked_probes.look)
        self._every("first looks", settings.first_look_interval_s, first_looks.look)
        self._every("retention", settings.retention_interval_s, self._acting(self._retain))
        self._every("history", _HISTORY_S, self._acting(self._forget))
        self._every("heartbeat", BEAT_S, self._acting(heartbeat.beat))
        self._every("leadership", RENEW_S, leadership.renew)

    def start(self) -> None:
        # A run that finds the one before still going is skipped: that is what max_instances is for, and no news.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._scheduler.start()

    def close(self) -> None:
        self._scheduler.shutdown(wait=False)

    def _every(self, name: str, interval_s: float, run: Callable[[], Awaitable[None]]) -> None:
        async def guarded() -> None:
            try:
                await run()
            except asyncio.CancelledError:
                return  # we are stopping: to the scheduler that would be an error worth a traceback
            except Temporary as error:
                log.warning("%s: %s", name, error)
            except Exception:
                log.exception("%s", name)

        self._scheduler.add_job(guarded, IntervalTrigger(seconds=interval_s), name=name, id=name)

    def _acting(self, run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """What does more than look: not without the lease."""

        async def confirmed() -> None:
            await self._leadership.confirm()
            await run()

        return confirmed

    async def _recover(self) -> None:
        for source in await self._recovery.sweep():
            log.info("source %s works again", source.id)

    async def _retain(self) -> None:
        gone = await self._retention.sweep(self._now())
        if gone:
            log.debug("retention: %s objects deleted", gone)

    async def _forget(self) -> None:
        gone = await self._history.sweep(self._now())
        if gone:
            log.info("history: %s rows of sessions that ended long ago deleted", gone)

    async def _poll_containers(self) -> None:
        """Also removes containers of ours that belong to no session any more, once they are old enough to be sure."""
        for container in await self._supervisor.poll_containers():
            try:
                row = await self._sessions.get(container.session_id)
                if row.session.phase is not Phase.ENDED:
                    self._supervisor.wake(container.session_id)
                    continue
            except NotFound:
                if self._now() - container.created_at < self._settings.orphan_grace_s:
                    continue
            await self._leadership.confirm()
            log.info("%s: container of attempt %s belongs to nobody", container.session_id, container.attempt)
            try:
                await self._runtime.stop(container.session_id, container.attempt, 1.0)
            except EngineUnavailable as error:  # one that cannot be removed must not keep the others
                log.warning("%s: attempt %s not removed: %s", container.session_id, container.attempt, error)
