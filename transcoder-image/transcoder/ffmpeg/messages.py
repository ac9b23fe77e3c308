"""What FFmpeg says on standard error, read as facts: which streams the source has, and what went wrong.

Law: FFmpeg's words are the only witness of a source's answer, so each reading has the line that it was made from.
FFmpeg's exit code says next to nothing: it is 0 after an HLS source has answered 404.

FFmpeg quotes what the source says of itself (its metadata), which may look like any of these lines: numbers are read with as
many digits as FFmpeg's own have.
"""

import re
from typing import NamedTuple

from transcoder.ending import Ending
from transcoder.ffmpeg.stream_plan import COPIED_VIDEO
from transcoder.job import Streams
from transcoder.source.redaction import without_servers_words

_STREAM = re.compile(r"Stream #0:(\d{1,9})\b\S*: (Video|Audio): (\w+)")
_HE_AAC = re.compile(r"Audio: aac \((HE-AAC|HE-AACv2)\)")
_HE_AAC_CODECS = {"HE-AAC": "mp4a.40.5", "HE-AACv2": "mp4a.40.29"}
_ABSENT_SOUND = re.compile(r"Audio: .*, 0 channels")  # no packet of it has told how many there are
_ABSENT_PICTURE = re.compile(r"Video: (?!.* \d{2,}x\d{2,}).*, none\b")  # no keyframe has told its size
_NEW_SOUND = re.compile(r"New audio stream")
_LAYOUT = re.compile(r"\d+ Hz, ([^,]+)")
_START = re.compile(r", start: (-?\d{1,18}\.\d{1,18})")
_CHANNELS = {"mono": 1, "stereo": 2, "binaural": 2, "downmix": 2, "quad": 4, "hexagonal": 6, "octagonal": 8, "cube": 8}
_OPENING = re.compile(r"Opening '([^']*)' for reading")
_PROGRAM = re.compile(r"^\s*Program (\d{1,18})\b")
_BITRATE = re.compile(r"variant_bitrate\s*: (\d{1,18})\b")
_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")
_LEVEL = re.compile(r"\[(info|verbose|warning|error|fatal|panic)\] ?")

# The server says no: asking again will not help.
_REFUSED = re.compile(r"HTTP error 4\d\d|Server returned 4|StreamNotFound|method \w+ failed: 4\d\d")
# Nobody answers, or not to the end.
_UNREACHABLE = re.compile(
    r"HTTP error 5\d\d|Server returned 5|Connection refused|Connection reset|[Tt]imed out|[Nn]o route to host"
    r"|[Nn]etwork (is )?unreachable|[Hh]ost (is )?unreachable|Failed to resolve|Error reading HTTP response"
    r"|Stream ends prematurely|[Tt]he TLS connection|TLS handshake|certificate|Connection to \S+ failed|Broken pipe"
    r"|method \w+ failed: 5\d\d|Error opening input: End of file|Cannot open connection"
)
# Something comes, but no media.
_UNDECODABLE = re.compile(
    r"Invalid data found|Error when loading first segment|does not contain any stream|moov atom not found"
    r"|changing packet size|matches no streams|not allowed|Not yet implemented|need zlib"
    r"|bitstream error, startcode missing"  # what comes as the picture is none: of each frame, so it is noise as well
)
# What no more waiting mends: FFmpeg does not speak the protocol, has no decoder, its decoder has given up, or MPEG-TS has no
# place for what comes.
_NO_DECODER = re.compile(
    r"doesn't support hardware accelerated (\w+) decoding|no decoder found for: (\w+)|Decoder \(codec (\w+)\) not found"
)
_DECODER_ENDED = re.compile(r"\[dec:(\w+)[^]]*\] Task finished with error")
_NO_PROTOCOL = re.compile(r"Protocol not found")
_NO_HEADER = re.compile(r"Could not write header|not currently supported in container|Could not find tag for codec")
# The picture's size is in its first keyframe, which has not come in the time that FFmpeg was given.
_NO_SIZE = re.compile(r"dimensions not set")
# An HLS source whose address, type or segments are not called as FFmpeg expects.
ODDLY_NAMED_HLS = re.compile(r"Not detecting m3u8/hls|not in allowed_(segment_)?extensions|blocked for security reasons")
# What can only be read together with the lines before: why is in those, if anywhere.
_LOST_PLAYLIST = re.compile(r"Failed to reload playlist")
_LOST_SEGMENT = re.compile(r"Failed to open segment|failed too many times, skipping")
# A server that closes a body of no announced length: that is its end, not an accident (2^64-1 is FFmpeg's "unknown").
_CLOSED = re.compile(r"Stream ends prematurely at \d+, should be 18446744073709551615")
_UNKNOWN_OPTION = re.compile(r"Unrecognized option '(\w+)'|Option (\w+) not found")
_WHATEVER = re.compile(r"I/O error|Input/output error")

# Decoders that join in the middle say this of every frame up to the first keyframe; it says nothing at 2 a.m.
_NOISE = re.compile(
    r"non-existing [PS]PS|no frame!|decode_slice_header|Last message repeated|Consider increasing|^frame="
    r"|PPS id out of range|Error parsing NAL|Could not find ref|Packet corrupt|corrupt input packet|changing packet size"
    r"|startcode missing|Timestamps are unset"
)


_INF = float("inf")
_HELD_BACK_S = 0.5  # of media that FFmpeg's muxer may hold, waiting for the other stream


class SourceFault(NamedTuple):
    """One thing that went wrong with the source: the ending that it would explain, and FFmpeg's line, with no word of a
    server's."""

    ending: Ending
    line: str


class FfmpegMessages:
    """Everything that one run of FFmpeg has said so far."""

    def __init__(self) -> None:
        self.complete = False  # the streams of the source are known
        self.format = ""  # FFmpeg's names of the source's format: "hls", "mpegts", "mov,mp4,m4a,3gp,3g2,mj2"
        self.finite = False  # the source says how long it is: a file
        self.start_s: float | None = None  # the source's own timestamp of its first media; output starts anew near 0
        self.closed = False  # the server ended the body
        self.sound_has_begun = False  # a stream of sound that the source did not announce when it was described
        self.unknown_option: str | None = None  # this FFmpeg does not know it
        self.unplayable: str | None = None  # why it can never be sent, whatever else comes
        self.is_sizeless = False  # the picture's size was not known in time
        self.is_oddly_named_hls = False  # FFmpeg did not take it for HLS, or not its segments
        self.segments_opened = 0  # media segments asked for (HLS), of all playlists
        self._playlists_opened: set[str] = set()
        self.playlists_lost = 0  # reloads of an HLS playlist that failed since media came
        self.segments_lost = 0  # segments given up since media came
        self._describing = False
        self._streams: dict[int, _DescribedStream] = {}
        self._programs: list[_DescribedProgram] = []
        self._opened: list[str] = []
        self._faults: list[SourceFault] = []
        self._newest_s = 0.0
        self._faulty_until_s = _INF
        self._tail = b""

    @property
    def streams(self) -> Streams:
        """What the source sends, as far as the agent takes it: the first video of the best program, and its default audio; no
        audio where that has not come."""
        audio = None if self._sound is None or self._sound.is_absent else self._sound
        return Streams(
            self._picture.codec if self._picture else None, audio.codec if audio else None, audio.channels if audio else 0
        )

    @property
    def lacks_sound(self) -> bool:
        """Whether the source announces sound of which nothing came while FFmpeg looked."""
        return self._sound is not None and self._sound.is_absent

    @property
    def lacks_picture(self) -> bool:
        """Whether the source announces a picture of which no keyframe came while FFmpeg looked."""
        return self._picture is not None and self._picture.is_absent

    @property
    def audio_track(self) -> int:
        """Which of the program's audio streams, from 0: the one that the source calls the default (of HLS renditions:
        DEFAULT=YES, RFC 8216, 4.3.4.1), else the first."""
        return next((place for place, each in enumerate(self._of("Audio")) if each.is_default), 0)

    @property
    def he_aac(self) -> str | None:
        """The codec (RFC 6381) of that audio where it is HE-AAC; None: it is not."""
        return self._sound.he_aac if self._sound else None

    @property
    def _picture(self) -> "_DescribedStream | None":
        return next(iter(self._of("Video")), None)

    @property
    def _sound(self) -> "_DescribedStream | None":
        audios = self._of("Audio")
        return audios[self.audio_track] if audios else None

    def _of(self, kind: str) -> "list[_DescribedStream]":
        numbers = self._best.streams if self._best else sorted(self._streams)
        return [self._streams[number] for number in numbers if self._streams[number].kind == kind]

    @property
    def program(self) -> int | None:
        """The program (variant) with the highest bit rate, of those whose video is copied if there are any; None where there
        is no choice."""
        return self._best.number if self._best else None

    @property
    def _best(self) -> "_DescribedProgram | None":
        variants = [program for program in self._programs if program.streams]
        return max(variants, key=self._worth) if len(variants) > 1 else None

    def _worth(self, program: "_DescribedProgram") -> tuple[bool, int]:
        copied = any(self._streams[number].codec in COPIED_VIDEO for number in program.streams)
        return copied, program.bitrate

    @property
    def segments_opened_each(self) -> float:
        """Media segments asked for, per playlist: variants and renditions are all looked at first."""
        return self.segments_opened / max(1, len(self._playlists_opened))

    @property
    def fault(self) -> SourceFault | None:
        """The weightiest fault since media last came, the latest of several; None where there was none."""
        return min(reversed(self._faults), key=lambda fault: _WEIGHT.index(fault.ending), default=None)

    def media_came(self, newest_s: float) -> None:
        """Media up to `newest_s` have come: what went wrong before is over, unless they are only what FFmpeg had held
        back."""
        self._newest_s = newest_s
        if newest_s > self._faulty_until_s:
            self._faults.clear()
            self.playlists_lost = self.segments_lost = 0
            self._faulty_until_s = _INF

    def feed(self, data: bytes) -> list[str]:
        """Takes what FFmpeg wrote, in slices of any size; gives the whole lines that people may want to read."""
        *lines, self._tail = (self._tail + data).replace(b"\r", b"\n").split(b"\n")
        if len(self._tail) > 65_536:
            lines, self._tail = [*lines, self._tail], b""
        return [line for raw in lines if (line := self._take(raw.decode("utf-8", "replace")))]

    def _take(self, line: str) -> str:
        text = _ADDRESS.sub("", _LEVEL.sub("", line, count=1))
        if self._describing or not self.complete:
            self._describe(text)
        if opened := _OPENING.search(text):
            self._open(opened[1])
        else:
            self._blame(text)
        return text if self._worth_reading(line, text) else ""

    def _worth_reading(self, line: str, text: str) -> bool:
        if "[info]" in line:
            return self._describing and text.lstrip().startswith(("Input #0", "Duration: ", "Stream #0"))
        return bool(text.strip()) and not _NOISE.search(text)

    def _describe(self, text: str) -> None:
        if text.startswith("Input #0, "):
            self._describing = True
            self.format = text[len("Input #0, ") :].partition(", from ")[0]
        elif text.startswith(("Stream mapping:", "Output #0", "Input #1")):
            self.complete, self._describing = True, False
        elif not self._describing:
            return
        elif text.startswith("  Duration: "):
            self.finite = not text.startswith(("  Duration: N/A", "  Duration: 00:00:00.0"))  # live FLV says 0
            start = _START.search(text)
            self.start_s = float(start[1]) if start and not self.finite else None
        elif program := _PROGRAM.match(text):
            self._programs.append(_DescribedProgram(int(program[1])))
        elif (stream := _STREAM.search(text)) and "(attached pic)" not in text and stream[3] != "none":
            layout = _LAYOUT.search(text)
            channels = _channels(layout[1]) if layout else 0
            he_aac = _HE_AAC_CODECS[profile[1]] if (profile := _HE_AAC.search(text)) else None
            absent = bool(_ABSENT_SOUND.search(text) or _ABSENT_PICTURE.search(text))
            self._streams[int(stream[1])] = _DescribedStream(
                stream[2], stream[3], channels, "(default)" in text, he_aac, absent
            )
            if self._programs:
                self._programs[-1].streams.append(int(stream[1]))
        elif self._programs and (bitrate := _BITRATE.search(text)):
            self._programs[-1].bitrate = max(self._programs[-1].bitrate, int(bitrate[1]))

    def _open(self, url: str) -> None:
        """Counts media segments: a playlist is opened again and again, a segment once."""
        path = url.partition("?")[0]
        if path.endswith((".m3u8", ".m3u")):
            if len(self._playlists_opened) < 64:
                self._playlists_opened.add(path)
            return
        if path.endswith(".key") or url in self._opened:
            return
        self._opened = [*self._opened[-31:], url]
        self.segments_opened += 1

    def _blame(self, text: str) -> None:
        if unknown := _UNKNOWN_OPTION.search(text):
            self.unknown_option = "-" + (unknown[1] or unknown[2])
        elif ODDLY_NAMED_HLS.search(text):
            self.is_oddly_named_hls = True
        elif _NO_SIZE.search(text):
            self.is_sizeless = True
        elif lacking := _NO_DECODER.search(text):
            self.unplayable = f"this FFmpeg cannot decode {(lacking[1] or lacking[2] or lacking[3]).upper()}"
        elif ended := _DECODER_ENDED.search(text):
            self.unplayable = self.unplayable or f"FFmpeg cannot decode this {ended[1].upper()}"
        elif _NO_PROTOCOL.search(text):
            self.unplayable = "this FFmpeg does not speak the source's protocol"
        elif _NO_HEADER.search(text):
            self.unplayable = self.unplayable or f"it cannot be put into MPEG-TS; {text}"
        elif _NEW_SOUND.search(text):
            self.sound_has_begun = True
            return
        elif _CLOSED.search(text):
            self.closed = True
        elif _REFUSED.search(text):
            self._faults.append(SourceFault(Ending.SOURCE_REFUSED, without_servers_words(text)))
        elif _UNREACHABLE.search(text):
            self._faults.append(SourceFault(Ending.SOURCE_UNREACHABLE, without_servers_words(text)))
        elif _UNDECODABLE.search(text):
            self._faults.append(SourceFault(Ending.SOURCE_UNDECODABLE, without_servers_words(text)))
        elif _LOST_PLAYLIST.search(text):
            self.playlists_lost += 1
            if not self._faults:  # it was answered, so what came was no playlist
                self._faults.append(SourceFault(Ending.SOURCE_UNDECODABLE, without_servers_words(text)))
        elif _LOST_SEGMENT.search(text):
            self.segments_lost += "skipping" in text
        elif _WHATEVER.search(text) and not self._faults and not self.closed:
            self._faults.append(SourceFault(Ending.SOURCE_UNREACHABLE, without_servers_words(text)))
        else:
            return
        del self._faults[:-32]
        if self._faulty_until_s == _INF:
            self._faulty_until_s = self._newest_s + _HELD_BACK_S


# Which of several faults says most: a server's answer more than a broken connection, that more than odd bytes.
_WEIGHT = (Ending.SOURCE_REFUSED, Ending.SOURCE_UNREACHABLE, Ending.SOURCE_UNDECODABLE)


class _DescribedStream(NamedTuple):
    kind: str  # "Video", "Audio"
    codec: str
    channels: int
    is_default: bool
    he_aac: str | None  # its codec (RFC 6381), where it is HE-AAC
    is_absent: bool  # it is announced, and had not come when it was described


class _DescribedProgram:
    def __init__(self, number: int) -> None:
        self.number = number
        self.bitrate = 0
        self.streams: list[int] = []


def _channels(layout: str) -> int:
    """FFmpeg's name of a channel layout as a number: "stereo", "5.1(side)", "3 channels"; 0: not known."""
    name = layout.strip().partition("(")[0]
    if name in _CHANNELS:
        return _CHANNELS[name]
    parts = name.partition(" ")[0].split(".")  # "7.1.4": around, below, above
    return sum(map(int, parts)) if all(part.isdecimal() and len(part) < 4 for part in parts) else 0
