"""Address places: how many sessions one client address has started through the routes that need no key."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

MINUTE_S: Final = 60.0  # the window of the rate
RESERVED_S: Final = 30.0  # so long a place is reserved for a session that is being requested
KEPT_S: Final = 24 * 3600.0  # after so long without a new session, an address's counts are deleted


class Bound(Struct, frozen=True, kw_only=True):
    """The limits of one address."""

    sessions: int  # at once
    new_per_minute: int


class Full(StrEnum):
    SESSIONS = "sessions"
    RATE = "rate"


class NoPlace(Struct, frozen=True):
    """Which limit is reached, and after how many seconds the rate allows a session again (0: when a session ends, which is
    unknown)."""

    full: Full
    wait_s: float = 0.0


class AddressPlaces(Protocol):
    """Counts for each address. A place is one session that the address has started, under a name that the caller gives; a start
    is one entry of the last minute. Both are checked and taken in one step, so simultaneous requests cannot exceed the limits.
    All raise BusUnavailable."""

    async def take(self, address: str, place: str, start: str, bound: Bound) -> NoPlace | None:
        """Takes a place and a start, or neither. A place of this name that is taken already is taken again."""

    async def keep(self, address: str, place: str) -> None:
        """The session has begun: its place is taken until `free`."""

    async def give_back(self, address: str, place: str, start: str) -> None:
        """Nothing was started: gives the place and the start back."""

    async def taken(self, address: str) -> tuple[str, ...]:
        """The places that are taken, without those that are only reserved."""

    async def free(self, address: str, places: Collection[str]) -> None:
        """The sessions of these places have ended."""
