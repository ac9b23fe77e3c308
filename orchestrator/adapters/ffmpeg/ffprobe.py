"""What a source sends, by ffprobe. Law: whatever a source does, a probe ends in time, costs bounded memory, and never raises.

A source that hangs keeps its place for a second only, and a host has half of the places at most: what hangs holds up nobody
else. A source that has failed must be seen to advance: a playlist that has frozen looks as well as ever. What cannot be decoded
fails here, not on air. What ffprobe cannot ask is no verdict. The reason is in words that an operator can act on, of a closed
vocabulary: no word of FFmpeg's or of a server's; and no source is told anything of another one's account (bounded_http.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Sequence
from math import isfinite
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import msgspec

from orchestrator.adapters.ffmpeg.binaries import find
from orchestrator.adapters.ffmpeg.codecs import Decoders
from orchestrator.adapters.http import bounded_http, hls_source
from orchestrator.app.settings import Settings
from orchestrator.core.model import Media, Source, SourceStatus
from orchestrator.errors import EngineUnavailable
from orchestrator.ports import ProbeResult
from transcoder import job
from transcoder.ffmpeg.fault_messages import ODDLY_NAMED_HLS
from transcoder.ffmpeg.source_options import is_playlist, probe_options
from transcoder.ffmpeg.stream_plan import COPIED_AUDIO, COPIED_VIDEO

_OUTPUT_LIMIT_BYTES = 1 << 20
_ENTRIES = (
    "stream=codec_type,codec_name,width,height,channels,bit_rate:stream_disposition=attached_pic,default"
    ":stream_tags=variant_bitrate:format=format_name,bit_rate"
)
_PLACE_S = 1.0
_LATE_LOOK_S = 1.0  # at the playlists of a source that has proved itself: not to know its cadence is no fault


class _Disposition(msgspec.Struct, frozen=True):
    attached_pic: int = 0  # a cover, no moving picture
    default: int = 0  # of an HLS rendition: DEFAULT=YES (RFC 8216, 4.3.4.1)


class _Tags(msgspec.Struct, frozen=True):
    variant_bitrate: str | None = None  # of an HLS source: as its multivariant playlist says


class _Stream(msgspec.Struct, frozen=True):
    codec_type: str = ""
    codec_name: str | None = None
    width: int | None = None
    height: int | None = None
    channels: int | None = None
    bit_rate: str | None = None
    disposition: _Disposition = _Disposition()
    tags: _Tags = _Tags()


class _Format(msgspec.Struct, frozen=True):
    format_name: str = ""
    bit_rate: str | None = None


class _Output(msgspec.Struct, frozen=True):
    streams: tuple[_Stream, ...] = ()
    format: _Format = _Format()


class _Places:
    """How many probes start at once. Who has waited for its source for long costs nothing any more and makes room."""

    def __init__(self, count: int) -> None:
        self._all = asyncio.Semaphore(count)
        self._a_hosts_share = max(1, count // 2)
        self._hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def one(self, host: str) -> AsyncIterator[None]:
        share = self._hosts.get(host)
        if share is None:
            share = self._hosts[host] = asyncio.Semaphore(self._a_hosts_share)
        await share.acquire()
        try:
            await self._all.acquire()
        except BaseException:
            share.release()
            raise
        kept = [share, self._all]

        def release() -> None:
            while kept:
                kept.pop().release()

        timer = asyncio.get_running_loop().call_later(_PLACE_S, release)
        try:
            yield
        finally:
            timer.cancel()
            release()


class FfprobeProber:
    """Implements `ports.Prober`."""

    def __init__(self, settings: Settings) -> None:
        self._ffprobe = find("ffprobe", settings)
        self._timeout_s = settings.probe_timeout_s
        self._places = _Places(settings.probe_concurrency)
        self._pool = bounded_http.pool()
        self._decoders = Decoders(self._ffprobe)

    async def probe(self, source: Source) -> ProbeResult:
        upstream = job.SourceInput(source.url, source.user_agent, source.headers)
        if upstream.scheme not in job.SCHEMES or "://" not in source.url:
            return ProbeResult(None, f"only {', '.join(sorted(job.SCHEMES))} sources are let in")
        try:
            host = urlsplit(source.url).netloc.rpartition("@")[2]
        except ValueError:
            return ProbeResult(None, "not an address")
        async with bounded_http.Visitor(self._pool) as visitor:
            async with self._places.one(host):
                result, look = await self._probe(upstream, visitor)
            if source.status is not SourceStatus.PROBLEMATIC or await hls_source.advances(upstream, look, visitor):
                return result
        return ProbeResult(None, "its playlist does not advance")

    async def close(self) -> None:
        await self._pool.aclose()

    async def _probe(self, source: job.SourceInput, visitor: bounded_http.Visitor) -> tuple[ProbeResult, hls_source.Look]:
        if is_playlist(source):
            looking = hls_source.look(source, visitor, self._timeout_s)
            (output, said), look = await asyncio.gather(self._run(source), looking)
        else:
            (output, said), look = await self._run(source), hls_source.Look()
        if said is not None and ODDLY_NAMED_HLS.search(said):
            output, said = await self._run(source, ("-f", "hls"))
        is_hls = output.format.format_name == "hls"
        if is_hls and not is_playlist(source):
            look = await hls_source.look(source, visitor, _LATE_LOOK_S)  # whatever the name of its address
        if look.refusal is not None:
            return ProbeResult(None, look.refusal), hls_source.Look()
        media = _media(output, look.cadence_s)
        if media is None:
            return await self._why_not(source, said, look, visitor), hls_source.Look()
        if lacking := await self._lacks_a_decoder(media):
            return ProbeResult(None, lacking), hls_source.Look()
        return ProbeResult(media), look

    async def _why_not(
        self, source: job.SourceInput, said: str | None, look: hls_source.Look, visitor: bounded_http.Visitor
    ) -> ProbeResult:
        reason = look.complaint or _reason(said) or f"no media within {self._timeout_s:g} s"
        if reason == NO_PROTOCOL:
            return ProbeResult(None, f"{source.scheme.upper()}: {NO_PROTOCOL}", verdict=False)
        if reason == NOT_MEDIA and source.scheme in ("http", "https"):
            reason = await hls_source.name(source, visitor, _LATE_LOOK_S) or reason
        return ProbeResult(None, reason)

    async def _lacks_a_decoder(self, media: Media) -> str | None:
        """Why a session could not send it: it is not copied, and FFmpeg has no decoder for it."""
        needed = [
            *((media.video,) if media.video and media.video not in COPIED_VIDEO else ()),
            *((media.audio,) if media.audio and media.audio not in COPIED_AUDIO else ()),
        ]
        missing = await self._decoders.missing() if needed else frozenset()
        return next((f"this FFmpeg cannot decode {each.upper()}" for each in needed if each in missing), None)

    async def _run(self, source: job.SourceInput, flags: Sequence[str] = ()) -> tuple[_Output, str | None]:
        """What ffprobe found, and what it said; None: it had to be ended."""
        process = await self._spawn(source, flags)
        reading = asyncio.gather(_read(process.stdout, _OUTPUT_LIMIT_BYTES), _read(process.stderr, _OUTPUT_LIMIT_BYTES))
        try:
            async with asyncio.timeout(self._timeout_s):
                output, messages = await reading
                await process.wait()
        except TimeoutError:
            return _Output(), None
        finally:
            reading.cancel()
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
            await asyncio.gather(reading, return_exceptions=True)
            # Its grandchildren, if any, may hold the pipes for ever, and asyncio has no public way to let go of them.
            process._transport.close()  # type: ignore[attr-defined]
        return _output(output), messages.decode(errors="replace")

    async def _spawn(self, source: job.SourceInput, flags: Sequence[str]) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                self._ffprobe,
                # Each line with its level: a server's answer is a warning to FFmpeg, and what follows from it an error.
                *("-hide_banner", "-loglevel", "level+warning"),
                *probe_options(source, self._timeout_s),
                *flags,
                # A live source sends in real time: what is not known after this is not waited for. Codecs stand in the tables
                # that come first; a picture's size may not be known, which matters to nobody who starts a session.
                *("-analyzeduration", "500000"),
                # Frames read to guess a frame rate, which nobody asks for.
                *("-fpsprobesize", "0"),
                # One segment shows what the source sends.
                *(("-live_start_index", "-1") if is_playlist(source) else ()),
                *("-of", "json=compact=1"),
                *("-show_entries", _ENTRIES),
                source.url,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                # It reads what strangers send: no key of ours is in its reach, and no proxy of ours in its way.
                env={"LANG": "C.UTF-8"},
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise EngineUnavailable(f"ffprobe does not start: {error}") from error


async def _read(pipe: asyncio.StreamReader | None, limit_bytes: int) -> bytes:
    """To the end, of which no more than the limit is kept."""
    assert pipe is not None
    kept = bytearray()
    while data := await pipe.read(65536):
        kept += data[: max(0, limit_bytes - len(kept))]
    return bytes(kept)


def media_of(output: bytes, cadence_s: float | None = None) -> Media | None:
    """What ffprobe's JSON says; None: no video and no audio. `cadence_s`: as the source's own playlist says."""
    return _media(_output(output), cadence_s)


def _output(output: bytes) -> _Output:
    try:
        return msgspec.json.decode(output, type=_Output)
    except msgspec.DecodeError:
        return _Output()


def _media(seen: _Output, cadence_s: float | None) -> Media | None:
    """Of several variants the one with the highest bit rate, of several renditions the default one: what a session takes."""
    streams = [
        each for each in seen.streams if each.codec_name not in (None, "", "unknown") and not each.disposition.attached_pic
    ]
    videos = [each for each in streams if each.codec_type == "video"]
    # FFmpeg's decoders of what is copied are always there; of anything else a session takes the copied ones first
    video = max(videos, key=lambda each: (each.codec_name in COPIED_VIDEO, _variant_bps(each)), default=None)
    audios = [each for each in streams if each.codec_type == "audio"]
    own = [each for each in audios if video is None or each.tags.variant_bitrate == video.tags.variant_bitrate]
    audio = max(own or audios, key=lambda each: each.disposition.default, default=None)
    if video is None and audio is None:
        return None
    return Media(
        video=video.codec_name if video else None,
        audio=audio.codec_name if audio else None,
        channels=(_positive(audio.channels)) if audio else None,
        width=_positive(video.width) if video else None,
        height=_positive(video.height) if video else None,
        bitrate_bps=_bitrate_bps(seen, video),
        cadence_s=cadence_s if cadence_s and isfinite(cadence_s) else None,
    )


def _positive(number: int | None) -> int | None:
    """ffprobe's 0 (and -1) is what it does not know."""
    return number if number is not None and number > 0 else None


def _variant_bps(stream: _Stream) -> int:
    return _number(stream.tags.variant_bitrate) or 0


def _bitrate_bps(seen: _Output, video: _Stream | None) -> int | None:
    if seen.format.format_name == "hls":  # of which ffprobe measures the playlist's own text
        return max((_variant_bps(each) for each in seen.streams), default=0) or None
    return _number(seen.format.bit_rate) or (_number(video.bit_rate) if video else None)


def _number(text: str | None) -> int | None:
    return int(text) if text and len(text) <= 18 and text.isascii() and text.isdecimal() else None


NO_PROTOCOL = "this FFmpeg does not speak the protocol"
NOT_MEDIA = "not media"
_STATUS = re.compile(r"HTTP error (\d{3})|Server returned (\d{3})|method \w+ failed: (\d{3})")
_REASONS = (
    ("Server returned 5", "the server answers with an error (5xx)"),
    ("Server returned 4", "the server refuses (4xx)"),
    ("Connection refused", "connection refused"),
    ("Connection reset", "connection reset"),
    ("timed out", "no answer in time"),
    ("Failed to resolve", "no such host"),
    ("No route to host", "no route to host"),
    ("Network is unreachable", "network unreachable"),
    ("TLS", "TLS failed"),
    ("certificate", "TLS failed"),
    ("not on the whitelist", "leads to a protocol that is not let in"),
    ("Protocol not found", NO_PROTOCOL),
    ("need zlib", "a compressed answer (gzip)"),
    ("Invalid data found", NOT_MEDIA),
    ("I/O error", "ends before any media"),
    ("Input/output error", "ends before any media"),
    ("End of file", "ends before any media"),
)


def _reason(said: str | None) -> str | None:
    """In words; None: it had to be ended, and what it had said until then says nothing."""
    if said is None:
        return None
    status = _STATUS.search(said)
    if status is not None:
        return hls_source.status_words(int(status[1] or status[2] or status[3]))
    for sign, words in _REASONS:
        if sign in said:
            return words
    # FFmpeg's own words are nobody's reason: they quote addresses, and what a server has called something
    failed = any("[error]" in line or "[fatal]" in line for line in said.splitlines())
    return "cannot be read" if failed else "no video or audio"
