"""Waiting for something to change. Rows are the truth; the bus only wakes us before the next look at them (law 1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

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
    async with _listening(world, event, {f"wakes of {session_id}": (world.bus.subscribe(session_id), event.set)}):
        yield Wakes(event)


@asynccontextmanager
async def wakes_of_changes(world: World) -> AsyncIterator[Wakes]:
    """Listens to changes of channels and sources."""
    event = asyncio.Event()
    async with _listening(world, event, {"wakes of changes": (world.bus.changes(), event.set)}):
        yield Wakes(event)


@asynccontextmanager
async def wakes_of_all(world: World) -> AsyncIterator[Wakes]:
    """Listens to every session's messages, and to changes of channels and sources, which then are read anew."""
    event = asyncio.Event()

    def changed() -> None:
        world.channels.expire()
        event.set()

    listeners = {"wakes of all": (world.bus.all_events(), event.set), "wakes of changes": (world.bus.changes(), changed)}
    async with _listening(world, event, listeners):
        yield Wakes(event)


@asynccontextmanager
async def _listening(
    world: World, event: asyncio.Event, listeners: dict[str, tuple[AsyncIterator[Any], Callable[[], None]]]
) -> AsyncIterator[None]:
    """Each message of a subscription calls what stands beside it; `event` is also set when the server closes."""

    async def listen(subscription: AsyncIterator[Any], heard: Callable[[], None]) -> None:
        async with aclosing(subscription):  # type: ignore[type-var]  # an async generator, as every `yield`ing method
            async for _ in subscription:
                heard()

    tasks = [asyncio.create_task(listen(*each), name=name) for name, each in listeners.items()]
    try:
        with world.closing.waking(event):
            yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
