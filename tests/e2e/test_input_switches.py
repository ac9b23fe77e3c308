"""Sources that misbehave, with input switches on: the agent goes on with the next input in the same container, also while the
control plane is stopped, and what it reports becomes the same facts as a container swap would have left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from lab import Lab, LabFault, LabSource
from tests.e2e.stage import Stage, Watched
from tests.e2e.test_faults import AT_ONCE, BUFFER, CASES, Case, Incident
from tests.servers import RedisServer, Seaweed

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(150), pytest.mark.alone]

# Without the control plane each way of failing is tried once: by silence, by an answer, by an end, by rubbish.
UNATTENDED = [case for case in CASES if case.fault in (LabFault.FROZEN, LabFault.HTTP_404, LabFault.END, LabFault.GARBAGE)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    seaweed: Seaweed, redis_server: RedisServer, runtime: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    data_dir = tmp_path_factory.mktemp("switches")
    async with Stage.open(data_dir, seaweed, redis_server, runtime=runtime, input_switches="on") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def incidents(request: pytest.FixtureRequest, stage: Stage, lab: Lab) -> dict[Case, asyncio.Task[Incident]]:
    """All cases that are asked for, some at a time, each on a channel, a session and a source of its own."""
    items: list[Any] = request.session.items
    cases = {item.callspec.params["case"] for item in items if item.function is test_a_playing_source_fails}
    slots: asyncio.Queue[LabSource] = asyncio.Queue()
    for source in lab.sources[:AT_ONCE]:
        slots.put_nowait(source)

    async def one(case: Case) -> Incident:
        source = await slots.get()
        try:
            return await _incident(stage, case, source, lab)
        finally:
            source.fault = None
            slots.put_nowait(source)

    tasks = {case: asyncio.create_task(one(case), name=str(case)) for case in CASES if case in cases}
    await asyncio.wait(tasks.values())
    return tasks


async def _incident(stage: Stage, case: Case, source: LabSource, lab: Lab) -> Incident:
    channel = await _channel(stage, case, source, lab)
    async with stage.watch(channel) as watched:
        await watched.plays(4)
        at = time.time()
        await _fail(case, source)
        await watched.is_told("stream.switch", timeout_s=20)
        await watched.plays(4)
        sources = await stage.sources(channel)
        attempts = await watched.rows()
        await stage.runs(watched.id, 1)
    log = (await stage.http.get(f"/v1/sessions/{watched.id}/attempts/1/log")).text
    return Incident(watched, at, sources, attempts, log)


async def _channel(stage: Stage, case: Case, source: LabSource, lab: Lab) -> Any:
    first = source.ts_url if case.kind == "ts" else source.hls_url
    return await stage.channel(first, lab["g"].hls_url, lab["h"].hls_url)


async def _fail(case: Case, source: LabSource) -> None:
    source.inject(case.fault, case.amount)
    if case.then:
        await asyncio.sleep(1.5 * source.segment_s)  # in the middle of a segment, and no other comes
        source.fault = case.then


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_playing_source_fails(case: Case, incidents: dict[Case, asyncio.Task[Incident]]) -> None:
    watched, at, sources, attempts, log = incidents[case].result()
    bad, good, other = sources
    (switch,) = watched.told("stream.switch")
    late_s = watched.late_s(at)
    print(f"{case}: next segment {late_s:.2f} s late, {switch['gap_ms']:+d} ms of programme, {switch['reason']}")
    assert watched.viewer.swaps == [], "no other container has listed anything"
    _is_on_record(watched, switch, case, attempts, log, bad, good)
    for each in (good, other):
        assert (each["failure_count"], each["stall_count"], each["last_failure_reason"]) == (0, 0, None)
    assert "late" not in switch
    assert watched.viewer.faults == []
    assert late_s < BUFFER * watched.target_duration_s


def _is_on_record(watched: Watched, switch: Any, case: Case, attempts: list[Any], log: str, bad: Any, good: Any) -> None:
    """The same facts as after a container swap: one switch, one source blamed once, and the legs in the history."""
    assert [event["type"] for event in watched.events] == ["session.live", "stream.switch", "session.ended"]
    assert (switch["from"], switch["to"], switch["reason"]) == (bad["id"], good["id"], case.reason), log
    assert (switch["attempt"], switch["leg"], switch["by"]) == (1, 2, "agent")
    stalled = case.reason == "source stalled"
    assert (bad["failure_count"], bad["stall_count"]) == (int(not stalled), int(stalled))
    assert (bad["status"], bad["last_failure_reason"]) == ("problematic", case.reason)
    (attempt,) = attempts
    assert [(leg["source_id"], leg["end_reason"]) for leg in attempt["legs"]] == [(bad["id"], case.reason), (good["id"], None)]
    assert case.reason in log


async def test_a_source_fails_while_the_control_plane_is_stopped(stage: Stage, lab: Lab) -> None:
    """Viewers go on; when it is back, all of it is on record, told late."""
    slots = list(zip(UNATTENDED, lab.sources[:AT_ONCE], strict=False))
    channels = [await _channel(stage, case, source, lab) for case, source in slots]
    async with contextlib.AsyncExitStack() as stack:
        watching = [await stack.enter_async_context(stage.watch(channel)) for channel in channels]
        for watched in watching:
            await watched.plays(3)
        at = time.time()
        with _stopped(stage):
            for case, source in slots:
                await _fail(case, source)
            for watched in watching:  # long enough that it is told late
                await watched.plays(16, timeout_s=40)
        for (case, _), watched, channel in zip(slots, watching, channels, strict=True):
            switch = await watched.is_told("stream.switch", timeout_s=20)
            late_s = watched.late_s(at)
            print(f"{case}, unattended: next segment {late_s:.2f} s late, {switch['reason']}")
            assert late_s < BUFFER * watched.target_duration_s
            assert switch["late"] is True
            sources = await stage.sources(channel)
            _recorded(await watched.rows(), sources, case)
            assert watched.viewer.swaps == []
            assert watched.viewer.faults == []
    for _, source in slots:
        source.fault = None


def _recorded(attempts: list[Any], sources: list[Any], case: Case) -> None:
    bad, good, _ = sources
    stalled = case.reason == "source stalled"
    assert (bad["failure_count"], bad["stall_count"]) == (int(not stalled), int(stalled))
    (attempt,) = attempts
    assert [(leg["source_id"], leg["end_reason"]) for leg in attempt["legs"]] == [(bad["id"], case.reason), (good["id"], None)]


async def test_a_container_that_dies_is_still_swapped(stage: Stage, lab: Lab) -> None:
    channel = await stage.channel(lab["a"].hls_url, lab["g"].hls_url)
    async with stage.watch(channel) as watched:
        await watched.plays(4)
        lab["a"].fault = LabFault.REFUSE
        await watched.is_told("stream.switch", timeout_s=20)
        lab["a"].fault = None
        (attempt,) = stage.attempts.of(watched.id)
        stage.attempts.kill(attempt)
        swap = await watched.is_told("stream.switch", count=2, timeout_s=20)
        assert (swap["attempt"], swap["to"]) == (2, channel["sources"][1]["id"]), "what played goes on, in a new container"
        assert swap["reason"] == "container killed"
        await watched.plays_from(2, 3)
        good = (await stage.sources(channel))[1]
        assert (good["failure_count"], good["stall_count"]) == (0, 0)
    assert watched.viewer.faults == []


@contextlib.contextmanager
def _stopped(stage: Stage) -> Iterator[None]:
    """Orchestrator and API do not run for as long as the block does, nor does Redis answer them."""
    pids = [pid for pid in (stage.stack.orchestrator.pid, stage.stack.api.pid) if pid is not None]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
