"""One contract for every prober: the fake, and ffprobe against live sources."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from lab import Lab, LabFault
from orchestrator.adapters.ffmpeg.ffprobe import FfprobeProber
from orchestrator.app.settings import Settings
from orchestrator.core.model import Cause, Source, Why
from orchestrator.ports import Prober, ProbeResult
from tests.fakes.prober import FakeProber

TIMEOUT_S = 2.0


def source(url: str) -> Source:
    return Source(id="source", channel_id="channel", url=url)


class Rig:
    """A prober, and the addresses of a source that works, one that is gone and one that hangs."""

    def __init__(self, prober: Prober, works: str, gone: str, hung: str) -> None:
        self.prober = prober
        self.works, self.gone, self.hung = source(works), source(gone), source(hung)


@pytest.fixture(params=["fake", pytest.param("ffprobe", marks=pytest.mark.slow)])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    if request.param == "fake":
        fake = FakeProber()
        rig = Rig(fake, "http://a/works.m3u8", "http://b/gone.m3u8", "http://c/hung.m3u8")
        fake.results[rig.gone.url] = ProbeResult.fails(Why(Cause.REFUSES, "404 Not Found"))
        fake.results[rig.hung.url] = ProbeResult.fails(Why(Cause.UNREACHABLE, "no answer within 2 s"))
        fake.hung[rig.hung.url] = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(TIMEOUT_S, fake.hung[rig.hung.url].set)
        yield rig
        timer.cancel()
        return
    async with Lab(names=("works", "gone", "hung"), segment_s=1.0) as lab:
        lab["gone"].fault = LabFault.HTTP_404
        lab["hung"].fault = LabFault.HANG
        prober = FfprobeProber(Settings(probe_timeout_s=TIMEOUT_S, probe_concurrency=2))
        yield Rig(prober, lab["works"].hls_url, lab["gone"].hls_url, lab["hung"].hls_url)
        await prober.close()


async def test_what_works_shows_its_media(rig: Rig) -> None:
    result = await rig.prober.probe(rig.works)
    assert result.reason is None
    assert result.media is not None
    assert (result.media.video, result.media.audio, result.media.channels) == ("h264", "aac", 2)
    assert result.media.cadence_s


async def test_what_does_not_work_has_a_reason(rig: Rig) -> None:
    assert await rig.prober.probe(rig.gone) == ProbeResult.fails(Why(Cause.REFUSES, "404 Not Found"))


async def test_what_hangs_is_given_up_in_time(rig: Rig) -> None:
    before = time.monotonic()
    result = await rig.prober.probe(rig.hung)
    assert result == ProbeResult.fails(Why(Cause.UNREACHABLE, "no answer within 2 s"))
    assert time.monotonic() - before < TIMEOUT_S + 1.0


async def test_what_hangs_holds_up_nobody_else(rig: Rig) -> None:
    hung = [asyncio.create_task(rig.prober.probe(rig.hung)) for _ in range(3)]
    await asyncio.sleep(0.1)
    before = time.monotonic()
    result = await rig.prober.probe(rig.works)
    assert result.media is not None
    assert time.monotonic() - before < 1.0
    assert not any(task.done() for task in hung)
    await asyncio.gather(*hung)


async def test_a_probe_that_nobody_wants_any_more_can_be_cancelled(rig: Rig) -> None:
    task = asyncio.create_task(rig.prober.probe(rig.hung))
    await asyncio.sleep(0.1)
    before = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - before < 0.5
    assert (await rig.prober.probe(rig.works)).media is not None
