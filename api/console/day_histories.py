"""Cache of the channels' day histories: the states of the last 96 quarter hours, one letter each. The whole day is read once;
after that only the quarter hours that may still change."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

from api.changes.single_flight import SingleFlightCache
from api.injection import Clock
from orchestrator.core.presentation.day_history import QUARTER_S, QUARTERS, Delivery, Quarter, State, first_choices, quarters
from orchestrator.ports import ChannelRow, Journal

MAX_AGE_S = 60.0
_LATE_S = 30.0  # a commit may come so long after the time in its rows

NOTHING = State.NONE * QUARTERS


class DayHistories:
    def __init__(self, journal: Journal, channel_rows: SingleFlightCache[tuple[ChannelRow, ...]], clock: Clock) -> None:
        self._journal = journal
        self._channel_rows = channel_rows
        self._clock = clock
        self._states: dict[str, dict[int, State]] = {}  # channel id → number of a quarter hour → its state
        self._read_at: float | None = None
        self._letters = SingleFlightCache(self._read)

    async def get(self) -> Mapping[str, str]:
        """Channel id → its letters; a channel without sessions is left out (NOTHING). At most MAX_AGE_S old."""
        return await self._letters.get(MAX_AGE_S)

    async def _read(self) -> Mapping[str, str]:
        now = self._clock()
        last = int(now // QUARTER_S)
        first = last - QUARTERS + 1
        still_open = first if self._read_at is None else max(first, int((self._read_at - _LATE_S) // QUARTER_S))
        deliveries = await self._journal.deliveries(float(still_open * QUARTER_S))
        rows = await self._channel_rows.get(MAX_AGE_S)
        found = await asyncio.to_thread(_found, rows, deliveries, float(still_open * QUARTER_S), now)
        here = {row.channel.id for row in rows}
        merged: dict[str, dict[int, State]] = {}
        for channel_id in here & (self._states.keys() | found.keys()):
            closed = self._states.get(channel_id, {})
            merged[channel_id] = {n: state for n, state in closed.items() if first <= n < still_open}
            merged[channel_id] |= {int(each.at // QUARTER_S): each.state for each in found.get(channel_id, ())}
        self._states, self._read_at = merged, now
        return {
            channel_id: "".join(states.get(n, State.NONE) for n in range(first, last + 1))
            for channel_id, states in merged.items()
        }


def of_channel(
    rows: Sequence[ChannelRow], channel_id: str, deliveries: Sequence[Delivery], since: float, now: float
) -> tuple[Quarter, ...]:
    """The channel's quarter hours from `since` to `now` (unix seconds)."""
    return _found(rows, deliveries, since, now).get(channel_id) or quarters((), (), (), since, now)


def _found(
    rows: Sequence[ChannelRow], deliveries: Sequence[Delivery], since: float, now: float
) -> dict[str, tuple[Quarter, ...]]:
    """Channel id → its quarter hours, for the channels that had a session."""
    known = {source.id for row in rows for source in row.sources}
    of: dict[str, list[Delivery]] = defaultdict(list)
    for each in deliveries:
        of[each.channel_id].append(each)
    return {
        row.channel.id: quarters(of[row.channel.id], first_choices(row.sources), known, since, now)
        for row in rows
        if row.channel.id in of
    }
