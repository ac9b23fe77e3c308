"""The publisher against a store with conditional writes: one attempt, then several that compete, with every fault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.transcoder.publish.store_model import INTER, KEYFRAME, SESSION, StoreModel
from transcoder import bucket
from transcoder.ending import Ending
from transcoder.job import Streams
from transcoder.media.programme_clock import ProgrammeClock
from transcoder.media.segment import Segment
from transcoder.publish.media_playlist import ListedSegment, MediaPlaylist
from transcoder.publish.multivariant_playlist import MultivariantPlaylist, Sending, Variant
from transcoder.publish.publisher import Publisher
from transcoder.publish.store_requests import PostSegment, PutIndex, PutMain, Reply, Request, RequestFailed, Stored

TARGET_S = 4
WINDOW_S = 20.0
STREAMS = Streams("h264", "aac", 2)
REFUSED = RequestFailed("ConnectionRefusedError")


class Side:
    """One attempt: a source in real time, its publisher, and the requests that are on their way."""

    def __init__(self, store: StoreModel, attempt: int, segment_s: float = 2.0, group: int = 1) -> None:
        """`group`: so many segments to a keyframe."""
        self.store, self.attempt, self.segment_s, self.group = store, attempt, segment_s, group
        store.group_s = max(store.group_s, (group - 1) * segment_s)
        self._cuts = 0
        self.log: list[str] = []
        self.publisher = Publisher(SESSION, attempt, TARGET_S, WINDOW_S, self.log.append)
        self.clock = ProgrammeClock(None)
        self.media_s = 0.0  # where the next segment starts
        self._origin_s = store.now_s  # its source: media time 0 could first be had then
        self.on_their_way: list[Request] = []

    def burst(self, length_s: float) -> None:
        """The source starts with so much that is old already."""
        self._origin_s -= length_s
        self.cut()

    def cut(self) -> None:
        """Everything that the source has sent by now, in segments."""
        newest_s = self.store.now_s - self._origin_s
        self.clock.observe(self.store.now_s, newest_s)
        while self.media_s + self.segment_s <= newest_s + 1e-9:
            self.offer(self.segment_s)

    def jump(self, hole_s: float) -> None:
        """The source's timestamps jump ahead, and a second of media follows in a second."""
        self.store.now_s += 1.0
        self._origin_s -= hole_s
        self.media_s += hole_s
        self.clock.observe(self.store.now_s, self.store.now_s - self._origin_s)
        self.offer(1.0, discontinuity=True)

    def offer(self, duration_s: float, discontinuity: bool = False) -> None:
        independent = self._cuts % self.group == 0
        data = KEYFRAME if independent else INTER
        self.publisher.offer(Segment(data, self.media_s, duration_s, independent, discontinuity), self.clock)
        self.media_s += duration_s
        self._cuts += 1

    def ask(self) -> list[Request]:
        """What the publisher wants next; it is then on its way."""
        if self.publisher.joined:
            self.publisher.begin_sending(STREAMS)
        wanted = self.publisher.requests(self.store.now_s)
        self.on_their_way += wanted
        return wanted

    def answer(self, request: Request, reply: Reply | None = None) -> None:
        """The store does it and says so; with `reply`, something else comes back, whatever the store did."""
        self.on_their_way = [each for each in self.on_their_way if each is not request]
        done = self.store.apply(self.attempt, request) if reply is None else reply
        self.publisher.reply(request, done, self.store.now_s)

    def settle(self) -> None:
        """Everything that can be done without waiting is done."""
        while self.ask() or self.on_their_way:
            self.answer(self.on_their_way[0])

    def play(self, for_s: float, step_s: float = 0.5) -> None:
        """Time passes, the source sends, the store works."""
        until_s = self.store.now_s + for_s
        while self.store.now_s < until_s - 1e-9:
            self.store.now_s += step_s
            self.cut()
            self.settle()

    def fails(self) -> bool:
        return self.publisher.failing_since_s is not None

    def is_over(self) -> bool:
        return self.publisher.over is not None

    @property
    def listed(self) -> tuple[ListedSegment, ...]:
        playlist = self.store.playlist
        return playlist.segments if playlist else ()

    def numbers(self) -> list[int]:
        """The numbers of its own segments that are listed now."""
        mine = f"../../segments/{SESSION}/{self.attempt}/main/"
        return [int(s.uri.removeprefix(mine).removesuffix(".ts")) for s in self.listed if s.uri.startswith(mine)]


@pytest.fixture
def store() -> Iterator[StoreModel]:
    store = StoreModel()
    store.now_s = 1_000_000.0
    yield store
    assert store.broken == []


def test_index_is_written_before_main_and_says_what_the_session_sends(store: StoreModel) -> None:
    side = Side(store, 1)
    side.burst(4.0)
    side.play(1.0)
    assert store.index is not None
    index = MultivariantPlaylist.parse(store.index)
    assert index.sending == Sending("h264", "aac", 2)
    assert [variant.uri for variant in index.variants] == ["main.m3u8"]
    assert side.numbers() == [0, 1]


def test_a_playlist_waits_for_the_store_to_acknowledge_its_segments_in_order(store: StoreModel) -> None:
    side = Side(store, 1)
    side.burst(4.0)
    side.play(1.0)
    side.play(2.0, step_s=2.0)
    store.now_s += 4.0
    side.cut()
    posts = side.ask()
    assert [type(request) for request in posts] == [PostSegment, PostSegment], "two in parallel, and no playlist"
    side.answer(posts[1])
    assert side.ask() == [], "the second is stored, the first is not"
    side.answer(posts[0])
    (put,) = side.ask()
    assert isinstance(put, PutMain)
    side.answer(put)
    assert side.numbers() == [0, 1, 2, 3, 4]


def test_nothing_is_listed_before_the_clock_has_settled(store: StoreModel) -> None:
    side = Side(store, 1)
    side.burst(4.0)
    side.settle()
    assert side.listed == ()
    side.play(0.5)
    assert side.numbers() == [0, 1]


def test_taking_over_keeps_the_window_lists_what_continues_and_marks_a_discontinuity(store: StoreModel) -> None:
    first = Side(store, 1)
    first.burst(4.0)
    first.play(8.0)
    listed_end_s = first.listed[-1].end_s
    second = Side(store, 2)
    second.burst(6.0)
    second.play(4.0)
    assert first.numbers() == [0, 1, 2, 3, 4, 5]
    new = [s for s in second.listed if "/2/" in s.uri]
    assert [s.discontinuity for s in new] == [True, False]
    assert new[0].program_date_time == pytest.approx(listed_end_s, abs=1.0)
    assert all("/2/main/0.ts" not in uri for uri in store.segments), "what does not continue is not even stored"


def test_taking_over_in_the_middle_of_a_group_of_pictures_begins_where_the_group_begins(store: StoreModel) -> None:
    first = Side(store, 1)
    first.burst(4.0)
    first.play(8.0)
    second = Side(store, 2, group=3)
    second.burst(10.0)  # all that is listed already; the last group begins with 3
    second.settle()
    assert second.numbers() == []
    second.play(4.0)
    assert second.numbers() == [3, 4, 5, 6]


def test_what_continues_nothing_that_is_listed_is_left_out_with_its_group(store: StoreModel) -> None:
    side = Side(store, 1, group=2)
    side.burst(4.0)
    side.play(2.0)
    store.now_s += 2.0
    side.cut()
    (post,) = side.ask()
    assert isinstance(post, PostSegment)
    side.answer(post, RequestFailed("HTTP 400 EntityTooLarge", final=True))
    side.play(6.0)
    assert post.n % 2 == 1, "the second of its group"
    assert side.numbers() == [n for n in range(7) if n != post.n]


def test_the_attempt_that_was_taken_over_ends_as_fenced(store: StoreModel) -> None:
    first, second = Side(store, 1), Side(store, 2)
    first.burst(4.0)
    first.play(2.0)
    second.play(6.0)
    first.play(2.0)
    assert first.publisher.over == (Ending.FENCED, "attempt 2 has taken over")
    assert first.ask() == []


def test_an_attempt_that_slept_reads_before_it_writes_anything(store: StoreModel) -> None:
    first, second = Side(store, 1), Side(store, 2)
    first.burst(4.0)
    first.play(2.0)
    second.play(6.0)
    stored = set(store.segments)
    first.publisher.look_again()
    first.cut()
    first.settle()
    assert first.publisher.over is not None
    assert store.segments == stored


def test_an_ended_playlist_and_another_run_of_the_attempt_fence_at_once(store: StoreModel) -> None:
    segment = ListedSegment(bucket.segment_uri(SESSION, 2, 0), 2.0, store.now_s, False)
    playlist = MediaPlaylist(TARGET_S, 0, 0, (segment,), False)
    for text, attempt, reason in [
        (playlist.finish().render(), 3, "the playlist has ended"),
        (playlist.render(), 2, "another run of this attempt has published"),
        (playlist.render(), 1, "attempt 2 has taken over"),
    ]:
        store.main = text
        side = Side(store, attempt)
        side.settle()
        assert side.publisher.over == (Ending.FENCED, reason)


def test_the_playlists_own_target_duration_is_kept_and_what_is_longer_is_left_out(store: StoreModel) -> None:
    segment = ListedSegment(bucket.segment_uri(SESSION, 1, 0), 2.0, store.now_s, False)
    store.main = MediaPlaylist(1, 0, 0, (segment._replace(duration_s=1.0),), False).render()
    side = Side(store, 2)
    side.burst(4.0)
    side.play(2.0)
    side.settle()
    assert side.publisher.over is None
    assert side.publisher.listed_target_duration_s == 1
    assert MediaPlaylist.parse(store.main).target_duration_s == 1


def test_the_attempt_that_begins_the_playlist_decides_its_target_duration(store: StoreModel) -> None:
    side = Side(store, 1)
    side.settle()
    assert side.publisher.joined
    assert side.publisher.listed_target_duration_s is None
    side.publisher.begin_with(10)
    side.burst(4.0)
    side.play(2.0)
    side.settle()
    assert store.main is not None
    assert MediaPlaylist.parse(store.main).target_duration_s == 10
    assert side.publisher.listed_target_duration_s == 10


def test_an_own_write_whose_answer_was_lost_is_adopted(store: StoreModel) -> None:
    side = Side(store, 1)
    side.burst(4.0)
    side.play(2.0)
    store.now_s += 2.0
    side.cut()
    (post,) = side.ask()
    side.answer(post)
    (put,) = side.ask()
    store.apply(1, put)
    side.answer(put, RequestFailed("TimeoutError"))
    side.play(4.0)
    assert side.numbers() == [0, 1, 2, 3, 4, 5]
    assert not any(segment.discontinuity for segment in side.listed)


def test_what_an_earlier_attempt_wrote_meanwhile_is_built_upon(store: StoreModel) -> None:
    first = Side(store, 1)
    first.burst(4.0)
    first.play(4.0)
    second = Side(store, 2)
    second.settle()  # it has read what is listed
    first.play(2.0)  # and the first attempt goes on
    second.burst(4.0)
    second.play(4.0)
    assert first.numbers() == [0, 1, 2, 3, 4]
    assert second.numbers() != []
    assert not first.is_over()
    first.play(2.0)
    assert first.is_over()


def test_who_is_always_second_says_so_and_is_then_first(store: StoreModel) -> None:
    first, second = Side(store, 1), Side(store, 2)
    for side in (first, second):
        side.burst(4.0)
    first.play(2.0)
    second.play(0.5)
    while not second.numbers():
        store.now_s += 2.0
        for side in (first, second):
            side.cut()
        # Both have seen the same playlist and list the same media; the first attempt is faster by a moment.
        while others := [each for each in second.ask() if not isinstance(each, PutMain)]:
            for other in others:
                second.answer(other)
        first.settle()
        for request in list(second.on_their_way):
            second.answer(request)
        second.settle()
        assert store.now_s < 1_000_010.0, "it never comes to its turn"
    first.play(2.0)
    assert first.publisher.over == (Ending.FENCED, "attempt 2 has taken over")
    assert store.playlist is not None
    assert store.playlist.claimed_by == 0, "what is listed says it"


def test_an_attempt_that_was_overtaken_repeats_no_more_than_any_other(store: StoreModel) -> None:
    first = Side(store, 1)
    first.burst(4.0)
    first.play(4.0)
    second = Side(store, 2)
    second.burst(5.4)  # its segments end 0.6 s later than those of the first attempt
    second.settle()
    first.play(2.0)  # what the second attempt does not know of
    store.now_s += 0.6
    second.cut()
    second.settle()
    assert any("claiming" in line for line in second.log)
    second.play(2.0)
    assert second.numbers() == [4], "3 ends 0.6 s later than what is listed: it would repeat 1.4 s"
    last = second.listed[-1]
    assert last.end_s == pytest.approx(store.now_s, abs=1.0)
    first.play(2.0)
    assert first.publisher.over == (Ending.FENCED, "attempt 2 has taken over")


def test_a_store_that_refuses_for_less_than_the_window_costs_nothing(store: StoreModel) -> None:
    side = Side(store, 1)
    side.burst(4.0)
    side.play(2.0)
    refuse(side, for_s=12.0)
    assert side.fails()
    side.play(3.0)
    assert not side.fails()
    assert side.numbers() == list(range(10))
    assert not any(segment.discontinuity for segment in side.listed)


def test_a_store_that_refuses_for_longer_costs_the_oldest_segments_and_a_discontinuity(store: StoreModel) -> None:
    side = Side(store, 1)
    side.burst(4.0)
    side.play(2.0)
    refuse(side, for_s=30.0)
    unsent = [waiting for waiting in side.publisher._backlog if waiting.segment.data]
    assert sum(waiting.segment.duration_s for waiting in unsent) <= WINDOW_S + 2.0
    side.play(3.0)
    numbers = side.numbers()
    assert numbers[-1] == 18
    assert numbers == list(range(numbers[0], 19)), "what was kept fills the window"
    assert numbers[0] > 3, "and what was not has left it"
    left = store.playlist.discontinuity_sequence if store.playlist else 0
    assert left + [segment.discontinuity for segment in side.listed].count(True) == 1
    assert any("left out" in line for line in side.log)


def test_a_segment_that_the_store_will_never_take_is_left_out(store: StoreModel) -> None:
    side = Side(store, 1)
    side.burst(4.0)
    side.play(2.0)
    store.now_s += 2.0
    side.cut()
    (post,) = side.ask()
    side.answer(post, RequestFailed("HTTP 400 EntityTooLarge", final=True))
    side.play(4.0)
    assert side.numbers() == [0, 1, 2, 4, 5]
    assert [s.discontinuity for s in side.listed] == [False, False, False, True, False]


def test_one_segment_that_fails_again_and_again_does_not_hold_up_the_others(store: StoreModel) -> None:
    side = Side(store, 1)
    side.burst(4.0)
    side.play(2.0)
    until_s = store.now_s + 8.0
    while store.now_s < until_s:
        store.now_s += 0.5
        side.cut()
        for _ in range(4):
            side.ask()
            for request in list(side.on_their_way):
                side.answer(request, REFUSED if isinstance(request, PostSegment) and request.n == 3 else None)
    assert side.numbers() == [0, 1, 2, 4, 5, 6]


def test_a_playlist_that_is_gone_goes_on_from_memory(store: StoreModel) -> None:
    side = Side(store, 1)
    side.burst(4.0)
    side.play(8.0)
    before = store.playlist
    store.main = None
    side.play(2.0)
    after = store.playlist
    assert before is not None
    assert after is not None
    assert after.segments[: len(before.segments)] == before.segments


def test_a_lost_playlist_write_fails_as_long_as_it_fails_although_segments_are_stored(store: StoreModel) -> None:
    side = Side(store, 1)
    side.burst(4.0)
    side.play(2.0)
    since_s = store.now_s
    for _ in range(12):
        store.now_s += 0.5
        side.cut()
        side.ask()
        for request in list(side.on_their_way):
            side.answer(request, REFUSED if isinstance(request, PutMain) else None)
    failing_s = side.publisher.failing_since_s
    assert failing_s is not None
    assert failing_s <= since_s + 2.5


def test_what_is_due_follows_the_last_listing(store: StoreModel) -> None:
    side = Side(store, 1)
    side.burst(4.0)
    side.play(0.5)
    assert side.publisher.due_s == store.now_s + 2.0


def heavy(side: Side, for_s: float, size_bytes: int) -> None:
    """Its segments have so many bytes from now on."""
    until_s = side.store.now_s + for_s
    while side.store.now_s < until_s:
        side.store.now_s += 2.0
        side.clock.observe(side.store.now_s, side.media_s + 2.0)
        side.publisher.offer(Segment(bytes(size_bytes), side.media_s, 2.0, True, False), side.clock)
        side.media_s += 2.0
        side.settle()


def variant(store: StoreModel) -> Variant:
    assert store.index is not None
    return MultivariantPlaylist.parse(store.index).variants[0]


def test_the_multivariant_playlist_follows_the_bit_rate(store: StoreModel) -> None:
    side = Side(store, 1)
    heavy(side, 6.0, 250_000)
    assert (variant(store).bandwidth, variant(store).average_bandwidth) == (1_250_000, 1_000_000)
    heavy(side, 2.0, 2_500_000)
    assert variant(store).bandwidth == 12_500_000
    heavy(side, 40.0, 250_000)
    assert (variant(store).bandwidth, variant(store).average_bandwidth) == (12_500_000, 1_000_000)
    assert len(store.index_writers) <= 5


def test_the_peak_is_that_of_the_target_duration_that_was_decided(store: StoreModel) -> None:
    """Segments of the length of a group of pictures, ten seconds: each is a run that counts (RFC 8216, 4.1)."""
    side = Side(store, 1)
    side.settle()
    side.publisher.begin_with(10)
    for size_bytes in (10_000_000, 1_000_000):
        side.store.now_s += 10.0
        side.clock.observe(side.store.now_s, side.media_s + 10.0)
        side.publisher.offer(Segment(bytes(size_bytes), side.media_s, 10.0, True, False), side.clock)
        side.media_s += 10.0
    side.settle()
    assert len(side.listed) == 2
    assert variant(store).bandwidth >= 8_000_000


def test_the_multivariant_playlist_follows_a_swap_and_no_attempt_that_was_fenced_changes_it(store: StoreModel) -> None:
    first, second = Side(store, 1), Side(store, 2)
    heavy(first, 8.0, 250_000)
    second.clock.observe(store.now_s, 0.0)
    heavy(second, 8.0, 1_250_000)
    assert store.playlist is not None
    assert store.playlist.last_attempt == 2
    assert (variant(store).bandwidth, store.index_writers[-1]) == (6_250_000, 2)
    index = store.index
    first.publisher.offer(Segment(bytes(9_000_000), first.media_s, 2.0, True, False), first.clock)
    for request in first.ask():
        first.answer(request)
    first.settle()
    assert first.publisher.over is not None
    assert store.index == index
    assert store.index_writers == sorted(store.index_writers)


def test_a_correction_that_fails_holds_up_nothing_and_blames_no_store(store: StoreModel) -> None:
    side = Side(store, 1)
    heavy(side, 4.0, 250_000)
    heavier = side.store.now_s + 12.0
    tries = 0
    while store.now_s < heavier:
        store.now_s += 2.0
        side.clock.observe(store.now_s, side.media_s + 2.0)
        side.publisher.offer(Segment(bytes(2_500_000), side.media_s, 2.0, True, False), side.clock)
        side.media_s += 2.0
        while side.ask() or side.on_their_way:
            request = side.on_their_way[0]
            tries += isinstance(request, PutIndex)
            side.answer(request, REFUSED if isinstance(request, PutIndex) else None)
        assert not side.fails()
    assert tries == 1, "it is tried again after a while, not all the time"
    assert len(side.listed) == 8
    heavy(side, 20.0, 2_500_000)
    assert variant(store).bandwidth == 12_500_000


def test_a_correction_that_somebody_else_has_made_is_built_upon(store: StoreModel) -> None:
    side = Side(store, 1)
    heavy(side, 4.0, 250_000)
    assert store.index is not None
    theirs = MultivariantPlaylist.parse(store.index)
    wider = theirs._replace(variants=(theirs.variants[0]._replace(bandwidth=3_000_000, resolution="640x360"),))
    assert isinstance(store.apply(1, PutIndex(wider.render(), '"i1"')), Stored)
    heavy(side, 4.0, 500_000)
    assert variant(store)[:4] == ("main.m3u8", 3_000_000, None, "640x360")
    heavy(side, 4.0, 1_000_000)
    assert variant(store)[:4] == ("main.m3u8", 5_000_000, None, "640x360")


def refuse(side: Side, for_s: float) -> None:
    """The store refuses for that long; the source goes on."""
    until_s = side.store.now_s + for_s
    while side.store.now_s < until_s:
        side.store.now_s += 0.5
        side.cut()
        side.ask()
        for request in list(side.on_their_way):
            side.answer(request, REFUSED)


class Competition(RuleBasedStateMachine):
    """Attempts that come one after another and never know of each other's death; the store checks every law at every
    write, whatever is lost, late or doubled on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.store = StoreModel()
        self.store.now_s = 1_000_000.0
        self.sides: list[Side] = []
        self.late: list[tuple[int, Request]] = []  # given up by the sender, and still on its way

    @initialize()
    def begin(self) -> None:
        self.join(4.0, 2.0, 1)

    @precondition(lambda self: len(self.sides) < 3)
    @rule(backlog_s=st.floats(0.0, 9.0), segment_s=st.sampled_from([1.0, 2.0, 3.6]), group=st.integers(1, 3))
    def join(self, backlog_s: float, segment_s: float, group: int) -> None:
        side = Side(self.store, len(self.sides) + 1, segment_s, group)
        side.burst(backlog_s)
        self.sides.append(side)

    @rule(step_s=st.floats(0.05, 3.0), which=st.integers(1, 7))
    def time_passes(self, step_s: float, which: int) -> None:
        """For all; those that are not in `which` sleep."""
        self.store.now_s += step_s
        for number, side in enumerate(self.sides):
            if which >> number & 1:
                side.cut()
                side.ask()

    @rule(pick=st.integers(0, 99))
    def works(self, pick: int) -> None:
        """A request is made and answered."""
        if (chosen := self._chosen(pick)) is not None:
            side, request = chosen
            side.answer(request)
            side.ask()

    @rule(pick=st.integers(0, 99), done=st.booleans(), later=st.booleans())
    def fails(self, pick: int, done: bool, later: bool) -> None:
        """A request is given up by its sender: it was done, or will be, or never was."""
        if (chosen := self._chosen(pick)) is None:
            return
        side, request = chosen
        if done:
            self.store.apply(side.attempt, request)
        elif later:
            self.late.append((side.attempt, request))
        side.answer(request, REFUSED)

    @precondition(lambda self: self.late)
    @rule(pick=st.integers(0, 99))
    def arrives_late(self, pick: int) -> None:
        self.store.apply(*self.late.pop(pick % len(self.late)))

    @rule(pick=st.integers(0, 2), hole_s=st.floats(0.0, 3.0))
    def timestamps_jump(self, pick: int, hole_s: float) -> None:
        side = self.sides[pick % len(self.sides)]
        if len(side.publisher._backlog) == 0:  # else what waits would be dated by the clock of what jumped
            side.jump(hole_s)

    @rule(pick=st.integers(0, 2))
    def wakes_up(self, pick: int) -> None:
        self.sides[pick % len(self.sides)].publisher.look_again()

    @invariant()
    def no_law_is_broken(self) -> None:
        assert self.store.broken == []

    def teardown(self) -> None:
        """When all works again, the last attempt is the one that plays, and every other one is fenced."""
        if not self.sides:
            return
        last = self.sides[-1]
        last.play(12.0)
        assert last.publisher.over is None
        assert last.numbers() != []
        for side in self.sides[:-1]:
            side.publisher.look_again()
            side.play(2.0)
            assert side.publisher.over is not None
            assert side.publisher.over[0] is Ending.FENCED
        last.play(4.0)
        assert self.store.broken == []

    def _chosen(self, pick: int) -> tuple[Side, Request] | None:
        waiting = [(side, request) for side in self.sides for request in side.on_their_way]
        return waiting[pick % len(waiting)] if waiting else None


TestCompetition = Competition.TestCase
TestCompetition.settings = settings(
    max_examples=settings().max_examples * 3 // 2,
    stateful_step_count=settings().stateful_step_count * 2,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_a_stored_answer_without_a_version_is_not_trusted(store: StoreModel) -> None:
    side = Side(store, 1)
    side.burst(4.0)
    side.play(2.0)
    store.now_s += 2.0
    side.cut()
    (post,) = side.ask()
    side.answer(post)
    (put,) = side.ask()
    store.apply(1, put)
    side.answer(put, Stored(None))
    side.play(2.0)
    assert side.numbers() == [0, 1, 2, 3, 4]
