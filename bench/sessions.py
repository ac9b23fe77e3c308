"""A thousand sessions on a fake engine, a real store and a real database: what one orchestrator costs while nothing happens,
and how long after a playlist's stall limit it decides.

The orchestrator runs in this process, and nothing else does meanwhile: its share of a core is the process's. What publishes the
playlists is a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import time
from collections.abc import AsyncIterator

from bench.databases import ENGINES
from bench.fake_engine import FakeEngine, FakeProber
from bench.stage import Stage
from bench.table import Goal, Row
from orchestrator.app.service import opened, orchestrate, policy_of
from orchestrator.app.settings import Settings, replaced
from orchestrator.core.model import Channel, Phase, Session
from orchestrator.errors import FailoverError
from orchestrator.migrations import upgrade
from orchestrator.ports import NewSource, Tables

SESSIONS = 1000
SILENT = 50  # whose playlists stop
_STEADY_S = 30.0
_START_LIMIT_S = 240.0
_DECISION_LIMIT_S = 60.0
_AT_ONCE = 20


async def sessions(stage: Stage, runs: int) -> list[Row]:
    rows = []
    for name, database in ENGINES.items():
        with database() as database_url:
            if database_url is not None:
                rows += await measure(stage.settings, name, database_url)
    return rows


async def measure(
    settings: Settings, database: str, database_url: str, count: int = SESSIONS,
    *, silent: int = SILENT, steady_s: float = _STEADY_S,
) -> list[Row]:  # fmt: skip
    """Needs the settings' store and Redis alone; the deployment, the bucket and the database are this measure's own."""
    name = f"bench-{os.getpid()}-{database.lower()}"
    settings = replaced(settings, deployment=name, s3_bucket=name, database_url=database_url, segment_s=2.0)
    await asyncio.to_thread(upgrade, database_url)
    async with _running(settings) as (tables, engine):
        await _request(tables, count)
        started = time.monotonic()
        while await _live(tables) < count:
            if time.monotonic() - started > _START_LIMIT_S:
                raise FailoverError(f"{count} sessions were not live within {_START_LIMIT_S:g} s")
            await asyncio.sleep(0.5)
        await asyncio.sleep(steady_s / 3)
        shares = [await _share(steady_s / 3) for _ in range(3)]
        late = await _late(tables, engine, settings, silent)
    what = f"{count} sessions, {database}"
    return [
        Row(f"sessions-cpu-{database}", f"{what}: one orchestrator, of a core", "%", Goal(worst=60.0), shares),
        Row(f"sessions-stall-{database}", f"{what}: stall limit to decision", "s", Goal(p95=2.5), late),
    ]


@contextlib.asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[tuple[Tables, FakeEngine]]:
    async with contextlib.AsyncExitStack() as stack:
        tables, store, bus = await stack.enter_async_context(opened(settings))
        await store.prepare()
        engine = await stack.enter_async_context(FakeEngine())
        running = orchestrate(settings, tables=tables, runtime=engine, store=store, bus=bus, prober=FakeProber())
        await stack.enter_async_context(running)
        yield tables, engine


async def _request(tables: Tables, count: int) -> None:
    """Each on a channel of its own, with two sources."""
    few = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int) -> None:
        async with few:
            sources = [NewSource(url=f"http://source.test/{number}/{name}.m3u8") for name in ("a", "b")]
            channel = Channel(id="", slug=f"bench-{number}", name=f"Bench {number}")
            added = await tables.catalogue.add_channel(channel, sources)
            await tables.sessions.request(added.id, f"viewer-{number}", "hash", time.time())

    await asyncio.gather(*map(one, range(count)))


async def _live(tables: Tables) -> int:
    return sum(session.phase is Phase.LIVE for session in await tables.sessions.unended())


async def _share(seconds: float) -> float:
    """Of a core, in per cent, all threads of this process."""
    wall, before = time.monotonic(), _cpu_s()
    await asyncio.sleep(seconds)
    return 100.0 * (_cpu_s() - before) / (time.monotonic() - wall)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _late(tables: Tables, engine: FakeEngine, settings: Settings, count: int) -> list[float]:
    """Seconds from each silent playlist's stall limit to the row of the attempt that replaces the silent one."""
    policy = policy_of(settings)
    chosen = [session for session in await tables.sessions.unended() if session.attempt is not None][:count]

    async def one(session: Session) -> float:
        assert session.attempt is not None
        source = await tables.catalogue.source(session.attempt.source_id)
        assert session.target_duration_s is not None
        limit_s = policy.stall_limit_s(session.target_duration_s, source)
        silent_at = await engine.falls_silent(session.id, session.attempt.number)
        deadline = time.time() + _DECISION_LIMIT_S
        while time.time() < deadline:
            later = [row for row in await tables.sessions.attempts(session.id) if row.number > session.last_attempt]
            if later:
                return later[0].started_at - silent_at - limit_s
            await asyncio.sleep(0.5)
        return _DECISION_LIMIT_S

    return list(await asyncio.gather(*map(one, chosen)))
