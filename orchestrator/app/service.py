"""The orchestrator as a process: opens the adapters, wires the parts of the control loop, and runs until it is told to stop.

Rule: stopping the orchestrator stops no session. Containers go on, and the next orchestrator adopts what runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final

from orchestrator.app.liveness_file import keep_touched
from orchestrator.app.periodic import PeriodicJobs
from orchestrator.app.process_identity import own_process
from orchestrator.app.settings import Settings
from orchestrator.app.task_group import RestartDelay, TaskGroup
from orchestrator.control.change_detection import ChangeDetection
from orchestrator.control.connection_inventory import ConnectionInventory
from orchestrator.control.connection_ledger import ConnectionLedger
from orchestrator.control.inbox import Inbox
from orchestrator.control.input_switches import InputSwitches
from orchestrator.control.interpreter import Interpreter
from orchestrator.control.leadership import Leadership
from orchestrator.control.lease_renewals import LeaseRenewals
from orchestrator.control.observer import Observer
from orchestrator.control.playlist_poller import PlaylistPoller
from orchestrator.control.presence import Presence
from orchestrator.control.probes.background import BackgroundProbing
from orchestrator.control.probes.first import FirstProbes
from orchestrator.control.probes.reprobing import Reprobing
from orchestrator.control.probes.requested import RequestedProbes
from orchestrator.control.probes.scheduler import ProbeScheduler
from orchestrator.control.supervisor import Supervisor
from orchestrator.control.wake_ups import WakeUps
from orchestrator.core.policy import Policy
from orchestrator.errors import FailoverError, NotLeading, Temporary
from orchestrator.housekeeping.history_retention import HistoryRetention
from orchestrator.housekeeping.orphan_containers import OrphanContainers
from orchestrator.housekeeping.segment_retention import SegmentRetention
from orchestrator.ports import PROBES, ContainerRuntime, EventBus, ObjectStore, Prober, Tables

log = logging.getLogger(__name__)

_EVERY_SECOND: Final = RestartDelay(1.0, 1.0)


def policy_of(settings: Settings) -> Policy:
    """The core's policy. The start budget is longer than the agent's own limit, so that the agent can report why it failed, and
    a loaded engine has time to start."""
    return Policy(
        segment_s=settings.segment_s,
        idle_timeout_s=settings.idle_timeout_s,
        start_budget_s=settings.start_limit_s + 7.0,
        attempt_life_s=0.8 * settings.signature_s,
        probe_fresh_s=settings.probe_fresh_s,
        probe_limit_s=settings.probe_timeout_s + 3.0,
    )


@contextlib.asynccontextmanager
async def orchestrate(
    settings: Settings,
    *,
    tables: Tables,
    runtime: ContainerRuntime,
    store: ObjectStore,
    bus: EventBus,
    prober: Prober,
    now: Callable[[], float] = time.time,
    displaced: Callable[[NotLeading], None] = lambda _: None,
) -> AsyncIterator[Supervisor]:
    """Runs the control loop on these ports for as long as the context is open. Waits until the lease of an orchestrator that
    was killed has expired; raises NotLeading where another one is running. `displaced` is called when another one has taken
    over: then this one no longer acts."""
    presence = Presence(tables.operation, now)
    leadership = Leadership(tables.operation, presence.id, presence.node, now, displaced, own_process())
    await leadership.begin()
    tasks, wake_ups = TaskGroup(), WakeUps()
    ledger = ConnectionLedger(wake_ups.wake)
    probes = ProbeScheduler(catalogue=tables.catalogue, prober=prober, ledger=ledger, tasks=tasks, wake=wake_ups.wake, now=now)
    wanted = settings.input_switches == "on"
    input_switches = InputSwitches(wanted, runtime, store, now)
    interpreter = Interpreter(
        settings=settings, catalogue=tables.catalogue, runtime=runtime, store=store, bus=bus, probes=probes, tasks=tasks,
        input_switches=input_switches, may_act=leadership.confirm, wake=wake_ups.wake,
    )  # fmt: skip
    poller = PlaylistPoller(store, tasks, wake_ups.glance, now)
    inbox = Inbox(store, tasks, wanted=wanted, look_at_playlist=poller.look_at, woken=wake_ups.glance, now=now)
    inventory, renewals = ConnectionInventory(ledger, tables.providers, runtime), LeaseRenewals(tables.sessions, now)
    observer = Observer(
        catalogue=tables.catalogue, runtime=runtime, poller=poller, ledger=ledger, inventory=inventory,
        renewals=renewals, inbox=inbox, input_switches=input_switches, with_refused=interpreter.with_refused,
        engine_is_silent=wake_ups.engine_is_silent,
    )  # fmt: skip
    supervisor = Supervisor(
        tables=tables, poller=poller, observer=observer, interpreter=interpreter, ledger=ledger, inbox=inbox,
        wake_ups=wake_ups, tasks=tasks, policy=policy_of(settings), may_act=leadership.confirm, now=now,
    )  # fmt: skip
    changes = ChangeDetection(
        supervisor.works, tables=tables, runtime=runtime, ledger=ledger, inventory=inventory, wake_ups=wake_ups
    )
    probing = BackgroundProbing(
        rows=tables.probes, scheduler=probes, ledger=ledger, inventory=inventory, tasks=tasks, tell=supervisor.tell,
        may_act=leadership.confirm, now=now,
    )  # fmt: skip
    requested_probes = RequestedProbes(probing, bus=bus)
    periodic_jobs = PeriodicJobs(
        settings=settings,
        changes=changes,
        orphans=OrphanContainers(
            tables.sessions, runtime, grace_s=settings.orphan_grace_s, may_act=leadership.confirm, wake=wake_ups.wake, now=now
        ),
        poller=poller,
        inbox=inbox,
        input_switches=input_switches,
        renewals=renewals,
        reprobing=Reprobing(
            tables.catalogue,
            probes,
            interval_s=settings.reprobe_interval_s,
            awaited=supervisor.awaited,
            tell=supervisor.tell,
            now=now,
        ),
        requested_probes=requested_probes,
        first_probes=FirstProbes(probing),
        segment_retention=SegmentRetention(store, tables.sessions, settings),
        history_retention=HistoryRetention(tables.operation, settings),
        presence=presence,
        leadership=leadership,
        now=now,
    )
    tasks.keep_running(store.prepare, "store", until_it_returns=True, delay=_EVERY_SECOND)
    tasks.start(_check(runtime), "engine check")
    tasks.keep_running(partial(_follow_nudges, bus, supervisor, requested_probes), "nudges")
    tasks.keep_running(supervisor.follow_wake_ups, "wake-ups")
    tasks.keep_running(changes.follow_silence, "silence of the engine")
    tasks.keep_running(changes.follow_containers, "engine events", delay=_EVERY_SECOND)
    periodic_jobs.start()
    try:
        with contextlib.suppress(Temporary):  # the periodic job does it again in a moment
            await presence.announce()
        await asyncio.gather(poller.look(), input_switches.look())
        with contextlib.suppress(Temporary):
            await changes.poll_rows()
        requested_probes.wake()
        yield supervisor
    finally:
        periodic_jobs.close()
        await tasks.close()
        supervisor.close()
        await leadership.step_down()
        await presence.leave()


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[Tables, ObjectStore, EventBus]]:
    """Database, store and bus, which every orchestrator needs whatever its engine is. Adapters are opened here and in `run`,
    and nowhere else in this package."""
    from orchestrator.adapters.redis.event_bus import RedisEventBus
    from orchestrator.adapters.s3.object_store import MinioObjectStore
    from orchestrator.adapters.sql import open_tables

    assert settings.database_url is not None
    assert settings.redis_url is not None
    async with contextlib.AsyncExitStack() as stack:
        tables = open_tables(settings.database_url)
        stack.push_async_callback(tables.close)
        store = MinioObjectStore(settings)
        stack.push_async_callback(store.close)
        bus = RedisEventBus(settings.redis_url, settings.deployment)
        stack.push_async_callback(bus.close)
        yield tables, store, bus


def stop_signal() -> asyncio.Event:
    """Set by SIGTERM and by SIGINT."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    return stop


async def run(settings: Settings) -> None:
    """Runs the process `orchestrator` until SIGTERM or SIGINT. Raises NotLeading where another orchestrator acts."""
    from orchestrator.adapters.ffmpeg.ffprobe import FfprobeProber
    from orchestrator.app.runtime import open_runtime

    stop = stop_signal()
    displaced: asyncio.Future[NotLeading] = asyncio.get_running_loop().create_future()
    async with contextlib.AsyncExitStack() as stack:
        tables, store, bus = await stack.enter_async_context(opened(settings))
        runtime = await open_runtime(settings)
        stack.push_async_callback(runtime.close)
        prober = FfprobeProber(settings)
        stack.push_async_callback(prober.close)
        await stack.enter_async_context(
            orchestrate(
                settings, tables=tables, runtime=runtime, store=store, bus=bus, prober=prober, displaced=displaced.set_result
            )
        )
        await stack.enter_async_context(keep_touched(settings.health_file))
        log.info("orchestrator of deployment %s runs, %s runtime", settings.deployment, type(runtime).__name__)
        stopping = asyncio.create_task(stop.wait(), name="orchestrator stop")
        await asyncio.wait((stopping, displaced), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        log.info("orchestrator stops; sessions go on playing")
        if displaced.done():
            raise displaced.result()


async def _check(runtime: ContainerRuntime) -> None:
    """Logs at the start what would make the first session fail."""
    try:
        await runtime.check()
    except FailoverError as error:
        log.error("runtime: %s", error)


async def _follow_nudges(bus: EventBus, supervisor: Supervisor, requested_probes: RequestedProbes) -> None:
    async for subject in bus.nudges():
        if subject == PROBES:
            requested_probes.wake()
        else:
            supervisor.wake(subject)
