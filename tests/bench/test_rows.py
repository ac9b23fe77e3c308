"""Every row of the bench can be measured: once, as child processes, with short segments. No test here
fails because of a time; each checks that the row can be measured, and which parts it has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from bench import fleet, footprint
from bench.rebuffering import rebuffering
from bench.stage import PATIENCE_S, Stage, open_stage
from bench.start import start_hls, start_ts
from bench.swap import container_killed, source_refuses, source_silent, source_trickles
from bench.table import Row
from lab.chromium import EXECUTABLE
from orchestrator.app.settings import Settings
from tests.support import require

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.stack]

SEGMENT_S = 1.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with open_stage(Settings(runtime="process", segment_s=SEGMENT_S)) as stage:
        yield stage


@pytest.mark.parametrize("measure", [start_hls, start_ts])
async def test_starts(stage: Stage, measure: Callable[[Stage, int], Awaitable[list[Row]]]) -> None:
    (row,) = await measure(stage, 1)
    assert len(row.values) == 1
    assert sum(values[0] for values in row.parts.values()) == pytest.approx(row.values[0])
    for part in ("nudge, probe, decision", "its first process becomes the agent", "first playlist in the store"):
        assert part in row.parts


@pytest.mark.parametrize(
    ("measure", "injuries"), [(container_killed, 1), (source_refuses, 5), (source_silent, 2), (source_trickles, 1)]
)
@pytest.mark.timeout(120)
async def test_swaps(stage: Stage, measure: Callable[[Stage, int], Awaitable[list[Row]]], injuries: int) -> None:
    late, programme = await measure(stage, 1)
    assert len(late.values) == len(programme.values) == injuries
    assert "until the next attempt is decided" in late.parts
    assert all(len(values) == injuries for values in late.parts.values() if values is late.parts["first listing"])
    assert all(value < 10 * SEGMENT_S for value in programme.values)  # the loop is longer: what is more was misread


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_rebuffering(stage: Stage) -> None:
    require("Chromium", EXECUTABLE, "neither chromium nor chromium-browser is on PATH")
    kill, stall = await rebuffering(stage, 1)
    assert len(kill.values) == len(stall.values) == 1
    assert all(0.0 <= value < PATIENCE_S for value in (*kill.values, *stall.values))


async def test_fleet(stage: Stage) -> None:
    (row,) = await fleet.measure(stage, fleets=1, size=3)
    assert row.remark == "0 not live"
    assert len(row.parts["one session, request to answer"]) == 3


async def test_footprint(stage: Stage) -> None:
    memory, cpu = await footprint.measure(stage, 1, settled_s=0.5, measured_s=1.0)
    assert len(memory.values) == len(cpu.values) == 1
    assert memory.parts["FFmpeg"][0] > 1.0
    assert memory.values[0] > memory.parts["FFmpeg"][0]
