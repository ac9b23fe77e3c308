"""What is read out of FFmpeg's words. The lines are what FFmpeg 5.1 and 8.1 say to real sources."""

from __future__ import annotations

import pytest

from transcoder.ending import Ending
from transcoder.ffmpeg.command_line import Adjustments
from transcoder.ffmpeg.messages import FfmpegMessages
from transcoder.ffmpeg.stream_check import adjusted
from transcoder.input import Streams

HLS = b"""\
[in#0 @ 0x7ff4] [info] Opening 'http://h/seg47.ts' for reading
[in#0 @ 0x7ff4] [info] Opening 'http://h/seg48.ts' for reading
[info] Input #0, hls, from 'http://h/live.m3u8?tok=1':
[info]   Duration: N/A, start: 23.423222, bitrate: N/A
[info]   Program 0
[info]     Metadata:
[info]       variant_bitrate : 0
[info]   Stream #0:0[0x0]: Video: h264 (Constrained Baseline) ([27][0][0][0] / 0x001B), yuv420p, 640x360, 25 fps, 90k tbn
[info]     Metadata:
[info]       variant_bitrate : 0
[info]   Stream #0:1[0x0]: Audio: aac (LC) ([15][0][0][0] / 0x000F), 44100 Hz, stereo, fltp, start 23.435744
[info] Stream mapping:
[info]   Stream #0:0 -> #0:0 (copy)
[info] Output #0, mpegts, to 'pipe:1':
[info]   Stream #0:0: Video: h264 (Constrained Baseline), yuv420p, 640x360, q=2-31, 25 fps, 25 tbr, 90k tbn
[http @ 0x7ff4] [info] Opening 'http://h/seg49.ts' for reading
[http @ 0x7ff4] [info] Opening 'http://h/live.m3u8?tok=1' for reading
"""

VARIANTS = b"""\
[info] Input #0, hls, from 'http://h/index.m3u8':
[info]   Duration: N/A, start: 1.400000, bitrate: N/A
[info]   Program 0
[info]     Metadata:
[info]       variant_bitrate : 300000
[info]   Stream #0:0[0x0]: Video: h264 (Main) ([27][0][0][0] / 0x001B), yuv420p, 320x180, 25 fps
[info]   Stream #0:1[0x0]: Audio: mp2 ([3][0][0][0] / 0x0003), 48000 Hz, mono, s16p, 64 kb/s
[info]   Program 1
[info]     Metadata:
[info]       variant_bitrate : 1500000
[info]   Stream #0:2[0x1]: Video: hevc (Main) ([36][0][0][0] / 0x0024), yuv420p(tv), 1280x720, 25 fps
[info]   Stream #0:3[0x1]: Audio: ac3 ([129][0][0][0] / 0x0081), 48000 Hz, 5.1(side), fltp, 384 kb/s
[info]   Stream #0:4[0x1]: Audio: aac (LC) ([15][0][0][0] / 0x000F), 48000 Hz, stereo, fltp
[info] Stream mapping:
"""

FILE = b"""\
Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'http://h/film.mp4':
  Duration: 01:30:24.01, start: 0.000000, bitrate: 1601 kb/s
  Stream #0:0[0x1](und): Video: h264 (High) (avc1 / 0x31637661), yuv420p(progressive), 640x360, 25 fps (default)
  Stream #0:1[0x2](eng): Audio: opus (Opus / 0x7375704F), 48000 Hz, 3 channels, fltp (default)
  Stream #0:2[0x0]: Video: mjpeg (Progressive), yuvj420p(pc), 300x300, 90k tbr, 90k tbn (attached pic)
Stream mapping:
"""


def test_the_sources_own_timestamp_of_its_first_media_is_known_where_it_is_live() -> None:
    assert report(HLS).input.start_s == 23.423222
    assert report(HLS.replace(b"start: 23.4", b"start: -23.4")).input.start_s == -23.423222, "before its wrap"
    assert report(FILE).input.start_s is None, "the place in a file is no time"


def report(*said: bytes) -> FfmpegMessages:
    report = FfmpegMessages()
    for each in said:
        report.feed(each)
    return report


def test_the_streams_of_a_live_playlist() -> None:
    read = report(HLS)
    assert read.input.complete
    assert (read.input.format, read.input.finite, read.input.program) == ("hls", False, None)
    assert read.input.streams == Streams("h264", "aac", 2)
    assert (read.segments_opened, read.segments_opened_each) == (3, 3.0), "playlists do not count"
    assert read.faults.fault is None


def test_the_best_variant_of_several() -> None:
    read = report(VARIANTS)
    assert read.input.program == 1
    assert read.input.streams == Streams("hevc", "ac3", 6)


def test_segments_of_several_playlists_are_counted_for_each() -> None:
    opened = "".join(
        f"[http @ 0x7f] [info] Opening 'http://h/{name}' for reading\n"
        for name in ("v1.m3u8", "v2.m3u8", "a.m3u8", "1/1.ts", "1/2.ts", "2/1.ts", "2/2.ts", "a/1.aac", "a/2.aac", "v2.m3u8")
    )
    assert report(opened.encode()).segments_opened_each == 2.0


@pytest.mark.parametrize("number", ["9" * 5000, "1e400", "nan", "٣" * 5000])
def test_what_a_source_says_of_itself_is_no_number_of_ffmpegs(number: str) -> None:
    """FFmpeg quotes metadata, whatever they look like."""
    report = FfmpegMessages()
    lines = [
        f"[info]   Program {number}", f"[info]       variant_bitrate : {number}", f"[info]   Stream #0:{number}: Video: h264",
        f"[info]   Stream #0:7: Audio: aac, 48000 Hz, {number} channels", f"[info]   Duration: N/A, start: {number}.{number}",
    ]  # fmt: skip
    said = HLS.decode().splitlines(keepends=True)
    report.feed("".join([*said[:3], "\n".join(lines), "\n", *said[3:]]).encode())
    assert report.input.streams.video == "h264"


def test_a_file_has_a_duration_and_a_cover_is_no_video() -> None:
    read = report(FILE)
    assert read.input.finite
    assert read.input.format == "mov,mp4,m4a,3gp,3g2,mj2"
    assert read.input.streams == Streams("h264", "opus", 3)
    assert not report(FILE.replace(b"01:30:24.01", b"00:00:00.00")).input.finite, "live FLV"
    assert report(FILE.replace(b"Video: h264", b"Data: bin_data")).input.streams == Streams(None, "opus", 3)


def test_lines_may_come_in_pieces() -> None:
    whole = report(HLS)
    pieces = report(*(HLS[n : n + 1] for n in range(len(HLS))))
    assert pieces.input.streams == whole.input.streams
    assert pieces.segments_opened == whole.segments_opened


@pytest.mark.parametrize(
    ("said", "ending"),
    [
        ("[http @ 0x7f] [warning] HTTP error 404 Not Found", Ending.SOURCE_REFUSED),
        ("[http @ 0x7f] [warning] HTTP error 403 Forbidden", Ending.SOURCE_REFUSED),
        ("[in#0 @ 0x7f] [error] Error opening input: Server returned 401 Unauthorized", Ending.SOURCE_REFUSED),
        ("[http @ 0x7f] [warning] HTTP error 500 Internal Server Error", Ending.SOURCE_UNREACHABLE),
        ("[tcp @ 0x7f] [error] Connection to tcp://h:1 failed: Connection refused", Ending.SOURCE_UNREACHABLE),
        ("[tcp @ 0x7f] [error] Failed to resolve hostname h: Name does not resolve", Ending.SOURCE_UNREACHABLE),
        ("[in#0/mpegts @ 0x7f] [error] Error during demuxing: Connection reset by peer", Ending.SOURCE_UNREACHABLE),
        ("[http @ 0x7f] [error] Error reading HTTP response: End of file", Ending.SOURCE_UNREACHABLE),
        ("[in#0 @ 0x7f] [error] Error opening input: End of file", Ending.SOURCE_UNREACHABLE),
        ("[http @ 0x7f] [error] Stream ends prematurely at 575859, should be 900000", Ending.SOURCE_UNREACHABLE),
        ("[in#0 @ 0x7f] [error] Error during demuxing: Input/output error", Ending.SOURCE_UNREACHABLE),
        ("[in#0 @ 0x7f] [error] Error opening input: Invalid data found when processing input", Ending.SOURCE_UNDECODABLE),
        ("[in#0/hls @ 0x7f] [warning] Failed to reload playlist 0", Ending.SOURCE_UNDECODABLE),
        ("[mpegts @ 0x7f] [warning] changing packet size to 204", Ending.SOURCE_UNDECODABLE),
    ],
)
def test_what_went_wrong(said: str, ending: Ending) -> None:
    fault = report(HLS, said.encode() + b"\n").faults.fault
    assert fault is not None
    assert fault.ending is ending
    assert "0x7f" not in fault.line


def test_a_servers_answer_says_more_than_what_follows_from_it() -> None:
    fault = report(
        b"[http @ 0x7f] [warning] HTTP error 404 Not Found\n"
        b"[in#0/hls @ 0x7f] [warning] Failed to reload playlist 0\n"
        b"[in#0 @ 0x7f] [error] Error opening input: Invalid data found when processing input\n"
    ).faults.fault
    assert fault is not None
    assert fault.line == "[http] HTTP error 404 ...", "a server may say there what it likes"


def test_a_body_of_unknown_length_may_end() -> None:
    read = report(
        HLS,
        b"[http @ 0x7f] [error] Stream ends prematurely at 575859, should be 18446744073709551615\n"
        b"[in#0/mpegts @ 0x7f] [error] Error during demuxing: I/O error\n",
    )
    assert read.faults.closed
    assert read.faults.fault is None


def test_media_that_come_forgive_but_not_what_ffmpeg_had_held_back() -> None:
    read = report(HLS)
    read.faults.media_came(10.0)
    read.feed(b"[http @ 0x7f] [warning] HTTP error 404 Not Found\n[in#0/hls @ 0x7f] [warning] Failed to reload playlist 0\n")
    read.faults.media_came(10.08)
    assert (read.faults.fault is not None, read.faults.playlists_lost) == (True, 1)
    read.faults.media_came(12.0)
    assert (read.faults.fault, read.faults.playlists_lost) == (None, 0)


def test_segments_given_up_are_counted() -> None:
    lost = (
        b"[http @ 0x7f] [warning] HTTP error 404 Not Found\n"
        b"[in#0/hls @ 0x7f] [warning] Failed to open segment 71 of playlist 0\n"
        b"[in#0/hls @ 0x7f] [warning] Segment 71 of playlist 0 failed too many times, skipping\n"
    )
    assert report(HLS, lost, lost).faults.segments_lost == 2


@pytest.mark.parametrize("said", [b"Unrecognized option 'seg_max_retry'.\n", b"[fatal] Option seg_max_retry not found.\n"])
def test_an_option_that_this_ffmpeg_does_not_know(said: bytes) -> None:
    assert report(said).faults.unknown_option == "-seg_max_retry"


def test_people_read_what_matters_only() -> None:
    lines = FfmpegMessages().feed(
        HLS + b"[h264 @ 0x7f] [error] non-existing PPS 0 referenced\n[http @ 0x7f] [warning] HTTP error 404 Not Found\n"
    )
    assert [line.split(",")[0].strip() for line in lines] == [
        "Input #0",
        "Duration: N/A",
        "Stream #0:0[0x0]: Video: h264 (Constrained Baseline) ([27][0][0][0] / 0x001B)",
        "Stream #0:1[0x0]: Audio: aac (LC) ([15][0][0][0] / 0x000F)",
        "[http] HTTP error 404 Not Found",
    ]


# --- what no more waiting mends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "[av1 @ 0x7f] [error] Your platform doesn't support hardware accelerated AV1 decoding.",
            "this FFmpeg cannot decode AV1",
        ),
        ("[ist#0:1 @ 0x7f] [fatal] Decoding requested, but no decoder found for: ac4", "this FFmpeg cannot decode AC4"),
        ("[in#0 @ 0x7f] [error] Error opening input: Protocol not found", "this FFmpeg does not speak the source's protocol"),
        ("[ist#0:0 @ 0x7f] [fatal] Decoder (codec evc) not found for input stream #0:0", "this FFmpeg cannot decode EVC"),
        (
            "[vist#0:0/vvc @ 0x7f] [dec:vvc @ 0x7f] [error] Task finished with error code: -1145393733 (No error information)",
            "FFmpeg cannot decode this VVC",
        ),
        (
            "[out#0/mpegts @ 0x7f] [error] Could not write header: Invalid argument",
            "it cannot be put into MPEG-TS; [out#0/mpegts] Could not write header: Invalid argument",
        ),
    ],
)
def test_what_can_never_be_sent_is_said_at_once(said: str, why: str) -> None:
    read = report(HLS, said.encode() + b"\n")
    assert read.faults.unplayable == why
    read.faults.media_came(100.0)
    assert read.faults.unplayable == why, "the sound that goes on does not mend the picture"


def test_a_picture_without_a_size_may_have_one_later() -> None:
    read = report(
        b"[out#0/mpegts @ 0x7f] [error] dimensions not set\n"
        b"[out#0/mpegts @ 0x7f] [error] Could not write header (incorrect codec parameters ?): Invalid argument\n"
    )
    assert read.faults.is_sizeless
    assert adjusted(Adjustments(), read) == Adjustments(slow=True)
    assert adjusted(Adjustments(slow=True), read) == Adjustments(slow=True), "it is waited for once"


@pytest.mark.parametrize(
    "said",
    [
        "[error] Not detecting m3u8/hls with non standard extension and non standard mime type",
        "[in#0 @ 0x7f] [error] URL http://h/seg.php?n=0 is not in allowed_segment_extensions, consider updating hls.c",
        "[hls @ 0x7f] [warning] Filename extension of 'x' is not a common multimedia extension, blocked for security reasons.",
    ],
)
def test_hls_of_other_names_is_known_by_what_ffmpeg_says(said: str) -> None:
    assert adjusted(Adjustments(), report(said.encode() + b"\n")) == Adjustments(is_hls=True)


def test_the_default_rendition_comes_before_the_first() -> None:
    """RFC 8216, 4.3.4.1."""
    renditions = HLS.replace(
        b"[info] Stream mapping",
        b"[info]   Stream #0:2[0x1]: Audio: aac (LC), 48000 Hz, mono, fltp (default)\n[info] Stream mapping",
    )
    assert (report(renditions).input.streams, report(renditions).input.audio_track) == (Streams("h264", "aac", 1), 1)
    assert report(HLS).input.audio_track == 0


def test_a_variant_that_is_copied_comes_before_a_better_one_that_is_not() -> None:
    read = report(VARIANTS.replace(b"Video: hevc (Main)", b"Video: av1 (Main)"))
    assert (read.input.program, read.input.streams) == (0, Streams("h264", "mp2", 1))


def test_audio_that_is_announced_and_has_not_come_is_not_what_the_source_sends() -> None:
    line = b"Audio: aac ([15][0][0][0] / 0x000F), 0 channels"
    read = report(HLS.replace(b"Audio: aac (LC) ([15][0][0][0] / 0x000F), 44100 Hz, stereo, fltp", line))
    assert (read.input.streams, read.input.lacks_sound) == (Streams("h264", None, 0), True)


@pytest.mark.parametrize(
    ("layout", "channels"),
    [("mono", 1), ("4.0", 4), ("5.1(side)", 6), ("7.1.4", 12), ("22.2", 24), ("hexagonal", 6), ("3 channels", 3), ("odd", 0)],
)
def test_channel_layouts_are_numbers(layout: str, channels: int) -> None:
    assert report(HLS.replace(b"44100 Hz, stereo", f"44100 Hz, {layout}".encode())).input.streams.channels == channels


@pytest.mark.parametrize(
    ("said", "codec"), [("aac (LC)", None), ("aac (HE-AAC)", "mp4a.40.5"), ("aac (HE-AACv2)", "mp4a.40.29"), ("mp3", None)]
)
def test_he_aac_is_told_by_the_decoder(said: str, codec: str | None) -> None:
    """An ADTS header names the layer below, AAC-LC."""
    assert report(HLS.replace(b"aac (LC)", said.encode())).input.he_aac == codec
    assert report(VARIANTS.replace(b"aac (LC)", said.encode())).input.he_aac is None, "the first audio of that program is AC-3"


def test_the_status_of_the_newest_refusal_is_kept_until_media_come() -> None:
    faults = FfmpegMessages().faults
    faults.media_came(1.0)
    faults.take("[https @ 0x1] HTTP error 458 too many")
    assert faults.status == 458
    faults.take("Server returned 403 Forbidden (access denied)")
    assert faults.status == 403
    faults.take("method DESCRIBE failed: 401 Unauthorized")
    assert faults.status == 401
    faults.take("HTTP error 503 Service Unavailable")
    assert faults.status == 401
    faults.media_came(2.0)
    assert faults.status is None
