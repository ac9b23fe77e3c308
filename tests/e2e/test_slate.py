"""Every source of a channel goes down and comes back: the playlist goes on with the slate; viewers are told by event alone."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from lab import Lab, LabFault
from orchestrator.core.model import SLATE
from tests.e2e.stage import Stage, Watched
from tests.support import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(150), pytest.mark.alone]

BUFFER = 3  # target durations: where a player starts (RFC 8216, 6.3.3), and so what it has in store


async def slates(watched: Watched) -> list[Any]:
    return [row for row in await watched.rows() if row["source_id"] == SLATE]


async def shows_slate(watched: Watched, count: int = 1) -> Any:
    """Awaits that so many slates have listed; the last one's row."""

    async def listed() -> Any:
        rows = await slates(watched)
        return rows[-1] if len(rows) >= count and rows[-1]["first_segment_at"] else None

    return await eventually(listed, timeout_s=20, every_s=0.1, what=f"slate number {count} of {watched.id}")


async def test_all_sources_go_down_and_come_back(stage: Stage, lab: Lab) -> None:
    a, b = lab["a"], lab["b"]
    channel = await stage.channel(a.hls_url, b.hls_url)
    async with stage.watch(channel) as watched:
        await watched.plays(4)
        went_at = time.time()
        a.fault = b.fault = LabFault.REFUSE
        unavailable = await watched.is_told("stream.unavailable", timeout_s=20)
        slate = await shows_slate(watched)
        await watched.plays(8)
        view = await watched.view()
        assert (view["phase"], view["id"]) == ("unavailable", watched.id)
        came_at = time.time()
        b.fault = None
        recovered = await watched.is_told("stream.recovered", timeout_s=40)
        await watched.plays_from(recovered["attempt"], 4)
        a.fault = None
        await stage.runs(watched.id, recovered["attempt"])
        rows = await watched.rows()
        sources = await stage.sources(channel)
    print(
        f"the slate was {watched.late_s(went_at):.2f} s late at most; "
        f"the source played again {recovered_s(watched, recovered, came_at):.2f} s after it came back"
    )
    assert unavailable["slate"] is True
    assert set(unavailable["sources"]) == {source["id"] for source in sources}
    assert (recovered["to"], SLATE in (recovered["from"], recovered["to"])) == (sources[1]["id"], False)
    kinds = [event["type"] for event in watched.events]
    assert kinds == ["session.live", "stream.switch", "stream.unavailable", "stream.recovered", "session.ended"] or kinds == [
        "session.live", "stream.unavailable", "stream.recovered", "session.ended",
    ]  # fmt: skip
    assert watched.viewer.faults == []
    assert watched.late_s() < BUFFER * watched.target_duration_s
    assert [row["number"] for row in rows if row["source_id"] == SLATE] == [slate["number"]], (
        "one, whatever was tried beside it"
    )
    assert next(row["end_reason"] for row in rows if row["source_id"] == SLATE).startswith("replaced: ")
    listed = {listing.attempt for listing in watched.viewer.listings}
    assert {slate["number"], recovered["attempt"]} <= listed


def recovered_s(watched: Watched, recovered: Any, since: float) -> float:
    return next(each.at for each in watched.viewer.listings if each.attempt == recovered["attempt"]) - since


async def test_a_slate_that_is_killed_is_started_again_and_told_to_nobody(stage: Stage, lab: Lab) -> None:
    source = lab["c"]
    channel = await stage.channel(source.hls_url)
    async with stage.watch(channel) as watched:
        await watched.plays(3)
        source.fault = LabFault.REFUSE
        await watched.is_told("stream.unavailable", timeout_s=20)
        first = await shows_slate(watched)
        running = next(each for each in stage.attempts.of(watched.id) if each.number == first["number"])
        await asyncio.to_thread(stage.attempts.kill, running)
        second = await shows_slate(watched, 2)
        await watched.plays_from(second["number"], 3)
        (row,) = await stage.sources(channel)
        source.fault = None
        recovered = await watched.is_told("stream.recovered", timeout_s=40)
        await watched.plays_from(recovered["attempt"], 2)
    assert first["number"] < second["number"] < recovered["attempt"]
    assert row["last_failure_reason"] == "source unreachable"
    kinds = [event["type"] for event in watched.events]
    assert kinds == ["session.live", "stream.unavailable", "stream.recovered", "session.ended"]
    assert watched.viewer.faults == []


async def test_with_the_slate_off_nothing_is_listed_until_a_source_works(stage: Stage, lab: Lab) -> None:
    source = lab["d"]
    channel = await stage.channel(source.hls_url)
    await stage.client.call("PATCH", f"/v1/channels/{channel['id']}", {"policy": {"slate": False}})
    async with stage.watch(channel) as watched:
        await watched.plays(3)
        source.fault = LabFault.REFUSE
        unavailable = await watched.is_told("stream.unavailable", timeout_s=20)
        await eventually(lambda: not stage.attempts.of(watched.id), timeout_s=10, what="that nothing runs")
        source.fault = None
        recovered = await watched.is_told("stream.recovered", timeout_s=40)
        await watched.plays_from(recovered["attempt"], 2)
        assert await slates(watched) == []
    assert "slate" not in unavailable
    assert watched.viewer.faults == []
