"""Waiting for a session to change. Rows are the truth; the bus only wakes us before the next look at them (law 1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from api.world import World


class Wakes:
    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    async def within(self, timeout_s: float) -> None:
        """Returns at the next message, when the server closes, or after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            pass
        self._event.clear()


@asynccontextmanager
async def wakes(world: World, session_id: str) -> AsyncIterator[Wakes]:
    """Listens to the session's messages for as long as the block runs."""
    event = asyncio.Event()

    async def listen() -> None:
        subscription = world.bus.subscribe(session_id)
        async with aclosing(subscription):  # type: ignore[type-var]  # an async generator, as every `yield`ing method
            async for _ in subscription:
                event.set()

    listener = asyncio.create_task(listen(), name=f"wakes of {session_id}")
    try:
        with world.closing.waking(event):
            yield Wakes(event)
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
