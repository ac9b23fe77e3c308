"""A channel's last day in quarter hours: of each, the worst that happened to the channel's sessions.

It is computed from the attempts and events that are recorded anyway. What is not known is shown as unknown. The "first choice"
is that of the present line-up, also for what was played before an edit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from itertools import chain
from math import ceil
from typing import assert_never

from msgspec import Struct

from orchestrator.core.model import NO_FAILURE, PLANNED, SLATE, Cause, Event, EventType, Leg, Source, SourceStatus
from orchestrator.core.presentation.event_payload import happened_at

QUARTER_S = 900
QUARTERS = 96  # a day


class State(StrEnum):
    """Letters of the strip, the better ones first."""

    NONE = "."  # no session
    UNKNOWN = "?"  # a session, of which no row says what it showed
    GOOD = "g"  # the first choice, all the time
    LOWER = "a"  # a source behind it, or a swap that nobody wanted
    SLATE = "s"
    UNAVAILABLE = "r"  # nothing was shown


_RANK = {state: rank for rank, state in enumerate(State)}


class Run(Struct, frozen=True, kw_only=True):
    """An attempt, as far as a strip needs it."""

    source_id: str | None
    started_at: float
    first_segment_at: float | None = None
    ended_at: float | None = None
    end_cause: Cause | None = None
    legs: tuple[Leg, ...] = ()  # of an attempt that has switched inputs


class Delivery(Struct, frozen=True, kw_only=True):
    """A session's history since some time: its runs that ended later or have not, and its later events."""

    channel_id: str
    created_at: float
    ended_at: float | None = None
    unavailable_since: float | None = None  # of one that is unavailable, or was when it ended
    runs: tuple[Run, ...] = ()
    events: tuple[Event, ...] = ()  # in order


class Quarter(Struct, frozen=True, kw_only=True):
    """`at` is its begin, a multiple of QUARTER_S."""

    at: float
    state: State
    swaps: int = 0  # of all kinds
    failures: int = 0  # attempts that failed


def first_choices(own: Iterable[Source]) -> frozenset[str]:
    """Of a channel's own sources by priority: the first that is enabled, and the disabled ones before it, which were the first
    choice until somebody disabled them."""
    chosen: set[str] = set()
    for source in own:
        chosen.add(source.id)
        if source.status is not SourceStatus.DISABLED:
            break
    return frozenset(chosen)


def quarters(
    deliveries: Iterable[Delivery], first: Collection[str], known: Collection[str], since: float, now: float
) -> tuple[Quarter, ...]:
    """From the one with `since` in it to the one with `now` in it. `known`: the ids of all sources that there are."""
    strip = _Strip(int(since // QUARTER_S), int(now // QUARTER_S))
    for each in deliveries:
        end = now if each.ended_at is None else each.ended_at
        strip.span(each.created_at, end, State.UNKNOWN)
        for run in chain.from_iterable(map(_by_leg, each.runs)):
            ended = end if run.ended_at is None else run.ended_at
            if run.first_segment_at is not None:
                strip.span(run.first_segment_at, ended, _shown(run.source_id, first, known))
            if run.ended_at is not None and run.source_id != SLATE and _failed(run, each):
                strip.failures[strip.index(run.ended_at)] += 1
        _tell(strip, each, since, end)
    return strip.quarters()


def _by_leg(run: Run) -> tuple[Run, ...]:
    """An attempt that has switched inputs as one run for each leg. The last one ends with its attempt, if not before."""
    if not run.legs:
        return (run,)
    return tuple(
        Run(
            source_id=leg.input,
            started_at=leg.started_at,
            first_segment_at=leg.live_at,
            ended_at=run.ended_at if leg.ended_at is None else leg.ended_at,
            end_cause=run.end_cause if leg.ended is None else leg.ended.cause,
        )
        for leg in run.legs
    )


class _Strip:
    def __init__(self, first: int, last: int) -> None:
        count = max(0, last - first) + 1
        self._first = first
        self._states = [State.NONE] * count
        # One more, for what is outside
        self.swaps = [0] * (count + 1)
        self.failures = [0] * (count + 1)

    def index(self, at: float) -> int:
        index = int(at // QUARTER_S) - self._first
        return index if 0 <= index < len(self._states) else -1

    def span(self, start: float, end: float, state: State) -> None:
        """It was so from `start` until right before `end`; a moment of no length is in one quarter, too."""
        begin = int(start // QUARTER_S) - self._first
        beyond = max(begin + 1, ceil(end / QUARTER_S) - self._first)
        for index in range(max(0, begin), min(beyond, len(self._states))):
            if _RANK[state] > _RANK[self._states[index]]:
                self._states[index] = state

    def quarters(self) -> tuple[Quarter, ...]:
        return tuple(
            Quarter(
                at=float((self._first + index) * QUARTER_S),
                state=state,
                swaps=self.swaps[index],
                failures=self.failures[index],
            )
            for index, state in enumerate(self._states)
        )


def _tell(strip: _Strip, each: Delivery, since: float, end: float) -> None:
    """What its events say. An outage begins and ends with one; where it began before `since` the first is not there."""
    down: tuple[float, State] | None = None
    for event in each.events:
        match event.type:
            case EventType.STREAM_SWITCH:
                at = happened_at(event)
                strip.swaps[strip.index(at)] += 1
                if event.causes.reason not in PLANNED:
                    strip.span(at, at, State.LOWER)
            case EventType.STREAM_UNAVAILABLE:
                down = (event.at, State.SLATE if event.fields.get("slate") else State.UNAVAILABLE)
            case EventType.STREAM_RECOVERED:
                began, state = down or (since, _outage(each))
                strip.span(began, event.at, state)
                down = None
            case EventType.SESSION_LIVE | EventType.SWITCH_REFUSED | EventType.SESSION_ENDED:
                pass
            case _:
                assert_never(event.type)
    if down is None and each.unavailable_since is not None:
        down = (each.unavailable_since, _outage(each))
    if down is not None:
        strip.span(down[0], end, down[1])


def _outage(each: Delivery) -> State:
    """Of an outage whose begin is not among the events: a slate that has listed says what was shown."""
    slate = any(run.source_id == SLATE and run.first_segment_at is not None for run in each.runs)
    return State.SLATE if slate else State.UNAVAILABLE


def _shown(source_id: str | None, first: Collection[str], known: Collection[str]) -> State:
    if source_id == SLATE:
        return State.SLATE
    if source_id in first:
        return State.GOOD
    return State.LOWER if source_id in known else State.UNKNOWN


def _failed(run: Run, of: Delivery) -> bool:
    """It ended by itself, not with its session, nor for its successor."""
    with_session = of.ended_at is not None and run.ended_at is not None and run.ended_at >= of.ended_at
    return not with_session and run.end_cause not in NO_FAILURE
