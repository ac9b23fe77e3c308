"""What ffprobe found in a source: its JSON, and the media that a session would take of it."""

from __future__ import annotations

from math import isfinite
from typing import Final

import msgspec

from orchestrator.core.model import Media
from transcoder.ffmpeg.stream_plan import COPIED_VIDEO

ENTRIES: Final = (
    "stream=codec_type,codec_name,width,height,channels,bit_rate:stream_disposition=attached_pic,default"
    ":stream_tags=variant_bitrate:format=format_name,bit_rate"
)


class _Disposition(msgspec.Struct, frozen=True):
    attached_pic: int = 0  # a cover, no moving picture
    default: int = 0  # of an HLS rendition: DEFAULT=YES (RFC 8216, 4.3.4.1)


class _Tags(msgspec.Struct, frozen=True):
    variant_bitrate: str | None = None  # of an HLS source: as its multivariant playlist says


class _ProbedStream(msgspec.Struct, frozen=True):
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


class ProbeOutput(msgspec.Struct, frozen=True):
    streams: tuple[_ProbedStream, ...] = ()
    format: _Format = _Format()


def read_output(output: bytes) -> ProbeOutput:
    """Empty where it is not ffprobe's JSON."""
    try:
        return msgspec.json.decode(output, type=ProbeOutput)
    except msgspec.DecodeError:
        return ProbeOutput()


def media_in(seen: ProbeOutput, cadence_s: float | None = None) -> Media | None:
    """Of several variants the one with the highest bit rate, of several renditions the default one, as a session takes them;
    None: no video and no audio. `cadence_s`: the target duration that the source's own playlist declares."""
    streams = [
        each for each in seen.streams if each.codec_name not in (None, "", "unknown") and not each.disposition.attached_pic
    ]
    videos = [each for each in streams if each.codec_type == "video"]
    # A session prefers what can be copied
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
    """ffprobe writes 0 or -1 for what it does not know."""
    return number if number is not None and number > 0 else None


def _variant_bps(stream: _ProbedStream) -> int:
    return _number(stream.tags.variant_bitrate) or 0


def _bitrate_bps(seen: ProbeOutput, video: _ProbedStream | None) -> int | None:
    if seen.format.format_name == "hls":  # there ffprobe's bit rate is that of the playlist's text
        return max((_variant_bps(each) for each in seen.streams), default=0) or None
    return _number(seen.format.bit_rate) or (_number(video.bit_rate) if video else None)


def _number(text: str | None) -> int | None:
    return int(text) if text and len(text) <= 18 and text.isascii() and text.isdecimal() else None
