"""One session through ten swaps of every kind: real players play it end to end, and see the sources in the right order.

The sources differ as sources do: in timestamps (one of them wraps meanwhile), in resolution, in audio codec.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from lab import MARKS_FILTER, Lab, LabFault, LabSource, Mark, Recipe, default_ffmpeg, marks
from lab.media.loop import FPS
from tests.e2e.attempts import Attempt, ffmpeg_pid
from tests.e2e.site import served
from tests.e2e.stage import Stage, Watched
from tests.servers import RedisServer, Seaweed
from tests.support import eventually
from transcoder.publish.media_playlist import MediaPlaylist

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240), pytest.mark.alone]

HERE = Path(__file__).parent
HLS_JS = HERE.parents[1] / "api/web/node_modules/hls.js/dist/hls.min.js"

SEGMENT_S = 2.0
STILL_MS = 250  # longer, and a viewer would call it a stall


class Programme(NamedTuple):
    """What was sent, and what became of it at its players."""

    watched: Watched
    attempts: list[Any]
    pictures: list[int]  # of the attempts, in order
    history_url: str  # the whole programme as one playlist
    seen: dict[str, Any]  # by hls.js
    streamlink: tuple[int, str, Path]  # its exit code, what it said, what it wrote


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sources() -> AsyncIterator[list[LabSource]]:
    """Four sources; the second one's clock is another, and wraps in the middle of the test."""
    small = Recipe(segment_s=SEGMENT_S, width=480, height=270)
    mp2, larger = Recipe(segment_s=SEGMENT_S, width=480, height=270, audio="mp2"), Recipe(segment_s=SEGMENT_S)
    async with (
        Lab(names=("a", "-", "c", "d"), recipe=small, recipes={"c": mp2, "d": larger}) as one,
        Lab(names=("-", "b"), recipe=small, wrap_after_s=30.0) as two,
    ):
        yield [one["a"], two["b"], one["c"], one["d"]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    seaweed: Seaweed, redis_server: RedisServer, runtime: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """Segments of 2 s, as the product has them; what has failed is probed again soon; segments stay for the whole test."""
    settings = {"segment_s": SEGMENT_S, "stall_limit_s": 3.0, "reprobe_interval_s": 2.0, "segment_retention_s": 600.0}
    directory = tmp_path_factory.mktemp("stack")
    async with Stage.open(directory, seaweed, redis_server, runtime=runtime, **settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The player's page: its address, and the directory behind it."""
    directory = tmp_path_factory.mktemp("site")
    shutil.copy(HERE / "player.html", directory)
    shutil.copy(HLS_JS, directory)
    with served(directory) as address:
        yield address, directory


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def programme(
    stage: Stage, sources: list[LabSource], site: tuple[str, Path], browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Programme:
    """The session, watched live by hls.js and by streamlink, from its start to its end."""
    base_url, directory = site
    written = tmp_path_factory.mktemp("streamlink") / "programme.ts"
    channel = await stage.channel(*(source.hls_url for source in sources))
    by_id = {row["id"]: source for row, source in zip(channel["sources"], sources, strict=True)}
    page = await browser.new_page()

    async def seen() -> dict[str, Any]:
        found: dict[str, Any] = await page.evaluate("seen")
        return found

    async with stage.watch(channel) as watched:
        playlist_url = watched.granted["playlist_url"]
        streamlink = asyncio.create_task(_streamlink(playlist_url, written))
        # A player keeps three target durations from the live edge (RFC 8216, 6.3.3): here are as many.
        await watched.plays(4)
        await page.goto(f"{base_url}/player.html?playlist={quote(playlist_url)}")
        await eventually(lambda: _is(seen, "started"), timeout_s=30, what="the picture's start")
        await _ten_swaps(watched, by_id)
        attempts = await watched.rows()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(30):
            while not (await seen())["ended"]:
                await asyncio.sleep(0.2)
    code, said = await asyncio.wait_for(streamlink, 30)
    segments = tuple(each.segment for each in watched.viewer.listings)
    history = MediaPlaylist(watched.target_duration_s, 0, 0, segments, ended=True).absolute(playlist_url)
    (directory / "history.m3u8").write_text(history.render())
    pictures = [by_id[row["source_id"]].loop.recipe.picture for row in attempts]
    return Programme(watched, attempts, pictures, f"{base_url}/history.m3u8", await seen(), (code, said, written))


async def _is(seen: Any, what: str) -> bool:
    return bool((await seen())[what])


async def _ten_swaps(watched: Watched, sources: dict[str, LabSource]) -> None:
    """Faults of the source, of the container and of FFmpeg, and operators' switches, each after the one before is over."""
    stage, ids = watched.stage, list(sources)

    async def fail(fault: LabFault) -> None:
        playing = sources[(await watched.view())["source_id"]]
        playing.fault = fault
        await swapped()
        playing.fault = None

    async def swapped() -> None:
        count = len(watched.viewer.swaps) + 1
        switch = await watched.is_told("stream.switch", count)
        await watched.plays_from(switch["attempt"], 2)
        swap = watched.viewer.swaps[-1]
        print(
            f"swap {count}: {switch['reason']}, attempt {switch['attempt']}, source {ids.index(switch['to'])}: "
            f"{swap.late_s:+.2f} s late, {swap.gap_s:+.2f} s of programme"
        )

    async def running() -> Attempt:
        return Attempt(watched.id, (await watched.view())["attempt"])

    await watched.plays(2)
    await fail(LabFault.REFUSE)
    await fail(LabFault.FROZEN)
    stage.attempts.kill(await running())
    await swapped()
    await watched.switch(ids[3])
    await swapped()
    await fail(LabFault.GARBAGE)
    await fail(LabFault.HTTP_404)
    os.kill(ffmpeg_pid(await running()), signal.SIGKILL)
    await swapped()
    await fail(LabFault.END)
    await watched.switch(ids[2])
    await swapped()
    await fail(LabFault.HANG)


def _ideal_buffers_s(watched: Watched) -> list[float]:
    """What a player that knows each listing at once has left when it comes: it begins three target durations from the live
    edge, as soon as there are as many. No player has more; one that asks every so often has that much less."""
    behind_s = 3.0 * watched.target_duration_s
    buffers_s: list[float] = []
    listed_s, empty_at = 0.0, None
    for listing in watched.viewer.listings:
        listed_s += listing.segment.duration_s
        if empty_at is not None:
            buffers_s.append(empty_at - listing.at)
            empty_at += listing.segment.duration_s
        elif listed_s >= behind_s:
            empty_at = listing.at + behind_s
    return buffers_s


async def _streamlink(url: str, written: Path) -> tuple[int, str]:
    """As somebody would who records a live channel."""
    command = [sys.executable, "-m", "streamlink", "--loglevel", "warning", "--hls-live-restart", "--output", str(written)]
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    process = await asyncio.create_subprocess_exec(
        *command, url, "best", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environ
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def _decode(url: str) -> tuple[list[Mark], str]:
    """Every frame's marks, and FFmpeg's complaints."""
    process = await asyncio.create_subprocess_exec(
        default_ffmpeg(), "-v", "error", "-i", url, "-vf", MARKS_FILTER, "-fps_mode", "passthrough",
        "-an", "-pix_fmt", "rgb24", "-f", "rawvideo", "-",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    frames, complaints = await process.communicate()
    assert process.returncode == 0
    return marks(frames), complaints.decode()


def _runs(frames: list[Mark]) -> list[int]:
    """The pictures in the order in which they were seen."""
    return [picture for picture, _ in itertools.groupby(frame.picture for frame in frames)]


def _steps(frames: list[Mark], loop_frames: int) -> list[int]:
    """By how much the programme went on from each frame to the next; 1 where nothing was skipped or repeated."""
    pairs = itertools.pairwise(frame.frame for frame in frames)
    return [(after - before + loop_frames // 2) % loop_frames - loop_frames // 2 for before, after in pairs]


async def test_the_playlist_keeps_its_laws(programme: Programme) -> None:
    viewer = programme.watched.viewer
    assert viewer.faults == []
    assert len(viewer.swaps) == 10
    buffers_s = _ideal_buffers_s(programme.watched)
    print(f"buffer of an ideal player: {[round(buffer_s, 1) for buffer_s in buffers_s]}")
    late_s = [swap.late_s for swap in viewer.swaps]
    print(f"lateness of the ten: {sorted(round(late, 2) for late in late_s)}")
    assert max(late_s) < 2 * programme.watched.target_duration_s
    kinds = [event["type"] for event in programme.watched.events]
    assert kinds == ["session.live", *["stream.switch"] * 10, "session.ended"]


async def test_hls_js_plays_it_live_without_a_stall(programme: Programme) -> None:
    seen = programme.seen
    print(
        f"stills {seen['stills_ms']} ms, least buffer {seen['least_buffer_s']:.1f} s; errors {seen['errors']}, at {seen['at']}"
    )
    assert seen["errors"] == []
    assert seen["ended"]
    assert seen["reloads"] == 1
    assert [still for still in seen["stills_ms"] if still > STILL_MS] == []


async def test_streamlink_plays_it_live_to_its_end(programme: Programme, sources: list[LabSource]) -> None:
    code, said, written = programme.streamlink
    # It writes what it gets, one after the other, and says so at each discontinuity; there is nothing else to say.
    complaints = {line for line in said.splitlines() if "Encountered a stream discontinuity" not in line}
    assert (code, complaints) == (0, set())
    frames, _ = await _decode(str(written))
    assert _runs(frames) == _merged(programme.pictures)


async def test_ffmpeg_plays_it_end_to_end_in_the_right_order(programme: Programme, sources: list[LabSource]) -> None:
    frames, complaints = await _decode(programme.history_url)
    assert complaints == ""
    assert _runs(frames) == _merged(programme.pictures)
    listed_s = sum(each.segment.duration_s for each in programme.watched.viewer.listings)
    assert len(frames) == pytest.approx(listed_s * FPS, abs=FPS)
    steps = [step for step in _steps(frames, sources[0].loop.recipe.loop_s * FPS) if step != 1]
    print(f"programme skipped (or, negative, repeated) at swaps, in frames: {[step - 1 for step in steps]}")
    assert all(abs(step - 1) <= 1.5 * SEGMENT_S * FPS for step in steps)


def _merged(pictures: list[int]) -> list[int]:
    """A swap to the same source is not seen."""
    return [picture for picture, _ in itertools.groupby(pictures)]
