"""Pictures of media, by FFmpeg. Law: whatever the media are, it reads nothing but the pipe, ends in time, costs bounded memory,
and gives way to whatever else the machine does.
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
_LIMIT_S = 3.0  # with the wait for a place
_JPEG_BYTES = 1 << 20
_NICENESS = 15  # streams come first


class FfmpegFrames:
    """Implements `ports.Frames`. Raises BadSetting where there is no FFmpeg."""

    def __init__(self, settings: Settings) -> None:
        self._ffmpeg = find("ffmpeg", settings)
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def jpeg(self, media: bytes, width_px: int) -> bytes | None:
        try:
            async with asyncio.timeout(_LIMIT_S), self._places:
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
                # Nobody reads what it says: a segment that cannot be decoded gives no picture.
                *("-hide_banner", "-loglevel", "quiet"),
                # Standard input is the media, no keyboard.
                "-nostdin",
                # What strangers sent names no other file and no network.
                *("-protocol_whitelist", "pipe"),
                # One thread: two pictures at once are to cost two cores at most.
                *("-threads", "1"),
                # Whole pictures alone: what is in the middle of a group is not decoded at all.
                *("-skip_frame", "nokey"),
                # Our segments are MPEG-TS: no guessing, and so no other demuxer, however the bytes look.
                *("-f", "mpegts"),
                # The tables come first: a stream that has not shown itself after this has no picture here.
                *("-analyzeduration", "1000000"),
                *("-i", "pipe:0"),
                # The picture, and neither sound, texts nor data.
                *("-map", "0:v:0", "-an", "-sn", "-dn"),
                # The first one will do.
                *("-frames:v", "1"),
                # As wide as wanted, the height in proportion and even; fast bilinear is good enough for a thumbnail. JPEG has
                # full range, and FFmpeg's encoder takes nothing else without complaint.
                *("-vf", f"scale={width_px}:-2:flags=fast_bilinear:out_range=full,format=yuvj420p"),
                # 320 pixels: about 10 kB.
                *("-c:v", "mjpeg", "-q:v", "6"),
                *("-filter_threads", "1"),
                *("-f", "image2pipe", "pipe:1"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                # It reads what strangers sent: no key of ours is in its reach.
                env={"LANG": "C.UTF-8"},
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise FramesUnavailable(f"FFmpeg does not start: {error}") from error


async def _feed(pipe: asyncio.StreamWriter, media: bytes) -> None:
    """FFmpeg ends as soon as it has its picture, in the middle of the media."""
    with contextlib.suppress(ConnectionError):
        pipe.write(media)
        await pipe.drain()
        pipe.close()
        await pipe.wait_closed()
