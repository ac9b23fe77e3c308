"""The programme clock in simulated time: no swap pushes what is listed ahead of the wall clock, nothing is listed twice."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transcoder.media.programme_clock import ProgrammeClock
from transcoder.publish.media_playlist import ListedSegment, MediaPlaylist

T0 = 1_790_000_000.0
TICK_S = 0.04  # the agent reads about this often


class Piece(NamedTuple):
    """A media segment on its source's timeline, and the wall clock at which its last byte arrives."""

    start_s: float
    end_s: float
    arrives_s: float


class Listing(NamedTuple):
    date_s: float
    duration_s: float
    at_s: float
    programme_s: float  # what moment of the programme it starts with
    attempt: int
    ahead_s: float  # as known at that listing, for the next attempt


class Attempt(NamedTuple):
    """What one attempt finds: a source whose timeline is `offset_s` off the programme's."""

    runs_s: float
    pause_s: float
    offset_s: float
    lengths_s: tuple[float, ...]  # of its segments, over and over
    backlog: int  # whole segments that it has at once; 0: media come in real time from the moment of asking
    late_s: float  # how far behind the programme it is


def attempts(lengths_s: st.SearchStrategy[float], backlogs: st.SearchStrategy[int]) -> st.SearchStrategy[Attempt]:
    return st.builds(
        Attempt,
        runs_s=st.floats(0.2, 15),
        pause_s=st.floats(0, 6),
        offset_s=st.floats(-90_000, 90_000),
        lengths_s=st.lists(lengths_s, min_size=1, max_size=4).map(tuple),
        backlog=backlogs,
        late_s=st.floats(0, 5),
    )


def pieces(attempt: Attempt, began_s: float) -> list[Piece]:
    """What arrives when, on a clock that calls T0 the start of the programme; then moved to the source's own timeline."""
    lengths = attempt.lengths_s
    until_s = began_s + attempt.runs_s + sum(lengths)
    if attempt.backlog:  # whole segments on a grid, each to be had once it is complete
        ends_s, at_s, n = list[float](), T0 - 1000 - (T0 - 1000) % sum(lengths), 0
        while at_s < until_s:
            at_s += lengths[n % len(lengths)]
            n += 1
            ends_s.append(at_s)
        had_s = [end_s + attempt.late_s for end_s in ends_s]
        newest = max(n for n, s in enumerate(had_s) if s <= began_s)
        first = newest - attempt.backlog + 1
        found = []
        asked_s = began_s
        for n in range(first, len(ends_s)):
            if n > newest:
                # FFmpeg asks for the playlist again after the newest segment's length; in vain, after half of that.
                asked_s += ends_s[n - 1] - ends_s[n - 2]
                while asked_s < had_s[n]:
                    asked_s += max(lengths) / 2
            found.append(Piece(ends_s[n - 1], ends_s[n], asked_s + 0.03 * max(1, min(n, newest + 1) - first + 1)))
    else:
        found, at_s = [], began_s - attempt.late_s
        for n in range(100):
            end_s = at_s + lengths[n % len(lengths)]
            found.append(Piece(at_s, end_s, end_s + attempt.late_s))
            at_s = end_s
    return [Piece(p.start_s + attempt.offset_s, p.end_s + attempt.offset_s, p.arrives_s) for p in found]


def run(attempt: Attempt, number: int, began_s: float, listed_end_s: float | None, ahead_s: float) -> list[Listing]:
    """The agent's loop: reads, observes, and lists what has closed once the clock has settled."""
    clock = ProgrammeClock(listed_end_s)
    clock.listed_ahead_s = ahead_s
    clock.cadence_s = sum(attempt.lengths_s) / len(attempt.lengths_s) if attempt.backlog else 0.0
    coming, waiting, listings = pieces(attempt, began_s), list[Piece](), list[Listing]()
    first = coming[0]
    now_s = began_s
    while now_s < began_s + attempt.runs_s:
        now_s += TICK_S
        come = [p for p in coming if p.arrives_s <= now_s]
        coming = coming[len(come) :]
        waiting += come
        if attempt.backlog and come:
            clock.observe(now_s, come[-1].end_s)
        elif not attempt.backlog:  # every frame as it is made
            clock.observe(now_s, first.start_s + now_s - began_s)
        if not clock.settled(now_s):
            continue
        for piece in waiting:
            if clock.continues(piece.start_s, piece.end_s):
                duration_s = piece.end_s - piece.start_s
                date_s = clock.program_date_time(piece.start_s, duration_s)
                assert clock.listed_end_s == pytest.approx(date_s + duration_s)
                listings.append(Listing(date_s, duration_s, now_s, piece.start_s - attempt.offset_s, number, clock.ahead_s))
                clock.listed_ahead_s = clock.ahead_s
        waiting = []
    return listings


def play(history: list[Attempt]) -> list[Listing]:
    listings: list[Listing] = []
    now_s = T0
    for number, attempt in enumerate(history, 1):
        listed_end_s = round(listings[-1].date_s, 3) + listings[-1].duration_s if listings else None
        listings += run(attempt, number, now_s, listed_end_s, round(listings[-1].ahead_s, 3) if listings else 0.0)
        now_s += attempt.runs_s + attempt.pause_s
    return listings


REAL_TIME = attempts(st.floats(0.3, 4.4), st.just(0))
WHOLE_SEGMENTS = attempts(st.floats(0.3, 4.4), st.integers(1, 4))
SWAPS = settings(max_examples=settings().max_examples * 3 // 2)


@SWAPS
@given(st.lists(REAL_TIME | WHOLE_SEGMENTS, min_size=1, max_size=12))
def test_no_swaps_make_dates_run_away_from_the_wall_clock(history: list[Attempt]) -> None:
    longest_s = max(max(attempt.lengths_s) for attempt in history)
    for listing in play(history):
        assert listing.date_s + listing.duration_s - listing.at_s <= 5 * longest_s + TICK_S


@SWAPS
@given(st.lists(REAL_TIME | WHOLE_SEGMENTS, min_size=1, max_size=12))
def test_dates_never_overlap_and_advance_as_the_media_do(history: list[Attempt]) -> None:
    for before, after in pairwise(play(history)):
        assert after.date_s >= before.date_s + before.duration_s - 0.001
        if after.attempt == before.attempt:
            assert after.date_s == pytest.approx(before.date_s + before.duration_s, abs=1e-5)


@SWAPS
@given(st.data())
def test_a_swap_between_sources_in_step_repeats_or_skips_one_segment_at_most(data: st.DataObject) -> None:
    """The same segments from every source, at least four of them to be had at once, and no longer pause than they last."""
    length_s = data.draw(st.floats(0.5, 4))
    alike = st.builds(
        Attempt,
        runs_s=st.floats(length_s + 0.5, 5 * length_s),
        pause_s=st.floats(0, length_s),
        offset_s=st.floats(-90_000, 90_000),
        lengths_s=st.just((length_s,)),
        backlog=st.integers(4, 6),
        late_s=st.just(0.2),
    )
    history = data.draw(st.lists(alike, min_size=2, max_size=10))
    for before, after in pairwise(play(history)):
        jump_s = after.programme_s - (before.programme_s + before.duration_s)
        assert abs(jump_s) <= (length_s if after.attempt != before.attempt else 0) + 1e-4


@SWAPS
@given(st.data())
def test_between_sources_in_step_nothing_is_repeated_or_skipped_at_like_phases(
    data: st.DataObject,
) -> None:
    """How long a playlist's newest segment has been there is a guess, which is off by half a segment at most; each attempt errs
    in the same way where each asks as long after the source has finished a segment, give or take half of one."""
    length_s, late_s = data.draw(st.floats(1, 4)), 0.2
    first_s = (T0 - late_s) % length_s
    reach_s = length_s / 4 - 0.16  # of a phase around the first one
    history: list[Attempt] = []
    began_s = T0
    for _ in range(data.draw(st.integers(2, 10))):
        runs_s = data.draw(st.floats(2 * length_s + 0.5, 5 * length_s))
        phase_s = min(max(0.01, first_s + data.draw(st.floats(-reach_s, reach_s))), length_s - 0.01)
        pause_s = (phase_s - (began_s + runs_s - late_s)) % length_s
        offset_s, backlog = data.draw(st.floats(-90_000, 90_000)), data.draw(st.integers(5, 6))
        history.append(Attempt(runs_s, pause_s, offset_s, (length_s,), backlog, late_s))
        began_s += runs_s + pause_s
    for before, after in pairwise(play(history)):
        assert after.programme_s == pytest.approx(before.programme_s + before.duration_s, abs=1e-3)


class TestSettled:
    def test_not_before_any_media(self) -> None:
        assert not ProgrammeClock(None).settled(T0)

    def test_once_the_burst_is_over(self) -> None:
        clock = ProgrammeClock(None)
        for n in range(6):  # 6 s of media within 0.3 s
            clock.observe(T0 + 0.05 * n, 1.0 + n)
            assert not clock.settled(T0 + 0.05 * n + 0.04)
        assert not clock.settled(T0 + 0.25 + 0.079)
        assert clock.settled(T0 + 0.25 + 0.081)

    def test_in_real_time_after_the_same_span(self) -> None:
        clock = ProgrammeClock(None)
        for n in range(10):
            clock.observe(T0 + n * TICK_S, n * TICK_S)
            assert clock.settled(T0 + n * TICK_S) == (n > 2) or n == 2  # 0.08 s itself is a matter of rounding

    def test_jitter_does_not_unsettle(self) -> None:
        clock = ProgrammeClock(None)
        for n in range(100):
            clock.observe(T0 + n * TICK_S + (0.5 if n % 3 else 0), n * TICK_S)
            assert clock.settled(T0 + n * TICK_S) or n < 3

    def test_a_source_that_was_slow_to_answer_is_given_longer(self) -> None:
        clock = ProgrammeClock(None, started_s=T0)
        clock.observe(T0 + 0.9, 1.0)  # three round trips
        clock.observe(T0 + 1.0, 3.0)
        assert not clock.settled(T0 + 1.29)
        assert clock.settled(T0 + 1.31)

    def test_but_not_for_ever(self) -> None:
        clock = ProgrammeClock(None, started_s=T0)
        clock.observe(T0 + 60, 1.0)
        assert clock.settled(T0 + 61.01)

    def test_a_new_burst_unsettles(self) -> None:
        clock = ProgrammeClock(None)
        clock.observe(T0, 1.0)
        assert clock.settled(T0 + 0.1)
        clock.observe(T0 + 0.2, 5.0)
        assert not clock.settled(T0 + 0.2)
        assert clock.settled(T0 + 0.3)


class TestLag:
    def test_none_before_any_media(self) -> None:
        assert ProgrammeClock(None).lag_s(T0) == 0

    def test_grows_by_a_second_each_second_when_nothing_comes(self) -> None:
        clock = ProgrammeClock(None)
        clock.observe(T0, 10.0)
        assert [clock.lag_s(T0 + s) for s in (0, 1, 2.5, 300)] == pytest.approx([0, 1, 2.5, 300])

    def test_grows_when_media_trickle(self) -> None:
        clock = ProgrammeClock(None)
        for n in range(250):  # 16 % of real time
            clock.observe(T0 + n * TICK_S, 0.16 * n * TICK_S)
        assert clock.lag_s(T0 + 10) == pytest.approx(8.4, abs=0.1)

    def test_is_the_time_since_the_last_segment_where_whole_ones_come(self) -> None:
        clock = ProgrammeClock(None)
        for n in range(10):
            clock.observe(T0 + 10 * n, 10.0 * n)
            assert clock.lag_s(T0 + 10 * n + 9.9) == pytest.approx(9.9)

    @pytest.mark.parametrize("drift", [-200e-6, 200e-6])
    def test_does_not_grow_with_the_drift_of_two_clocks(self, drift: float) -> None:
        clock = ProgrammeClock(None)
        for second in range(24 * 3600):
            clock.observe(T0 + second, second * (1 + drift))
        assert clock.lag_s(T0 + 24 * 3600 - 1) < 0.02

    def test_is_gone_once_the_source_has_caught_up(self) -> None:
        clock = ProgrammeClock(None)
        clock.observe(T0, 10.0)
        clock.observe(T0 + 5, 15.0)
        assert clock.lag_s(T0 + 5) == 0

    def test_a_jump_of_the_timestamps_is_no_lag(self) -> None:
        clock = ProgrammeClock(None)
        clock.observe(T0, 10.0)
        clock.observe(T0 + 1, 1011.0)
        assert clock.lag_s(T0 + 1) == 0
        assert clock.lag_s(T0 + 2) == pytest.approx(1)


def at(listed_end_s: float | None, newest_s: float = 100.0) -> ProgrammeClock:
    """A clock that has seen media time 100 arrive at T0."""
    clock = ProgrammeClock(listed_end_s)
    clock.observe(T0, newest_s)
    return clock


class TestContinues:
    def test_always_where_nothing_is_listed(self) -> None:
        assert at(None).continues(0, 2)

    @pytest.mark.parametrize(("ahead_s", "continues"), [(-5, True), (0.99, True), (1.01, False), (2, False), (60, False)])
    def test_what_ends_later_by_more_than_half_its_length(self, ahead_s: float, continues: bool) -> None:
        """The segment ends at T0; what is listed, `ahead_s` after the segment's start."""
        assert at(T0 - 2 + ahead_s).continues(98, 100) is continues

    def test_what_follows_what_was_listed_even_if_it_is_short(self) -> None:
        clock = at(T0 - 1.1)
        clock.program_date_time(98, 2)  # from here on 0.9 s ahead
        assert clock.continues(100, 100.2)

    def test_not_after_a_jump_to_what_was_sent_before(self) -> None:
        clock = at(None)
        clock.program_date_time(98, 2)
        clock.observe(T0 + 0.1, 106)  # six seconds once more, at once
        assert [clock.continues(s, s + 2, discontinuity=True) for s in (100, 102, 104)] == [False, False, False]
        assert clock.continues(106, 108, discontinuity=False)

    def test_what_was_dated_but_not_listed_still_follows(self) -> None:
        clock = at(T0 - 1.1)
        first = clock.program_date_time(98, 2)
        listed_end_s = clock.listed_end_s
        second = clock.program_date_time(100, 0.2)
        clock.listed_end_s = listed_end_s  # the write failed
        assert clock.continues(100, 100.2)
        assert clock.program_date_time(100, 0.2) == second == first + 2

    def test_anew_where_somebody_else_listed_more(self) -> None:
        clock = at(T0 - 2)
        clock.program_date_time(98, 2)
        clock.listed_end_s = T0 + 2
        assert not clock.continues(100, 102)
        assert clock.continues(102, 104)


class TestProgramDateTime:
    def test_is_when_the_media_could_first_be_had(self) -> None:
        assert at(None).program_date_time(98, 2) == T0 - 2

    def test_is_never_before_the_end_of_what_is_listed(self) -> None:
        clock = at(T0 - 1.5)
        assert clock.program_date_time(98, 2) == T0 - 1.5
        assert clock.program_date_time(100, 2) == T0 + 0.5

    def test_leaves_a_hole_where_the_programme_has_one(self) -> None:
        clock = at(T0 - 60)
        assert clock.program_date_time(98, 2) == T0 - 2
        clock.observe(T0 + 5, 105)
        assert clock.program_date_time(103, 2) == T0 + 3

    def test_does_not_follow_a_jump_into_the_future(self) -> None:
        clock = at(None)
        clock.program_date_time(98, 2)
        clock.observe(T0 + 1, 1101.0)
        assert clock.program_date_time(1099, 2) == T0

    def test_is_not_to_be_had_before_any_media(self) -> None:
        with pytest.raises(ValueError, match="no media"):
            ProgrammeClock(None).program_date_time(0, 2)


def listed_up_to(end_s: float, ahead_s: float, *, slate: bool) -> MediaPlaylist:
    segment = ListedSegment("x", 2.0, end_s - 2.0, False)
    return MediaPlaylist(3, 0, 0, (segment,), False, ahead_s=ahead_s, slate=slate)


def joining(source_start_s: float | None, cadence_s: float = 2.0) -> ProgrammeClock:
    """A clock that joins where everything up to the source's timestamp 40,000 is listed; its guess is 1.2 s off."""
    clock = ProgrammeClock(None)
    clock.cadence_s, clock.source_start_s = cadence_s, source_start_s
    clock.observe(T0, 10.0)
    playlist = MediaPlaylist(3, 0, 0, (ListedSegment("x", 2.0, T0 - 2.0, False),), False)
    ahead_s = 1.0 + 10.0 - 8.0 - 1.2  # media time 8 is where it ends; by the guess, 1.2 s later
    clock.tell(playlist._replace(ahead_s=ahead_s, source_end_s=40_000.0))
    return clock


def test_two_sources_of_one_timeline_join_exactly() -> None:
    by_guess, exactly = joining(None), joining(39_992.0)
    assert not by_guess.continues(8.0, 10.0)
    assert exactly.continues(8.0, 10.0)
    assert not exactly.continues(6.0, 8.0)
    assert exactly.program_date_time(8.0, 2.0) == pytest.approx(T0), "without a hole"
    assert exactly.noted_in(MediaPlaylist(3, 0, 0, (ListedSegment("y", 2.0, T0, True),), False)).source_end_s == 40_002.0


def test_a_timeline_that_contradicts_the_guess_is_another_one() -> None:
    for elsewhere_s in (39_992.0 + 60.0, 39_992.0 - 6.0, 12.0):
        assert joining(elsewhere_s).continues(8.0, 10.0) == joining(None).continues(8.0, 10.0)


def test_a_timeline_that_has_wrapped_is_the_same() -> None:
    wrap_s = (1 << 33) / 90_000
    assert joining(39_992.0 - wrap_s).continues(8.0, 10.0)
    assert not joining(39_992.0 + wrap_s).continues(6.0, 8.0)


class TestSlate:
    """`at` has a source's newest media, 100, arrive at T0."""

    @pytest.mark.parametrize("behind_s", [0.0, 0.9, 1.9])
    def test_a_source_joins_at_once_after_a_slate_however_far_behind_the_clock_its_media_are(self, behind_s: float) -> None:
        """The slate is listed up to `behind_s` ago; the source's segments of two seconds come in bursts of two."""
        clock = at(None)
        clock.cadence_s = 2.0
        clock.tell(listed_up_to(T0 - behind_s, 0.0, slate=False))
        assert clock.continues(98, 100) is (behind_s > 2.0)
        clock.tell(listed_up_to(T0 - behind_s, 0.0, slate=True))
        assert clock.continues(98, 100)
        assert not clock.continues(94, 96), "its backlog is past"
        assert clock.program_date_time(98, 2.0) == T0 - behind_s, "dates go on, without a hole"
        assert clock.ahead_s <= 3.0

    def test_a_slate_joins_by_the_wall_clock_alone(self) -> None:
        """So that what sources were ahead by ends with them."""
        clock = at(None)
        clock.is_slates = True
        clock.tell(listed_up_to(T0 + 1.5, 1.5, slate=False))
        assert not clock.continues(98, 100)
        clock.tell(listed_up_to(T0 - 2.0, 1.5, slate=False))
        assert clock.continues(98, 100)
        assert clock.program_date_time(98, 2.0) == pytest.approx(T0 - 2.0)
        assert clock.ahead_s == pytest.approx(0.0)

    def test_a_slate_after_a_slate_waits_for_its_turn(self) -> None:
        clock = at(None)
        clock.is_slates = True
        clock.tell(listed_up_to(T0, 0.0, slate=True))
        assert not clock.follows_slate
        assert not clock.continues(98, 100)
