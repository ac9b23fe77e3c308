"""One meaning of the event bus: in memory and on Redis."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple, TypeVar, cast

import pytest
from redis.asyncio import Redis

from orchestrator.adapters.redis.event_bus import RedisEventBus
from orchestrator.core.model import Event, EventType
from orchestrator.errors import BadSetting, BusUnavailable
from orchestrator.ports import EventBus
from tests.fakes.event_bus import FakeEventBus
from tests.servers import RedisServer
from tests.support import eventually

T = TypeVar("T")


class Rig(NamedTuple):
    bus: EventBus
    go_away: Callable[[], None]
    come_back: Callable[[], None]


@pytest.fixture(params=["fake", "redis"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    if request.param == "fake":
        fake = FakeEventBus()
        yield Rig(fake, lambda: setattr(fake, "refusing", True), lambda: setattr(fake, "refusing", False))
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    bus = RedisEventBus(server.url, "test")
    yield Rig(bus, server.kill, server.start)
    server.start()
    await eventually(lambda: answers(bus), what="Redis is back")
    await bus.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}, "a task is left over"


async def answers(bus: EventBus) -> bool:
    try:
        await bus.check()
    except BusUnavailable:
        return False
    return True


def event(session_id: str, number: int = 1) -> Event:
    return Event(id=number, session_id=session_id, type=EventType.STREAM_SWITCH, at=1.0)


async def publish(bus: EventBus, session_id: str, payload: bytes) -> None:
    await bus.publish(event(session_id), payload)


@asynccontextmanager
async def heard(messages: AsyncIterator[T]) -> AsyncIterator[list[T]]:
    """What has come so far, while the block runs; the generator is closed after it."""
    so_far: list[T] = []

    async def listen() -> None:
        async with aclosing(cast(AsyncGenerator[T, None], messages)) as closing:
            async for message in closing:
                so_far.append(message)  # noqa: PERF401  # seen from outside while it grows

    task = asyncio.create_task(listen())
    try:
        yield so_far
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_heard(bus: EventBus, session_id: str, so_far: list[bytes]) -> None:
    """A subscription takes a moment to reach Redis: publish until the first of these messages comes."""
    marker = f"marker {time.monotonic()}".encode()

    async def came() -> bool:
        try:
            await publish(bus, session_id, marker)
        except BusUnavailable:
            return False
        return marker in so_far

    await eventually(came, what="the subscription hears")


async def test_a_sessions_events_reach_all_its_listeners_in_order_and_nobody_else(rig: Rig) -> None:
    bus = rig.bus
    async with (
        heard(bus.subscribe("s-1")) as first,
        heard(bus.subscribe("s-1")) as second,
        heard(bus.subscribe("s-2")) as other,
    ):
        await until_heard(rig.bus, "s-2", other)
        await until_heard(rig.bus, "s-1", first)
        await eventually(lambda: second)
        for n in range(20):
            await publish(rig.bus, "s-1", b"%d" % n)
        await publish(rig.bus, "s-2", b"theirs")
        await eventually(lambda: first[-1:] == [b"19"] and second[-1:] == [b"19"] and b"theirs" in other)
        expected = [b"%d" % n for n in range(20)]
        assert first[-20:] == second[-20:] == expected
        assert not set(other) & set(expected)


async def test_who_listens_to_all_sessions_hears_each(rig: Rig) -> None:
    async with heard(rig.bus.all_events()) as every, heard(rig.bus.subscribe("s-1")) as own:
        await until_heard(rig.bus, "s-1", every)
        await publish(rig.bus, "s-1", b"one")
        await publish(rig.bus, "s-2", b"two")
        await eventually(lambda: every[-2:] == [b"one", b"two"] and own[-1:] == [b"one"])


async def test_changes_reach_whoever_shows_channels(rig: Rig) -> None:
    async with heard(rig.bus.changes()) as one, heard(rig.bus.changes()) as other, heard(rig.bus.nudges()) as nudged:

        async def came() -> bool:
            await rig.bus.changed()
            return bool(one and other)

        await eventually(came)
        assert nudged == []


async def test_nudges_reach_the_orchestrator(rig: Rig) -> None:
    async with heard(rig.bus.nudges()) as nudged:

        async def came() -> list[str]:
            await rig.bus.nudge("s-7")
            return nudged

        await eventually(came)
        assert set(nudged) == {"s-7"}


async def test_an_outage_is_said_at_once_and_subscriptions_come_back_by_themselves(rig: Rig) -> None:
    async with heard(rig.bus.subscribe("s-1")) as so_far, heard(rig.bus.nudges()) as nudged:
        await until_heard(rig.bus, "s-1", so_far)
        rig.go_away()
        for sending in (publish(rig.bus, "s-1", b"lost"), rig.bus.nudge("s-1"), rig.bus.changed(), rig.bus.check()):
            asked = time.monotonic()
            with pytest.raises(BusUnavailable):
                await sending
            assert time.monotonic() - asked < 1.0
        rig.come_back()
        await until_heard(rig.bus, "s-1", so_far)
        await publish(rig.bus, "s-1", b"after")
        await rig.bus.nudge("s-2")
        await eventually(lambda: b"after" in so_far and "s-2" in nudged)
        assert b"lost" not in so_far


async def test_who_subscribes_during_an_outage_hears_after_it(rig: Rig) -> None:
    rig.go_away()
    async with heard(rig.bus.subscribe("s-1")) as so_far:
        with pytest.raises(BusUnavailable):
            await publish(rig.bus, "s-1", b"lost")
        rig.come_back()
        await until_heard(rig.bus, "s-1", so_far)


async def test_closing_the_bus_ends_its_listeners(rig: Rig) -> None:
    listening = asyncio.create_task(collect(rig.bus.subscribe("s-1")))
    nudged = asyncio.create_task(collect(rig.bus.nudges()))
    await asyncio.sleep(0)
    await rig.bus.close()
    async with asyncio.timeout(2):
        assert await listening == []
        assert await nudged == []


async def collect(messages: AsyncIterator[T]) -> list[T]:
    return [message async for message in messages]


# --- Redis alone ------------------------------------------------------------------------------------------------------


async def test_two_hundred_viewers_share_one_connection(redis_server: RedisServer) -> None:
    bus, sender, watcher = (
        RedisEventBus(redis_server.url, "test"),
        RedisEventBus(redis_server.url, "test"),
        Redis.from_url(redis_server.url),
    )
    viewers = [asyncio.create_task(first_of(bus.subscribe(f"s-{n}"))) for n in range(200)]

    async def receivers() -> list[dict[str, Any]]:
        clients = await watcher.client_list()
        return [client for client in clients if int(client["psub"])]

    await eventually(receivers)
    for n in range(200):
        await publish(sender, f"s-{n}", b"%d" % n)
    assert await asyncio.wait_for(asyncio.gather(*viewers), 5) == [b"%d" % n for n in range(200)]
    assert len(await receivers()) == 1
    await bus.close()
    await eventually(lambda: nobody(receivers), what="the connection is closed with the bus")
    await sender.close()
    await watcher.aclose()


async def first_of(messages: AsyncIterator[bytes]) -> bytes:
    async with aclosing(cast(AsyncGenerator[bytes, None], messages)) as closing:
        return await anext(closing)


async def nobody(receivers: Callable[[], Any]) -> bool:
    return not await receivers()


async def test_a_redis_that_hangs_costs_half_a_second(redis_server: RedisServer) -> None:
    bus = RedisEventBus(redis_server.url, "test")
    await bus.check()
    pid = redis_server.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        asked = time.monotonic()
        with pytest.raises(BusUnavailable):
            await publish(bus, "s-1", b"lost")
        assert 0.4 < time.monotonic() - asked < 1.0
    finally:
        os.kill(pid, signal.SIGCONT)
    await eventually(lambda: answers(bus))
    await bus.close()


async def test_other_deployments_nudges_are_not_ours(redis_server: RedisServer) -> None:
    ours, theirs = RedisEventBus(redis_server.url, "ours"), RedisEventBus(redis_server.url, "theirs")
    async with heard(ours.nudges()) as nudged:

        async def came() -> bool:
            await theirs.nudge("s-theirs")
            await ours.nudge("s-ours")
            return "s-ours" in nudged

        await eventually(came)
        assert set(nudged) == {"s-ours"}
    await ours.close()
    await theirs.close()


def test_a_url_that_is_none_is_a_bad_setting() -> None:
    with pytest.raises(BadSetting, match="FAILOVER_REDIS_URL"):
        RedisEventBus("nonsense", "test")
