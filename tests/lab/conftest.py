"""One lab per test; media are made once and cached between runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lab import Lab, default_ffmpeg

FFPROBE = default_ffmpeg().replace("ffmpeg", "ffprobe")


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    """Two sources, "a" and "b", with one-second segments."""
    async with Lab(segment_s=1.0, control=True) as running:
        yield running


async def ffmpeg(*options: str, binary: str | None = None) -> bytes:
    """What FFmpeg writes to its standard output. AssertionError: it failed, or complained."""
    command = [binary or default_ffmpeg(), "-v", "warning", *options]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    try:
        out, complaints = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert (process.returncode, complaints.decode()) == (0, "")
    return out


async def ffprobe(*options: str) -> list[list[str]]:
    """What ffprobe shows, as rows."""
    out = await ffmpeg("-of", "csv=p=0", *options, binary=FFPROBE)
    return [line.split(",") for line in out.decode().split()]
