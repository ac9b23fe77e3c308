"""Single-flight cache of one value with a maximum age: many readers at the same time cost one read, and without readers there
is none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_NEVER = float("-inf")


class SingleFlightCache(Generic[T]):
    """`read` never runs twice at once. An error of `read` is raised to its caller and not cached: the next reader tries
    again."""

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._lock = asyncio.Lock()
        self._value: tuple[T] | None = None
        self._read_at = self._expired_at = _NEVER  # monotonic: when the read of the value began; the last `expire`

    async def get(self, max_age_s: float) -> T:
        """A value whose read began at most `max_age_s` ago."""
        oldest = time.monotonic() - max_age_s
        async with self._lock:
            if self._value is None or self._read_at < max(oldest, self._expired_at):
                read_at = time.monotonic()
                self._value = (await self._read(),)
                self._read_at = read_at
            return self._value[0]

    def expire(self) -> None:
        """The next reader gets a value that is read from now on."""
        self._expired_at = time.monotonic()
