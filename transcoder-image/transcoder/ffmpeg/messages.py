"""Splits FFmpeg's standard error into lines as it arrives and dispatches them to the parsers.

`input` is FFmpeg's description of the source, `faults` what went wrong; here, media segments are counted as they are requested.
"""

import re

from transcoder.ffmpeg.fault_messages import FaultMessages
from transcoder.ffmpeg.input_report import InputReport

_OPENING = re.compile(r"Opening '([^']*)' for reading")
_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")
_LEVEL = re.compile(r"\[(info|verbose|warning|error|fatal|panic)\] ?")
_LONGEST_LINE = 65_536  # bytes
_MOST_PLAYLISTS, _NEWEST_SEGMENTS = 64, 32  # whose addresses are remembered

# Decoders that join in the middle write this for every frame before the first keyframe: useless in the log.
_NOISE = re.compile(
    r"non-existing [PS]PS|no frame!|decode_slice_header|Last message repeated|Consider increasing|^frame="
    r"|PPS id out of range|Error parsing NAL|Could not find ref|Packet corrupt|corrupt input packet|changing packet size"
    r"|startcode missing|Timestamps are unset"
)


class FfmpegMessages:
    """Everything that one run of FFmpeg has said so far."""

    def __init__(self) -> None:
        self.input = InputReport()
        self.faults = FaultMessages()
        self.segments_opened = 0  # media segments requested (HLS), of all playlists
        self._playlists_opened: set[str] = set()
        self._opened: list[str] = []
        self._tail = b""

    @property
    def segments_opened_each(self) -> float:
        """Media segments requested, per playlist: FFmpeg looks at all variants and renditions first."""
        return self.segments_opened / max(1, len(self._playlists_opened))

    def feed(self, data: bytes) -> list[str]:
        """Takes what FFmpeg wrote, in slices of any size; returns the whole lines that are worth logging."""
        *lines, self._tail = (self._tail + data).replace(b"\r", b"\n").split(b"\n")
        if len(self._tail) > _LONGEST_LINE:
            lines, self._tail = [*lines, self._tail], b""
        return [line for raw in lines if (line := self._take(raw.decode("utf-8", "replace")))]

    def _take(self, line: str) -> str:
        text = _ADDRESS.sub("", _LEVEL.sub("", line, count=1))
        self.input.take(text)
        if opened := _OPENING.search(text):
            self._open(opened[1])
        else:
            self.faults.take(text)
        return text if self._worth_logging(line, text) else ""

    def _worth_logging(self, line: str, text: str) -> bool:
        if "[info]" in line:
            return self.input.is_underway and text.lstrip().startswith(("Input #0", "Duration: ", "Stream #0"))
        return bool(text.strip()) and not _NOISE.search(text)

    def _open(self, url: str) -> None:
        """Counts media segments: a playlist is opened again and again, a segment once."""
        path = url.partition("?")[0]
        if path.endswith((".m3u8", ".m3u")):
            if len(self._playlists_opened) < _MOST_PLAYLISTS:
                self._playlists_opened.add(path)
            return
        if path.endswith(".key") or url in self._opened:
            return
        self._opened = [*self._opened[1 - _NEWEST_SEGMENTS :], url]
        self.segments_opened += 1
