"""What a source sends, by ffprobe. Law: whatever a source does, a probe ends in time, costs bounded memory, and never raises.

A hung source holds one place of many until the time limit. The reason is in words that an operator can act on, without
the user info or the query of an address.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal

import msgspec

from orchestrator.adapters import cadence
from orchestrator.adapters.binaries import find
from orchestrator.core.model import Media, Source
from orchestrator.ports import ProbeResult
from orchestrator.settings import Settings
from transcoder import job
from transcoder.argv import OPTIONAL, is_playlist, request_flags, without
from transcoder.attempt_log import redacted
from transcoder.report import Report

_OUTPUT_LIMIT_BYTES = 1 << 20
_ERRORS_KEPT_BYTES = 8192


class _Stream(msgspec.Struct, frozen=True):
    codec_type: str = ""
    codec_name: str | None = None
    width: int | None = None
    height: int | None = None
    channels: int | None = None
    bit_rate: str | None = None


class _Format(msgspec.Struct, frozen=True):
    bit_rate: str | None = None


class _Output(msgspec.Struct, frozen=True):
    streams: tuple[_Stream, ...] = ()
    format: _Format = _Format()


class FfprobeProber:
    """Implements `ports.Prober`."""

    def __init__(self, settings: Settings) -> None:
        self._ffprobe = find("ffprobe", settings)
        self._timeout_s = settings.probe_timeout_s
        self._places = asyncio.Semaphore(settings.probe_concurrency)
        self._http = cadence.client()

    async def probe(self, source: Source) -> ProbeResult:
        upstream = job.Source(source.url, source.user_agent, source.headers)
        if upstream.scheme not in job.SCHEMES:
            return ProbeResult(None, f"{upstream.scheme} is not a scheme that is let in")
        async with self._places:
            result, cadence_s = await asyncio.gather(self._run(upstream), cadence.of(upstream, self._http, self._timeout_s))
        if result.media is None:
            return result
        return ProbeResult(msgspec.structs.replace(result.media, cadence_s=cadence_s))

    async def close(self) -> None:
        await self._http.aclose()

    def _arguments(self, source: job.Source) -> list[str]:
        return [
            # Only what is wrong, each line with its level.
            *("-hide_banner", "-loglevel", "level+error"),
            *request_flags(source, self._timeout_s),
            # A live source sends in real time: what is not known after this is not waited for. Codecs stand in the tables
            # that come first; a picture's size may not be known, which matters to nobody who starts a session.
            *("-analyzeduration", "500000"),
            # Frames read to guess a frame rate, which nobody asks for.
            *("-fpsprobesize", "0"),
            # One segment shows what the source sends.
            *(("-live_start_index", "-1") if is_playlist(source) else ()),
            *("-of", "json=compact=1"),
            *("-show_entries", "stream=codec_type,codec_name,width,height,channels,bit_rate:format=bit_rate"),
            source.url,
        ]

    async def _run(self, source: job.Source, lacks: frozenset[str] = frozenset()) -> ProbeResult:
        process = await asyncio.create_subprocess_exec(
            self._ffprobe,
            *without(lacks, self._arguments(source)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        reading = asyncio.gather(_read(process.stdout, _OUTPUT_LIMIT_BYTES), _read(process.stderr, _OUTPUT_LIMIT_BYTES))
        try:
            async with asyncio.timeout(self._timeout_s):
                output, messages = await reading
                await process.wait()
        except TimeoutError:
            return ProbeResult(None, f"no answer within {self._timeout_s:g} s")
        finally:
            reading.cancel()
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
            await asyncio.gather(reading, return_exceptions=True)
        said = messages.decode(errors="replace")
        media = _media(output)
        if media is not None:
            return ProbeResult(media)
        report = Report()
        report.feed(messages + b"\n")
        if report.unknown_option in OPTIONAL - lacks:
            return await self._run(source, lacks | {report.unknown_option})
        return ProbeResult(None, _reason(said))


async def _read(pipe: asyncio.StreamReader | None, limit_bytes: int) -> bytes:
    """To the end, of which no more than the limit is kept."""
    assert pipe is not None
    kept = bytearray()
    while data := await pipe.read(65536):
        kept += data[: max(0, limit_bytes - len(kept))]
    return bytes(kept)


def _media(output: bytes) -> Media | None:
    try:
        seen = msgspec.json.decode(output, type=_Output)
    except msgspec.DecodeError:
        return None
    streams = [each for each in seen.streams if each.codec_name not in (None, "unknown")]
    video = next((each for each in streams if each.codec_type == "video"), None)
    audio = next((each for each in streams if each.codec_type == "audio"), None)
    if video is None and audio is None:
        return None
    return Media(
        video=video.codec_name if video else None,
        audio=audio.codec_name if audio else None,
        channels=(audio.channels or None) if audio else None,
        width=(video.width or None) if video else None,
        height=(video.height or None) if video else None,
        bitrate_bps=_number(seen.format.bit_rate) or (_number(video.bit_rate) if video else None),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


_STATUS = re.compile(r"HTTP error (\d{3} ?[A-Za-z ]*)|Server returned (4XX|5XX|\d{3})[^\n]*")
_REASONS = (
    ("Connection refused", "connection refused"),
    ("Connection reset", "connection reset"),
    ("timed out", "no answer in time"),
    ("Failed to resolve", "no such host"),
    ("No route to host", "no route to host"),
    ("Network is unreachable", "network unreachable"),
    ("not on the whitelist", "leads to a protocol that is not let in"),
    ("Empty playlist", "empty playlist"),
    ("Invalid data found", "not media"),
    ("End of file", "nothing but an end"),
)


def _reason(said: str) -> str:
    status = _STATUS.search(said)
    if status is not None:
        return (status[1] or status[0]).strip()
    for sign, words in _REASONS:
        if sign in said:
            return words
    errors = [line for line in said.splitlines() if "[error]" in line or "[fatal]" in line]
    return redacted(errors[-1].rpartition("] ")[2])[:200] if errors else "no video or audio"
