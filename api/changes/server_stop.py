"""Signals the beginning of a graceful stop to everything that waits: open streams and delayed answers then end at once, and
their clients reconnect to another process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class ServerStop:
    def __init__(self) -> None:
        self.begun = False
        self._waiting: set[asyncio.Event] = set()

    def begin(self) -> None:
        self.begun = True
        for event in self._waiting:
            event.set()

    @contextmanager
    def setting(self, event: asyncio.Event) -> Iterator[None]:
        """For as long as the block runs, the beginning of the stop also sets `event`."""
        self._waiting.add(event)
        try:
            yield
        finally:
            self._waiting.discard(event)
