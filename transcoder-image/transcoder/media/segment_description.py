"""Describes a media segment by the attributes of a multivariant playlist (RFC 8216, 4.3.4.2): codecs, size, frame rate.

It reads the elementary streams and trusts no label: the tables at the segment's start name the streams (ISO/IEC 13818-1,
2.4.4), the first pictures and the first sound say what they are. What cannot be read is not known; it is no error.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from transcoder.media import parameter_sets
from transcoder.media.parameter_sets import PictureFormat
from transcoder.media.transport_stream import (
    HZ,
    PACKET_BYTES,
    STARTS,
    WRAP,
    decode_time,
    elementary_bytes,
    elementary_streams,
    packets_with,
    payload_of,
    pid_at,
    program_pid,
    section_bytes,
    section_in,
)

_PICTURE_HEAD_BYTES = 16_384  # of the first picture: its parameter sets and the start of its first slice are in there
_SECTION_BYTES = 1024 + 183  # a table's, and what may stand before it in its first packet
_FRAME_HEADER_BYTES = 16  # of the first sound

_H264, _HEVC = 0x1B, 0x24  # stream_type (ISO/IEC 13818-1, Table 2-34)
_ADTS, _MPEG_AUDIO, _AC3, _EAC3 = 0x0F, (0x03, 0x04), 0x81, 0x87

_RATES = (24_000 / 1001, 24.0, 25.0, 30_000 / 1001, 30.0, 50.0, 60_000 / 1001, 60.0)
_NEAR = 0.0009  # sources that count in milliseconds are that far off; 29.97 and 30 are farther apart


class SegmentDescription(NamedTuple):
    """What a segment has: codecs as in RFC 6381, the picture's size in pixels, frames per second; None or 0: not known.

    `independent`: it needs nothing of the segments before, not even for pictures that are shown before its first one.
    """

    video: str | None = None
    audio: str | None = None
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0
    independent: bool = False


def describe(data: bytes) -> SegmentDescription:
    """Reads a segment that begins with its tables, as the segmenter makes it."""
    packets = _Packets(data)
    streams = packets.streams()
    video = next(((kind, pid) for kind, pid in streams if kind in (_H264, _HEVC)), None)
    sound = next((name for kind, pid in streams if (name := _sound(kind, packets.head(pid, _FRAME_HEADER_BYTES)))), None)
    if video is None:
        return SegmentDescription(audio=sound, independent=sound is not None and len(streams) == 1)
    kind, pid = video
    head = packets.head(pid, _PICTURE_HEAD_BYTES)
    picture, independent = _h264(head) if kind == _H264 else _hevc(head)
    codec, width, height = picture or (None, 0, 0)
    return SegmentDescription(codec, sound, width, height, _frame_rate(packets.starts(pid)), independent)


def _h264(head: bytes) -> tuple[PictureFormat | None, bool]:
    """The picture, and whether it is an IDR: nothing refers to what was before one (ISO/IEC 14496-10, 3.69)."""
    picture = None
    for nal in _nals(head):
        match nal[0] & 0x1F:
            case 7 if picture is None:
                picture = _read(parameter_sets.h264, nal)
            case 1 | 5 as kind:
                return picture, kind == 5
    return picture, False


def _hevc(head: bytes) -> tuple[PictureFormat | None, bool]:
    """The same; a CRA and a BLA_W_LP may be followed by pictures that refer to what was before (Table 7-1)."""
    picture = None
    for nal in _nals(head):
        kind = nal[0] >> 1 & 0x3F
        if kind == 33 and picture is None:
            picture = _read(parameter_sets.hevc, nal)
        elif kind < 32:  # a slice
            return picture, 17 <= kind <= 20
    return picture, False


def _read(parse: Callable[[bytes], PictureFormat], nal: bytes) -> PictureFormat | None:
    try:
        return parse(nal)
    except ValueError:
        return None


def _sound(kind: int, head: bytes) -> str | None:
    """The codec of an audio stream, by the header of its first frame."""
    if kind == _ADTS and len(head) > 2 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return f"mp4a.40.{(head[2] >> 6) + 1}"  # the audio object type (ISO/IEC 13818-7, 6.2)
    if kind in _MPEG_AUDIO and len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        # Layer III and II (ISO/IEC 11172-3, 2.4.2.3) as audio object types (ISO/IEC 14496-3, Table 1.17).
        return {1: "mp4a.40.34", 2: "mp4a.40.33"}.get(head[1] >> 1 & 3)
    return {_AC3: "ac-3", _EAC3: "ec-3"}.get(kind) if head else None


def _frame_rate(starts: Iterable[bytes]) -> float:
    """Frames per second, by when they are decoded. What the stream says of it itself is often absent, and wrong where fields
    are sent."""
    times = [time for packet in starts if (time := decode_time(payload_of(packet))) is not None]
    if len(times) < 3:
        return 0.0
    ticks = (times[-1] - times[0]) % WRAP
    if not ticks:
        return 0.0
    rate = (len(times) - 1) * HZ / ticks
    usual = min(_RATES, key=lambda each: abs(each - rate))
    return round(usual if abs(usual - rate) < usual * _NEAR else rate, 3)


class _Packets:
    """A segment's transport packets, found by their headers at C speed."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        count = len(data) // PACKET_BYTES
        self._headers = bytearray(2 * count)  # of each packet the two bytes that have the PID, and whether something starts
        self._headers[::2] = data[1 : count * PACKET_BYTES : PACKET_BYTES]
        self._headers[1::2] = data[2 : count * PACKET_BYTES : PACKET_BYTES]

    def streams(self) -> list[tuple[int, int]]:
        """(stream type, PID) of each elementary stream, by the tables at the start."""
        program = program_pid(self._section(0))
        return [] if program is None else elementary_streams(self._section(program))

    def head(self, pid: int, most: int) -> bytes:
        """Up to about so many of the first bytes of an elementary stream: the payload of its first PES packet (2.4.3.6)."""
        return elementary_bytes(self._unit(pid, most))

    def starts(self, pid: int) -> Iterator[bytes]:
        """The packets of a PID that start a section or a PES packet."""
        return (self._packet(n) for n in self._numbers(pid))

    def _section(self, pid: int) -> bytes:
        """The first section of a table; empty where it is not whole."""
        for most in (1, _SECTION_BYTES):  # one packet has it, nearly always
            section = section_in(self._unit(pid, most))
            if len(section) >= section_bytes(section):
                return section[: section_bytes(section)]
        return b""

    def _unit(self, pid: int, most: int) -> bytes:
        """Whole packets, up to so many bytes, of what the first packet of a PID that starts something has started."""
        first = next(self._numbers(pid), None)
        unit = b""
        if first is None:
            return unit
        for n in range(first, len(self._headers) // 2):
            if pid_at(self._headers, 2 * n) != pid:
                continue
            if n != first and self._headers[2 * n] & STARTS:
                break
            unit += payload_of(self._packet(n))
            if len(unit) >= most:
                break
        return unit

    def _numbers(self, pid: int) -> Iterator[int]:
        return packets_with(self._headers, bytes((STARTS | pid >> 8, pid & 255)))

    def _packet(self, n: int) -> bytes:
        return self._data[n * PACKET_BYTES : (n + 1) * PACKET_BYTES]


def _nals(stream: bytes) -> Iterator[bytes]:
    """The NAL units of a byte stream (ISO/IEC 14496-10, Annex B); the last one may be cut off."""
    at = stream.find(b"\0\0\1")
    while at >= 0:
        following = stream.find(b"\0\0\1", at + 3)
        if nal := stream[at + 3 : following if following >= 0 else len(stream)]:
            yield nal
        at = following
