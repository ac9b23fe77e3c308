"""A live RTMP source: FFmpeg plays the loop in real time, to one client at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from lab.media.loop import Loop
from lab.serving.http1 import bound


@contextlib.asynccontextmanager
async def rtmp_source(loop: Loop, ffmpeg: str, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve `loop` (H.264 and AAC) over RTMP; yields the address as soon as it accepts connections."""
    placeholder = bound(host, 0)  # keeps the port and refuses connections while no FFmpeg listens
    port = placeholder.getsockname()[1]
    url = f"rtmp://{host}:{port}/live/loop"
    serving = asyncio.create_task(_serve(loop, ffmpeg, url))
    try:
        while not _listening(host, port):
            if serving.done():
                serving.result()
            await asyncio.sleep(0.01)
        yield url
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        placeholder.close()


async def _serve(loop: Loop, ffmpeg: str, url: str) -> None:
    command = [ffmpeg, "-hide_banner", "-loglevel", "error", "-nostdin"]
    # in real time, endlessly, as it is
    command += ["-re", "-stream_loop", "-1", "-i", str(loop.ts), "-c", "copy", "-f", "flv"]
    command += ["-listen", "1", url]  # a server for one client; another FFmpeg for the next
    while True:
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        await asyncio.sleep(0.05)


def _listening(host: str, port: int) -> bool:
    """Whether a server listens there. Found out by bind, because connecting would use up the one client that FFmpeg serves."""
    try:
        bound(host, port).close()
    except OSError:
        return True
    return False
