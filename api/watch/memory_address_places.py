"""`ports.AddressPlaces` in the memory of one process, used while Redis does not answer. The number of addresses is bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from math import inf
from typing import Final

from orchestrator.ports import Bound, Full, NoPlace
from orchestrator.ports.address_places import MINUTE_S, RESERVED_S

_ADDRESSES: Final = 10_000  # beyond it the least recently used is dropped


class _AddressCounts:
    __slots__ = ("places", "starts")

    def __init__(self) -> None:
        self.starts: dict[str, float] = {}  # when each was made, the oldest first
        self.places: dict[str, float] = {}  # until when it is only reserved; -inf: its session runs


class MemoryAddressPlaces:
    """`clock`: seconds, monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._addresses: OrderedDict[str, _AddressCounts] = OrderedDict()

    async def take(self, address: str, place: str, start: str, bound: Bound) -> NoPlace | None:
        now = self._clock()
        known = self._addresses.setdefault(address, _AddressCounts())
        self._addresses.move_to_end(address)
        if len(self._addresses) > _ADDRESSES:
            self._addresses.popitem(last=False)
        known.starts = {each: at for each, at in known.starts.items() if at > now - MINUTE_S}
        if len(known.starts) >= bound.new_per_minute:
            return NoPlace(Full.RATE, next(iter(known.starts.values())) + MINUTE_S - now)
        if place not in known.places and len(known.places) >= bound.sessions:
            return NoPlace(Full.SESSIONS)
        known.starts[start] = now
        known.places[place] = now + RESERVED_S
        return None

    async def keep(self, address: str, place: str) -> None:
        if (known := self._addresses.get(address)) is not None and place in known.places:
            known.places[place] = -inf

    async def give_back(self, address: str, place: str, start: str) -> None:
        if (known := self._addresses.get(address)) is not None:
            known.starts.pop(start, None)
            known.places.pop(place, None)

    async def taken(self, address: str) -> tuple[str, ...]:
        known, now = self._addresses.get(address), self._clock()
        return () if known is None else tuple(place for place, until in known.places.items() if until <= now)

    async def free(self, address: str, places: Collection[str]) -> None:
        known, now = self._addresses.get(address), self._clock()
        for place in places if known is not None else ():
            assert known is not None
            if known.places.get(place, inf) <= now:
                del known.places[place]
