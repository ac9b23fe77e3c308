"""Thirty of fifty sessions depend on sources that hang: the other twenty start and play as if they were alone."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from lab import Lab, LabFault
from lab.viewer import Viewer
from orchestrator.errors import FailoverError
from tests.e2e.stage import Stage
from tests.servers import RedisServer, Seaweed
from tests.support import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240), pytest.mark.alone]

WELL, HUNG_AT_START, HUNG_AT_PLAY = 20, 15, 15
WATCHED_S = 6.0  # before and after the second of the two sources hangs


class Impression(NamedTuple):
    """What the viewers of the twenty have met with."""

    starts_s: list[float]  # from the request to the first playlist
    lates_s: list[float]  # of each listing

    def __str__(self) -> str:
        return (
            f"live after {statistics.median(self.starts_s):.2f} s (median), {max(self.starts_s):.2f} s (last); "
            f"latest listing {max(self.lates_s):.2f} s after it was due"
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(seaweed: Seaweed, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Processes: the start of twenty containers on two cores is so long that nothing else could be seen beside it."""
    async with Stage.open(tmp_path_factory.mktemp("stack"), seaweed, redis_server, runtime="process") as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def watched() -> AsyncIterator[contextlib.AsyncExitStack]:
    """Sessions whose viewers go on watching until the end of the test."""
    async with contextlib.AsyncExitStack() as stack:
        yield stack


async def test_thirty_on_hung_sources_take_nothing_from_the_other_twenty(
    stage: Stage, lab: Lab, watched: contextlib.AsyncExitStack
) -> None:
    lab["b"].fault = LabFault.HANG
    well = [await stage.channel(lab["g"].hls_url, known=False) for _ in range(2 * WELL)]
    hung_at_start = [await stage.channel(lab["b"].hls_url, known=False) for _ in range(HUNG_AT_START)]
    hung_at_play = [await stage.channel(lab["a"].hls_url, known=False) for _ in range(HUNG_AT_PLAY)]

    async def nothing() -> None: ...

    async def hang() -> None:
        lab["a"].fault = LabFault.HANG

    alone = await _watch(stage, well[:WELL], midway=nothing)
    print(f"\nalone:    {alone}")
    playing = await asyncio.gather(*(stage.client.session(channel["id"]) for channel in hung_at_play))
    assert {session["phase"] for session in playing} == {"live"}
    for session in playing:
        await watched.enter_async_context(stage.client.watching(session["id"]))
    waiting = [asyncio.create_task(_refused(stage, channel)) for channel in hung_at_start]
    beside = await _watch(stage, well[WELL:], midway=hang)
    print(f"with 30:  {beside}")
    assert all([await task for task in waiting])

    async def unavailable() -> bool:
        views = await asyncio.gather(*(stage.client.call("GET", f"/v1/sessions/{session['id']}") for session in playing))
        return {view["phase"] for view in views} == {"unavailable"}

    await eventually(unavailable, timeout_s=20, every_s=0.5, what="the verdict on those that were playing")
    await asyncio.gather(*(stage.stop(session["id"]) for session in playing))
    # Who had to wait for one hung probe would be 5 s late; the rest is what a busy machine makes of twenty starts.
    assert statistics.median(beside.starts_s) < statistics.median(alone.starts_s) + 2.5
    assert max(beside.lates_s) < max(alone.lates_s) + 1.5


async def _watch(stage: Stage, channels: list[Any], midway: Callable[[], Awaitable[None]]) -> Impression:
    """All requested at once, watched for a while, and, after what happens `midway`, for a while more."""
    viewers: list[Viewer] = []
    starts_s: list[float] = []
    sessions: list[str] = []
    over = False

    async def one(channel: Any) -> None:
        asked_at = time.monotonic()
        session = await stage.client.session(channel["id"])
        starts_s.append(time.monotonic() - asked_at)
        assert session["phase"] == "live"
        sessions.append(session["id"])
        viewer = Viewer(session["playlist_url"], fetch=False)
        viewers.append(viewer)
        async with stage.client.watching(session["id"]):
            while not over:
                await viewer.look()
                await asyncio.sleep(0.25)

    async with asyncio.TaskGroup() as group:
        for channel in channels:
            group.create_task(one(channel))
        await eventually(lambda: len(viewers) == len(channels), timeout_s=60, what="all to be live")
        await asyncio.sleep(WATCHED_S)
        await midway()
        await asyncio.sleep(WATCHED_S)
        over = True
    for viewer in viewers:
        viewer.close()
        assert viewer.faults == []
        assert viewer.swaps == []
    await asyncio.gather(*(stage.stop(session_id) for session_id in sessions))
    return Impression(starts_s, [each.late_s or 0.0 for viewer in viewers for each in viewer.listings])


async def _refused(stage: Stage, channel: Any) -> str:
    """The words with which a session is refused."""
    try:
        session = await stage.client.session(channel["id"])
    except FailoverError as error:
        return str(error)
    raise AssertionError(f"{session} is no refusal")
