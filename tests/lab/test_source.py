"""A source's playlists and media follow from its clock and its fault."""

from __future__ import annotations

import re

import pytest

from lab import LabFault, LabSource, Recipe, default_ffmpeg
from lab.media.loop import default_cache_dir, make
from lab.media.mpegts import TICKS_PER_S, WRAP_TICKS, frame_starts
from lab.serving.source import WINDOW_SEGMENTS

NOON_S = 1_800_000_000.0


class Clock:
    """A clock that stands until it is told."""

    def __init__(self) -> None:
        self.now_s = NOON_S + 0.5

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def source(clock: Clock, segment_s: float = 2.0, later_s: float = 0.0) -> LabSource:
    loop = make(Recipe(segment_s=segment_s, width=320, height=180, bitrate_bps=100_000), default_cache_dir(), default_ffmpeg())
    return LabSource("a", loop, later_s=later_s, clock=clock)


def listed(source: LabSource) -> list[int]:
    return [int(number) for number in re.findall(r"^(\d+)\.ts$", source.playlist("media.m3u8") or "", re.MULTILINE)]


def first_ticks(source: LabSource, number: int) -> int:
    segment = source.segment(number)
    assert segment is not None
    return frame_starts(segment, 0x100)[0][1]


def test_the_window_follows_the_clock(clock: Clock) -> None:
    a = source(clock)
    newest = int(clock.now_s // 2) - 1
    assert listed(a) == list(range(newest - WINDOW_SEGMENTS + 1, newest + 1))
    assert f"#EXT-X-MEDIA-SEQUENCE:{newest - WINDOW_SEGMENTS + 1}\n" in (a.playlist("media.m3u8") or "")
    clock.now_s += 1.4
    assert listed(a)[-1] == newest
    clock.now_s += 0.2
    assert listed(a)[-1] == newest + 1


def test_what_is_listed_is_there_and_what_is_not_due_is_not(clock: Clock) -> None:
    a = source(clock)
    numbers = listed(a)
    assert all(a.segment(number) for number in numbers)
    assert a.segment(numbers[-1] + 1) is None
    assert a.segment(numbers[0] - 60) is None


def test_sources_are_in_step_whatever_their_segments(clock: Clock) -> None:
    """At each moment both show the same programme second: their segments' dates and timestamps are the same clock."""
    short, long = source(clock, 2.0), source(clock, 4.0)
    for _ in range(8):
        for one in (short, long):
            number = listed(one)[-1]
            assert 0 <= clock.now_s - (number + 1) * one.segment_s < one.segment_s
            assert first_ticks(one, number) == int(number * one.segment_s) * TICKS_PER_S % WRAP_TICKS
        clock.now_s += 1.0


def test_frozen_holds_and_healing_catches_up(clock: Clock) -> None:
    a = source(clock)
    before = listed(a)
    a.fault = LabFault.FROZEN
    clock.now_s += 10
    assert listed(a) == before
    a.fault = None
    assert listed(a)[-1] == before[-1] + 5


@pytest.mark.parametrize("late_s", [1.0, 5.0])
def test_late_delays_and_never_goes_back(clock: Clock, late_s: float) -> None:
    a = source(clock)
    before = listed(a)
    a.inject(LabFault.LATE, late_s)
    assert listed(a) == before
    clock.now_s += late_s + 20
    assert listed(a)[-1] == int((clock.now_s - late_s) // 2) - 1
    held = listed(a)
    a.fault = LabFault.FROZEN
    assert listed(a) == held


def test_end_lists_no_more_and_says_so(clock: Clock) -> None:
    a = source(clock)
    before = listed(a)
    a.fault = LabFault.END
    clock.now_s += 10
    assert listed(a) == before
    assert (a.playlist("media.m3u8") or "").endswith("#EXT-X-ENDLIST\n")


def test_an_empty_playlist_is_a_playlist(clock: Clock) -> None:
    a = source(clock)
    a.fault = LabFault.EMPTY_PLAYLIST
    assert listed(a) == []
    assert (a.playlist("media.m3u8") or "").startswith("#EXTM3U\n")


def test_a_timestamp_jump_begins_with_the_next_segment(clock: Clock) -> None:
    a = source(clock)
    number = listed(a)[-1]
    before = first_ticks(a, number)
    a.inject(LabFault.TIMESTAMP_JUMP, -50)
    clock.now_s += 2
    assert first_ticks(a, number) == before
    assert first_ticks(a, number + 1) == (before + (2 - 50) * TICKS_PER_S) % WRAP_TICKS
    a.fault = None
    clock.now_s += 2
    assert first_ticks(a, number + 1) == (before + (2 - 50) * TICKS_PER_S) % WRAP_TICKS
    assert first_ticks(a, number + 2) == (before + 4 * TICKS_PER_S) % WRAP_TICKS


def test_vod_is_one_round(clock: Clock) -> None:
    a = source(clock)
    playlist = a.playlist("vod.m3u8") or ""
    numbers = [int(number) for number in re.findall(r"^(\d+)\.ts$", playlist, re.MULTILINE)]
    assert len(numbers) * a.segment_s == a.loop.recipe.loop_s
    assert all(a.segment(number) for number in numbers)
    assert playlist.endswith("#EXT-X-ENDLIST\n")


@pytest.mark.parametrize(
    ("fault", "amount"),
    [
        ("no such fault", None),
        (LabFault.TRICKLE, 0.0),
        (LabFault.TRICKLE, -1.0),
        (LabFault.LATE, -1.0),
        (LabFault.LATE, float("nan")),
    ],
)
def test_what_a_source_cannot_have_is_refused(clock: Clock, fault: str, amount: float | None) -> None:
    a = source(clock)
    with pytest.raises(ValueError):
        a.inject(fault, amount)
    assert a.fault is None


def test_segments_of_a_pattern_hold_the_same_programme_and_come_when_they_end(clock: Clock) -> None:
    loop = make(Recipe(segment_s=1.0, width=320, height=180, pattern=(1, 1, 4)), default_cache_dir(), default_ffmpeg())
    a = LabSource("a", loop, clock=clock)
    text = a.playlist("media.m3u8") or ""
    assert "#EXT-X-TARGETDURATION:4\n" in text
    assert sorted(re.findall(r"#EXTINF:(\d)", text)) == ["1", "1", "1", "1", "4", "4"]
    for _ in range(8):
        number = listed(a)[-1]
        assert 0 <= clock.now_s - loop.recipe.begins(number + 1) < 4
        assert first_ticks(a, number) == loop.recipe.begins(number) * TICKS_PER_S % WRAP_TICKS
        segment = a.segment(number)
        assert segment is not None
        length_s = loop.recipe.begins(number + 1) - loop.recipe.begins(number)
        assert len(frame_starts(segment, 0x100)) == 25 * length_s
        clock.now_s += 1.0


def pids(packets: bytes) -> set[int]:
    return {(packets[at + 1] & 0x1F) << 8 | packets[at + 2] for at in range(0, len(packets), 188)}


def test_sound_that_stops_leaves_or_takes_the_place_of_the_picture(clock: Clock) -> None:
    a = source(clock)
    number = listed(a)[-1]
    well = a.segment(number) or b""
    assert {0x1000, 0x100, 0x101} <= pids(well)
    announced = bytes((0x0F, 0xE1, 0x01))  # AAC on PID 0x101
    assert announced in well
    a.fault = LabFault.AUDIO_STOPS
    segment = a.segment(number) or b""
    assert 0x101 not in pids(segment)
    assert announced in segment
    a.fault = LabFault.AUDIO_LEAVES
    segment = a.segment(number) or b""
    assert 0x101 not in pids(segment)
    assert announced not in segment
    a.fault = LabFault.AUDIO_FOR_VIDEO
    segment = a.segment(number) or b""
    assert {0x100, 0x101} & pids(segment) == {0x100}
    assert bytes((0x0F, 0xE1, 0x00)) in segment
    assert len(segment) < len(well)
