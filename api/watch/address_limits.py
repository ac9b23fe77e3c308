"""How many sessions one client address may start through the open routes: a rate limit and a limit of concurrent sessions.

Law: only what starts a container counts. Joining a session that runs, the viewer's own or a shared one, is free; a place is
free again when its session is over, or when the viewer's lease of it is (of a shared session that goes on for others). Whoever
has the admin key is not bounded.

Counted in Redis, for all API processes together; while that does not answer, by each process in its own memory. A viewer's name
is the client's to invent (a cookie, a secret, a user agent), its address is not.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
from collections.abc import Callable
from math import ceil
from typing import Final

from api.watch.memory_address_places import MemoryAddressPlaces
from orchestrator.errors import AddressLimitReached, BusUnavailable
from orchestrator.ports import AddressPlaces, Bound, Full, NoPlace, Sessions

log = logging.getLogger(__name__)

_FULL_RETRY_S: Final = 10.0
_WITHOUT_S: Final = 5.0  # after Redis has not answered it is not asked for so long: each ask would cost a viewer its time-out
_IPV6_PREFIX: Final = 64  # one subscriber has at least so many addresses (RFC 6177, RIPE-690)


def address_of(host: str | None) -> str:
    """The address as it is counted: IPv6 by its /64. What is no address counts as itself."""
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return (host or "unknown")[:64]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address)


class Taken:
    """A place that was taken for a session which is being asked for."""

    __slots__ = ("_address", "_place", "_places", "_start")

    def __init__(self, places: AddressPlaces, address: str, place: str, start: str) -> None:
        self._places = places
        self._address = address
        self._place = place
        self._start = start

    async def settle(self, *, started: bool) -> None:
        """Best effort: what cannot be said runs out by itself."""
        try:
            if started:
                await self._places.keep(self._address, self._place)
            else:
                await self._places.give_back(self._address, self._place, self._start)
        except BusUnavailable as error:
            log.info("an address's place is not settled: %s", error)


class AddressBound:
    """`shared`: counts for all processes; None: there are none."""

    def __init__(
        self,
        bound: Bound,
        sessions: Sessions,
        *,
        lease_s: float,
        clock: Callable[[], float],
        shared: AddressPlaces | None = None,
    ) -> None:
        self._bound = bound
        self._sessions = sessions
        self._lease_s = lease_s
        self._clock = clock
        self._shared = shared
        self._own = MemoryAddressPlaces(_loop_time)
        self._without_until = 0.0

    async def take(self, host: str | None, channel_id: str, viewer: str) -> Taken:
        """Before a session is asked for that is likely to be new. Raises AddressLimitReached, DatabaseUnavailable."""
        address, place, start = address_of(host), f"{channel_id} {viewer}", secrets.token_hex(8)
        if self._shared is not None and _loop_time() >= self._without_until:
            try:
                return await self._take(self._shared, address, place, start)
            except BusUnavailable as error:
                self._without_until = _loop_time() + _WITHOUT_S
                log.warning("addresses are counted in memory: %s", error)
        return await self._take(self._own, address, place, start)

    async def _take(self, places: AddressPlaces, address: str, place: str, start: str) -> Taken:
        refused = await places.take(address, place, start, self._bound)
        if refused is not None and refused.full is Full.SESSIONS and await self._some_are_over(places, address):
            refused = await places.take(address, place, start, self._bound)
        if refused is not None:
            raise self._refusal(refused)
        return Taken(places, address, place, start)

    async def _some_are_over(self, places: AddressPlaces, address: str) -> bool:
        taken = {place: tuple(place.split(" ", 1)) for place in await places.taken(address)}
        held = await self._sessions.held(set(taken.values()), self._clock() - self._lease_s)  # type: ignore[arg-type]
        over = [place for place, named in taken.items() if named not in held]
        if over:
            await places.free(address, over)
        return bool(over)

    def _refusal(self, refused: NoPlace) -> AddressLimitReached:
        match refused.full:
            case Full.SESSIONS:
                words = f"{self._bound.sessions} sessions that were started from this address run already"
                return AddressLimitReached("max_sessions_per_address", words, _FULL_RETRY_S)
            case Full.RATE:
                words = f"{self._bound.new_per_minute} sessions were started from this address within a minute"
                return AddressLimitReached("max_new_sessions_per_address_per_minute", words, max(1.0, ceil(refused.wait_s)))


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
