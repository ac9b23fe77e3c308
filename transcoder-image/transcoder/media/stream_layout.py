"""Selects by PAT and PMT the PIDs that the segmenter inspects: those of the tables, of the stream that segments are cut by, and
of the sound beside it."""

from transcoder.media.program_table import ProgramTable
from transcoder.media.transport_stream import STARTS, elementary_streams, program_pid

_VIDEO = frozenset((0x01, 0x02, 0x10, 0x1B, 0x20, 0x21, 0x24, 0x33, 0x42, 0xD1, 0xEA))  # stream_type, Table 2-34
_WITH_START_CODES = frozenset((0x1B, 0x24))  # H.264, HEVC
_AUDIO = frozenset((0x03, 0x04, 0x0F, 0x11, 0x1C, 0x81, 0x87))


class StreamLayout:
    """`tables`: by PID. `cut_pid`: the first video stream, else the first audio stream; None before the tables have come.
    `sound_pid`: the first audio stream beside video. `headers`: the second and third byte of each packet that matters."""

    def __init__(self) -> None:
        self.pat = ProgramTable()
        self.pmt = ProgramTable()
        self.tables = {0: self.pat}
        self.cut_pid: int | None = None
        self.cut_is_video = self.has_start_codes = False
        self.sound_pid: int | None = None
        self.read()

    def read(self) -> None:
        """Reads the tables, one of which has changed."""
        program = program_pid(self.pat.section)
        if program is not None and self.tables.get(program) is not self.pmt:
            self.pmt = ProgramTable()
            self.tables = {0: self.pat, program: self.pmt}
        streams = elementary_streams(self.pmt.section)
        video = [pid for kind, pid in streams if kind in _VIDEO]
        audio = [pid for kind, pid in streams if kind in _AUDIO] or [pid for _, pid in streams]
        self.cut_pid = next(iter(video or audio), None)
        self.cut_is_video = bool(video)
        self.has_start_codes = bool(video) and next(kind for kind, pid in streams if pid == video[0]) in _WITH_START_CODES
        self.sound_pid = next((pid for kind, pid in streams if video and kind in _AUDIO), None)
        self.headers = [bytes((start | pid >> 8, pid & 255)) for pid in self.tables for start in (0, STARTS)]
        for each in (self.cut_pid, self.sound_pid):
            if each is not None:
                self.headers.append(bytes((STARTS | each >> 8, each & 255)))
