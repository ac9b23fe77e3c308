"""One attempt that lists several legs: the rules of the playlist over any history of switches and faults of the store."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transcoder.publish.store_model import StoreModel
from tests.transcoder.publish.test_publisher import REFUSED, Side
from transcoder.media.programme_clock import ProgrammeClock
from transcoder.publish.media_playlist import MediaPlaylist
from transcoder.publish.store_requests import PutMain, Reply, Request


class RememberingStore(StoreModel):
    """Every state of the playlist, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[MediaPlaylist] = []

    def apply(self, attempt: int, request: Request) -> Reply:
        reply = super().apply(attempt, request)
        if isinstance(request, PutMain) and self.playlist is not None:
            self.states.append(self.playlist)
        return reply


def store_model() -> RememberingStore:
    store = RememberingStore()
    store.now_s = 1_000_000.0
    return store


class Legs(Side):
    """An attempt whose inputs change."""

    def switch(self, burst_s: float, origin_s: float = 0.0) -> None:
        """The next leg: an input that has a backlog of `burst_s`, and whose first medium comes now."""
        self.publisher.end_leg()
        self.clock = ProgrammeClock(None, leg=self.clock.leg + 1)
        self.media_s, self._cuts = origin_s, 0
        self._origin_s = self.store.now_s - origin_s
        self.burst(burst_s)

    @property
    def playlist(self) -> MediaPlaylist:
        playlist = self.store.playlist
        assert playlist is not None
        return playlist


def test_a_leg_joins_the_programme_with_one_discontinuity_and_the_numbers_go_on() -> None:
    store = store_model()
    side = Legs(store, 1)
    side.burst(6.0)
    side.play(4.0)
    before = side.playlist
    assert before.leg == 1
    assert "LEG" not in (store.main or "")
    store.now_s += 1.3
    side.switch(burst_s=6.0)
    store.now_s += 0.2
    side.settle()
    after = side.playlist
    assert after.leg == 2
    assert store.broken == []
    new = after.segments[len(before.segments) :]
    assert [each.discontinuity for each in new][:1] == [True]
    assert not any(each.discontinuity for each in new[1:])
    assert sum(each.duration_s for each in new) == pytest.approx(2.0), "not what was listed before"


def test_what_the_closed_leg_held_is_listed_before_the_next_one() -> None:
    store = store_model()
    side = Legs(store, 1)
    side.burst(6.0)
    side.play(2.0)
    store.now_s += 1.0
    side.clock.observe(store.now_s, side.media_s + 1.0)
    side.offer(1.0)  # the rest
    side.switch(burst_s=6.0)
    store.now_s += 2.2
    side.cut()
    store.now_s += 0.2
    side.settle()
    uris = [each.uri for each in side.playlist.segments]
    numbers = [int(uri.rpartition("/")[2].partition(".")[0]) for uri in uris]
    assert numbers == sorted(numbers)
    at = next(n for n, each in enumerate(side.playlist.segments) if each.discontinuity)
    assert side.playlist.segments[at - 1].duration_s == pytest.approx(1.0)
    assert side.publisher.listed_leg == 2
    assert store.broken == []


def test_a_leg_that_never_began_gives_way_to_the_next() -> None:
    store = store_model()
    side = Legs(store, 1)
    side.burst(6.0)
    side.play(4.0)
    side.switch(burst_s=0.0, origin_s=500.0)
    side.clock.observe(store.now_s, 494.0)
    side.media_s = 490.0
    side.offer(2.0)  # old media alone: they do not continue the programme
    store.now_s += 1.5
    side.settle()
    assert side.publisher.listed_leg == 1
    side.switch(burst_s=6.0)
    store.now_s += 0.2
    side.settle()
    assert side.publisher.listed_leg == 3
    assert side.playlist.leg == 3
    assert store.broken == []


def test_where_nothing_was_listed_the_next_leg_decides_what_the_session_sends() -> None:
    store = store_model()
    side = Legs(store, 1)
    side.settle()
    assert side.publisher.sending is not None
    side.publisher.end_leg()
    assert side.publisher.sending is None


steps = st.lists(
    st.one_of(
        st.tuples(st.just("switch"), st.floats(0, 12), st.just(0)),
        st.tuples(st.just("play"), st.floats(0.1, 8), st.just(0)),
        st.tuples(st.just("rest"), st.floats(0.3, 1.9), st.just(0)),
        st.tuples(st.just("refuse"), st.floats(0.1, 3), st.integers(1, 4)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_no_history_of_switches_breaks_a_rule(history: list[tuple[str, float, int]]) -> None:
    store = store_model()
    # Each switch may bring the programme up to half a segment ahead, until it is two segments ahead (programme_clock).
    store.group_s = 2 * 2.0
    side = Legs(store, 1)
    side.burst(6.0)
    for what, s, count in history:
        match what:
            case "switch":
                side.switch(burst_s=s)
            case "play":
                side.play(s)
            case "rest":
                store.now_s += s
                side.clock.observe(store.now_s, side.media_s + s)
                side.offer(s)
            case _:
                side.ask()
                for request in side.on_their_way[:count]:
                    side.answer(request, REFUSED)
                store.now_s += s
    side.play(12.0)
    assert store.broken == []
    assert side.publisher.listed_leg == side.clock.leg, "the newest leg is listed in the end"
    for before, after in pairwise(store.states):
        if before.leg != after.leg and before.segments:
            assert after.leg > before.leg
            new = after.segments[before.last_sequence + 1 - after.media_sequence :]
            assert [each.discontinuity for each in new][:1] == [True]
