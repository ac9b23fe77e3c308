"""The playlists that we write, read by a parser that is not ours (m3u8): both must see the same."""

from __future__ import annotations

from datetime import UTC, datetime

import m3u8
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transcoder.publish.test_media_playlist import histories
from transcoder import bucket
from transcoder.publish.media_playlist import ListedSegment, MediaPlaylist
from transcoder.publish.multivariant_playlist import MultivariantPlaylist, Sending, Variant

BASE = "https://cdn.example/hls/"


@settings(deadline=None)
@given(histories(), st.booleans(), st.floats(0, 60), st.none() | st.floats(0, 95_000))
def test_a_media_playlist(
    history: tuple[list[MediaPlaylist], list[ListedSegment], float], slate: bool, ahead_s: float, source_end_s: float | None
) -> None:
    for state in history[0]:
        # What stands in comments for the next attempt, says nothing to anybody else.
        ours = state if state.ended else state._replace(slate=slate, ahead_s=ahead_s, source_end_s=source_end_s, claimed_by=7)
        theirs = m3u8.loads(ours.render(), uri=BASE + bucket.media_playlist_key("s-1"))
        assert not theirs.is_variant
        assert theirs.target_duration == ours.target_duration_s
        assert theirs.media_sequence == ours.media_sequence
        assert theirs.discontinuity_sequence == ours.discontinuity_sequence
        assert bool(theirs.is_endlist) is ours.ended
        assert bool(theirs.is_independent_segments) is ours.independent
        assert len(theirs.segments) == len(ours.segments)
        for mine, other in zip(ours.segments, theirs.segments, strict=True):
            assert other.uri == mine.uri
            assert other.duration == mine.duration_s
            assert bool(other.discontinuity) is mine.discontinuity
            assert other.program_date_time == datetime.fromtimestamp(mine.program_date_time, UTC)
            # What a player would request is the key that the segment was stored under.
            assert other.absolute_uri == BASE + str(bucket.listed_key("s-1", mine.uri))


@settings(deadline=None)
@given(
    bandwidth=st.integers(1, 100_000_000),
    average=st.none() | st.integers(1, 100_000_000),
    codecs=st.sampled_from([None, "avc1.64001f,mp4a.40.2", "hvc1.1.6.L93.90,ac-3", "mp4a.40.5"]),
    resolution=st.none() | st.tuples(st.integers(1, 7680), st.integers(1, 4320)),
    frame_rate=st.none() | st.sampled_from([23.976, 25.0, 29.97, 50.0, 59.94]),
    sending=st.sampled_from([None, Sending("h264", "aac", 2), Sending("hevc", None), Sending(None, "ac3", 6)]),
    attempt=st.integers(0, 1000),
)
def test_a_multivariant_playlist(
    bandwidth: int,
    average: int | None,
    codecs: str | None,
    resolution: tuple[int, int] | None,
    frame_rate: float | None,
    sending: Sending | None,
    attempt: int,
) -> None:
    size = None if resolution is None else f"{resolution[0]}x{resolution[1]}"
    variant = Variant(bucket.MEDIA_PLAYLIST_NAME, bandwidth, codecs, size, average, frame_rate)
    ours = MultivariantPlaylist((variant,), sending, attempt)
    theirs = m3u8.loads(ours.render(), uri=BASE + bucket.multivariant_key("s-1"))
    assert theirs.is_variant
    (only,) = theirs.playlists
    assert only.uri == variant.uri
    assert only.absolute_uri == BASE + bucket.media_playlist_key("s-1")
    info = only.stream_info
    assert (info.bandwidth, info.average_bandwidth, info.codecs, info.resolution) == (bandwidth, average, codecs, resolution)
    assert info.frame_rate == (None if frame_rate is None else pytest.approx(frame_rate))
    said = [each.value for each in theirs.session_data if each.data_id == "hls-failover.sending"]
    assert len(said) == (sending is not None)


def test_the_other_parser_does_look() -> None:
    """A duration and a tag that are changed in the text are seen, so the two tests above can fail."""
    segments = tuple(ListedSegment(bucket.segment_uri("s-1", 1, n), 2.0, 1.79e9 + 2 * n, n == 1) for n in range(2))
    text = MediaPlaylist(4, 0, 0, segments, False).render()
    theirs = m3u8.loads(text.replace("#EXTINF:2.000000", "#EXTINF:2.5", 1).replace("#EXT-X-DISCONTINUITY\n", ""))
    assert theirs.segments[0].duration == 2.5
    assert not theirs.segments[1].discontinuity
