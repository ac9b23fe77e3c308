"""One contract for whoever makes pictures of media: the fake, and FFmpeg."""

from __future__ import annotations

import asyncio
import shutil
import struct
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from orchestrator.adapters.ffmpeg import frames as adapter
from orchestrator.adapters.ffmpeg.binaries import find
from orchestrator.adapters.ffmpeg.frames import FfmpegFrames
from orchestrator.app.settings import Settings
from orchestrator.errors import BadSetting, FramesUnavailable
from orchestrator.ports import Frames
from tests.fakes.frames import FakeFrames


class Rig(NamedTuple):
    frames: Frames
    picture: bytes  # media with one
    sound: bytes  # media without


def media(*of: str) -> bytes:
    """A second of MPEG-TS, as a segment is."""
    return subprocess.run(
        [find("ffmpeg", Settings()), "-v", "error", "-f", "lavfi", *of, "-t", "1", "-f", "mpegts", "pipe:1"],
        capture_output=True, check=True,
    ).stdout  # fmt: skip


@pytest.fixture(autouse=True)
def _the_machine_may_be_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_LIMIT_S", 30.0)


@pytest.fixture(scope="module")
def segments() -> tuple[bytes, bytes]:
    picture = media("-i", "testsrc2=size=1280x720:rate=25", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    return picture, media("-i", "sine=frequency=440", "-c:a", "aac")


@pytest.fixture(params=["fake", "ffmpeg"])
def rig(request: pytest.FixtureRequest) -> Rig:
    if request.param == "fake":
        return Rig(FakeFrames(), FakeFrames.PICTURE, b"sound")
    return Rig(FfmpegFrames(Settings()), *request.getfixturevalue("segments"))


async def test_a_segment_gives_a_jpeg(rig: Rig) -> None:
    jpeg = await rig.frames.jpeg(rig.picture, 320)
    assert jpeg is not None
    assert (jpeg[:2], jpeg[-2:]) == (b"\xff\xd8", b"\xff\xd9")


async def test_the_beginning_of_a_segment_is_enough(rig: Rig) -> None:
    assert await rig.frames.jpeg(rig.picture[: max(len(FakeFrames.PICTURE), len(rig.picture) * 2 // 3)], 320) is not None


@pytest.mark.parametrize("garbage", [b"", b"x", b"<!doctype html>" * 500, b"G" + bytes(187), b"#EXTM3U\n/etc/passwd\n"])
async def test_what_has_no_picture_gives_none(rig: Rig, garbage: bytes) -> None:
    assert await rig.frames.jpeg(garbage, 320) is None


async def test_sound_alone_gives_none(rig: Rig) -> None:
    assert await rig.frames.jpeg(rig.sound, 320) is None


# --- FFmpeg alone -----------------------------------------------------------------------------------------------------


def size(jpeg: bytes) -> tuple[int, int]:
    """Width and height, by its frame header (ITU-T T.81, B.2.2)."""
    at = 2
    while True:
        marker, length = struct.unpack(">HH", jpeg[at : at + 4])
        if marker in (0xFFC0, 0xFFC2):
            height, width = struct.unpack(">HH", jpeg[at + 5 : at + 9])
            return width, height
        at += 2 + length


async def test_it_is_small_and_as_wide_as_wanted(segments: tuple[bytes, bytes]) -> None:
    jpeg = await FfmpegFrames(Settings()).jpeg(segments[0], 320)
    assert jpeg is not None
    assert size(jpeg) == (320, 180)
    assert len(jpeg) < 40_000


async def test_many_at_once_are_made_a_few_at_a_time(segments: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    frames = FfmpegFrames(Settings())
    spawn = frames._spawn
    spawned: list[asyncio.subprocess.Process] = []
    running: list[int] = []  # at each start, with the one that starts

    async def counted(width_px: int) -> asyncio.subprocess.Process:
        running.append(1 + sum(each.returncode is None for each in spawned))
        spawned.append(await spawn(width_px))
        return spawned[-1]

    monkeypatch.setattr(frames, "_spawn", counted)
    jpegs = await asyncio.gather(*(frames.jpeg(segments[0], 320) for _ in range(6)))
    assert None not in jpegs
    assert max(running) == 2


@pytest.fixture
def hanging(tmp_path: Path) -> Settings:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    return Settings(ffmpeg=str(program))


async def test_one_that_hangs_is_ended(hanging: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_LIMIT_S", 0.3)
    frames = FfmpegFrames(hanging)
    started = time.monotonic()
    for asked in await asyncio.gather(*(frames.jpeg(b"x" * 500_000, 320) for _ in range(5)), return_exceptions=True):
        assert isinstance(asked, FramesUnavailable)
    assert time.monotonic() - started < 5.0
    assert asyncio.all_tasks() == {asyncio.current_task()}, "a task is left over"


async def test_one_that_does_not_start_is_said(tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    shutil.copy(find("ffmpeg", Settings()), program)
    frames = FfmpegFrames(Settings(ffmpeg=str(program)))
    program.unlink()
    with pytest.raises(FramesUnavailable):
        await frames.jpeg(b"x", 320)


def test_without_ffmpeg_there_is_none() -> None:
    with pytest.raises(BadSetting, match="FFMPEG"):
        FfmpegFrames(Settings(ffmpeg="no-such-program"))
