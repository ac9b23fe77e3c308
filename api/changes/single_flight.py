"""What is slow to learn and shown to many: learnt once for all who ask within a moment, and only when somebody asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_NEVER = float("-inf")


class Kept(Generic[T]):
    """`read` is never run twice at once; of what it raises nothing is kept, and the next one who asks tries again."""

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._lock = asyncio.Lock()
        self._kept: tuple[T] | None = None
        self._as_of = self._changed_at = _NEVER  # monotonic: when the kept one began to be read; when it was known to be old

    async def get(self, max_age_s: float) -> T:
        """What was true at most so long ago."""
        oldest = time.monotonic() - max_age_s
        async with self._lock:
            if self._kept is None or self._as_of < max(oldest, self._changed_at):
                as_of = time.monotonic()
                self._kept = (await self._read(),)
                self._as_of = as_of
            return self._kept[0]

    def expire(self) -> None:
        """It has changed: whoever asks from now on gets what is true now."""
        self._changed_at = time.monotonic()
