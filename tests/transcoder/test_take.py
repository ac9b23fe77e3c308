"""What is known of one run of FFmpeg, by what it sends and says."""

from __future__ import annotations

import json

import pytest

from tests.transcoder.conftest import Encode
from tests.transcoder.test_job import GOOD
from transcoder.argv import Plan
from transcoder.ffmpeg_process import FfmpegProcess
from transcoder.job import parse
from transcoder.reach import Reach
from transcoder.take import Take


class Played(FfmpegProcess):
    """Sends and says what a test wants."""

    def __init__(self) -> None:
        self.media_fd, self.messages_fd = 0, 1
        self._waiting = {0: b"", 1: b""}

    def plays(self, media: bytes = b"", messages: str = "") -> None:
        self._waiting[0] += media
        self._waiting[1] += messages.encode()

    def read(self, fd: int) -> bytes:
        data, self._waiting[fd] = self._waiting[fd], b""
        return data

    def widen(self) -> None:
        pass

    @property
    def ended(self) -> bool:
        return False


def opening(*numbers: int) -> str:
    return "".join(f"[hls @ 0x1] Opening 'http://source.test/{number}.ts' for reading\n" for number in numbers)


def test_a_segment_that_is_only_asked_for_makes_the_cadence_no_shorter(encode: Encode) -> None:
    process = Played()
    take = Take(parse(json.dumps(GOOD)), Plan("copy", "copy", 2), process, 0.0, Reach(4, 8.0, first=True))
    process.plays(encode("television"), opening(1, 2))  # 14.4 s in two segments
    take.read(0.1)
    assert take.cadence_s == pytest.approx(7.2, abs=0.1)
    process.plays(messages=opening(3))  # late, and on its way
    take.read(10.0)
    assert take.cadence_s == pytest.approx(7.2, abs=0.1)
