"""An event loop whose clock jumps to the next timer as soon as nothing is left to do: minutes pass in milliseconds, and the
same program always runs the same way. For what waits on nothing but the loop itself: no threads, no sockets."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class NothingWillEverHappen(RuntimeError):
    """Everybody waits and no timer is set."""


class _Selector(selectors.DefaultSelector):
    """Waiting takes no time; it lets time pass."""

    elapsed_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise NothingWillEverHappen
        self.elapsed_s += timeout
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._simulated = _Selector()
        super().__init__(self._simulated)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._simulated.elapsed_s
