"""What FFmpeg says on standard error, read as facts: which streams the source has, and what went wrong.

Law: FFmpeg's words are the only witness of a source's answer, so each reading has the line that it was made from.
FFmpeg's exit code says next to nothing: it is 0 after an HLS source has answered 404.
"""

import re
from typing import NamedTuple

from transcoder.ending import Ending
from transcoder.job import Streams

_STREAM = re.compile(r"Stream #0:(\d+)\S*: (Video|Audio): (\w+)")
_ABSENT_SOUND = re.compile(r"Audio: .*, 0 channels")  # no packet of it has told how many there are
_ABSENT_PICTURE = re.compile(r"Video: (?!.* \d{2,}x\d{2,}).*, none\b")  # no keyframe has told its size
_NEW_SOUND = re.compile(r"New audio stream")
_LAYOUT = re.compile(r"\d+ Hz, ([^,]+)")
_CHANNELS = {"mono": 1, "stereo": 2, "2.1": 3, "quad": 4, "5.0": 5, "5.1": 6, "6.1": 7, "7.1": 8}
_START = re.compile(r", start: (-?\d+\.\d+)")
_OPENING = re.compile(r"Opening '([^']*)' for reading")
_PROGRAM = re.compile(r"^\s*Program (\d+)")
_BITRATE = re.compile(r"variant_bitrate\s*: (\d+)")
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
    r"|changing packet size|matches no streams|not allowed|Not yet implemented"
    r"|bitstream error, startcode missing"  # what comes as the picture is none: of each frame, so it is noise as well
)
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


class Fault(NamedTuple):
    """One thing that went wrong with the source: the ending that it would explain, and FFmpeg's line."""

    ending: Ending
    line: str


class Report:
    """Everything that one run of FFmpeg has said so far."""

    def __init__(self) -> None:
        self.complete = False  # the streams of the source are known
        self.format = ""  # FFmpeg's names of the source's format: "hls", "mpegts", "mov,mp4,m4a,3gp,3g2,mj2"
        self.finite = False  # the source says how long it is: a file
        self.start_s: float | None = None  # the source's own timestamp of its first media; output starts anew near 0
        self.closed = False  # the server ended the body
        self.sound_has_begun = False  # a stream of sound that the source did not announce when it was described
        self.unknown_option: str | None = None  # this FFmpeg does not know it
        self.segments_opened = 0  # media segments asked for (HLS), of all playlists
        self._playlists_opened: set[str] = set()
        self.playlists_lost = 0  # reloads of an HLS playlist that failed since media came
        self.segments_lost = 0  # segments given up since media came
        self._describing = False
        self._streams: dict[int, tuple[str, str, int]] = {}
        self._absent: set[int] = set()  # of the streams: those that are announced, and had not come when they were described
        self._programs: list[_Program] = []
        self._opened: list[str] = []
        self._faults: list[Fault] = []
        self._newest_s = 0.0
        self._faulty_until_s = _INF
        self._tail = b""

    @property
    def streams(self) -> Streams:
        """What the source sends, as far as the agent takes it: the first video and the first audio of the best
        program."""
        video, audio = self._first("Video"), self._first("Audio")
        codec, channels = (None, 0) if audio is None or self.lacks_sound else self._streams[audio][1:]
        return Streams(None if video is None else self._streams[video][1], codec, channels)

    @property
    def lacks_sound(self) -> bool:
        """Whether the source announces sound of which nothing came while FFmpeg looked."""
        return self._first("Audio") in self._absent

    @property
    def lacks_picture(self) -> bool:
        """Whether the source announces a picture of which no keyframe came while FFmpeg looked."""
        return self._first("Video") in self._absent

    def _first(self, kind: str) -> int | None:
        numbers = self._best.streams if self._best else sorted(self._streams)
        return next((number for number in numbers if self._streams[number][0] == kind), None)

    @property
    def program(self) -> int | None:
        """The program (variant) with the highest bit rate; None where there is no choice."""
        return self._best.number if self._best else None

    @property
    def _best(self) -> "_Program | None":
        variants = [program for program in self._programs if program.streams]
        return max(variants, key=lambda program: program.bitrate) if len(variants) > 1 else None

    @property
    def segments_opened_each(self) -> float:
        """Media segments asked for, per playlist: variants and renditions are all looked at first."""
        return self.segments_opened / max(1, len(self._playlists_opened))

    @property
    def fault(self) -> Fault | None:
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
            self._programs.append(_Program(int(program[1])))
        elif (stream := _STREAM.search(text)) and "(attached pic)" not in text:
            layout = _LAYOUT.search(text)
            channels = _channels(layout[1]) if layout else 0
            self._streams[int(stream[1])] = (stream[2], stream[3], channels)
            if _ABSENT_SOUND.search(text) or _ABSENT_PICTURE.search(text):
                self._absent.add(int(stream[1]))
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
        elif _NEW_SOUND.search(text):
            self.sound_has_begun = True
            return
        elif _CLOSED.search(text):
            self.closed = True
        elif _REFUSED.search(text):
            self._faults.append(Fault(Ending.SOURCE_REFUSED, text))
        elif _UNREACHABLE.search(text):
            self._faults.append(Fault(Ending.SOURCE_UNREACHABLE, text))
        elif _UNDECODABLE.search(text):
            self._faults.append(Fault(Ending.SOURCE_UNDECODABLE, text))
        elif _LOST_PLAYLIST.search(text):
            self.playlists_lost += 1
            if not self._faults:  # it was answered, so what came was no playlist
                self._faults.append(Fault(Ending.SOURCE_UNDECODABLE, text))
        elif _LOST_SEGMENT.search(text):
            self.segments_lost += "skipping" in text
        elif _WHATEVER.search(text) and not self._faults and not self.closed:
            self._faults.append(Fault(Ending.SOURCE_UNREACHABLE, text))
        else:
            return
        del self._faults[:-32]
        if self._faulty_until_s == _INF:
            self._faulty_until_s = self._newest_s + _HELD_BACK_S


# Which of several faults says most: a server's answer more than a broken connection, that more than odd bytes.
_WEIGHT = (Ending.SOURCE_REFUSED, Ending.SOURCE_UNREACHABLE, Ending.SOURCE_UNDECODABLE)


class _Program:
    def __init__(self, number: int) -> None:
        self.number = number
        self.bitrate = 0
        self.streams: list[int] = []


def _channels(layout: str) -> int:
    """FFmpeg's name of a channel layout as a number: "stereo", "5.1(side)", "3 channels"."""
    name = layout.strip().partition("(")[0]
    if name in _CHANNELS:
        return _CHANNELS[name]
    number = name.partition(" ")[0]
    return int(number) if number.isdecimal() else 0
