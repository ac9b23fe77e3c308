"""Which codecs FFmpeg cannot decode, read from `ffprobe -codecs`: https://ffmpeg.org/ffprobe.html.

A codec is in the list whether or not this build has a decoder for it. FFmpeg's own decoder for AV1 needs hardware, which
containers do not have.
"""

from __future__ import annotations

import asyncio
import re

from orchestrator.errors import EngineUnavailable

# " DEV.LS av1   Alliance for Open Media AV1 (decoders: libdav1d av1) (encoders: ...)"; without a list the decoder has that name
_LINE = re.compile(r"^ ([D.])[E.][VA]\S* (\S+)([^\n]*)$", re.MULTILINE)
_DECODERS = re.compile(r"\(decoders: ([^)]*)\)")
_HARDWARE_ONLY = frozenset(("av1",))  # decoders that need hardware
_LIMIT_S = 10.0


def missing_decoders(listed: str) -> frozenset[str]:
    """The codecs in ffprobe's list that it cannot decode."""
    missing = set()
    for decodes, codec, rest in _LINE.findall(listed):
        named = _DECODERS.search(rest)
        decoders = set(named[1].split()) if named else {codec}
        if decodes == "." or decoders <= _HARDWARE_ONLY:
            missing.add(codec)
    return frozenset(missing)


class Decoders:
    """The missing decoders of one ffprobe, which is asked once."""

    def __init__(self, ffprobe: str) -> None:
        self._ffprobe = ffprobe
        self._missing: frozenset[str] | None = None
        self._asking = asyncio.Lock()

    async def missing(self) -> frozenset[str]:
        """Raises EngineUnavailable. Where the list cannot be read, none is taken to be missing, and it is read again the next
        time."""
        async with self._asking:
            if self._missing is None:
                listed = await _codecs(self._ffprobe)
                if not listed:
                    return frozenset()
                self._missing = missing_decoders(listed)
            return self._missing


async def _codecs(ffprobe: str) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            ffprobe, "-hide_banner", "-loglevel", "quiet", "-codecs",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env={"LANG": "C.UTF-8"},
        )  # fmt: skip
    except OSError as error:
        raise EngineUnavailable(f"ffprobe does not start: {error}") from error
    try:
        async with asyncio.timeout(_LIMIT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode(errors="replace")
