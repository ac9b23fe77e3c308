"""What one client address has started through the open routes."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

MINUTE_S: Final = 60.0  # the window of the rate
RESERVED_S: Final = 30.0  # a place is kept for so long for a session that is just being asked for
KEPT_S: Final = 24 * 3600.0  # what an address that starts nothing more has started is forgotten


class Bound(Struct, frozen=True, kw_only=True):
    """Of one address."""

    sessions: int  # at once
    new_per_minute: int


class Full(StrEnum):
    SESSIONS = "sessions"
    RATE = "rate"


class NoPlace(Struct, frozen=True):
    """Which part of the bound has no room, and in how long the rate has (0: unknown, when a session ends)."""

    full: Full
    wait_s: float = 0.0


class AddressPlaces(Protocol):
    """Counts, one set for each address. A place is one session that the address has started, named by its caller; a start is
    one entry of the last minute. Checked and taken in one step, so that simultaneous requests cannot exceed the bound. All
    raise BusUnavailable."""

    async def take(self, address: str, place: str, start: str, bound: Bound) -> NoPlace | None:
        """A place and a start, or neither of them. A place of this name that is there already is taken again."""

    async def keep(self, address: str, place: str) -> None:
        """Its session has begun: the place is taken until `free`."""

    async def give_back(self, address: str, place: str, start: str) -> None:
        """Nothing was started: neither counts."""

    async def taken(self, address: str) -> tuple[str, ...]:
        """The places but those of sessions that are just being asked for."""

    async def free(self, address: str, places: Collection[str]) -> None:
        """Their sessions are over."""
