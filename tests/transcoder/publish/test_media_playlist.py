"""The playlist laws over random histories, each law seen when it is broken, and the RFC's own examples."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transcoder import bucket
from transcoder.publish.media_playlist import ListedSegment, MediaPlaylist
from transcoder.publish.multivariant_playlist import MultivariantPlaylist, Sending, Variant
from transcoder.publish.playlist_rules import violations
from transcoder.publish.playlist_syntax import LIMIT_BYTES, MalformedPlaylist

TARGET_S = 4
NOON = 1_790_000_000.0
EMPTY = MediaPlaylist(TARGET_S, 0, 0, (), False)


def listed(n: int, attempt: int = 1, discontinuity: bool = False, at_s: float | None = None) -> ListedSegment:
    start_s = NOON + 2 * n if at_s is None else at_s
    return ListedSegment(bucket.segment_uri("s-1", attempt, n), 2.0, start_s, discontinuity)


def playlist(count: int, window_s: float = 20.0) -> MediaPlaylist:
    """Every fifth segment is another attempt's."""
    state = EMPTY
    for n in range(count):
        state = state.append(listed(n, 1 + n // 5, n > 0 and n % 5 == 0), window_s)
    return state


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[MediaPlaylist], list[ListedSegment], float]:
    """A playlist's states from the empty one on, everything that was ever listed, and the window."""
    window_s = draw(st.floats(1, 60))
    states, ever = [EMPTY], list[ListedSegment]()
    attempt, now_s = 1, draw(st.floats(1e9, 4e9))
    for n in range(draw(st.integers(1, 40))):
        attempt += swap if (swap := draw(st.sampled_from([0, 0, 0, 1, 3]))) else 0
        discontinuity = bool(ever) and (bool(swap) or draw(st.integers(0, 9)) == 0)
        duration_s = draw(st.floats(0.04, 4.499))
        segment = ListedSegment(bucket.segment_uri("s-1", attempt, n), duration_s, now_s, discontinuity)
        now_s += duration_s + draw(st.sampled_from([0.0, 0.0, 5.5]))
        ever.append(segment)
        states.append(states[-1].append(segment, window_s))
    if draw(st.booleans()):
        states.append(states[-1].finish())
    return states, ever, window_s


@settings(deadline=None)
@given(histories())
def test_every_history_keeps_the_laws(history: tuple[list[MediaPlaylist], list[ListedSegment], float]) -> None:
    states, ever, window_s = history
    for before, after in pairwise(states):
        assert violations(before, after) == []
    for n, state in enumerate(states):
        assert violations(states[n // 3], state) == []  # a reader who missed states in between
        assert list(state.segments) == ever[state.media_sequence : state.media_sequence + len(state.segments)]
        assert state.discontinuity_sequence == sum(s.discontinuity for s in ever[: state.media_sequence])
        if state.media_sequence:
            needed_s = max(window_s, 3 * TARGET_S)
            assert state.duration_s >= needed_s - 1e-6
            assert state.duration_s - state.segments[0].duration_s < needed_s + 1e-6


@settings(deadline=None)
@given(histories())
def test_what_is_read_back_is_what_was_written(
    history: tuple[list[MediaPlaylist], list[ListedSegment], float],
) -> None:
    for state in history[0]:
        again = MediaPlaylist.parse(state.render())
        assert again == state
        assert again.render() == state.render()
        assert again.last_attempt == state.last_attempt
        assert again.end_s == state.end_s


@given(st.floats(0, 1e6 - 1), st.floats(0, 4e9))
def test_numbers_are_quantised_once_and_for_all(duration_s: float, date_s: float) -> None:
    segment = ListedSegment("0.ts", duration_s, date_s, False)
    assert segment.duration_s == pytest.approx(duration_s, abs=1e-6)
    assert segment.program_date_time == pytest.approx(date_s, abs=1e-3)
    assert ListedSegment(*segment) == segment
    state = MediaPlaylist(1_000_000, 0, 0, (segment,), False)
    assert MediaPlaylist.parse(state.render()) == state


def test_what_is_written() -> None:
    state = EMPTY.append(ListedSegment(bucket.segment_uri("s-1", 1, 0), 2.002, 1790000000.1234, False), 20)
    state = state.append(ListedSegment(bucket.segment_uri("s-1", 2, 0), 1.96, 1790000003.0, True), 20).finish()
    assert state.render() == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:3\n"
        "#EXT-X-TARGETDURATION:4\n"
        "#EXT-X-MEDIA-SEQUENCE:0\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:0\n"
        "#EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:20.123Z\n"
        "#EXTINF:2.002000,\n"
        "../../segments/s-1/1/main/0.ts\n"
        "#EXT-X-DISCONTINUITY\n"
        "#EXT-X-PROGRAM-DATE-TIME:2026-09-21T14:13:23.000Z\n"
        "#EXTINF:1.960000,\n"
        "../../segments/s-1/2/main/0.ts\n"
        "#EXT-X-ENDLIST\n"
    )


def test_the_discontinuity_sequence_counts_a_tag_when_the_segment_behind_it_leaves() -> None:
    states = [playlist(n) for n in range(1, 20)]
    first_tagged = next(s for s in states if s.segments[0].discontinuity)
    assert (first_tagged.media_sequence, first_tagged.discontinuity_sequence) == (5, 0)
    after = states[states.index(first_tagged) + 1]
    assert (after.media_sequence, after.discontinuity_sequence) == (6, 1)


def test_three_target_durations_stay_however_short_the_window() -> None:
    assert playlist(30, window_s=1.0).duration_s == 12


def test_an_empty_playlist_says_so() -> None:
    assert (EMPTY.end_s, EMPTY.last_attempt, EMPTY.duration_s) == (None, 0, 0)
    assert MediaPlaylist.parse(EMPTY.render()) == EMPTY


def test_for_a_reader_elsewhere_uris_are_absolute() -> None:
    moved = playlist(2).absolute("https://cdn.example/live/playlists/s-1/main.m3u8")
    assert [s.uri for s in moved.segments] == [f"https://cdn.example/live/segments/s-1/1/main/{n}.ts" for n in range(2)]
    assert moved.last_attempt == 1
    assert [s[1:] for s in moved.segments] == [s[1:] for s in playlist(2).segments]


class TestAppendRefuses:
    def test_an_ended_playlist(self) -> None:
        with pytest.raises(ValueError, match="ENDLIST"):
            playlist(3).finish().append(listed(3), 20)

    def test_more_than_the_target_duration(self) -> None:
        assert playlist(3).append(listed(3)._replace(duration_s=4.499999), 20)
        with pytest.raises(ValueError, match="target duration"):
            playlist(3).append(listed(3)._replace(duration_s=4.5), 20)


class TestEachBrokenLawIsNamed:
    before = playlist(20)  # lists 10 .. 19, two tags have left, segment 10 and 15 have one

    def broken(self, after: MediaPlaylist, before: MediaPlaylist | None = None) -> str:
        found = violations(before or self.before, after)
        assert len(found) == 1, found
        return found[0]

    def after(self, **changes: object) -> ListedSegment:
        return self.before.segments[4]._replace(**changes)  # type: ignore[arg-type]

    def replaced(self, segment: ListedSegment, n: int = 4) -> MediaPlaylist:
        segments = (*self.before.segments[:n], segment, *self.before.segments[n + 1 :])
        return self.before._replace(segments=segments)

    def test_nothing_is_broken_at_first(self) -> None:
        assert (self.before.media_sequence, self.before.discontinuity_sequence) == (10, 1)
        assert violations(self.before, self.before) == []
        assert violations(self.before, self.before.append(listed(20, 4), 20)) == []

    def test_a_listed_uri_changes(self) -> None:
        assert "changed" in self.broken(self.replaced(self.after(uri=bucket.segment_uri("s-1", 3, 99))))

    def test_a_listed_duration_changes(self) -> None:
        assert "14 changed" in self.broken(self.replaced(self.after(duration_s=1.9)))

    def test_a_listed_date_changes(self) -> None:
        assert "14 changed" in self.broken(self.replaced(self.after(program_date_time=NOON + 28.005)))

    def test_a_listed_discontinuity_changes(self) -> None:
        assert "14 changed" in self.broken(self.replaced(self.after(discontinuity=True)))

    def test_a_listed_segment_is_taken_back(self) -> None:
        assert "taken back" in self.broken(self.before._replace(segments=self.before.segments[:-1]))

    def test_the_media_sequence_goes_down(self) -> None:
        assert "media sequence went down by 1" in self.broken(self.before._replace(media_sequence=9))

    def test_the_discontinuity_sequence_goes_down(self) -> None:
        assert "discontinuity sequence went down by 1" in self.broken(self.before._replace(discontinuity_sequence=0))

    def test_the_discontinuity_sequence_does_not_count_what_left(self) -> None:
        after = self.before.append(listed(20, 4), 20)
        assert after.discontinuity_sequence == 2
        assert "1 tags left" in self.broken(after._replace(discontinuity_sequence=1))
        assert "1 tags left" in self.broken(after._replace(discontinuity_sequence=3))

    def test_a_tag_that_left_unseen_may_count(self) -> None:
        later = playlist(60)
        assert violations(self.before, later) == []
        assert "tags left" in self.broken(later._replace(discontinuity_sequence=2))
        assert "tags left" in self.broken(later._replace(discontinuity_sequence=50))

    def test_the_target_duration_changes(self) -> None:
        assert "target duration changed" in self.broken(self.before._replace(target_duration_s=5))

    def test_a_duration_rounds_to_more_than_the_target(self) -> None:
        after = self.before._replace(segments=(*self.before.segments, listed(20, 4)._replace(duration_s=4.5)))
        assert "rounds to more" in self.broken(after)

    def test_a_date_goes_back(self) -> None:
        assert "before the end of" in self.broken(self.before.append(listed(20, 4, False, NOON + 39.9), 30))
        later = playlist(60)  # ten segments further, all that was listed has left unseen
        early = tuple(s._replace(program_date_time=s.program_date_time - 70) for s in later.segments)
        assert "before the end of" in self.broken(later._replace(segments=early))

    def test_an_earlier_attempt_writes_after_a_later_one(self) -> None:
        assert "attempt 3 published" in self.broken(self.before.append(listed(20, 3, True), 30))

    def test_an_attempt_starts_without_discontinuity(self) -> None:
        assert "no discontinuity" in self.broken(self.before.append(listed(20, 5), 30))

    def test_a_uri_is_used_twice(self) -> None:
        again = listed(19, 4, False, NOON + 40)
        assert "twice" in self.broken(self.before.append(again, 30))

    def test_too_little_stays(self) -> None:
        segments, sequence = self.before.segments[5:], self.before.media_sequence + 5
        after = self.before._replace(segments=segments, media_sequence=sequence, discontinuity_sequence=2)
        assert "three target durations" in self.broken(after)

    def test_an_ended_playlist_goes_on(self) -> None:
        ended = self.before.finish()
        assert "ended" in self.broken(self.before, ended)
        assert "ended" in self.broken(self.before.append(listed(20, 4), 30).finish(), ended)
        assert violations(self.before, ended) == []


SIMPLE = """#EXTM3U
#EXT-X-TARGETDURATION:10
#EXT-X-VERSION:3
#EXT-X-PROGRAM-DATE-TIME:2010-02-19T14:54:23.031+08:00
#EXTINF:9.009,
http://media.example.com/first.ts
#EXTINF:9.009,
http://media.example.com/second.ts
#EXTINF:3.003,
http://media.example.com/third.ts
#EXT-X-ENDLIST
"""  # RFC 8216, 8.1, with the date of 4.3.2.6

LIVE_HTTPS = """#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:8
#EXT-X-MEDIA-SEQUENCE:2680

#EXT-X-PROGRAM-DATE-TIME:2010-02-19T14:54:23.031Z
#EXTINF:7.975,
https://priv.example.com/fileSequence2680.ts
#EXTINF:7.941,
https://priv.example.com/fileSequence2681.ts
#EXTINF:7.975,
https://priv.example.com/fileSequence2682.ts
"""  # RFC 8216, 8.2, with a date

MULTIVARIANT = """#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=1280000,AVERAGE-BANDWIDTH=1000000
http://example.com/low.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2560000,AVERAGE-BANDWIDTH=2000000
http://example.com/mid.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=7680000,AVERAGE-BANDWIDTH=6000000
http://example.com/hi.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=65000,CODECS="mp4a.40.5"
http://example.com/audio-only.m3u8
"""  # RFC 8216, 8.4


class TestExamplesOfTheRfc:
    def test_simple(self) -> None:
        simple = MediaPlaylist.parse(SIMPLE)
        assert (simple.target_duration_s, simple.media_sequence, simple.ended) == (10, 0, True)
        assert [s.duration_s for s in simple.segments] == [9.009, 9.009, 3.003]
        assert simple.segments[0].program_date_time == 1266562463.031
        assert simple.segments[2].program_date_time == pytest.approx(1266562463.031 + 18.018)
        assert MediaPlaylist.parse(simple.render()) == simple

    def test_live(self) -> None:
        live = MediaPlaylist.parse(LIVE_HTTPS.replace("\n", "\r\n"))
        assert (live.media_sequence, live.ended, live.last_attempt) == (2680, False, 0)
        assert live.segments[-1].uri == "https://priv.example.com/fileSequence2682.ts"

    def test_multivariant(self) -> None:
        found = MultivariantPlaylist.parse(MULTIVARIANT)
        assert [v.bandwidth for v in found.variants] == [1280000, 2560000, 7680000, 65000]
        assert found.variants[3] == Variant("http://example.com/audio-only.m3u8", 65000, "mp4a.40.5")
        assert found.sending is None
        assert MultivariantPlaylist.parse(found.render()) == found


class TestMalformed:
    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "EXTM3U"),
            ("<html>no</html>", "EXTM3U"),
            ("\n#EXTM3U\n#EXT-X-TARGETDURATION:4\n", "EXTM3U"),
            ("#EXTM3U\n", "no EXT-X-TARGETDURATION"),
            ("#EXTM3U\n#EXT-X-TARGETDURATION:4.5\n", "TARGETDURATION"),
            ("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:-1\n", "MEDIA-SEQUENCE"),
            ("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-DISCONTINUITY-SEQUENCE:\n", "DISCONTINUITY-SEQUENCE"),
            (SIMPLE.replace("9.009", "nan"), "EXTINF"),
            (SIMPLE.replace("9.009", "-1"), "EXTINF"),
            (SIMPLE.replace("#EXTINF:9.009,\n", ""), "no EXTINF"),
            (SIMPLE.replace("2010-02-19T14", "2010-02-31T14"), "PROGRAM-DATE-TIME"),
            ("\n".join(line for line in SIMPLE.split("\n") if "DATE" not in line), "no EXT-X-PROGRAM-DATE-TIME"),
            (SIMPLE.replace("9.009", "inf"), "EXTINF"),
            (SIMPLE.replace("9.009", "9" * 5000), "EXTINF"),
            (SIMPLE.replace("9.009", "1e400"), "EXTINF"),
            (SIMPLE.replace("2010-02-19T14", "9999-12-31T23"), "no date that can be"),
            (SIMPLE.replace("2010-02-19T14", "0001-01-01T00"), "no date that can be"),
            (f"#EXTM3U\n#EXT-X-TARGETDURATION:{'9' * 5000}\n", "TARGETDURATION"),
            (f"#EXTM3U\n#EXT-X-TARGETDURATION:{1 << 64}\n", "TARGETDURATION"),
            (f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:{'9' * 5000}\n", "MEDIA-SEQUENCE"),
            ("#EXTM3U\n" + "a" * 20_000, "a line of more than"),
            ("#EXTM3U\n" + "\n" * LIMIT_BYTES, "MiB"),
            (SIMPLE + "#EXTINF:0.1,\na.ts\n" * 20_000, "segments"),
        ],
        ids=range(23),
    )
    def test_media_playlists(self, text: str, why: str) -> None:
        with pytest.raises(MalformedPlaylist, match=why):
            MediaPlaylist.parse(text)

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "EXTM3U"),
            ("#EXTM3U\nmain.m3u8\n", "no EXT-X-STREAM-INF"),
            ('#EXTM3U\n#EXT-X-STREAM-INF:CODECS="x"\nmain.m3u8\n', "BANDWIDTH"),
            ('#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="x\nmain.m3u8\n', "attribute list"),
            ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH\nmain.m3u8\n", "attribute list"),
            (f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH={'9' * 5000}\nmain.m3u8\n", "BANDWIDTH"),
            ("#EXTM3U\n#EXT-X-STREAM-INF:" + "A=1," * 20_000 + "\nmain.m3u8\n", "a line of more than"),
        ],
        ids=range(7),
    )
    def test_multivariant_playlists(self, text: str, why: str) -> None:
        with pytest.raises(MalformedPlaylist, match=why):
            MultivariantPlaylist.parse(text)

    @pytest.mark.parametrize("number", ["9" * 5000, "1e400", "nan", "-inf", "٣", "1" * 19, ""])
    def test_a_number_that_is_none_is_nobodys_attempt(self, number: str) -> None:
        text = SIMPLE.replace("http://media.example.com/first.ts", f"../../segments/s-1/{number}/main/1.ts")
        text = text.replace("http://media.example.com/third.ts", f"../../segments/s-1/{number}/main/3.ts")
        playlist = MediaPlaylist.parse(text + f"## CLAIM:{number}\n## AHEAD:{number}\n## SOURCE:{number}\n")
        assert (playlist.last_attempt, playlist.fencing_attempt) == (0, 0)
        assert abs(playlist.ahead_s) < 1e6
        assert MediaPlaylist.parse(playlist.render()).segments == playlist.segments

    @settings(max_examples=settings().max_examples * 3)
    @given(st.data())
    def test_nothing_else_is_ever_raised(self, data: st.DataObject) -> None:
        lines = (SIMPLE + MULTIVARIANT + MultivariantPlaylist((), Sending("h264", "aac", 2)).render()).split("\n")
        damaged = st.sampled_from(lines).flatmap(lambda x: st.integers(0, len(x)).map(lambda n: x[:n]))
        some = data.draw(st.lists(st.sampled_from(lines) | damaged | st.text(max_size=30), max_size=12))
        for text in ("\n".join(some), "\n".join(["#EXTM3U", *some])):
            for parse in (MediaPlaylist.parse, MultivariantPlaylist.parse):
                try:
                    parsed = parse(text)
                except MalformedPlaylist:
                    continue
                assert parsed.render()


class TestMultivariantPlaylist:
    ours = MultivariantPlaylist(
        (Variant("main.m3u8", 1_500_000, "avc1.64001f,mp4a.40.2", "640x360", 1_200_000, 29.97),),
        Sending("h264", "aac", 6),
        attempt=3,
    )

    def test_what_is_written(self) -> None:
        assert self.ours.render() == (
            "#EXTM3U\n"
            "#EXT-X-VERSION:3\n"
            '#EXT-X-SESSION-DATA:DATA-ID="hls-failover.sending",VALUE="video=h264,audio=aac,channels=6"\n'
            '#EXT-X-STREAM-INF:BANDWIDTH=1500000,AVERAGE-BANDWIDTH=1200000,CODECS="avc1.64001f,mp4a.40.2",'
            "RESOLUTION=640x360,FRAME-RATE=29.970\n"
            "main.m3u8\n"
            "## ATTEMPT:3\n"
        )

    @given(
        st.lists(st.sampled_from([ours.variants[0], Variant("b.m3u8", 1), Variant("c.m3u8", 2, None, "1x1")])),
        st.none()
        | st.builds(Sending, st.sampled_from([None, "h264", "hevc"]), st.sampled_from([None, "aac"]), st.integers(0, 8)),
    )
    def test_what_is_read_back_is_what_was_written(self, variants: list[Variant], sending: Sending | None) -> None:
        written = MultivariantPlaylist(tuple(variants), sending)
        assert MultivariantPlaylist.parse(written.render()) == written

    def test_for_a_reader_elsewhere_uris_are_absolute(self) -> None:
        moved = self.ours.absolute("https://cdn.example/playlists/s-1/index.m3u8")
        assert moved.variants[0].uri == "https://cdn.example/playlists/s-1/main.m3u8"
        assert moved.sending == self.ours.sending


@pytest.mark.parametrize("ahead_s", [0.0, 1.234, -0.5])
def test_how_far_its_dates_are_ahead_is_handed_on(ahead_s: float) -> None:
    segment = ListedSegment(bucket.segment_uri("s-1", 1, 0), 2.0, 1_790_000_000.0, False)
    playlist = MediaPlaylist(3, 0, 0, (), False).append(segment, 30.0)._replace(ahead_s=ahead_s)
    assert MediaPlaylist.parse(playlist.render()) == playlist
    assert MediaPlaylist.parse(playlist.finish().render()).ahead_s == 0.0


def test_a_note_that_cannot_be_read_says_nothing() -> None:
    text = MediaPlaylist(3, 0, 0, (), False)._replace(ahead_s=1.0, source_end_s=1.0).render().replace("1.000", "soon")
    assert MediaPlaylist.parse(text).ahead_s == 0.0
    assert MediaPlaylist.parse(text).source_end_s is None


def test_a_claim_fences_and_lists_nothing() -> None:
    segment = ListedSegment(bucket.segment_uri("s", 1, 0), 2.0, 1_790_000_000.0, False)
    listed = MediaPlaylist(3, 0, 0, (), False).append(segment, 30.0)
    claimed = MediaPlaylist.parse(listed._replace(claimed_by=2).render())
    assert (claimed.fencing_attempt, claimed.last_attempt) == (2, 1)
    assert violations(listed, claimed) == []
    assert MediaPlaylist.parse(claimed.finish().render()).claimed_by == 0
    assert MediaPlaylist.parse(claimed.render().replace("CLAIM:2", "CLAIM:all")).claimed_by == 0


@pytest.mark.parametrize("source_end_s", [None, 0.0, 95_443.717])
def test_where_it_ends_on_the_sources_timeline_is_handed_on(source_end_s: float | None) -> None:
    playlist = MediaPlaylist(3, 0, 0, (), False, source_end_s=source_end_s)
    assert MediaPlaylist.parse(playlist.render()) == playlist
    assert MediaPlaylist.parse(playlist.finish().render()).source_end_s is None


def test_that_a_slate_was_listed_last_is_handed_on_and_ends_with_the_playlist() -> None:
    segment = ListedSegment("../../segments/s/1/main/0.ts", 2.0, 1_700_000_000.0, False)
    playlist = MediaPlaylist(3, 0, 0, (), False).append(segment, 30.0)._replace(slate=True)
    assert MediaPlaylist.parse(playlist.render()) == playlist
    assert MediaPlaylist.parse(playlist._replace(ahead_s=0.5).render()).slate
    assert "SLATE" not in playlist.finish().render()


def test_that_segments_are_independent_is_said_until_one_is_not_and_never_again() -> None:
    states = [MediaPlaylist(3, 0, 0, (), False)]
    for n, independent in enumerate([True, True, False, True, True, True, True]):
        segment = ListedSegment(bucket.segment_uri("s-1", 1, n), 3.0, 1_790_000_000.0 + 3.0 * n, False)
        states.append(states[-1].append(segment, 9.0, independent))
    assert [state.independent for state in states[1:]] == [True, True, *[False] * 5]
    assert "#EXT-X-INDEPENDENT-SEGMENTS\n" in states[2].render()
    assert "INDEPENDENT" not in states[3].render()
    for before, after in pairwise(states[1:]):
        assert MediaPlaylist.parse(after.render()) == after
        assert violations(before, after) == []
    assert violations(states[-2], states[-1]._replace(independent=True)) == ["EXT-X-INDEPENDENT-SEGMENTS came back"]
