"""What one session's container costs while it copies 1.5 Mbit/s: memory without page cache, CPU."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bench.containers import Usage
from bench.stage import Stage
from bench.table import Goal, Row

BITRATE_BPS = 1_500_000
_AT_ONCE = 10  # the machine is to be busy with little else
_SETTLED_S = 10.0  # the first burst is over, the window has filled
_MEASURED_S = 30.0  # a health check included


async def footprint(stage: Stage, runs: int) -> list[Row]:
    return await measure(stage, runs, _SETTLED_S, _MEASURED_S)


async def measure(stage: Stage, runs: int, settled_s: float, measured_s: float) -> list[Row]:
    lab = await stage.lab(BITRATE_BPS)
    before: list[Usage] = []
    after: list[Usage] = []
    for start in range(0, runs, _AT_ONCE):
        channels = [await stage.channel([lab["a"].hls_url]) for _ in range(min(_AT_ONCE, runs - start))]
        asked = [await stage.request(channel["id"], wait_s=20.0) for channel in channels]
        await asyncio.sleep(settled_s)
        before += [await stage.containers.usage(each.id, 1) for each in asked]
        await asyncio.sleep(measured_s)
        after += [await stage.containers.usage(each.id, 1) for each in asked]
        await asyncio.gather(*(stage.end(each) for each in asked))
    megabytes = [usage.memory_bytes / 1e6 for usage in after]
    ffmpeg = [usage.ffmpeg_bytes / 1e6 for usage in after]
    cores = [_per_cent(one.cpu_s, two.cpu_s, one, two) for one, two in zip(before, after, strict=True)]
    of_ffmpeg = [_per_cent(one.ffmpeg_cpu_s, two.ffmpeg_cpu_s, one, two) for one, two in zip(before, after, strict=True)]
    return [
        Row(
            "memory", "memory of one session's container, without page cache", "MB", Goal(median=38.0), megabytes,
            {"FFmpeg": ffmpeg, "the agent, init, the kernel's own": _rest(megabytes, ffmpeg)},
        ),
        Row(
            "cpu", "CPU of one session's container, copying 1.5 Mbit/s", "%", Goal(median=1.0), cores,
            {"FFmpeg": of_ffmpeg, "the agent, health checks": _rest(cores, of_ffmpeg)}, remark="of one core",
        ),
    ]  # fmt: skip


def _per_cent(one_s: float, two_s: float, one: Usage, two: Usage) -> float:
    return 100.0 * (two_s - one_s) / (two.at - one.at)


def _rest(whole: Sequence[float], part: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(whole, part, strict=True)]
