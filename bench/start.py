"""From the request of a session to a playlist with a segment in the store, for a source that nobody has asked before."""

from __future__ import annotations

import asyncio
import random

from bench.moments import Parts
from bench.stage import PATIENCE_S, Stage, came
from bench.table import Goal, Row

_STEPS = {
    "row": "the request reaches the row",
    "decided": "nudge, probe, decision",
    "created": "the engine takes the container",
    "started": "the engine starts it",
    "agent": "its first process becomes the agent",
    "ffmpeg": "the agent starts FFmpeg",
    "media": "FFmpeg's first media",
    "stored": "first segment in the store",
    "listed": "first playlist in the store",
    "seen": "seen by the viewer",
}


async def start_hls(stage: Stage, runs: int) -> list[Row]:
    url = (await stage.lab())["a"].hls_url
    values, parts = await _starts(stage, runs, url)
    goal = Goal(median=0.40, p95=0.8)
    return [Row("start-hls", "request to first playlist, live HLS source, 2 s segments", "s", goal, values, parts)]


async def start_ts(stage: Stage, runs: int) -> list[Row]:
    url = (await stage.lab())["a"].ts_url
    values, parts = await _starts(stage, runs, url)
    return [Row("start-ts", "the same, MPEG-TS with a keyframe every 2 s", "s", Goal(median=2.6), values, parts)]


async def _starts(stage: Stage, runs: int, url: str) -> tuple[list[float], dict[str, list[float]]]:
    values: list[float] = []
    parts = Parts(_STEPS)
    for _ in range(runs):
        channel = await stage.channel([url])
        # Sources publish by the clock: each run is to meet them at another moment.
        await asyncio.sleep(random.uniform(0.0, stage.settings.segment_s))
        asked = await stage.request(channel["id"])
        async with stage.watching(asked) as viewer:
            listings = viewer.listings
            if not await came(lambda listings=listings: bool(listings)):  # type: ignore[misc]
                values.append(PATIENCE_S)
                await stage.end(asked)
                continue
        known = await stage.moments(asked, attempt=1)
        await stage.end(asked)
        values.append(listings[0].at - asked.sent_at)
        parts.add(asked.sent_at, known | await stage.logged(asked, 1) | {"seen": listings[0].at})
    return values, parts.of()
