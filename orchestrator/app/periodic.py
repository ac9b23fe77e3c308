"""Periodic jobs, on APScheduler: each runs at most once at a time, and runs that are late are merged into one.

Rule: an error in a job ends neither the process nor the job. It is logged, and the job runs again at its next time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from orchestrator.app.settings import Settings
from orchestrator.control.change_detection import ChangeDetection
from orchestrator.control.inbox import Inbox
from orchestrator.control.input_switches import LOOK_S, InputSwitches
from orchestrator.control.leadership import RENEW_S, Leadership
from orchestrator.control.lease_renewals import LeaseRenewals
from orchestrator.control.playlist_poller import PlaylistPoller
from orchestrator.control.presence import ANNOUNCE_INTERVAL_S, Presence
from orchestrator.control.probes.first import FirstProbes
from orchestrator.control.probes.reprobing import Reprobing
from orchestrator.control.probes.requested import RequestedProbes
from orchestrator.errors import Temporary
from orchestrator.housekeeping.history_retention import HistoryRetention
from orchestrator.housekeeping.orphan_containers import OrphanContainers
from orchestrator.housekeeping.segment_retention import SegmentRetention

log = logging.getLogger(__name__)

_POLL_CONTAINERS_S = 5.0
_POLL_CHANNELS_S = 2.0
_HISTORY_S = 300.0
_FAILBACK_PROBES_S = 1.0  # the shortest time for which a source may have to be stable
_RENEWALS_S = 5.0


class PeriodicJobs:
    def __init__(
        self,
        *,
        settings: Settings,
        changes: ChangeDetection,
        orphans: OrphanContainers,
        poller: PlaylistPoller,
        inbox: Inbox,
        input_switches: InputSwitches,
        renewals: LeaseRenewals,
        reprobing: Reprobing,
        requested_probes: RequestedProbes,
        first_probes: FirstProbes,
        segment_retention: SegmentRetention,
        history_retention: HistoryRetention,
        presence: Presence,
        leadership: Leadership,
        now: Callable[[], float],
    ) -> None:
        self._changes = changes
        self._orphans = orphans
        self._reprobing = reprobing
        self._segment_retention = segment_retention
        self._history_retention = history_retention
        self._leadership = leadership
        self._now = now
        self._scheduler = AsyncIOScheduler(job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None})
        self._every("playlist poll", settings.playlist_poll_interval_s, poller.look)
        self._every("inbox", settings.playlist_poll_interval_s, self._acting(inbox.look))
        self._every("input switches", LOOK_S, self._acting(input_switches.look))
        self._every("row poll", settings.resync_interval_s, changes.poll_rows)
        self._every("channel poll", _POLL_CHANNELS_S, changes.poll_channels)
        self._every("renewals", min(_RENEWALS_S, settings.idle_timeout_s / 4), renewals.look)
        self._every("container poll", _POLL_CONTAINERS_S, self._poll_containers)
        self._every("reprobing", settings.reprobe_interval_s, self._acting(self._reprobe))
        self._every("failback probes", _FAILBACK_PROBES_S, self._acting(reprobing.probe_awaited))
        self._every("requested probes", settings.resync_interval_s, requested_probes.look)
        self._every("first probes", settings.first_probe_interval_s, first_probes.look)
        self._every("retention", settings.retention_interval_s, self._acting(self._retain))
        self._every("history", _HISTORY_S, self._acting(self._forget))
        self._every("presence", ANNOUNCE_INTERVAL_S, self._acting(presence.announce))
        self._every("leadership", RENEW_S, leadership.renew)

    def start(self) -> None:
        # APScheduler warns of each run that it skips because the one before is still going. That is intended (max_instances).
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._scheduler.start()

    def close(self) -> None:
        self._scheduler.shutdown(wait=False)

    def _every(self, name: str, interval_s: float, run: Callable[[], Awaitable[None]]) -> None:
        async def guarded() -> None:
            try:
                await run()
            except asyncio.CancelledError:
                return  # the process is stopping; APScheduler would log a cancellation as an error
            except Temporary as error:
                log.warning("%s: %s", name, error)
            except Exception:
                log.exception("%s", name)

        self._scheduler.add_job(guarded, IntervalTrigger(seconds=interval_s), name=name, id=name)

    def _acting(self, run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """For a job that changes something: it runs only while this orchestrator holds the leader lease."""

        async def confirmed() -> None:
            await self._leadership.confirm()
            await run()

        return confirmed

    async def _reprobe(self) -> None:
        for source in await self._reprobing.probe_problematic():
            log.info("source %s works again", source.id)

    async def _retain(self) -> None:
        gone = await self._segment_retention.delete_unlisted(self._now())
        if gone:
            log.debug("retention: %s objects deleted", gone)

    async def _forget(self) -> None:
        gone = await self._history_retention.delete_old(self._now())
        if gone:
            log.info("history: %s rows of sessions that ended long ago deleted", gone)

    async def _poll_containers(self) -> None:
        await self._orphans.remove(await self._changes.poll_containers())
