"""The segmenter against FFmpeg's real output: nothing is lost, every segment stands by itself, all together are one stream."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.transcoder.conftest import SOURCES, Encode, frames
from transcoder.media.segment import Segment
from transcoder.media.segmenter import Segmenter

Complaints = Callable[[bytes], list[str]]
FRAME_S = 0.04
TARGET_S = 4
ON_FFMPEG = settings(max_examples=settings().max_examples // 4, suppress_health_check=[HealthCheck.function_scoped_fixture])


def cut(slices: Iterable[bytes], first_segment_s: float | None = None, segment_s: float = 2.0) -> list[Segment]:
    segmenter = Segmenter(segment_s=segment_s, target_duration_s=TARGET_S, first_segment_s=first_segment_s)
    segments = [segment for data in slices for segment in segmenter.feed(data)]
    last = segmenter.flush(ended=True)
    return [*segments, last] if last else segments


def joined(segments: Iterable[Segment]) -> bytes:
    return b"".join(segment.data for segment in segments)


def packets(data: bytes) -> list[bytes]:
    assert len(data) % 188 == 0
    return [data[n : n + 188] for n in range(0, len(data), 188)]


def pid(packet: bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def counter_breaks(data: bytes) -> list[str]:
    """Where a continuity counter does not follow the one before it in its PID (ISO/IEC 13818-1, 2.4.3.3)."""
    newest: dict[int, int] = {}
    breaks = []
    for n, packet in enumerate(packets(data)):
        if not packet[3] & 0x10:
            continue
        count = packet[3] & 15
        if newest.get(pid(packet), count - 1) != (count - 1) % 16 and pid(packet) in newest:
            breaks.append(f"packet {n}, PID {pid(packet)}: {newest[pid(packet)]} then {count}")
        newest[pid(packet)] = count
    return breaks


@pytest.mark.parametrize("source", SOURCES)
class TestEverySource:
    def test_the_segments_together_are_the_source(self, source: str, encode: Encode, complaints: Complaints) -> None:
        data = encode(source)
        together = joined(cut([data]))
        assert counter_breaks(together) == []
        assert frames(together) == frames(data)
        assert complaints(together) == complaints(data)

    def test_every_segment_starts_with_pat_and_pmt_and_then_the_frame(self, source: str, encode: Encode) -> None:
        for segment in cut([encode(source)]):
            first, second, third = packets(segment.data)[:3]
            assert [pid(first), pid(second), pid(third)] == [0, 0x1000, 0x100]
            assert third[1] & 0x40

    def test_durations_sum_up_and_round_to_the_target_at_most(self, source: str, encode: Encode) -> None:
        segments = cut([encode(source)])
        for before, after in pairwise(segments):
            if not after.discontinuity:
                assert after.start_s == pytest.approx(before.start_s + before.duration_s, abs=1e-6)
            assert after.start_s >= before.start_s + before.duration_s - 1e-6
        assert all(0 < segment.duration_s < TARGET_S + 0.5 for segment in segments)

    @ON_FFMPEG
    @given(seed=st.integers(0, 1 << 32), largest=st.sampled_from([100, 188, 1000, 7500, 65536]))
    def test_how_the_bytes_come_makes_no_difference(self, source: str, encode: Encode, seed: int, largest: int) -> None:
        data, slices, at, rng = encode(source), [], 0, random.Random(seed)
        while at < len(data):
            size = rng.randint(1, largest)
            slices.append(data[at : at + size])
            at += size
        assert cut(slices) == cut([data])

    @ON_FFMPEG
    @given(seed=st.integers(0, 1 << 32))
    def test_flushes_at_any_time_lose_nothing(self, source: str, encode: Encode, seed: int) -> None:
        data, at, rng = encode(source), 0, random.Random(seed)
        segmenter = Segmenter(segment_s=2.0, target_duration_s=TARGET_S)
        segments: list[Segment] = []
        while at < len(data):
            size = rng.randint(1, 20_000)
            segments += segmenter.feed(data[at : at + size])
            at += size
            if rng.random() < 0.2 and (flushed := segmenter.flush()):
                segments.append(flushed)
        if rest := segmenter.flush(ended=True):
            segments.append(rest)
        whole = cut([data])
        assert sum(s.duration_s for s in segments) == pytest.approx(sum(s.duration_s for s in whole), abs=1e-5)
        assert counter_breaks(joined(segments)) == []
        media = [p for p in packets(joined(segments)) if pid(p) not in (0, 0x1000)]
        assert media == [p for p in packets(joined(whole)) if pid(p) not in (0, 0x1000)]
        assert all(packets(s.data)[2][1] & 0x40 for s in segments)


def test_the_checks_above_see_a_lost_packet(encode: Encode, complaints: Complaints) -> None:
    together = joined(cut([encode("television")]))
    damaged = together[: 188 * 900] + together[188 * 901 :]
    assert len(counter_breaks(damaged)) == 1
    assert any("Continuity check failed" in line for line in complaints(damaged))


def test_cuts_at_keyframes_once_a_segment_is_long_enough(encode: Encode) -> None:
    segments = cut([encode("television")])
    assert [round(s.duration_s, 3) for s in segments] == [2, 2, 2, 2, 2, 2, 2, 0.4]
    assert all(s.independent and not s.discontinuity for s in segments)
    assert [frames(s.data)["video"] for s in segments] == [50, 50, 50, 50, 50, 50, 50, 10]


def test_a_segment_setting_between_keyframes_waits_for_the_next(encode: Encode) -> None:
    assert [round(s.duration_s, 3) for s in cut([encode("television")], segment_s=2.5)] == [4, 4, 4, 2.4]


def test_a_gop_longer_than_the_target_duration_is_cut_inside(encode: Encode) -> None:
    segments = cut([encode("long GOP")])
    assert [s.duration_s for s in segments] == pytest.approx([4, 4, 4, 4, 4, 4, 4, 2])
    assert [s.independent for s in segments] == [True, False, False, True, False, False, True, False]
    assert not any(s.discontinuity for s in segments)


def test_before_it_grows_too_long_a_segment_ends_at_the_last_keyframe_in_it(encode: Encode) -> None:
    segments = cut([encode("uneven GOPs")])
    assert [s.duration_s for s in segments] == pytest.approx([1.2, 3.8, 1.6, 3.4, 4, 0.4])
    assert [s.independent for s in segments] == [True] * 5 + [False], "within 4 s of 10 s there is no keyframe"
    assert not any(s.discontinuity for s in segments)


def test_what_does_not_begin_with_a_keyframe_ends_at_the_next(encode: Encode) -> None:
    data = encode("television")
    segmenter = Segmenter(segment_s=2.0, target_duration_s=TARGET_S)
    first = len(cut([data])[0].data)
    segments = segmenter.feed(data[: first - 188 * 60])
    flushed = segmenter.flush()
    assert flushed is not None
    segments = [flushed, *segmenter.feed(data[first - 188 * 60 :])]
    assert [s.independent for s in segments[:3]] == [True, False, True]
    assert segments[0].duration_s + segments[1].duration_s == pytest.approx(2.0)


def test_how_far_apart_keyframes_are_is_known_from_the_second_on(encode: Encode) -> None:
    segmenter = Segmenter(segment_s=2.0, target_duration_s=12)
    data = encode("uneven GOPs")
    segmenter.feed(data[: len(data) // 20])
    assert segmenter.keyframes_apart_s is None
    segmenter.feed(data[len(data) // 20 :])
    assert segmenter.keyframes_apart_s == pytest.approx(3.8)
    radio = Segmenter(segment_s=2.0, target_duration_s=12)
    radio.feed(encode("radio"))
    assert radio.keyframes_apart_s == 0.0


def test_sound_that_ends_is_missed_by_as_much_picture_as_has_come_since(encode: Encode) -> None:
    data = encode("television")
    whole, mute, never = (Segmenter(segment_s=2.0, target_duration_s=TARGET_S) for _ in range(3))
    whole.feed(data)
    assert whole.soundless_s < 0.5
    mute.feed(b"".join(p for n, p in enumerate(packets(data)) if pid(p) != 0x101 or n < len(data) // 188 // 2))
    assert 5 < mute.soundless_s < 9
    never.feed(b"".join(p for p in packets(data) if pid(p) != 0x101))
    assert never.soundless_s == pytest.approx(14.4 - FRAME_S, abs=0.1)
    for source in ("radio", "long GOP"):
        alone = Segmenter(segment_s=2.0, target_duration_s=TARGET_S)
        alone.feed(encode(source))
        assert alone.soundless_s == 0.0


def test_what_does_not_begin_as_a_picture_does_is_none(encode: Encode) -> None:
    data = bytearray(encode("television"))
    half = len(data) // 376 * 188
    for at in range(half, len(data), 188):
        if pid(bytes(data[at : at + 188])) == 0x100 and data[at + 1] & 0x40:
            begin = data.index(b"\0\0\1\xe0", at)
            data[begin + 9 + data[begin + 8]] = 0xFF  # as AAC's frames do
    segmenter = Segmenter(segment_s=2.0, target_duration_s=TARGET_S)
    segmenter.feed(bytes(data))
    assert segmenter.newest_s is not None
    assert segmenter.newest_s < 9, "time stands still, as where nothing comes"


def test_audio_alone_is_cut_by_its_own_time(encode: Encode) -> None:
    segments = cut([encode("radio")])
    assert all(1.95 <= s.duration_s < 2.5 for s in segments[:-1])
    assert all(s.independent for s in segments)


def test_time_goes_on_across_the_wrap(encode: Encode) -> None:
    plain, wrapped = cut([encode("television")]), cut([encode("wrap")])
    assert wrapped[0].start_s < (1 << 33) / 90_000 < wrapped[-1].start_s
    assert [s.duration_s for s in wrapped] == pytest.approx([s.duration_s for s in plain])
    assert not any(s.discontinuity for s in wrapped)


def test_a_hole_closes_the_segment_and_makes_the_next_one_a_discontinuity(encode: Encode) -> None:
    segments = cut([encode("hole")])
    after = next(n for n, s in enumerate(segments) if s.discontinuity)
    assert sum(s.discontinuity for s in segments) == 1
    before_end_s = segments[after - 1].start_s + segments[after - 1].duration_s
    assert segments[after].start_s - before_end_s == pytest.approx(3, abs=2 * FRAME_S)


def test_after_a_step_back_time_goes_on_from_where_it_was(encode: Encode) -> None:
    data = encode("television")
    segments = cut([data, data])
    assert [n for n, s in enumerate(segments) if s.discontinuity] == [8]
    assert segments[7].duration_s == pytest.approx(0.4)
    assert segments[8].start_s == pytest.approx(segments[7].start_s + segments[7].duration_s)


def test_what_comes_before_the_first_keyframe_is_left_out(encode: Encode) -> None:
    data = encode("television")
    whole = cut([data])
    middle = data.index(whole[0].data[-188 * 100 :])  # inside the first GOP
    segments = cut([data[: 188 * 3], data[middle:]])
    assert segments[0].independent
    assert [s.start_s for s in segments] == [s.start_s for s in whole[1:]]
    assert frames(joined(segments))["video"] == 360 - 50


def test_without_any_table_there_is_no_segment(encode: Encode) -> None:
    media = b"".join(p for p in packets(encode("television")) if pid(p) not in (0, 0x1000))
    segmenter = Segmenter(segment_s=2.0, target_duration_s=TARGET_S)
    assert segmenter.feed(media) == []
    assert segmenter.flush(ended=True) is None
    assert (segmenter.pending_s, segmenter.newest_s) == (0.0, None)


def test_the_first_segment_alone_may_be_short(encode: Encode) -> None:
    segments = cut([encode("television")], first_segment_s=0.5)
    assert segments[0].duration_s == pytest.approx(0.5, abs=0.05)
    assert segments[1].duration_s == pytest.approx(1.5, abs=0.05), "up to the next keyframe, not beyond it"
    assert all(s.independent and s.duration_s >= 1.95 for s in segments[2:-1])


def test_a_flush_holds_back_the_newest_frame_which_may_not_be_complete(encode: Encode) -> None:
    data = encode("television")
    whole = cut([data])
    segmenter = Segmenter(segment_s=2.0, target_duration_s=TARGET_S)
    segmenter.feed(data[: len(whole[0].data) // 188 * 188 - 188 * 40])
    pending_s = segmenter.pending_s
    assert 0 < pending_s < 2
    flushed = segmenter.flush()
    assert flushed is not None
    assert flushed.duration_s == pytest.approx(pending_s - FRAME_S)
    assert segmenter.pending_s == pytest.approx(FRAME_S)
    assert segmenter.flush() is None
    assert segmenter.newest_s == pytest.approx(flushed.start_s + flushed.duration_s)


def test_alignment_is_found_again(encode: Encode) -> None:
    data = encode("television")
    whole = cut([data])
    for rubbish in (b"\x47", b"\x00" * 100, b"\x47" * 189, bytes(random.Random(1).randbytes(1000))):
        segments = cut([rubbish, data[: 188 * 3], rubbish, data[188 * 3 :]])
        assert [s.start_s for s in segments] == [s.start_s for s in whole]
        assert frames(joined(segments)) == frames(joined(whole))


@settings(max_examples=settings().max_examples * 2)
@given(st.lists(st.binary(max_size=600) | st.binary(min_size=187, max_size=187).map(lambda b: b"\x47" + b)))
def test_no_bytes_whatever_are_an_error(slices: list[bytes]) -> None:
    assert all(s.duration_s > 0 for s in cut(slices))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 32))
def test_damage_is_no_error_and_breaks_no_law(encode: Encode, seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(encode("television")[:200_000])
    for _ in range(rng.randint(1, 60)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    segments = cut([bytes(data)])
    assert all(0 < s.duration_s < TARGET_S + 0.5 for s in segments)
    for before, after in pairwise(segments):
        assert after.start_s >= before.start_s + before.duration_s - 1e-6


def test_memory_holds_one_segment(encode: Encode) -> None:
    data = encode("television")
    segmenter = Segmenter(segment_s=2.0, target_duration_s=TARGET_S)
    for _ in range(20):
        segmenter.feed(data)
        assert len(segmenter._buffer) < len(data) / 3


def test_cutting_costs_next_to_nothing(encode: Encode) -> None:
    """A loop over every packet would cost ten times as much; the aim is 0.3 % of a core, the rest is for a busy machine."""
    data = encode("television")
    slices = [data[n : n + len(data) // 360] for n in range(0, len(data), len(data) // 360)]  # 25 reads a second
    costs_s = []
    for _ in range(5):
        segmenter = Segmenter(segment_s=2.0, target_duration_s=TARGET_S)
        began_s = time.process_time()
        for each in slices:
            segmenter.feed(each)
        costs_s.append(time.process_time() - began_s)
    assert min(costs_s) / 14.4 < 0.01


@pytest.mark.parametrize(("segment_s", "target_s"), [(0.0, 4), (-1.0, 4), (5.0, 4)])
def test_settings_that_cannot_hold_are_refused(segment_s: float, target_s: int) -> None:
    with pytest.raises(ValueError, match="segment_s"):
        Segmenter(segment_s=segment_s, target_duration_s=target_s)
