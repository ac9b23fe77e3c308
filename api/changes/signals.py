"""Waits for a message of the bus, with a time limit. Rows are the truth; a message only makes the next read of them come sooner
(law 1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

from api.changes.server_stop import ServerStop
from api.changes.single_flight import SingleFlightCache
from orchestrator.ports import ChannelRow, EventBus


class Signal:
    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    async def wait(self, limit_s: float) -> None:
        """Returns at the next message, when the server's stop begins, or after `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                await self._event.wait()
        except TimeoutError:
            pass
        self._event.clear()


class Signals:
    """`channel_rows` expires at each change of channels or sources that is heard of."""

    def __init__(self, bus: EventBus, stop: ServerStop, channel_rows: SingleFlightCache[tuple[ChannelRow, ...]]) -> None:
        self._bus = bus
        self._stop = stop
        self._channel_rows = channel_rows

    @asynccontextmanager
    async def of_session(self, session_id: str) -> AsyncIterator[Signal]:
        """Listens to the session's messages for as long as the block runs."""
        event = asyncio.Event()
        listeners = {f"messages of {session_id}": (self._bus.subscribe(session_id), event.set)}
        async with self._listening(event, listeners):
            yield Signal(event)

    @asynccontextmanager
    async def of_catalogue(self) -> AsyncIterator[Signal]:
        """Listens to changes of channels and sources."""
        event = asyncio.Event()
        async with self._listening(event, {"changes": (self._bus.changes(), event.set)}):
            yield Signal(event)

    @asynccontextmanager
    async def of_everything(self) -> AsyncIterator[Signal]:
        """Listens to every session's messages, and to changes of channels and sources."""
        event = asyncio.Event()

        def changed() -> None:
            self._channel_rows.expire()
            event.set()

        listeners = {"all messages": (self._bus.all_events(), event.set), "changes": (self._bus.changes(), changed)}
        async with self._listening(event, listeners):
            yield Signal(event)

    @asynccontextmanager
    async def _listening(
        self, event: asyncio.Event, listeners: dict[str, tuple[AsyncIterator[Any], Callable[[], None]]]
    ) -> AsyncIterator[None]:
        """Each message of a subscription calls the function beside it; the server's stop sets `event` as well."""

        async def listen(subscription: AsyncIterator[Any], heard: Callable[[], None]) -> None:
            async with aclosing(subscription):  # type: ignore[type-var]  # an async generator, as every `yield`ing method
                async for _ in subscription:
                    heard()

        tasks = [asyncio.create_task(listen(*each), name=name) for name, each in listeners.items()]
        try:
            with self._stop.setting(event):
                yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
