"""One meaning of `ports.AddressPlaces`, in memory and in a real Redis."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator

import pytest

from api.watch.memory_address_places import MemoryAddressPlaces
from orchestrator.adapters.redis import address_places as adapter
from orchestrator.adapters.redis.address_places import RedisAddressPlaces
from orchestrator.errors import BadSetting, BusUnavailable
from orchestrator.ports import AddressPlaces, Bound, Full, NoPlace
from tests.servers import RedisServer

HOME = "203.0.113.7"
BOUND = Bound(sessions=2, new_per_minute=5)


@pytest.fixture(params=["memory", "redis"])
async def places(request: pytest.FixtureRequest) -> AsyncIterator[AddressPlaces]:
    if request.param == "memory":
        yield MemoryAddressPlaces(time.monotonic)
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    opened = RedisAddressPlaces(server.url, f"test-{secrets.token_hex(4)}")
    yield opened
    await opened.close()


async def test_a_place_is_taken_until_it_is_given_back_or_free(places: AddressPlaces) -> None:
    assert await places.take(HOME, "c-1 alice", "1", BOUND) is None
    assert await places.take(HOME, "c-2 alice", "2", BOUND) is None
    assert await places.take(HOME, "c-3 alice", "3", BOUND) == NoPlace(Full.SESSIONS)
    assert await places.take("198.51.100.1", "c-3 bob", "4", BOUND) is None, "another address has places of its own"

    await places.give_back(HOME, "c-1 alice", "1")
    assert await places.take(HOME, "c-3 alice", "3", BOUND) is None
    assert await places.taken(HOME) == (), "all are only reserved"
    await places.free(HOME, ["c-2 alice", "c-3 alice"])
    assert await places.take(HOME, "c-4 alice", "5", BOUND) == NoPlace(Full.SESSIONS), "and so nobody can free them"

    await places.keep(HOME, "c-2 alice")
    assert await places.taken(HOME) == ("c-2 alice",)
    await places.free(HOME, ["c-2 alice"])
    assert await places.take(HOME, "c-4 alice", "5", BOUND) is None


async def test_a_place_of_the_same_name_is_the_same_place(places: AddressPlaces) -> None:
    one = Bound(sessions=1, new_per_minute=3)
    assert await places.take(HOME, "c-1 alice", "1", one) is None
    await places.keep(HOME, "c-1 alice")
    assert await places.take(HOME, "c-1 alice", "2", one) is None


async def test_starts_are_counted_for_a_minute_whatever_becomes_of_them(places: AddressPlaces) -> None:
    few = Bound(sessions=10, new_per_minute=2)
    for number in range(2):
        assert await places.take(HOME, f"c-{number} alice", str(number), few) is None
        await places.keep(HOME, f"c-{number} alice")
        await places.free(HOME, [f"c-{number} alice"])
    refused = await places.take(HOME, "c-9 alice", "9", few)
    assert refused is not None and refused.full is Full.RATE
    assert 50.0 < refused.wait_s <= 60.0
    await places.give_back(HOME, "c-1 alice", "1")
    assert await places.take(HOME, "c-9 alice", "9", few) is None, "but for those that came to nothing"


async def test_simultaneous_requests_do_not_exceed_it(places: AddressPlaces) -> None:
    wide = Bound(sessions=8, new_per_minute=30)
    answers = await asyncio.gather(*(places.take(HOME, f"c alice-{n}", str(n), wide) for n in range(60)))
    assert answers.count(None) == 8
    assert answers.count(NoPlace(Full.SESSIONS)) == 52


async def test_what_nobody_knows_may_be_settled(places: AddressPlaces) -> None:
    await places.keep(HOME, "c alice")
    await places.give_back(HOME, "c alice", "1")
    await places.free(HOME, ["c alice"])
    await places.free(HOME, [])
    assert await places.taken(HOME) == ()


async def test_a_minute_passes_and_a_reservation_ends() -> None:
    now = 100.0
    places = MemoryAddressPlaces(lambda: now)
    one = Bound(sessions=1, new_per_minute=1)
    assert await places.take(HOME, "c-1 alice", "1", one) is None
    now += 31.0
    assert await places.taken(HOME) == ("c-1 alice",)
    await places.free(HOME, ["c-1 alice"])
    assert await places.take(HOME, "c-2 alice", "2", one) == NoPlace(Full.RATE, 29.0)
    now += 29.0
    assert await places.take(HOME, "c-2 alice", "2", one) is None


async def test_memory_holds_so_many_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.watch.memory_address_places._ADDRESSES", 100)
    places = MemoryAddressPlaces(time.monotonic)
    for number in range(300):
        await places.take(f"198.51.100.{number}", "c alice", "1", BOUND)
    assert len(places._addresses) == 100


async def test_a_redis_that_is_away_is_said_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    places = RedisAddressPlaces("redis://127.0.0.1:1/0", "test")
    started = time.monotonic()
    for call in (places.take(HOME, "c", "1", BOUND), places.keep(HOME, "c"), places.give_back(HOME, "c", "1")):
        with pytest.raises(BusUnavailable):
            await call
    assert time.monotonic() - started < 3 * adapter._LIMIT_S + 1.0
    await places.close()
    with pytest.raises(BadSetting, match="FAILOVER_REDIS_URL"):
        RedisAddressPlaces("http://127.0.0.1:1/0", "test")
