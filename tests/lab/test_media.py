"""The media form an endless programme: FFmpeg decodes across the loop's seam without a gap, and each frame tells its number."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import MARKS_FILTER, Mark, Recipe, default_ffmpeg, marks
from lab.media.loop import FPS, default_cache_dir, make
from lab.media.mpegts import WRAP_TICKS, moved, pts
from tests.lab.conftest import ffmpeg, ffprobe

SMALL = Recipe(width=320, height=180, bitrate_bps=200_000)


@pytest.mark.parametrize(
    ("recipe", "video", "audio", "audio_frame_ticks"),
    [
        (Recipe(picture=0), "h264", "aac,2", 1920),
        (replace(SMALL, picture=1, b_frames=2, channels=1), "h264", "aac,1", 1920),
        (replace(SMALL, picture=2, video="hevc", audio="mp2"), "hevc", "mp2,2", 2160),
        (replace(SMALL, picture=3, audio="ac3", channels=6), "h264", "ac3,6", 2880),
        (replace(SMALL, picture=4, audio=None), "h264", None, None),
        (replace(SMALL, picture=5, segment_s=12.0), "h264", "aac,2", 1920),
        (replace(SMALL, picture=6, segment_s=4.0, gop_s=1.0), "h264", "aac,2", 1920),
    ],
    ids=lambda value: f"picture{value.picture}" if isinstance(value, Recipe) else None,
)
async def test_rounds_join_without_a_gap(
    recipe: Recipe, video: str, audio: str | None, audio_frame_ticks: int | None, tmp_path: Path
) -> None:
    loop = make(recipe, default_cache_dir(), default_ffmpeg())
    seam = 3 * len(loop.segments)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(loop.segment(number) for number in range(seam - 2, seam + 2)))

    streams = await ffprobe("-show_entries", "stream=codec_name,channels", str(joined))
    assert sorted({",".join(row) for row in streams}) == sorted([video, *([audio] if audio else [])])

    packets = await ffprobe("-show_entries", "packet=stream_index,dts", str(joined))
    steps = Counter[tuple[str, int]]()
    last: dict[str, int] = {}
    for index, dts, *_ in packets:
        if index in last:
            steps[index, int(dts) - last[index]] += 1
        last[index] = int(dts)
    assert set(steps) == {("0", 90_000 // FPS), *([("1", audio_frame_ticks)] if audio_frame_ticks else [])}

    decode = ("-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
    seen = marks(await ffmpeg("-i", str(joined), "-vf", MARKS_FILTER, *decode))
    frames = recipe.loop_s * FPS
    first = frames - 2 * recipe.segment_frames
    assert seen == [Mark(recipe.picture, (first + n) % frames) for n in range(4 * recipe.segment_frames)]


def test_media_are_made_once(tmp_path: Path) -> None:
    recipe = Recipe(width=64, height=64, bitrate_bps=50_000)
    made = make(recipe, tmp_path, default_ffmpeg())
    started = time.monotonic()
    again = make(recipe, tmp_path, "/no/such/ffmpeg")
    assert time.monotonic() - started < 0.2
    assert again.segments == made.segments
    assert len(list(tmp_path.iterdir())) == 1


def test_no_half_made_media_are_left(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        make(Recipe(), tmp_path, "/no/such/ffmpeg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"segment_s": 0.01}, {"segment_s": 1.03}, {"segment_s": 3.0, "gop_s": 2.0}])
def test_a_recipe_whose_segments_cannot_be_cut_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="GOPs"):
        Recipe(**wrong)  # type: ignore[arg-type]


@given(at=st.integers(0, WRAP_TICKS - 1), later=st.integers(-WRAP_TICKS, 3 * WRAP_TICKS), counter=st.integers(0, 15))
def test_timestamps_and_counters_move_and_wrap(at: int, later: int, counter: int) -> None:
    packet = bytes([0x47, 0x41, 0x00, 0x30 | counter, 7, 0x10]) + (at << 15 | 0x7E00 | 299).to_bytes(6, "big")
    packet += b"\x00\x00\x01\xe0\x00\x00\x80\xc0\x0a" + _stamp(3, at) + _stamp(1, at)
    packet += bytes(188 - len(packet))

    there = moved(packet, later, {0x100: 5})
    expected = (at + later) % WRAP_TICKS
    assert int.from_bytes(there[6:12], "big") == expected << 15 | 0x7E00 | 299
    assert (pts(there, 21), pts(there, 26)) == (expected, expected)
    assert there[3] & 0x0F == (counter + 5) % 16
    assert moved(there, -later, {0x100: 11}) == packet


def _stamp(prefix: int, ticks: int) -> bytes:
    bits = prefix << 36 | (ticks >> 30) << 33 | 1 << 32 | (ticks >> 15 & 0x7FFF) << 17 | 1 << 16 | (ticks & 0x7FFF) << 1 | 1
    return bits.to_bytes(5, "big")
