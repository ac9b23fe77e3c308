"""Whatever is killed, hung or cut off: sessions play on or resume, no source is blamed for it, and nothing is left over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from msgspec.structs import replace

from failover.embedded.server_process import ServerProcess
from lab import Lab, LabFault
from lab.gate import Gate, GateState
from orchestrator.adapters.docker.runtime import DockerRuntime
from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.adapters.sql import open_tables
from orchestrator.control import job
from orchestrator.core.model import Attempt as CurrentAttempt
from orchestrator.core.model import Starting
from tests.e2e.attempts import Attempt, agent_pid, ffmpeg_pid
from tests.e2e.stage import Stage, Watched
from tests.servers import RedisServer, Seaweed
from tests.support import eventually, require
from transcoder import bucket

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120), pytest.mark.alone]

BUFFER = 3  # target durations: where a player starts (RFC 8216, 6.3.3), and so what it has in store


@pytest.fixture(scope="module", autouse=True)
def root() -> None:
    require("root", os.geteuid() == 0, "the processes of a container are another user's")


@contextlib.asynccontextmanager
async def playing(stage: Stage, lab: Lab, first: str = "a") -> AsyncIterator[Watched]:
    """A session on two sources, which plays; afterwards nobody is blamed and no law was broken."""
    channel = await stage.channel(lab[first].hls_url, lab["h"].hls_url)
    async with stage.watch(channel) as watched:
        await watched.plays(4)
        yield watched
        for source in await stage.sources(channel):
            blame = (source["failure_count"], source["stall_count"], source["last_failure_reason"])
            assert blame == (0, 0, None), f"{source} is blamed"
    assert watched.viewer.faults == []


# --- attempts ---------------------------------------------------------------------------------------------------------


class Blow(NamedTuple):
    """What befalls the running attempt, and how the orchestrator will call it."""

    name: str
    strike: Callable[[Stage, Attempt], None]
    reason: str


def _kill_ffmpeg(stage: Stage, attempt: Attempt) -> None:
    os.kill(ffmpeg_pid(attempt), signal.SIGKILL)


def _kill_agent(stage: Stage, attempt: Attempt) -> None:
    os.kill(agent_pid(attempt), signal.SIGKILL)


BLOWS = (
    Blow("ffmpeg killed", _kill_ffmpeg, "ffmpeg crashed"),
    Blow("agent killed", _kill_agent, "container killed"),
    Blow("container killed", lambda stage, attempt: stage.attempts.kill(attempt), "container killed"),
    Blow("container paused", lambda stage, attempt: stage.attempts.pause(attempt), "container paused"),
)


async def strike(stage: Stage, lab: Lab, blow: Blow) -> None:
    async with playing(stage, lab) as watched:
        at = time.time()
        blow.strike(stage, Attempt(watched.id, 1))
        switch = await watched.is_told("stream.switch")
        await watched.plays_from(2)
        late_s = watched.late_s(at)
        print(f"{blow.name}: next segment {late_s:.2f} s late, {switch['reason']}")
        assert switch["reason"] == blow.reason
        assert switch["from"] == switch["to"] == watched.channel["sources"][0]["id"]
        assert len(watched.told("stream.switch")) == 1
        assert late_s < BUFFER * watched.target_duration_s
        await stage.runs(watched.id, 2)


async def test_an_attempt_that_dies_is_followed_by_one_on_the_same_source(stage: Stage, lab: Lab) -> None:
    async with asyncio.TaskGroup() as group:
        for blow in BLOWS:
            group.create_task(strike(stage, lab, blow), name=blow.name)


async def test_processes_that_die_are_followed_by_others_on_the_same_source(processes: Stage, lab: Lab) -> None:
    async with asyncio.TaskGroup() as group:
        for blow in BLOWS:
            group.create_task(strike(processes, lab, blow), name=blow.name)


async def test_a_zombie_writes_nothing_and_ends_as_fenced(stage: Stage, lab: Lab) -> None:
    require("containers", stage.stack.runtime == "docker", "child processes are not paused as a whole")
    async with playing(stage, lab) as watched, _at_hand(stage) as (store, runtime):
        zombie, successor = Attempt(watched.id, 1), Attempt(watched.id, 2)
        with frozen(stage.stack.orchestrator):  # it would have removed the zombie long since
            stage.attempts.pause(zombie)
            before = await _keys(store, zombie)
            await _start_by_hand(stage, store, runtime, successor)
            await watched.plays_from(2, 3)
            stage.attempts.unpause(zombie)
            code = await eventually(lambda: stage.attempts.exit_code(zombie), timeout_s=10, what="the zombie's end")
            assert code == 21
            assert await _keys(store, zombie) == before
            log = await store.read_log(watched.id, 1)
            assert log is not None
            assert "attempt 2 has taken over" in log
            await watched.plays(2)
        # An orchestrator that finds this when it wakes goes on with an attempt of its own.
        await watched.is_told("stream.switch")
        await watched.plays_from(3)
        assert [swap.attempt for swap in watched.viewer.swaps] == [2, 3]


# --- the control plane ------------------------------------------------------------------------------------------------


async def test_the_orchestrator_is_killed(stage: Stage, lab: Lab) -> None:
    async with playing(stage, lab) as untouched, playing(stage, lab, "b") as struck:
        at = time.time()
        before = stage.stack.orchestrator.pid
        stage.stack.orchestrator.kill()
        stage.attempts.kill(Attempt(struck.id, 1))  # while nobody is there to see it
        await eventually(lambda: stage.stack.orchestrator.pid not in (None, before), what="a new orchestrator")
        await struck.is_told("stream.switch")
        await struck.plays_from(2)
        await untouched.plays(2)
        print(f"killed with its container: {struck.late_s(at):.2f} s late; untouched: {untouched.late_s(at):.2f} s")
        assert untouched.viewer.swaps == []
        assert untouched.late_s(at) < 1.0
        assert struck.late_s(at) < BUFFER * struck.target_duration_s
        # What it has adopted it looks after.
        stage.attempts.kill(Attempt(untouched.id, 1))
        await untouched.is_told("stream.switch")
        await untouched.plays_from(2)


async def test_the_api_is_killed(stage: Stage, lab: Lab) -> None:
    async with playing(stage, lab) as watched:
        at = time.time()
        before = stage.stack.api.pid
        stage.stack.api.kill()
        stage.attempts.kill(Attempt(watched.id, 1))
        await eventually(lambda: stage.stack.api.pid not in (None, before), what="a new API")
        await watched.plays_from(2)
        # Its listener has come back by itself, and has missed nothing.
        await watched.is_told("stream.switch")
        assert [event["id"] for event in watched.events] == [1, 2]
        token = {"Authorization": f"Bearer {watched.granted['token']}"}
        answer = await stage.http.get(f"/v1/sessions/{watched.id}", headers=token)
        assert (answer.status_code, answer.json()["phase"]) == (200, "live")
        print(f"API killed: next segment {watched.late_s(at):.2f} s late")
        assert watched.late_s(at) < BUFFER * watched.target_duration_s


# --- outages ----------------------------------------------------------------------------------------------------------


async def test_redis_is_gone_for_30_s(stage: Stage, lab: Lab) -> None:
    channel = await stage.channel(lab["b"].hls_url, lab["h"].hls_url)
    async with playing(stage, lab) as untouched, stage.watch(channel) as failing:
        await failing.plays(4)
        async with _away(stage.redis, 30):
            at = time.time()
            lab["b"].fault = LabFault.HTTP_404
            await failing.plays_from(2)
            await failing.is_told("stream.switch")  # by the rows
            print(f"failover without Redis: {failing.late_s(at):.2f} s late")
            assert failing.late_s(at) < BUFFER * failing.target_duration_s
            asked_at = time.time()
            async with playing(stage, lab, "c") as another:  # a start and a stop
                print(f"start without Redis: {another.start_s:.2f} s")
            print(f"start, four segments and stop without Redis: {time.time() - asked_at:.2f} s")
            lab["b"].fault = None
        await untouched.plays(2)
        assert untouched.late_s(at) < 1.0
        replayed = [event["type"] async for event in _first(stage, failing.granted, 2)]
        assert replayed == ["session.live", "stream.switch"]
        # Messages flow again: an event comes at once.
        asked_at = time.time()
        await failing.switch()
        await failing.is_told("stream.switch", 2)
        print(f"switch after the outage: told within {time.time() - asked_at:.2f} s")
        assert untouched.viewer.swaps == []


@pytest.mark.parametrize("outage_s", [5, 30])
async def test_the_store_refuses(stage: Stage, lab: Lab, outage_s: float) -> None:
    async with playing(stage, lab) as watched:
        async with _away(stage.store, outage_s):
            pass
        at = time.time()
        await watched.plays(4)
        first = next(each for each in watched.viewer.listings if each.at > at)
        print(f"store away for {outage_s} s: listed again {first.at - at:.2f} s after its return")
        assert first.at - at < 3.0
        # The session is live on the attempt that it had: what it could not store in time it kept.
        await asyncio.sleep(2)
        assert watched.viewer.swaps == []
        assert (await watched.view())["phase"] == "live"
        gap_s = (
            first.segment.program_date_time - watched.viewer.listings[watched.viewer.listings.index(first) - 1].segment.end_s
        )
        print(f"  programme lost: {gap_s:.2f} s")
        assert gap_s < max(0.1, outage_s - 25)
        assert not watched.told("stream.unavailable")


async def test_the_database_is_locked_for_8_s(stage: Stage, lab: Lab) -> None:
    url = stage.settings.database_url or ""
    require("SQLite", url.startswith("sqlite"), "another database has no such lock")
    async with playing(stage, lab) as untouched, playing(stage, lab, "b") as struck:
        at = time.time()
        with _locked(url.partition("///")[2]):
            stage.attempts.kill(Attempt(struck.id, 1))
            await asyncio.sleep(8)
        freed_at = time.time()
        await struck.is_told("stream.switch")
        await struck.plays_from(2)
        resumed_s = next(each.at for each in struck.viewer.listings if each.attempt == 2) - freed_at
        print(f"container killed while SQL was locked: listed again {resumed_s:.2f} s after the lock")
        assert resumed_s < 4.0
        await untouched.plays(2)
        assert untouched.late_s(at) < 1.0
        assert untouched.viewer.swaps == []


# --- what the tests do ------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def processes(
    seaweed: Seaweed, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """A stage without containers."""
    async with Stage.open(tmp_path_factory.mktemp("processes"), seaweed, redis_server, runtime="process") as opened:
        yield opened


@contextlib.contextmanager
def frozen(server: ServerProcess) -> Iterator[None]:
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.asynccontextmanager
async def _away(gate: Gate, seconds: float) -> AsyncIterator[None]:
    """The server behind the gate is gone for so long, whatever is done meanwhile."""
    until = time.monotonic() + seconds
    await gate.set(GateState.SHUT)
    try:
        yield
        await asyncio.sleep(max(0.0, until - time.monotonic()))
    finally:
        await gate.set(GateState.OPEN)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


@contextlib.asynccontextmanager
async def _at_hand(stage: Stage) -> AsyncIterator[tuple[MinioObjectStore, DockerRuntime]]:
    store, runtime = MinioObjectStore(stage.settings), DockerRuntime(stage.settings)
    try:
        yield store, runtime
    finally:
        await store.close()
        await runtime.close()


async def _start_by_hand(stage: Stage, store: MinioObjectStore, runtime: DockerRuntime, attempt: Attempt) -> None:
    """As the orchestrator would, which is not there to do it."""
    assert stage.settings.database_url is not None
    tables = open_tables(stage.settings.database_url)
    try:
        session = (await tables.sessions.get(attempt.session_id)).session
        assert session.attempt is not None
        source = await tables.catalogue.source(session.attempt.source_id)
        channel = await tables.catalogue.channel(session.channel_id)
    finally:
        await tables.close()
    session = replace(session, state=Starting(CurrentAttempt.on(attempt.number, source.id, time.time())))
    await runtime.start(job.launch(session, source, channel, store, stage.settings))


async def _keys(store: MinioObjectStore, attempt: Attempt) -> set[str]:
    """What the attempt has stored."""
    prefix = bucket.segments_prefix(attempt.session_id, attempt.number)
    return {each.key async for page in store.objects(prefix) for each in page}


async def _first(stage: Stage, session: Any, count: int) -> AsyncIterator[Any]:
    """A session's first events, as a new listener hears them."""
    events = stage.client.events(session)
    try:
        for _ in range(count):
            yield await anext(events)
    finally:
        await events.aclose()  # type: ignore[attr-defined]
