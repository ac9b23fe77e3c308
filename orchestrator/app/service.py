"""The orchestrator as a process: opens the adapters, wires the rooms, runs until told to stop.

Stopping the orchestrator stops no session: containers play on, and the next orchestrator adopts what runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable

from orchestrator.app.liveness_file import pulse
from orchestrator.app.periodic import Jobs
from orchestrator.app.process_identity import own_process
from orchestrator.app.settings import Settings
from orchestrator.control.connection_inventory import Census
from orchestrator.control.connection_ledger import Connections
from orchestrator.control.first_probes import FirstLooks
from orchestrator.control.interpreter import Interpreter
from orchestrator.control.leadership import Leadership
from orchestrator.control.lease_renewals import Renewals
from orchestrator.control.observer import Observer
from orchestrator.control.playlist_poller import Sweep
from orchestrator.control.presence import Heartbeat
from orchestrator.control.reprobing import Recovery
from orchestrator.control.requested_probes import AskedProbes
from orchestrator.control.supervisor import Supervisor
from orchestrator.core.policy import Policy
from orchestrator.errors import FailoverError, NotLeading, Temporary
from orchestrator.housekeeping.history_retention import History
from orchestrator.housekeeping.segment_retention import Retention
from orchestrator.ports import PROBES, ContainerRuntime, EventBus, ObjectStore, Prober, Tables

log = logging.getLogger(__name__)


def policy_of(settings: Settings) -> Policy:
    """The core's numbers. The start budget leaves the agent time to find out by itself, and a loaded engine time to start."""
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
    """Run the control loop on these ports for as long as the context is open. Waits for the lease of an orchestrator that was
    killed; raises NotLeading where one lives. `displaced` is called where another one took over: this one acts no more."""
    heartbeat = Heartbeat(tables.operation, now)
    leadership = Leadership(tables.operation, heartbeat.id, heartbeat.node, now, displaced, own_process())
    await leadership.begin()
    connections = Connections()
    interpreter = Interpreter(
        settings=settings, catalogue=tables.catalogue, runtime=runtime, store=store, bus=bus, prober=prober,
        connections=connections, may_act=leadership.confirm, now=now,
    )  # fmt: skip
    sweep = Sweep(store, lambda session_id: supervisor.glance(session_id), now)
    census, renewals = Census(connections, tables.providers, runtime), Renewals(tables.sessions, now)
    observer = Observer(
        catalogue=tables.catalogue, runtime=runtime, sweep=sweep, connections=connections, census=census,
        renewals=renewals, with_refused=interpreter.with_refused,
    )  # fmt: skip
    supervisor = Supervisor(
        tables=tables, runtime=runtime, sweep=sweep, observer=observer, interpreter=interpreter, connections=connections,
        census=census, policy=policy_of(settings), may_act=leadership.confirm, now=now,
    )  # fmt: skip
    interpreter.woken = connections.woken = supervisor.wake
    asked_probes = AskedProbes(
        tables.probes, interpreter, connections=connections, census=census, bus=bus, tell=supervisor.tell,
        may_act=leadership.confirm, now=now,
    )  # fmt: skip
    first_looks = FirstLooks(
        tables.probes, interpreter, connections=connections, census=census, tell=supervisor.tell,
        may_act=leadership.confirm, now=now,
    )  # fmt: skip
    jobs = Jobs(
        settings=settings,
        supervisor=supervisor,
        sweep=sweep,
        renewals=renewals,
        recovery=Recovery(
            tables.catalogue,
            interpreter,
            interval_s=settings.recovery_interval_s,
            awaited=supervisor.awaited,
            tell=supervisor.tell,
            now=now,
        ),
        asked_probes=asked_probes,
        first_looks=first_looks,
        retention=Retention(store, tables.sessions, settings),
        history=History(tables.operation, settings),
        heartbeat=heartbeat,
        leadership=leadership,
        sessions=tables.sessions,
        runtime=runtime,
        now=now,
    )
    background = [
        asyncio.create_task(_prepare(store), name="prepare-store"),
        asyncio.create_task(_check(runtime), name="check-engine"),
        asyncio.create_task(_follow_nudges(bus, supervisor, asked_probes), name="nudges"),
        asyncio.create_task(supervisor.follow_containers(), name="engine-events"),
    ]
    jobs.start()
    try:
        with contextlib.suppress(Temporary):  # the jobs come back to it in a moment
            await heartbeat.beat()
        await sweep.look()
        with contextlib.suppress(Temporary):
            await supervisor.resync()
        asked_probes.wake()
        yield supervisor
    finally:
        jobs.close()
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await supervisor.close()
        await asked_probes.close()
        await first_looks.close()
        await interpreter.close()
        await sweep.close()
        await leadership.step_down()
        await heartbeat.leave()


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[Tables, ObjectStore, EventBus]]:
    """The servers that every orchestrator has, whatever its engine is. Adapters are opened here and in `run`, and nowhere else
    in this package."""
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
    """The `orchestrator` process. Returns after SIGTERM or SIGINT. Raises NotLeading where another orchestrator acts."""
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
        await stack.enter_async_context(pulse(settings.health_file))
        log.info("orchestrator of deployment %s runs, %s runtime", settings.deployment, type(runtime).__name__)
        stopping = asyncio.create_task(stop.wait(), name="orchestrator stop")
        await asyncio.wait((stopping, displaced), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        log.info("orchestrator stops; sessions play on")
        if displaced.done():
            raise displaced.result()


async def _prepare(store: ObjectStore) -> None:
    """The bucket, its CORS and its read policy, as soon as the store answers."""
    while True:
        try:
            await store.prepare()
        except Temporary as error:
            log.warning("store: %s", error)
        except Exception:
            log.exception("store")
        else:
            return
        await asyncio.sleep(1.0)


async def _check(runtime: ContainerRuntime) -> None:
    """Say at once what a first session would stumble over."""
    try:
        await runtime.check()
    except FailoverError as error:
        log.error("runtime: %s", error)


async def _follow_nudges(bus: EventBus, supervisor: Supervisor, asked_probes: AskedProbes) -> None:
    async for subject in bus.nudges():
        if subject == PROBES:
            asked_probes.wake()
        else:
            supervisor.wake(subject)
