"""FFmpeg's command line: what each profile, source and session makes of it."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.transcoder.test_job import changed
from transcoder.ffmpeg.command_line import OPTIONAL, Adjustments, ffmpeg_argv
from transcoder.ffmpeg.source_options import probe_options
from transcoder.ffmpeg.stream_plan import USUAL, StreamPlan, Unplayable, assumed_streams, plan
from transcoder.input import SCHEMES, SourceInput, Streams
from transcoder.job import Profile, parse

H264 = Streams("h264", "aac", 2)


def argv(
    url: str = "http://source/live.m3u8", what: StreamPlan | None = None, lacks: frozenset[str] = frozenset()
) -> list[str]:
    job = parse(json.dumps(changed("source.url", url)))
    return ffmpeg_argv("ffmpeg", job, job.first, what or plan("copy", USUAL, None), Adjustments(lacks))


def value(of: str, line: list[str]) -> str:
    return line[line.index(of) + 1]


@pytest.mark.parametrize(
    ("profile", "source", "sending", "expected"),
    [
        # a session's first attempt: the profile decides
        ("copy", H264, None, StreamPlan("copy", "copy", 0)),
        ("copy", Streams("hevc", "aac", 6), None, StreamPlan("copy", "copy", 0)),
        ("copy", Streams("h264", "mp2", 2), None, StreamPlan("copy", "aac", 2)),
        ("copy", Streams("h264", "ac3", 6), None, StreamPlan("copy", "aac", 2)),
        ("copy", Streams("h264", "ac3", 1), None, StreamPlan("copy", "aac", 1)),
        ("copy", Streams("h264", "aac", 0), None, StreamPlan("copy", "aac", 2)),  # announced, and not come yet
        ("copy", Streams("h264", "aac", 0), H264, StreamPlan("copy", "aac", 2)),
        ("copy", Streams("mpeg2video", "aac", 2), None, StreamPlan("h264", "copy", 0)),
        ("copy", Streams("h264", None, 0), None, StreamPlan("copy", "copy", 0)),
        ("copy", Streams(None, "mp3", 2), None, StreamPlan("copy", "aac", 2)),
        ("h264", H264, None, StreamPlan("h264", "aac", 2)),
        ("h264", Streams("h264", None, 0), None, StreamPlan("h264", "copy", 0)),
        # and then what the session sends
        ("copy", H264, H264, StreamPlan("copy", "copy", 0)),
        ("copy", Streams("hevc", "aac", 2), H264, StreamPlan("h264", "copy", 0)),
        ("copy", H264, Streams("hevc", "aac", 2), StreamPlan("hevc", "copy", 0)),
        ("copy", Streams("h264", "mp2", 2), H264, StreamPlan("copy", "aac", 2)),
        ("copy", Streams("h264", "aac", 1), H264, StreamPlan("copy", "aac", 2)),
        ("copy", H264, Streams("h264", "aac", 6), StreamPlan("copy", "aac", 6)),
        ("copy", Streams("h264", None, 0), H264, StreamPlan("copy", "silence", 2)),
        ("copy", H264, Streams("h264", None, 0), StreamPlan("copy", "drop", 0)),
        ("copy", H264, Streams(None, "aac", 2), StreamPlan("drop", "copy", 0)),
        ("h264", H264, H264, StreamPlan("h264", "aac", 2)),
    ],
)
def test_the_plan(profile: Profile, source: Streams, sending: Streams | None, expected: StreamPlan) -> None:
    assert plan(profile, source, sending) == expected
    if sending:
        assert expected.sending(source) == sending, "the session goes on as it began"


@pytest.mark.parametrize(
    ("source", "sending", "expected"),
    [
        (Streams("hevc", "aac", 2), None, StreamPlan("h264", "copy", 0)),
        (H264, None, StreamPlan("copy", "copy", 0)),
        (Streams("hevc", "aac", 2), H264, StreamPlan("h264", "copy", 0)),
        # The policy came later: the session has HEVC, and whoever watches it can play that.
        (Streams("hevc", "aac", 2), Streams("hevc", "aac", 2), StreamPlan("copy", "copy", 0)),
        (H264, Streams("hevc", "aac", 2), StreamPlan("hevc", "copy", 0)),
    ],
)
def test_hevc_becomes_h264_where_the_policy_says_so_and_the_session_begins(
    source: Streams, sending: Streams | None, expected: StreamPlan
) -> None:
    assert plan("copy", source, sending, "h264") == expected
    assert plan("h264", source, None, "copy").video == "h264"


def test_what_cannot_go_on() -> None:
    with pytest.raises(Unplayable, match="neither video nor audio"):
        plan("copy", Streams(None, None, 0), None)
    with pytest.raises(Unplayable, match="no video"):
        plan("copy", Streams(None, "aac", 2), H264)
    with pytest.raises(Unplayable, match="no video"):
        plan("copy", Streams(None, "aac", 2), Streams("h264", None, 0))


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_every_source_has_a_whitelist_that_keeps_to_the_network(scheme: str) -> None:
    allowed = value("-protocol_whitelist", argv(f"{scheme}://host/x")).split(",")
    assert scheme in allowed
    assert not {"file", "data", "concat", "pipe", "subfile", "cache", "fd", "unix", "ftp", "async"} & set(allowed)


def test_the_whitelist_comes_before_the_source_that_it_is_for() -> None:
    line = argv()
    assert line.index("-protocol_whitelist") < line.index("-i")


def test_headers_and_agent_are_sent_as_given() -> None:
    job = parse(
        json.dumps(
            changed(
                "source",
                {"url": "https://h/x.ts", "user_agent": "VLC/3", "headers": {"Referer": "http://portal/", "X-Key": "a b"}},
            )
        )
    )
    line = ffmpeg_argv("ffmpeg", job, job.first, plan("copy", USUAL, None))
    assert value("-user_agent", line) == "VLC/3"
    assert value("-headers", line) == "Referer: http://portal/\r\nX-Key: a b\r\n"


def test_a_source_that_turned_out_to_be_hls_is_asked_for_as_such_whatever_its_name() -> None:
    for url in ("http://h/live/1234", "http://h/x.php?id=1", "https://h/x.ts"):
        job = parse(json.dumps(changed("source.url", url)))
        line = ffmpeg_argv("ffmpeg", job, job.first, plan("copy", USUAL, None), Adjustments(is_hls=True))
        assert (value("-f", line), value("-allowed_extensions", line), value("-extension_picky", line)) == ("hls", "ALL", "0")
        assert value("-live_start_index", line) == "-5"
        assert "-scan_all_pmts" not in line


@pytest.mark.parametrize("url", ["http://h/live/1234", "http://h/x.php", "http://h/x.ts", "https://h/x.m3u8"])
def test_a_probe_is_told_everything_once(url: str) -> None:
    """ffprobe passes over what the format that comes does not know."""
    flags = probe_options(SourceInput(url, None, {}), 5.0)
    for option in ("-allowed_extensions", "-extension_picky", "-scan_all_pmts", "-rw_timeout"):
        assert flags.count(option) == 1, option
    assert "-allowed_extensions" not in probe_options(SourceInput("rtmp://h/x", None, {}), 5.0)


def test_a_picture_whose_size_comes_late_is_waited_for() -> None:
    job = parse(json.dumps(changed("source.url", "http://h/x.ts")))
    usual, slow = (
        ffmpeg_argv("ffmpeg", job, job.first, plan("copy", USUAL, None), Adjustments(slow=slow)) for slow in (False, True)
    )
    assert (value("-analyzeduration", usual), value("-analyzeduration", slow)) == ("1500000", "7500000")


def test_the_default_audio_of_a_program() -> None:
    line = argv(what=StreamPlan("copy", "copy", 0, program=2, audio_track=1))
    assert [line[n + 1] for n, each in enumerate(line) if each == "-map"] == ["0:p:2:V:0?", "0:p:2:a:1?"]


def test_what_the_probe_has_not_heard_is_taken_for_the_usual() -> None:
    """A wrong guess costs a second start of FFmpeg."""
    job = parse(json.dumps(changed("expected", {"video": "h264", "audio": "aac", "channels": 0})))
    assert assumed_streams(job.first) == Streams("h264", "aac", 2)
    silent = parse(json.dumps(changed("expected", {"video": "mjpeg", "audio": None, "channels": 0})))
    assert assumed_streams(silent.first) == Streams("mjpeg", None, 0)


def test_options_of_hls_are_for_playlists_only() -> None:
    assert value("-live_start_index", argv("http://h/x.m3u8?token=1")) == "-5"
    assert "-live_start_index" not in argv("http://h/x.ts")


def test_only_files_are_paced_and_only_files_are_asked_again() -> None:
    paced = argv(what=StreamPlan("copy", "copy", 0, paced=True))
    assert value("-readrate", paced) == "1"
    assert "-reconnect" in paced
    assert not {"-readrate", "-re", "-reconnect"} & set(argv())


def test_keyframes_on_segment_borders_where_video_is_encoded() -> None:
    line = argv(what=StreamPlan("h264", "aac", 2))
    assert value("-force_key_frames", line) == "expr:gte(t,n_forced*2)"
    assert value("-c:v", line) == "libx264"
    assert value("-ac", line) == "2"


def test_one_program_of_several() -> None:
    line = argv(what=StreamPlan("copy", "copy", 0, program=2))
    assert [line[n + 1] for n, each in enumerate(line) if each == "-map"] == ["0:p:2:V:0?", "0:p:2:a:0?"]


def test_what_an_older_ffmpeg_lacks_is_left_out() -> None:
    for what in (StreamPlan("copy", "copy", 0), StreamPlan("copy", "copy", 0, paced=True)):
        old, new = argv(what=what, lacks=OPTIONAL), argv(what=what)
        assert not OPTIONAL & set(old)
        assert len(new) - len(old) == 2 * len(OPTIONAL & set(new))


@pytest.mark.parametrize(
    "what",
    [
        StreamPlan("copy", "copy", 0),
        StreamPlan("copy", "aac", 2),
        StreamPlan("copy", "silence", 2),
        StreamPlan("copy", "silence", 6),
        StreamPlan("copy", "drop", 0),
        StreamPlan("drop", "copy", 0),
        StreamPlan("h264", "aac", 1),
        StreamPlan("hevc", "aac", 2),
        StreamPlan("copy", "copy", 0, program=0, paced=True),
    ],
)
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x.m3u8", "http://127.0.0.1:9/x", "rtmp://127.0.0.1:9/a/b", "rtsp://127.0.0.1:9/x"]
)
def test_ffmpeg_understands_every_line(ffmpeg: str, url: str, what: StreamPlan) -> None:
    """It gets as far as asking the source, which is not there: it knows every option, and each is in its place."""
    job = parse(json.dumps(changed("source.url", url)))
    done = subprocess.run(ffmpeg_argv(ffmpeg, job, job.first, what), capture_output=True, text=True, timeout=20, check=False)
    assert "Connection refused" in done.stderr
    assert "option" not in done.stderr.lower()
