"""What is announced and does not come: read off FFmpeg's description, waited for once, looked for again."""

from __future__ import annotations

from transcoder.ffmpeg.messages import FfmpegMessages
from transcoder.ffmpeg.stream_plan import StreamPlan
from transcoder.input import Streams
from transcoder.source.missing_streams import MissingStreams
from transcoder.source.watchdog import SilenceLimits

LIMITS = SilenceLimits(start_s=8.0, stall_s=3.0)
PLAN = StreamPlan("copy", "copy", 0)
PICTURE = "  Stream #0:0[0x100]: Video: h264 ([27][0][0][0] / 0x001B), yuv420p(progressive), 640x360, 25 fps"
NO_PICTURE = "  Stream #0:0[0x100]: Video: h264 ([27][0][0][0] / 0x001B), none, 90k tbn"
SOUND = "  Stream #0:1[0x101]: Audio: aac (LC) ([15][0][0][0] / 0x000F), 48000 Hz, stereo, fltp, 98 kb/s"
NO_SOUND = "  Stream #0:1[0x101]: Audio: aac ([15][0][0][0] / 0x000F), 0 channels"


def report(*streams: str) -> FfmpegMessages:
    said = FfmpegMessages()
    lines = ["Input #0, mpegts, from 'http://source.test/a.ts':", *streams, "Stream mapping:"]
    said.feed("".join(f"[info] {line}\n" for line in lines).encode())
    return said


def test_sound_of_which_nothing_came_is_none() -> None:
    assert report(PICTURE, SOUND).input.streams == Streams("h264", "aac", 2)
    assert not report(PICTURE, SOUND).input.lacks_sound
    assert report(PICTURE, NO_SOUND).input.streams == Streams("h264", None, 0)
    assert report(PICTURE, NO_SOUND).input.lacks_sound
    assert not report(PICTURE).input.lacks_sound, "what is not announced is not missing"
    assert report(NO_PICTURE, SOUND).input.lacks_picture
    assert not report(NO_PICTURE.replace("none,", "none, 640x360,"), SOUND).input.lacks_picture


def test_each_is_waited_for_once_and_for_as_long_as_it_may_be_away() -> None:
    announced = MissingStreams()
    assert announced.longer_look_s(report(PICTURE, SOUND), LIMITS, PLAN, 1.5) is None
    assert announced.longer_look_s(report(PICTURE, NO_SOUND), LIMITS, PLAN, 1.5) == 3.0
    assert announced.longer_look_s(report(NO_PICTURE, SOUND), LIMITS, PLAN, 3.0) == 7.5
    assert announced.longer_look_s(report(NO_PICTURE, NO_SOUND), LIMITS, PLAN, 1.5) is None


def test_what_has_been_waited_for_already_is_not_waited_for_again() -> None:
    announced = MissingStreams()
    assert announced.longer_look_s(report(NO_PICTURE, NO_SOUND), LIMITS, PLAN, 1.5) == 3.0, "behind the first keyframe"
    assert announced.longer_look_s(report(NO_PICTURE, NO_SOUND), LIMITS, PLAN, 3.0) is None, "that was for both"
    assert MissingStreams().longer_look_s(report(PICTURE, NO_SOUND), LIMITS, PLAN, 7.5) is None, (
        "FFmpeg has learned to look for longer"
    )


def test_what_the_session_does_not_send_is_not_waited_for() -> None:
    nothing = report(NO_PICTURE, NO_SOUND)
    assert MissingStreams().longer_look_s(nothing, LIMITS, PLAN._replace(audio="drop"), 1.5) == 7.5
    assert MissingStreams().longer_look_s(nothing, LIMITS, PLAN._replace(video="drop"), 1.5) == 3.0


def test_sound_is_looked_for_again_ever_more_rarely_and_at_once_where_it_is_seen_to_begin() -> None:
    announced, mute = MissingStreams(), report(PICTURE, NO_SOUND)
    waited_s, now_s = [], 0.0
    assert not announced.may_be_there(mute, 1e9), "nobody has said that silence stands in"
    for _ in range(6):
        waited_s.append(announced.silence_stands_in(now_s))
        assert not announced.may_be_there(mute, now_s + waited_s[-1] - 0.1)
        now_s += waited_s[-1]
        assert announced.may_be_there(mute, now_s)
    assert waited_s == [30, 60, 120, 240, 300, 300]


def test_a_stream_that_begins_soon_after_every_start_is_looked_for_ever_more_rarely() -> None:
    announced, begins = MissingStreams(), report(PICTURE)
    begins.feed(b"[in#0/mpegts @ 0x1] [warning] New audio stream with index 2 at pos:1 and DTS:2s\n")
    looks = [now_s for now_s in range(1, 1000) if announced.may_be_there(begins, now_s)]
    assert looks == [1, 31, 91, 211, 451, 751], "at once, and then as where it does not come at all"
