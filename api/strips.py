"""Channels' strips, for all who look: the day is read once, then only what may still change."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from api.kept import Kept
from orchestrator.core.reading.timeline import QUARTER_S, QUARTERS, Delivery, Quarter, State, first_choices, quarters
from orchestrator.ports import ChannelRow, Journal

KEPT_S = 60.0
_LATE_S = 30.0  # a commit may take so long from the time that its rows name

NOTHING = State.NONE * QUARTERS


class Strips:
    """`channels` gives what there is now."""

    def __init__(self, journal: Journal, channels: Kept[tuple[ChannelRow, ...]], clock: Callable[[], float]) -> None:
        self._journal = journal
        self._channels = channels
        self._clock = clock
        self._states: dict[str, dict[int, State]] = {}  # channel id → number of a quarter → what it showed
        self._read_at: float | None = None
        self._letters = Kept(self._read)

    async def get(self) -> Mapping[str, str]:
        """Channel id → its letters; NOTHING where it is not named. As of a minute ago at most."""
        return await self._letters.get(KEPT_S)

    async def _read(self) -> Mapping[str, str]:
        now = self._clock()
        last = int(now // QUARTER_S)
        first = last - QUARTERS + 1
        still_open = first if self._read_at is None else max(first, int((self._read_at - _LATE_S) // QUARTER_S))
        deliveries = await self._journal.deliveries(float(still_open * QUARTER_S))
        rows = await self._channels.get(KEPT_S)
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
    return _found(rows, deliveries, since, now).get(channel_id) or quarters((), (), (), since, now)


def _found(
    rows: Sequence[ChannelRow], deliveries: Sequence[Delivery], since: float, now: float
) -> dict[str, tuple[Quarter, ...]]:
    """Of the channels that had a session."""
    known = {source.id for row in rows for source in row.sources}
    of: dict[str, list[Delivery]] = defaultdict(list)
    for each in deliveries:
        of[each.channel_id].append(each)
    return {
        row.channel.id: quarters(of[row.channel.id], first_choices(row.sources), known, since, now)
        for row in rows
        if row.channel.id in of
    }
