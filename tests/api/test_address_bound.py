"""What one client address may start without a key: 60 requests with invented names start 8 sessions, and nobody else waits."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

import httpx
import pytest
from litestar import Litestar

from api import watch
from api.address_bound import address_of
from api.app import world_of
from orchestrator.adapters.redis.address_places import RedisAddressPlaces
from orchestrator.app.settings import Settings
from tests.api.stage import KEY, ORIGIN, Stage
from tests.api.test_auth import filled, is_open, registered
from tests.api.test_bad_input import assert_problem
from tests.api.test_events import Served
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.tables import FakeTables

HOME, ELSEWHERE = "203.0.113.7", "198.51.100.1"


def client_at(app: Litestar, host: str, **headers: str) -> httpx.AsyncClient:
    app_of_httpx: Any = app
    transport = httpx.ASGITransport(app=app_of_httpx, client=(host, 50_000))
    return httpx.AsyncClient(transport=transport, base_url="http://api.test", headers=headers, timeout=20)


def invented(number: int, way: str) -> dict[str, Any]:
    """A request of somebody whom nobody has seen before."""
    secret = f"{number:032}"
    match way:
        case "secret":
            return {"method": "POST", "url": "/watch/news/session", "json": {"viewer": secret}}
        case "cookie":
            return {"method": "POST", "url": "/watch/news/session", "headers": {"Cookie": f"viewer={secret}"}}
        case "name":
            return {"method": "POST", "url": "/watch/news/session", "headers": {"User-Agent": secret}}
        case _:
            return {"method": "GET", "url": "/watch/news.m3u8", "headers": {"User-Agent": secret}}


@pytest.mark.parametrize("way", ["secret", "cookie", "name", "plain player"])
async def test_sixty_requests_of_one_address_start_eight_and_nobody_else_waits(
    app: Litestar, stage: Stage, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "WAIT_S", 0.2)
    await stage.channel()
    async with client_at(app, HOME) as flood, client_at(app, ELSEWHERE) as viewer:
        flooding = asyncio.gather(*(flood.request(**invented(n, way)) for n in range(60)))
        started = time.monotonic()
        served = await viewer.post("/watch/news/session")
        assert served.status_code == 201
        assert time.monotonic() - started < 1.0
        answers = await flooding
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 52
    for answer in refused:
        problem = assert_problem(answer, 429)
        assert problem["limit"] == "max_sessions_per_address"
        assert problem["detail"] == "8 sessions that were started from this address run already"
        assert int(answer.headers["retry-after"]) > 0
    assert len(await stage.sessions()) == 8 + 1


async def test_no_open_route_starts_a_session_beyond_it(app: Litestar, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "WAIT_S", 0.1)
    await stage.channel()
    session = await stage.session(viewer="alice")
    async with client_at(app, HOME) as client:
        for number in range(8):
            assert (await client.request(**invented(number, "secret"))).status_code == 201
        tried = 0
        for method, path in registered(app):
            if is_open(path):
                for channel in (session["channel"]["slug"], f"{session['channel']['slug']}.m3u8"):
                    address = filled(path, session | {"channel": session["channel"] | {"slug": channel}})
                    await client.request(method, address, headers={"User-Agent": secrets.token_hex(8)})
                    tried += 1
        assert tried > 20
    assert len(await stage.sessions()) == 1 + 8


async def test_who_joins_what_runs_takes_no_place(app: Litestar, stage: Stage) -> None:
    await stage.channel()
    await stage.channel(slug="shared", name="Shared", policy={"sharing": "channel"})
    async with client_at(app, HOME) as home, client_at(app, ELSEWHERE) as elsewhere:
        assert (await elsewhere.post("/watch/shared/session")).status_code == 201
        for number in range(8):
            assert (await home.request(**invented(number, "secret"))).status_code == 201
        for number in range(40):  # more than may be started in a minute as well
            joined = await home.post("/watch/shared/session", json={"viewer": f"{number:032}"})
            assert joined.status_code == 200
        assert (await home.request(**invented(3, "secret"))).status_code == 200, "its own, after a reload"
        assert (await home.request(**invented(9, "secret"))).status_code == 429


async def test_who_starts_a_shared_session_has_a_place_as_long_as_it_watches(
    app: Litestar, stage: Stage, tables: FakeTables
) -> None:
    for number in range(9):
        await stage.channel(slug=f"shared-{number}", name="Shared", policy={"sharing": "channel"})
    async with client_at(app, HOME) as home, client_at(app, ELSEWHERE) as elsewhere:
        started = [(await home.post(f"/watch/shared-{number}/session")).json() for number in range(8)]
        assert (await home.post("/watch/shared-8/session")).status_code == 429
        assert (await elsewhere.post("/watch/shared-0/session")).status_code == 200
        token = {"Authorization": f"Bearer {started[0]['token']}"}
        await home.delete(f"/v1/sessions/{started[0]['id']}", headers=token)
        assert (await tables.sessions.get(started[0]["id"])).session.desired == "run", "it goes on for the other one"
        assert (await home.post("/watch/shared-8/session")).status_code == 201


async def test_a_place_is_free_as_soon_as_its_session_is_over(app: Litestar, stage: Stage) -> None:
    """As somebody who walks through the channels does."""
    await stage.channel()
    async with client_at(app, HOME) as client:
        for number in range(25):
            granted = await client.request(**invented(number, "secret"))
            assert granted.status_code == 201, number
            token = {"Authorization": f"Bearer {granted.json()['token']}"}
            await client.delete(f"/v1/sessions/{granted.json()['id']}", headers=token)


async def test_what_was_refused_for_another_reason_does_not_count(app: Litestar, stage: Stage) -> None:
    await stage.channel(enabled=False)
    async with client_at(app, HOME) as client:
        for number in range(40):
            assert_problem(await client.request(**invented(number, "secret")), 409)


@pytest.fixture
def bounded(app: Litestar, tables: FakeTables, bus: FakeEventBus, store: FakeObjectStore) -> Litestar:
    settings = Settings(
        admin_key=KEY, origin_url=ORIGIN, max_sessions_per_address=100, max_new_sessions_per_address_per_minute=3
    )  # fmt: skip
    app.state.world = world_of(settings, tables, bus, store, time.time)
    return app


async def test_so_many_are_started_in_a_minute(bounded: Litestar, stage: Stage) -> None:
    await stage.channel()
    async with client_at(bounded, HOME) as client:
        statuses = [(await client.request(**invented(number, "secret"))).status_code for number in range(4)]
        assert statuses == [201, 201, 201, 429]
        refused = await client.request(**invented(5, "secret"))
        assert assert_problem(refused, 429)["limit"] == "max_new_sessions_per_address_per_minute"
        assert 50 < int(refused.headers["retry-after"]) <= 60


async def test_who_has_the_key_is_not_bounded(bounded: Litestar, stage: Stage) -> None:
    await stage.channel()
    async with client_at(bounded, HOME, Authorization=f"Bearer {KEY}") as backend:
        for number in range(10):
            assert (await backend.post("/v1/channels/news/sessions", json={})).status_code == 201
            assert (await backend.request(**invented(number, "secret"))).status_code == 201
    async with client_at(bounded, HOME) as client:
        assert (await client.request(**invented(99, "secret"))).status_code == 201, "and takes nothing from who has none"


async def test_while_redis_is_away_it_is_counted_in_memory(
    app: Litestar, stage: Stage, tables: FakeTables, bus: FakeEventBus, store: FakeObjectStore
) -> None:
    places = RedisAddressPlaces("redis://127.0.0.1:1/0", "test")
    app.state.world = world_of(Settings(admin_key=KEY, origin_url=ORIGIN), tables, bus, store, time.time, places=places)
    await stage.channel()
    async with client_at(app, HOME) as client:
        started = time.monotonic()
        answers = [await client.request(**invented(number, "secret")) for number in range(60)]
        assert time.monotonic() - started < 5.0, "not each of them waits for a Redis that is away"
    assert [answer.status_code for answer in answers] == [201] * 8 + [429] * 52
    await places.close()


async def test_an_ipv6_address_counts_by_its_64(app: Litestar, stage: Stage) -> None:
    await stage.channel()
    for number in range(10):
        async with client_at(app, f"2001:db8:1:2::{number:x}") as client:
            assert (await client.request(**invented(number, "secret"))).status_code == (201 if number < 8 else 429)
    async with client_at(app, "2001:db8:1:3::1") as neighbour:
        assert (await neighbour.request(**invented(11, "secret"))).status_code == 201


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, "unknown"),
        ("x" * 1000, "x" * 64),
    ],
)
def test_the_address_that_is_counted(host: str | None, counted: str) -> None:
    assert address_of(host) == counted


@pytest.mark.parametrize("trusted", [True, False])
async def test_the_address_is_the_edges_word_where_the_edge_is_trusted(
    app: Litestar, stage: Stage, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*" if trusted else "192.0.2.1")
    await stage.channel()
    async with Served(app) as served:

        async def ask(number: int) -> int:
            forwarded = {"X-Forwarded-For": f"203.0.113.{number}"}
            return (
                await served.http.post("/watch/news/session", json={"viewer": f"{number:032}"}, headers=forwarded)
            ).status_code

        statuses = [await ask(number) for number in range(9)]
    assert statuses == [201] * 8 + [201 if trusted else 429]
