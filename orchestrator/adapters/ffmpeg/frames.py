"""Decodes a frame of a segment to JPEG with FFmpeg.

Rule: whatever the media are, FFmpeg reads nothing but the pipe, ends in time, uses bounded memory, and runs at a low priority.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

from orchestrator.adapters.ffmpeg.binaries import find
from orchestrator.app.settings import Settings
from orchestrator.errors import FramesUnavailable

_AT_ONCE = 2
_LIMIT_S = 3.0  # with the wait for a slot
_JPEG_BYTES = 1 << 20
_NICENESS = 15  # lower priority than streams


class FfmpegFrames:
    """Implements `ports.Frames`. Raises BadSetting where there is no FFmpeg."""

    def __init__(self, settings: Settings) -> None:
        self._ffmpeg = find("ffmpeg", settings)
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def jpeg(self, media: bytes, width_px: int) -> bytes | None:
        try:
            async with asyncio.timeout(_LIMIT_S), self._slots:
                picture = await self._run(media, width_px)
        except TimeoutError:
            raise FramesUnavailable(f"no picture within {_LIMIT_S:g} s") from None
        return picture if picture.startswith(b"\xff\xd8") and len(picture) < _JPEG_BYTES else None

    async def _run(self, media: bytes, width_px: int) -> bytes:
        process = await self._spawn(width_px)
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):  # it has ended already
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
        feeding = asyncio.create_task(_feed(process.stdin, media), name="frames: media")
        try:
            picture = bytearray()
            while len(picture) < _JPEG_BYTES and (data := await process.stdout.read(65536)):
                picture += data
            return bytes(picture)
        finally:
            feeding.cancel()
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            await asyncio.gather(feeding, return_exceptions=True)
            await process.wait()

    async def _spawn(self, width_px: int) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                self._ffmpeg,
                # Its messages are not read: a segment that cannot be decoded gives no picture.
                *("-hide_banner", "-loglevel", "quiet"),
                # Standard input is the media, not a keyboard.
                "-nostdin",
                # Untrusted media must not name another file or an address.
                *("-protocol_whitelist", "pipe"),
                # One thread, so that two pictures at once use two cores at most.
                *("-threads", "1"),
                # Only keyframes are decoded.
                *("-skip_frame", "nokey"),
                # Our segments are MPEG-TS: FFmpeg must not guess another demuxer from the bytes.
                *("-f", "mpegts"),
                # The tables come first: a stream that is not found within a second is not in this segment.
                *("-analyzeduration", "1000000"),
                *("-i", "pipe:0"),
                # Video only.
                *("-map", "0:v:0", "-an", "-sn", "-dn"),
                # The first picture.
                *("-frames:v", "1"),
                # As wide as requested, with a proportional, even height; fast bilinear is good enough for a thumbnail. JPEG
                # has full range, and FFmpeg's encoder accepts only that without a warning.
                *("-vf", f"scale={width_px}:-2:flags=fast_bilinear:out_range=full,format=yuvj420p"),
                # 320 pixels: about 10 kB.
                *("-c:v", "mjpeg", "-q:v", "6"),
                *("-filter_threads", "1"),
                *("-f", "image2pipe", "pipe:1"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                # It reads untrusted media: it gets no key of ours.
                env={"LANG": "C.UTF-8"},
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise FramesUnavailable(f"FFmpeg does not start: {error}") from error


async def _feed(pipe: asyncio.StreamWriter, media: bytes) -> None:
    """Writes the media into the pipe; FFmpeg closes it as soon as it has its picture."""
    with contextlib.suppress(ConnectionError):
        pipe.write(media)
        await pipe.drain()
        pipe.close()
        await pipe.wait_closed()
