"""FFmpeg's description of its input, read from its messages: which streams the source has, and what of them is missing.

FFmpeg writes it once, when it has looked at the source for as long as it was allowed to. A stream that the source announces and
of which nothing had come by then is described without its parameters: that is how a missing sound or picture is found.

FFmpeg quotes what the source says of itself (its metadata), which may look like any of these lines. So numbers are read with no
more digits than FFmpeg's own have.
"""

import re
from typing import NamedTuple

from transcoder.ffmpeg.stream_plan import COPIED_VIDEO
from transcoder.input import Streams

_STREAM = re.compile(r"Stream #0:(\d{1,9})\b\S*: (Video|Audio): (\w+)")
_HE_AAC = re.compile(r"Audio: aac \((HE-AAC|HE-AACv2)\)")
_HE_AAC_CODECS = {"HE-AAC": "mp4a.40.5", "HE-AACv2": "mp4a.40.29"}
_ABSENT_SOUND = re.compile(r"Audio: .*, 0 channels")  # no packet of it has come, which would tell their number
_ABSENT_PICTURE = re.compile(r"Video: (?!.* \d{2,}x\d{2,}).*, none\b")  # no keyframe has come, which would tell its size
_LAYOUT = re.compile(r"\d+ Hz, ([^,]+)")
_START = re.compile(r", start: (-?\d{1,18}\.\d{1,18})")
_CHANNELS = {"mono": 1, "stereo": 2, "binaural": 2, "downmix": 2, "quad": 4, "hexagonal": 6, "octagonal": 8, "cube": 8}
_PROGRAM = re.compile(r"^\s*Program (\d{1,18})\b")
_BITRATE = re.compile(r"variant_bitrate\s*: (\d{1,18})\b")


class InputReport:
    """The description so far. Its values are final once it is `complete`."""

    def __init__(self) -> None:
        self.complete = False  # the streams of the source are known
        self.format = ""  # FFmpeg's names of the source's format: "hls", "mpegts", "mov,mp4,m4a,3gp,3g2,mj2"
        self.finite = False  # the source says how long it is: a file
        self.start_s: float | None = None  # the source's own timestamp of its first media; FFmpeg's output begins near 0
        self._describing = False
        self._streams: dict[int, _DescribedStream] = {}
        self._programs: list[_DescribedProgram] = []

    @property
    def is_underway(self) -> bool:
        """Whether the next lines may be a part of it."""
        return self._describing

    @property
    def streams(self) -> Streams:
        """What the source sends, of what the agent takes: the first video of the best program, and its default audio; no audio
        where none has come."""
        audio = None if self._sound is None or self._sound.is_absent else self._sound
        return Streams(
            self._picture.codec if self._picture else None, audio.codec if audio else None, audio.channels if audio else 0
        )

    @property
    def lacks_sound(self) -> bool:
        """Whether the source announces audio of which nothing came while FFmpeg looked."""
        return self._sound is not None and self._sound.is_absent

    @property
    def lacks_picture(self) -> bool:
        """Whether the source announces video of which no keyframe came while FFmpeg looked."""
        return self._picture is not None and self._picture.is_absent

    @property
    def audio_track(self) -> int:
        """Which of the program's audio streams, from 0: the one that the source calls the default (of HLS renditions:
        DEFAULT=YES, RFC 8216, 4.3.4.1), else the first."""
        return next((index for index, each in enumerate(self._of("Audio")) if each.is_default), 0)

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

    def take(self, text: str) -> None:
        """Takes one line, without its level."""
        if self.complete:
            return
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
