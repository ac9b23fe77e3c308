"""Prober: asks a source by ffprobe what it sends.

Rule: whatever a source does, a probe ends in time, costs bounded memory, and does not raise. For a source that has
failed before, the probe also waits until its playlist advances, because the playlist of a frozen source can still be read. A
codec that FFmpeg cannot decode fails here, before a session plays it. Where ffprobe cannot decide, there is no verdict.

The reason of a failure is one of a closed vocabulary (failure_reasons.py). No source is sent anything of another source's
account (bounded_http.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from typing import assert_never
from urllib.parse import urlsplit

from msgspec.structs import replace

from orchestrator.adapters.ffmpeg.binaries import find
from orchestrator.adapters.ffmpeg.codecs import Decoders
from orchestrator.adapters.ffmpeg.failure_reasons import Next, Reading, read_failure
from orchestrator.adapters.ffmpeg.probe_output import ENTRIES, ProbeOutput, media_in, read_output
from orchestrator.adapters.ffmpeg.probe_slots import ProbeSlots
from orchestrator.adapters.http import bounded_http, hls_source
from orchestrator.app.settings import Settings
from orchestrator.core.model import Cause, Media, Source, SourceStatus, Why
from orchestrator.errors import EngineUnavailable
from orchestrator.ports import ProbeResult
from transcoder.ffmpeg.fault_messages import ODDLY_NAMED_HLS
from transcoder.ffmpeg.source_options import is_playlist, probe_options
from transcoder.ffmpeg.stream_plan import COPIED_AUDIO, COPIED_VIDEO
from transcoder.input import SCHEMES, SourceInput

_OUTPUT_LIMIT_BYTES = 1 << 20
# For a look at the playlists after the media have been found; not to know a source's cadence is no failure
_LATE_LOOK_S = 1.0


class FfprobeProber:
    """Implements `ports.Prober`."""

    def __init__(self, settings: Settings) -> None:
        self._ffprobe = find("ffprobe", settings)
        self._timeout_s = settings.probe_timeout_s
        self._slots = ProbeSlots(settings.probe_concurrency)
        self._pool = bounded_http.pool()
        self._decoders = Decoders(self._ffprobe)

    async def probe(self, source: Source) -> ProbeResult:
        upstream = SourceInput(source.url, source.user_agent, source.headers)
        if upstream.scheme not in SCHEMES or "://" not in source.url:
            return ProbeResult.fails(Why(Cause.UNPLAYABLE, f"only {', '.join(sorted(SCHEMES))} sources are let in"))
        try:
            host = urlsplit(source.url).netloc.rpartition("@")[2]
        except ValueError:
            return ProbeResult.fails(Why(Cause.UNPLAYABLE, "not an address"))
        async with bounded_http.BoundedClient(self._pool) as visitor:
            async with self._slots.one(host):
                result, look = await self._probe(upstream, visitor)
            if source.status is not SourceStatus.PROBLEMATIC or await hls_source.advances(upstream, look, visitor):
                return result
        return ProbeResult.fails(Why(Cause.FROZEN))

    async def close(self) -> None:
        await self._pool.aclose()

    async def _probe(self, source: SourceInput, visitor: bounded_http.BoundedClient) -> tuple[ProbeResult, hls_source.Look]:
        if is_playlist(source):
            looking = asyncio.create_task(hls_source.look(source, visitor, self._timeout_s))
            try:
                output, said = await self._run(source)
                look = await looking
            finally:  # gather() would not wait for ffprobe to be killed where the look is cancelled first
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
        else:
            (output, said), look = await self._run(source), hls_source.Look()
        if said is not None and ODDLY_NAMED_HLS.search(said):
            output, said = await self._run(source, ("-f", "hls"))
        is_hls = output.format.format_name == "hls"
        if is_hls and not is_playlist(source):
            look = await hls_source.look(source, visitor, _LATE_LOOK_S)  # though its address does not say so
        if look.refusal is not None:
            return ProbeResult.fails(look.refusal), hls_source.Look()
        media = media_in(output, look.cadence_s)
        if media is None:
            return await self._why_not(source, said, look, visitor), hls_source.Look()
        if lacking := await self._lacks_a_decoder(media):
            return ProbeResult.fails(Why(Cause.UNPLAYABLE, lacking)), hls_source.Look()
        return ProbeResult(media), look

    async def _why_not(
        self, source: SourceInput, said: str | None, look: hls_source.Look, visitor: bounded_http.BoundedClient
    ) -> ProbeResult:
        if look.complaint is not None:
            return ProbeResult.fails(look.complaint)
        silent = Reading(Why(Cause.UNREACHABLE, f"no media within {self._timeout_s:g} s"))
        why, then = read_failure(said) or silent
        match then:
            case Next.NOTHING:
                return ProbeResult.fails(why)
            case Next.NO_VERDICT:
                return ProbeResult.fails(replace(why, detail=f"{source.scheme.upper()}: {why.detail}"), verdict=False)
            case Next.ASK_THE_SERVER:
                is_http = source.scheme in ("http", "https")
                return ProbeResult.fails((await hls_source.name(source, visitor, _LATE_LOOK_S) if is_http else None) or why)
            case _:
                assert_never(then)

    async def _lacks_a_decoder(self, media: Media) -> str | None:
        """Why a session could not play it: it would have to be decoded, and FFmpeg has no decoder for it. None: it could."""
        needed = [
            *((media.video,) if media.video and media.video not in COPIED_VIDEO else ()),
            *((media.audio,) if media.audio and media.audio not in COPIED_AUDIO else ()),
        ]
        missing = await self._decoders.missing() if needed else frozenset()
        return next((f"this FFmpeg cannot decode {each.upper()}" for each in needed if each in missing), None)

    async def _run(self, source: SourceInput, flags: Sequence[str] = ()) -> tuple[ProbeOutput, str | None]:
        """What ffprobe found, and what it wrote to standard error; None: it had to be killed."""
        process = await self._spawn(source, flags)
        reading = asyncio.gather(_read(process.stdout, _OUTPUT_LIMIT_BYTES), _read(process.stderr, _OUTPUT_LIMIT_BYTES))
        try:
            async with asyncio.timeout(self._timeout_s):
                output, messages = await reading
                await process.wait()
        except TimeoutError:
            return ProbeOutput(), None
        finally:
            reading.cancel()
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
            await asyncio.gather(reading, return_exceptions=True)
            # Processes that ffprobe has started may hold the pipes for ever, and asyncio has no public way to close our end.
            process._transport.close()  # type: ignore[attr-defined]
        return read_output(output), messages.decode(errors="replace")

    async def _spawn(self, source: SourceInput, flags: Sequence[str]) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                self._ffprobe,
                # Each line with its level: FFmpeg logs a server's answer as a warning, and what follows from it as an error.
                *("-hide_banner", "-loglevel", "level+warning"),
                *probe_options(source, self._timeout_s),
                *flags,
                # A live source sends in real time: what is not known after half a second is not waited for. The codecs are in
                # the tables, which come first; a picture's size may be missing, and a session starts without it.
                *("-analyzeduration", "500000"),
                # No frames are read to guess a frame rate, which is not needed.
                *("-fpsprobesize", "0"),
                # One segment shows what the source sends.
                *(("-live_start_index", "-1") if is_playlist(source) else ()),
                *("-of", "json=compact=1"),
                *("-show_entries", ENTRIES),
                source.url,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                # It reads untrusted media: it gets no key of ours, and no proxy of our environment.
                env={"LANG": "C.UTF-8"},
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise EngineUnavailable(f"ffprobe does not start: {error}") from error


async def _read(pipe: asyncio.StreamReader | None, limit_bytes: int) -> bytes:
    """Reads to the end, and keeps no more than the limit."""
    assert pipe is not None
    kept = bytearray()
    while data := await pipe.read(65536):
        kept += data[: max(0, limit_bytes - len(kept))]
    return bytes(kept)
