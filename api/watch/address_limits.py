"""Limits of the sessions that one client address may start through the open routes: a rate, and a number at the same time.

Rule: only a request that starts a new session takes a place. Joining a running session, the viewer's own or a shared one, takes
none. A place is free again when its session has ended, or when the viewer's lease of a shared session has. Requests with the
admin key are not limited.

Places are counted in Redis for all API processes together; while Redis does not answer, by each process in its own memory. They
are counted by address, because a client can invent a viewer's name (a cookie, a secret, a user agent) but not its address.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
from math import ceil
from typing import Final

from api.injection import Clock
from api.watch.memory_address_places import MemoryAddressPlaces
from orchestrator.errors import AddressLimitReached, BusUnavailable
from orchestrator.ports import AddressPlaces, Bound, Full, NoPlace, Sessions

log = logging.getLogger(__name__)

_FULL_RETRY_S: Final = 10.0
_WITHOUT_S: Final = 5.0  # after Redis has not answered it is left alone for so long: each request would wait for its time-out
_IPV6_PREFIX: Final = 64  # one subscriber has at least so many addresses (RFC 6177, RIPE-690)


def address_of(host: str | None) -> str:
    """The address as it is counted: IPv6 by its /64. Text that is no address counts as it is."""
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return (host or "unknown")[:64]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address)


class TakenPlace:
    """A place that is reserved for a session while it is requested."""

    __slots__ = ("_address", "_place", "_places", "_start")

    def __init__(self, places: AddressPlaces, address: str, place: str, start: str) -> None:
        self._places = places
        self._address = address
        self._place = place
        self._start = start

    async def settle(self, *, started: bool) -> None:
        """Keeps the place, or gives it back. Best effort: a reservation runs out by itself."""
        try:
            if started:
                await self._places.keep(self._address, self._place)
            else:
                await self._places.give_back(self._address, self._place, self._start)
        except BusUnavailable as error:
            log.info("an address's place is not settled: %s", error)


class AddressLimits:
    """`shared`: the counts of all processes; None: this process counts alone."""

    def __init__(
        self,
        bound: Bound,
        sessions: Sessions,
        *,
        lease_s: float,
        clock: Clock,
        shared: AddressPlaces | None = None,
    ) -> None:
        self._bound = bound
        self._sessions = sessions
        self._lease_s = lease_s
        self._clock = clock
        self._shared = shared
        self._own = MemoryAddressPlaces(_loop_time)
        self._without_until = 0.0

    async def take(self, host: str | None, channel_id: str, viewer: str) -> TakenPlace:
        """Before a session is requested that is probably new. Raises AddressLimitReached, DatabaseUnavailable."""
        address, place, start = address_of(host), f"{channel_id} {viewer}", secrets.token_hex(8)
        if self._shared is not None and _loop_time() >= self._without_until:
            try:
                return await self._take(self._shared, address, place, start)
            except BusUnavailable as error:
                self._without_until = _loop_time() + _WITHOUT_S
                log.warning("sessions per address are counted in memory: %s", error)
        return await self._take(self._own, address, place, start)

    async def _take(self, places: AddressPlaces, address: str, place: str, start: str) -> TakenPlace:
        refused = await places.take(address, place, start, self._bound)
        if refused is not None and refused.full is Full.SESSIONS and await self._some_are_over(places, address):
            refused = await places.take(address, place, start, self._bound)
        if refused is not None:
            raise self._refusal(refused)
        return TakenPlace(places, address, place, start)

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
