"""An event bus in memory, with the same meaning as Redis: whoever listens hears, nothing is kept, outages lose messages."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

from orchestrator.core.model import Event
from orchestrator.errors import BusUnavailable


class FakeEventBus:
    """`refusing = True`: nobody can send, listeners hear nothing, and `check` says so."""

    def __init__(self) -> None:
        self.refusing = False
        self.published: list[tuple[Event, bytes]] = []
        self.nudged: list[str] = []
        self.changes_told = 0
        self._listeners: dict[str, set[asyncio.Queue[bytes | None]]] = defaultdict(set)

    async def publish(self, event: Event, payload: bytes) -> None:
        await self.check()
        self.published.append((event, payload))
        self._tell(f"stream-session.{event.session_id}", payload)
        self._tell("stream-session.*", payload)

    def subscribe(self, session_id: str) -> AsyncIterator[bytes]:
        return self._listen(f"stream-session.{session_id}")

    def all_events(self) -> AsyncIterator[bytes]:
        return self._listen("stream-session.*")

    async def changed(self) -> None:
        await self.check()
        self.changes_told += 1
        self._tell("change", b"")

    async def changes(self) -> AsyncIterator[None]:
        listening = self._listen("change")
        try:
            async for _ in listening:
                yield None
        finally:
            await listening.aclose()  # type: ignore[attr-defined]

    async def nudge(self, subject: str) -> None:
        await self.check()
        self.nudged.append(subject)
        self._tell("nudge", subject.encode())

    async def nudges(self) -> AsyncIterator[str]:
        listening = self._listen("nudge")
        try:
            async for payload in listening:
                yield payload.decode()
        finally:
            await listening.aclose()  # type: ignore[attr-defined]

    async def check(self) -> None:
        if self.refusing:
            raise BusUnavailable("the fake bus refuses")

    async def close(self) -> None:
        for queues in self._listeners.values():
            for queue in queues:
                queue.put_nowait(None)

    @property
    def listeners(self) -> int:
        return sum(map(len, self._listeners.values()))

    def _tell(self, channel: str, payload: bytes) -> None:
        for queue in self._listeners.get(channel, ()):
            queue.put_nowait(payload)

    async def _listen(self, channel: str) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._listeners[channel].add(queue)
        try:
            while (payload := await queue.get()) is not None:
                yield payload
        finally:
            self._listeners[channel].discard(queue)
