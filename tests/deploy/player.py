"""FFmpeg as a plain player: it knows one address, decodes what comes, and ends at the first playlist that it cannot read."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Self

from orchestrator.adapters.ffmpeg.binaries import bundled


class PlainPlayer:
    """`async with PlainPlayer(url) as player`: plays until the block ends, or until it ends by itself."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.frames = 0  # decoded
        self.longest_still_s = 0.0  # without a new one, from the first on
        self.said = ""
        self._advanced_at = 0.0

    async def __aenter__(self) -> Self:
        ffmpeg = bundled("ffmpeg")
        assert ffmpeg is not None
        output = ("-map", "0:v:0", "-f", "null", "-progress", "pipe:1", "-stats_period", "0.2", "-")
        self._process = await asyncio.create_subprocess_exec(
            str(ffmpeg), "-nostdin", "-hide_banner", "-loglevel", "warning", "-threads", "1", "-i", self._url, *output,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={},
        )  # fmt: skip
        self._reading = [asyncio.create_task(self._count()), asyncio.create_task(self._listen())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await asyncio.gather(*self._reading)

    @property
    def plays(self) -> bool:
        return self._process.returncode is None

    async def _count(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            name, _, value = line.decode().strip().partition("=")
            if name == "frame" and int(value) > self.frames:
                now = time.monotonic()
                if self.frames:
                    self.longest_still_s = max(self.longest_still_s, now - self._advanced_at)
                self.frames, self._advanced_at = int(value), now

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.said += line.decode(errors="replace")
