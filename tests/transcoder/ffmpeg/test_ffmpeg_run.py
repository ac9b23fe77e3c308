"""What is known of one run of FFmpeg, by what it sends and says."""

from __future__ import annotations

import json

import pytest

from tests.transcoder.conftest import Encode
from tests.transcoder.test_job import GOOD
from transcoder import bucket
from transcoder.ffmpeg.ffmpeg_run import FfmpegRun
from transcoder.ffmpeg.process import FfmpegProcess
from transcoder.ffmpeg.stream_plan import StreamPlan
from transcoder.job import parse
from transcoder.media.target_duration import TargetDuration


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
    job = parse(json.dumps(GOOD))
    reach = TargetDuration(4, 8.0, first=True)
    take = FfmpegRun(job, job.first, StreamPlan("copy", "copy", 2), process, 0.0, reach)
    process.plays(encode("television"), opening(1, 2))  # 14.4 s in two segments
    take.read(0.1)
    assert take.cadence_s == pytest.approx(7.2, abs=0.1)
    process.plays(messages=opening(3))  # late, and on its way
    take.read(10.0)
    assert take.cadence_s == pytest.approx(7.2, abs=0.1)


@pytest.mark.parametrize(("attempt", "listed", "cut_early"), [(1, False, False), (2, False, False), (2, True, True)])
def test_only_where_something_is_listed_the_first_segment_ends_before_the_second_keyframe(
    encode: Encode, attempt: int, listed: bool, cut_early: bool
) -> None:
    store = GOOD["store"] | {
        "segments": GOOD["store"]["segments"] | {"prefix": bucket.segments_prefix(GOOD["session"], attempt)}
    }
    job = parse(json.dumps(GOOD | {"attempt": attempt, "store": store}))
    process, reach = Played(), TargetDuration(4, 8.0, first=attempt == 1)
    take = FfmpegRun(job, job.first, StreamPlan("copy", "copy", 2), process, 0.0, reach)
    if listed:
        reach.follow(4)
    picture = "[info]   Stream #0:0[0x100]: Video: h264, yuv420p, 320x180, 25 fps"
    process.plays(encode("television"), f"[info] Input #0, mpegts, from 'x':\n{picture}\n[info] Stream mapping:\n")
    take.read(0.1)
    assert (take.closed[0].duration_s < 0.6 * job.segment_s) is cut_early
    assert take.closed[1].independent is not cut_early
