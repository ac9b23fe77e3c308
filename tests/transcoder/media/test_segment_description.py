"""What the agent reads out of elementary streams, against ffprobe, which has parsers of its own."""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transcoder.rig import FFMPEG, FFPROBE
from transcoder.media import parameter_sets
from transcoder.media.segment_description import SegmentDescription, describe

QUIET = (FFMPEG, "-v", "error", "-nostdin")
PROFILES = {  # profile_idc and constraint flags by ffprobe's names (ISO/IEC 14496-10, Annex A)
    "Constrained Baseline": (66, 0x40), "Main": (77, 0), "High": (100, 0), "High 10": (110, 0), "High 4:2:2": (122, 0),
    "High 4:4:4 Predictive": (244, 0),
}  # fmt: skip


def made(video: tuple[str, ...], size: str = "640x360", rate: str = "25", sound: tuple[str, ...] = ("-c:a", "aac")) -> bytes:
    """A second of MPEG-TS as FFmpeg gives it to the agent, without what stands before the first table."""
    picture = ("-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d=1", *video, "-g", "300") if video else ()
    tone = ("-f", "lavfi", "-i", "sine=d=1:sample_rate=48000") if sound else ()
    inputs = (*picture[:4], *tone)
    command = (*QUIET, *inputs, *picture[4:], *sound, "-f", "mpegts", "pipe:1")
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def probed(data: bytes) -> dict[str, Any]:
    command = (FFPROBE, "-v", "error", "-show_streams", "-of", "json", "-")
    answer = subprocess.run(command, input=data, capture_output=True, check=True, timeout=60).stdout
    return {stream["codec_type"]: stream for stream in json.loads(answer)["streams"]}


@pytest.mark.parametrize(
    ("options", "size", "rate"),
    [
        (("-profile:v", "baseline", "-pix_fmt", "yuv420p"), "640x360", "25"),
        (("-profile:v", "main", "-bf", "2", "-pix_fmt", "yuv420p"), "1280x720", "50"),
        (("-x264-params", "8x8dct=1:cqm=jvt", "-pix_fmt", "yuv420p"), "426x238", "30000/1001"),
        (("-level", "5.1", "-pix_fmt", "yuv420p", "-x264-params", "interlaced=1"), "1920x1080", "25"),
        (("-pix_fmt", "yuv420p10le",), "854x480", "60000/1001"),
        (("-pix_fmt", "yuv422p",), "320x180", "24000/1001"),
        (("-pix_fmt", "yuv444p",), "322x182", "15"),
    ],
)  # fmt: skip
def test_h264_is_what_ffprobe_sees(options: tuple[str, ...], size: str, rate: str) -> None:
    data = made(("-c:v", "libx264", "-preset", "ultrafast", *options), size, rate)
    stream = probed(data)["video"]
    profile, constraints = PROFILES[stream["profile"]]
    seen = describe(data)
    assert seen.video is not None
    name, code = seen.video.split(".")
    found = bytes.fromhex(code)
    assert (name, found[0], found[2]) == ("avc1", profile, stream["level"])
    assert found[1] & constraints == constraints
    assert (seen.width, seen.height) == (stream["width"], stream["height"])
    assert seen.frame_rate == round(float(Fraction(rate)), 3)
    assert seen.audio == "mp4a.40.2"
    assert seen.independent


@pytest.mark.parametrize(
    ("parameters", "size", "rate"),
    [
        ("", "640x360", "25"),
        pytest.param("level=5.1:high-tier=1", "1920x1080", "50", marks=pytest.mark.slow),
        ("open-gop=1", "426x238", "30000/1001"),
    ],
)
def test_hevc_is_what_ffprobe_sees(parameters: str, size: str, rate: str) -> None:
    params = ":".join(filter(None, ("log-level=error", parameters)))
    data = made(("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", params, "-pix_fmt", "yuv420p"), size, rate)
    stream = probed(data)["video"]
    assert stream["profile"] == "Main"
    seen = describe(data)
    tier = "H" if "high-tier" in parameters else "L"
    assert seen.video == f"hvc1.1.6.{tier}{stream['level']}.90"
    assert (seen.width, seen.height) == (stream["width"], stream["height"])
    assert seen.frame_rate == round(float(Fraction(rate)), 3)


@pytest.mark.parametrize(
    ("sound", "codec"),
    [
        (("-c:a", "aac"), "mp4a.40.2"),
        (("-c:a", "mp2"), "mp4a.40.33"),
        (("-c:a", "libmp3lame"), "mp4a.40.34"),
        (("-c:a", "ac3"), "ac-3"),
        (("-c:a", "eac3"), "ec-3"),
    ],
)
def test_sound_alone_is_named_and_needs_nothing_before_it(sound: tuple[str, ...], codec: str) -> None:
    assert describe(made((), sound=sound)) == SegmentDescription(audio=codec, independent=True)


def test_a_keyframe_whose_group_is_open_is_not_independent() -> None:
    """Its first pictures are shown before it, and refer to the group before: what starts there cannot decode them."""
    options = ("-c:v", "libx264", "-preset", "medium", "-pix_fmt", "yuv420p", "-bf", "2")
    params = ("-x264-params", "keyint=10:min-keyint=10:scenecut=0:open-gop=1:b-adapt=0")
    opened = made((*options, *params), sound=())
    closed = made((*options, "-x264-params", "keyint=10:min-keyint=10:scenecut=0:b-adapt=0"), sound=())
    assert [describe(part).independent for part in groups(opened)] == [True, False]
    assert [describe(part).independent for part in groups(closed)] == [True, True]


def groups(data: bytes) -> list[bytes]:
    """The whole, and the same from its second keyframe on, each with the tables before it."""
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    tables = [packet for packet in packets[:4] if (packet[1] & 0x1F) << 8 | packet[2] in (0, 0x1000)]
    keyframes = [n for n, packet in enumerate(packets) if packet[3] & 0x20 and packet[4] and packet[5] & 0x40]
    return [b"".join((*tables, *packets[at:])) for at in keyframes[:2]]


class Writer:
    """Bits of a parameter set."""

    def __init__(self) -> None:
        self.bits = ""

    def u(self, count: int, value: int) -> Writer:
        self.bits += f"{value:0{count}b}"
        return self

    def ue(self, value: int) -> Writer:
        code = f"{value + 1:b}"
        self.bits += "0" * (len(code) - 1) + code
        return self

    def nal(self, header: bytes) -> bytes:
        bits = self.bits + "1"
        data = int(bits + "0" * (-len(bits) % 8), 2).to_bytes((len(bits) + 7) // 8, "big")
        for last in (0, 1, 2, 3):
            data = data.replace(bytes((0, 0, last)), bytes((0, 0, 3, last))) if last != 3 else data
        return header + data


@pytest.mark.parametrize(
    ("profile", "compatibility", "tier", "level", "constraints", "codec"),
    [
        # The examples of ISO/IEC 14496-15 (Annex E.3) and of Apple's HLS authoring specification.
        (1, 0x60000000, 0, 93, 0xB00000000000, "hvc1.1.6.L93.B0"),
        (2, 0x20000000, 0, 123, 0xB00000000000, "hvc1.2.4.L123.B0"),
        (2, 0x20000000, 1, 153, 0x900000000000, "hvc1.2.4.H153.90"),
        (1, 0x60000000, 0, 120, 0, "hvc1.1.6.L120"),
        (4, 0x08000000, 0, 120, 0x9D0800000000, "hvc1.4.10.L120.9D.8"),
    ],
)
@pytest.mark.parametrize("sub_layers", [0, 2])
def test_hevc_profiles_that_our_encoder_does_not_make(
    profile: int, compatibility: int, tier: int, level: int, constraints: int, codec: str, sub_layers: int
) -> None:
    written = Writer().u(4, 0).u(3, sub_layers).u(1, 1)
    written.u(2, 0).u(1, tier).u(5, profile).u(32, compatibility).u(48, constraints).u(8, level)
    for _ in range(sub_layers):
        written.u(1, 1).u(1, 1)
    if sub_layers:
        written.u(2 * (8 - sub_layers), 0)
    for _ in range(sub_layers):
        written.u(88, 5).u(8, level)
    written.ue(0).ue(1).ue(3840).ue(2168).u(1, 1).ue(0).ue(0).ue(0).ue(4)
    assert parameter_sets.hevc(written.nal(b"\x42\x01")) == (codec, 3840, 2160)


@given(st.binary(max_size=200), st.integers(0, 1))
def test_a_parameter_set_that_is_rubbish_is_an_error_and_nothing_else(rubbish: bytes, which: int) -> None:
    try:
        picture = (parameter_sets.h264, parameter_sets.hevc)[which](rubbish)
    except ValueError:
        return
    assert picture.width > 0 and picture.height > 0


@settings(deadline=None)  # the first example has the segment made
@given(st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 255)), max_size=40), st.integers(0, 9000))
def test_a_segment_with_broken_bytes_is_described_all_the_same(changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(small()[:length])
    for at, byte in changes:
        if at < len(data):
            data[at] = byte
    assert isinstance(describe(bytes(data)), SegmentDescription)


@cache
def small() -> bytes:
    return made(("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"), "64x64", "10")
