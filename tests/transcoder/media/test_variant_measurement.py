"""The variant stream's attributes (RFC 8216, 4.3.4.2): measured as 4.1 defines them, and true for whoever read them earlier."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcoder.media.segment_description import SegmentDescription
from transcoder.media.variant_measurement import VariantMeasurement, widest_video
from transcoder.publish.multivariant_playlist import Variant

TARGET_S, WINDOW_S = 4.0, 30.0
HD = SegmentDescription("avc1.640028", "mp4a.40.2", 1920, 1080, 50.0)
NOTHING = SegmentDescription()
SD = SegmentDescription("avc1.4d401e", "mp4a.40.2", 720, 576, 25.0)

lengths = st.tuples(st.integers(1_000, 4_000_000), st.floats(0.2, 4.4))


def measured(segments: list[tuple[int, float]], seen: SegmentDescription = NOTHING) -> VariantMeasurement:
    taken = VariantMeasurement(TARGET_S, WINDOW_S)
    for size_bytes, duration_s in segments:
        taken.take(size_bytes, duration_s, seen)
    return taken


@given(st.lists(lengths, min_size=1, max_size=12))
def test_bandwidth_is_no_less_than_any_run_that_counts(segments: list[tuple[int, float]]) -> None:
    """A run of segments counts that lasts 0.5 to 1.5 target durations (RFC 8216, 4.1)."""
    variant = measured(segments).variant("main.m3u8")
    for first in range(len(segments)):
        for last in range(first + 1, len(segments) + 1):
            run = segments[first:last]
            length_s = sum(duration_s for _, duration_s in run)
            if TARGET_S / 2 <= length_s <= 1.5 * TARGET_S and sum(each[1] for each in segments) <= WINDOW_S:
                assert sum(size_bytes for size_bytes, _ in run) * 8 / length_s <= variant.bandwidth + 1
    assert variant.average_bandwidth is not None
    assert 0 < variant.average_bandwidth <= variant.bandwidth


def test_the_average_is_the_windows_and_the_peak_has_room_for_a_little_more() -> None:
    variant = measured([(250_000, 2.0), (500_000, 2.0), (250_000, 2.0)]).variant("main.m3u8")
    assert variant.average_bandwidth == round(1_000_000 * 8 / 6)
    assert variant.bandwidth == 1.25 * 2_000_000
    gone = measured([(5_000_000, 2.0), *[(250_000, 2.0)] * 16]).variant("main.m3u8")
    assert gone.average_bandwidth == 1_000_000, "what has left the window no longer counts"
    assert gone.bandwidth == 1.25 * 20_000_000, "but was a peak"


def test_a_source_of_more_raises_what_is_said_and_one_of_less_leaves_it() -> None:
    small = measured([(250_000, 2.0)] * 8, SD).variant("main.m3u8")
    assert small == Variant("main.m3u8", 1_250_000, "avc1.4d401e,mp4a.40.2", "720x576", 1_000_000, 25.0)
    large = measured([(2_000_000, 2.0)] * 8, HD).variant("main.m3u8", small)
    assert large == Variant("main.m3u8", 10_000_000, "avc1.640028,mp4a.40.2", "1920x1080", 8_000_000, 50.0)
    again = measured([(250_000, 2.0)] * 8, SD).variant("main.m3u8", large)
    assert again == large._replace(average_bandwidth=1_000_000)


def test_the_average_is_corrected_only_where_it_is_off_and_enough_is_known() -> None:
    said = measured([(250_000, 2.0)] * 8, SD).variant("main.m3u8")
    assert measured([(200_000, 2.0)] * 15, SD).variant("main.m3u8", said) == said, "a fifth less is about the same"
    assert measured([(50_000, 2.0)] * 3, SD).variant("main.m3u8", said) == said, "three segments are no average"
    assert measured([(50_000, 2.0)] * 8, SD).variant("main.m3u8", said).average_bandwidth == 200_000


@given(st.lists(st.tuples(lengths, st.sampled_from([HD, SD, NOTHING])), min_size=1, max_size=40))
def test_what_was_said_stays_true_and_settles(segments: list[tuple[tuple[int, float], SegmentDescription]]) -> None:
    taken = VariantMeasurement(TARGET_S, WINDOW_S)
    said: list[Variant] = []
    for (size_bytes, duration_s), seen in segments:
        taken.take(size_bytes, duration_s, seen)
        said.append(taken.variant("main.m3u8", said[-1] if said else None))
        assert taken.variant("main.m3u8", said[-1]) == said[-1], "what is said is not corrected at once"
    for before, after in pairwise(said):
        assert after.bandwidth >= before.bandwidth
        assert (after.frame_rate or 0.0) >= (before.frame_rate or 0.0)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (None, "avc1.64001f", "avc1.64001f"),
        ("avc1.64001f", None, "avc1.64001f"),
        ("avc1.42c028", "avc1.64001f", "avc1.640028"),
        ("avc1.64001f", "avc1.4d4028", "avc1.640028"),
        ("avc1.42c01e", "avc1.42001e", "avc1.42001e"),
        ("avc1.6e001e", "avc1.640033", "avc1.6e0033"),
        ("hvc1.1.6.L93.B0", "hvc1.2.4.L63.90", "hvc1.2.4.L93.90"),
        ("hvc1.2.4.L63.90", "hvc1.1.6.H93.B0", "hvc1.2.4.H93.90"),
        ("hvc1.1.6.L93.B0", "hvc1.1.6.L120", "hvc1.1.6.L120.B0"),
    ],
)
def test_the_decoder_that_both_need(one: str | None, other: str | None, both: str) -> None:
    assert widest_video(one, other) == both


@pytest.mark.parametrize("codecs", ["avc1.zz", "avc1.64001f,avc1", "hvc1.1.6", "", ",,", "mp4v.20.9", 'hvc1.x.6.L93."'])
def test_a_playlist_of_somebody_elses_making_is_no_reason_to_fail(codecs: str) -> None:
    said = Variant("main.m3u8", 1, codecs, "axb", None, None)
    assert measured([(250_000, 2.0)], SD).variant("main.m3u8", said)[2:4] in {
        ("avc1.4d401e,mp4a.40.2", "720x576"), ("avc1.64001f,mp4a.40.2", "720x576"),
    }  # fmt: skip


def test_codecs_are_all_named_or_none() -> None:
    taken = measured([(250_000, 2.0)], SD._replace(audio=None))
    assert taken.variant("main.m3u8").codecs == "avc1.4d401e"
    taken.has_video = taken.has_sound = True
    assert taken.variant("main.m3u8").codecs is None, "the first sound is still to come"
    taken.take(250_000, 2.0, SD)
    assert taken.variant("main.m3u8").codecs == "avc1.4d401e,mp4a.40.2"


def test_what_the_decoder_says_of_the_sound_counts() -> None:
    taken = measured([(250_000, 2.0)], SD)
    taken.sound = "mp4a.40.5"
    assert taken.variant("main.m3u8").codecs == "avc1.4d401e,mp4a.40.5"
