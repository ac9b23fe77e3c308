"""A channel's day in quarter hours, story by story; and what holds for every story."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.core.model import SLATE, UNKNOWN_INPUT, Event, EventType, Leg, Source, SourceStatus
from orchestrator.core.presentation.day_history import QUARTER_S, Delivery, Run, State, first_choices, quarters
from tests.words import causes, why

FIRST, KNOWN = frozenset({"a"}), frozenset({"a", "b", "other channel's"})
Q = float(QUARTER_S)


def run(source: str | None, start: float, end: float | None = None, reason: str | None = None, *, live: bool = True) -> Run:
    listed = start if live else None
    return Run(
        source_id=source,
        started_at=start,
        first_segment_at=listed,
        ended_at=end,
        end_cause=why(reason, of_end=True).cause if reason else None,
    )


def told(kind: EventType, at: float, **fields: Any) -> Event:
    return Event(id=1, session_id="s-1", type=kind, at=at, fields=fields, causes=causes(kind, fields))


def down(at: float, slate: bool = False) -> Event:
    return told(EventType.STREAM_UNAVAILABLE, at, reason="source stalled", **({"slate": True} if slate else {}))


def up(at: float) -> Event:
    return told(EventType.STREAM_RECOVERED, at)


def switch(at: float, reason: str) -> Event:
    return told(EventType.STREAM_SWITCH, at, reason=reason)


def delivery(*runs: Run, events: tuple[Event, ...] = (), start: float = 0.0, **more: Any) -> Delivery:
    return Delivery(channel_id="c-1", created_at=start, runs=runs, events=events, **more)


def strip(*deliveries: Delivery, since: float = 0.0, now: float = 6 * Q - 1) -> str:
    return "".join(each.state for each in quarters(deliveries, FIRST, KNOWN, since, now))


STORIES: dict[str, tuple[str, list[Delivery]]] = {
    "nobody watched": ("......", []),
    "the first choice played all the time": ("gggggg", [delivery(run("a", 1.0))]),
    "it was watched for a while": (".gg...", [delivery(run("a", 1.5 * Q, 2.5 * Q), start=1.5 * Q, ended_at=2.5 * Q)]),
    "what ends with a quarter is not in the next": ("g.....", [delivery(run("a", 1.0, Q), ended_at=Q)]),
    "a lower source played": (
        "gaaggg",
        [delivery(run("a", 1.0, Q), run("b", Q, 2.5 * Q, "replaced: failback"), run("a", 2.5 * Q + 1, None), start=0.0)],
    ),
    "another channel's source played": ("aaaaaa", [delivery(run("other channel's", 1.0))]),
    "a source played that is gone": ("??????", [delivery(run("gone", 1.0))]),
    "a killed container came back on the same source": (
        "gagggg",
        [
            delivery(
                run("a", 1.0, 1.5 * Q, "container killed"), run("a", 1.5 * Q), events=(switch(1.5 * Q, "container killed"),)
            )
        ],
    ),
    "it was rolled": (
        "gggggg",
        [delivery(run("a", 1.0, 1.5 * Q, "replaced: rolled"), run("a", 1.5 * Q), events=(switch(1.5 * Q, "rolled"),))],
    ),
    "nothing worked": (
        "grrggg",
        [delivery(run("a", 1.0, 1.5 * Q), run("a", 3 * Q), events=(down(1.5 * Q), up(2.5 * Q)))],
    ),
    "nothing worked, and a slate was shown": (
        "gssggg",
        [
            delivery(
                run("a", 1.0, 1.5 * Q), run(SLATE, 1.6 * Q, 3 * Q), run("a", 3 * Q), events=(down(1.5 * Q, True), up(2.9 * Q))
            )
        ],
    ),
    "nothing has worked since": (
        "grrrrr",
        [delivery(run("a", 1.0, 1.5 * Q), events=(down(1.5 * Q),), unavailable_since=1.5 * Q)],
    ),
    "it ended unavailable": (
        "grr...",
        [delivery(run("a", 1.0, 1.5 * Q), events=(down(1.5 * Q), told(EventType.SESSION_ENDED, 2.5 * Q)), ended_at=2.5 * Q)],
    ),
    "it is being started": ("?.....", [delivery(run("a", 1.0, live=False), ended_at=2.0)]),
    "the worst of all sessions counts": (
        "gragg?",
        [
            delivery(run("a", 1.0, 5 * Q), ended_at=5 * Q),
            delivery(events=(down(Q), up(2 * Q)), start=Q, ended_at=2 * Q),
            delivery(run("b", 2 * Q, 3 * Q), start=2 * Q, ended_at=3 * Q),
            delivery(start=5.1 * Q),
        ],
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_a_quarter_shows_the_worst_that_happened_in_it(story: str) -> None:
    expected, deliveries = STORIES[story]
    assert strip(*deliveries) == expected


def test_an_outage_that_began_before_anything_known_is_one_from_the_beginning() -> None:
    recovered = delivery(events=(up(3.5 * Q),), start=-50 * Q, ended_at=4 * Q)
    assert strip(recovered, since=2 * Q) == "rr.."
    still = delivery(run(SLATE, -9 * Q), start=-50 * Q, unavailable_since=-10 * Q)
    assert strip(still, since=2 * Q) == "ssss"


def test_swaps_and_failures_are_counted_in_their_quarters() -> None:
    story = delivery(
        run("a", 1.0, 0.5 * Q, "source stalled"),
        run("b", 0.5 * Q, 1.2 * Q, "replaced: failback"),
        run("a", 1.2 * Q, 1.4 * Q, "source ended"),
        run(SLATE, 1.4 * Q, 1.45 * Q, "container killed"),
        run("b", 1.5 * Q, 3.5 * Q, "stopped"),
        events=(switch(0.5 * Q, "source stalled"), switch(1.2 * Q, "failback"), switch(1.5 * Q, "source ended")),
        ended_at=3.5 * Q,
    )
    found = quarters([story], FIRST, KNOWN, 0.0, 4 * Q - 1)
    assert [(each.at, each.swaps, each.failures) for each in found] == [(0.0, 1, 1), (Q, 2, 1), (2 * Q, 0, 0), (3 * Q, 0, 0)]


def test_what_was_disabled_had_been_the_first_choice() -> None:
    def source(name: str, status: SourceStatus = SourceStatus.HEALTHY) -> Source:
        return Source(id=name, channel_id="c-1", url="http://x.test/", status=status)

    assert first_choices([]) == frozenset()
    assert first_choices([source("a"), source("b")]) == {"a"}
    assert first_choices([source("a", SourceStatus.DISABLED), source("b"), source("c")]) == {"a", "b"}


times = st.floats(min_value=-5 * Q, max_value=12 * Q, allow_nan=False)
runs = st.builds(
    lambda source, start, length, live, reason: run(source, start, start + length, reason, live=live),
    st.sampled_from(["a", "b", "gone", SLATE, None]),
    times,
    st.floats(min_value=0.0, max_value=9 * Q),
    st.booleans(),
    st.sampled_from([None, "replaced", "source stalled"]),
)
events = st.builds(
    lambda kind, at, slate, reason: told(kind, at, slate=slate, reason=reason),
    st.sampled_from(list(EventType)),
    st.floats(min_value=0.0, max_value=10 * Q),
    st.booleans(),
    st.sampled_from(["rolled", "source stalled"]),
)
deliveries = st.builds(
    lambda runs, events, start, length, ends, outage: delivery(
        *runs,
        events=tuple(sorted(events, key=lambda each: each.at)),
        start=start,
        ended_at=start + length if ends else None,
        unavailable_since=outage,
    ),
    st.lists(runs, max_size=4),
    st.lists(events, max_size=4),
    times,
    st.floats(min_value=0.0, max_value=9 * Q),
    st.booleans(),
    st.none() | times,
)


@given(st.lists(deliveries, max_size=4), deliveries, st.floats(min_value=0.0, max_value=9 * Q))
def test_more_knowledge_never_makes_a_quarter_look_better(known: list[Delivery], more: Delivery, now: float) -> None:
    order = list(State)
    before = quarters(known, FIRST, KNOWN, 0.0, now)
    after = quarters([*known, more], FIRST, KNOWN, 0.0, now)
    assert [each.at for each in after] == [QUARTER_S * n for n in range(int(now // QUARTER_S) + 1)]
    for one, other in zip(before, after, strict=True):
        assert order.index(other.state) >= order.index(one.state)
        assert other.swaps >= one.swaps
        assert other.failures >= one.failures


def leg(number: int, source: str, start: float, end: float | None = None, reason: str = "", *, live: bool = True) -> Leg:
    ended = why(reason) if reason else None
    return Leg(number, source, why("requested"), start, start if live else None, None, end, ended)


def of_legs(*legs: Leg, end: float | None = None, reason: str | None = None) -> Run:
    """One attempt."""
    return replace(run(legs[0].input, legs[0].started_at, end, reason), legs=legs)


def by_attempts(*legs: Leg, end: float | None = None, reason: str | None = None) -> tuple[Run, ...]:
    """The same as containers that were swapped."""
    *firsts, last = legs
    swapped = [run(each.input, each.started_at, each.ended_at, each.ended.text if each.ended else None) for each in firsts]
    return (*swapped, run(last.input, last.started_at, end, reason))


def test_legs_are_shown_as_swapped_containers_are() -> None:
    legs = (leg(1, "a", 1.0, 1.5 * Q, "source stalled"), leg(2, "b", 1.5 * Q, 3.2 * Q, "source ended"), leg(3, "a", 3.2 * Q))
    switches = (switch(1.5 * Q, "source stalled"), switch(3.2 * Q, "source ended"))
    one, many = delivery(of_legs(*legs), events=switches), delivery(*by_attempts(*legs), events=switches)
    shown = quarters([one], FIRST, KNOWN, 0.0, 6 * Q - 1)
    assert shown == quarters([many], FIRST, KNOWN, 0.0, 6 * Q - 1)
    assert "".join(each.state for each in shown) == "gaaagg"
    assert [each.failures for each in shown] == [0, 1, 0, 1, 0, 0]
    assert [each.swaps for each in shown] == [0, 1, 0, 1, 0, 0]


def test_a_switch_that_is_told_late_is_shown_when_it_was() -> None:
    late = replace(switch(4.5 * Q, "source stalled"), fields={"reason": "source stalled", "at": 1.5 * Q, "late": True})
    shown = quarters([delivery(run("a", 1.0), events=(late,))], FIRST, KNOWN, 0.0, 6 * Q - 1)
    assert [each.swaps for each in shown] == [0, 1, 0, 0, 0, 0]
    assert "".join(each.state for each in shown) == "gagggg"


def test_a_leg_that_nobody_explains_is_not_guessed() -> None:
    legs = (leg(1, "a", 1.0, 2 * Q, "unknown"), leg(2, UNKNOWN_INPUT, 2 * Q))
    assert strip(delivery(of_legs(*legs))) == "gg????"


def test_an_attempt_that_ends_after_its_last_leg_has_failed_once() -> None:
    legs = (leg(1, "a", 1.0, Q + 1.0, "source stalled"), leg(2, "b", Q + 1.0, Q + 5.0, "source ended"))
    shown = quarters([delivery(of_legs(*legs, end=Q + 9.0, reason="source ended"))], FIRST, KNOWN, 0.0, 3 * Q - 1)
    assert [each.failures for each in shown] == [0, 2, 0]
