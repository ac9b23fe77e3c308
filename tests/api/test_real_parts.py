"""The API over real SQL and a real Redis, which goes away and comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from api.app import create_app
from orchestrator.adapters.redis.event_bus import RedisEventBus
from orchestrator.adapters.sql import Tables, open_tables
from orchestrator.app.settings import Settings
from orchestrator.core.model import EventType
from tests.api.stage import KEY, ORIGIN, Stage, calling
from tests.api.test_events import Served, take
from tests.fakes.object_store import FakeObjectStore
from tests.servers import RedisServer
from tests.support import eventually


@pytest.fixture
async def tables(database_url: str) -> AsyncIterator[Tables]:
    tables = open_tables(database_url)
    yield tables
    await tables.close()


@pytest.fixture
async def bus(redis_server: RedisServer) -> AsyncIterator[RedisEventBus]:
    bus = RedisEventBus(redis_server.url, "api-tests")
    yield bus
    await bus.close()
    redis_server.start()


@pytest.fixture
async def served(tables: Tables, bus: RedisEventBus) -> AsyncIterator[Served]:
    settings = Settings(admin_key=KEY, origin_url=ORIGIN)
    app = create_app(settings, tables, bus, FakeObjectStore(), time.time)
    async with Served(app) as served:
        yield served


@pytest.fixture
async def admin(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(served.app, Authorization=f"Bearer {KEY}") as admin:
        yield admin


@pytest.fixture
def stage(tables: Tables, bus: RedisEventBus, admin: httpx.AsyncClient) -> Stage:
    return Stage(tables, bus, admin)


async def test_events_outlive_redis(served: Served, stage: Stage, redis_server: RedisServer) -> None:
    await stage.channel()
    session = await stage.session()
    seen: list[str] = []

    async def tell(within_s: float) -> None:
        started = time.monotonic()
        await stage.tell(session["id"], EventType.STREAM_SWITCH)
        seen.extend(event.id for event in await take(stream, 1))
        assert time.monotonic() - started < within_s

    async def parts() -> Any:
        return (await served.http.get("/readyz")).json()["parts"]

    async def hears() -> bool:
        return bool((await parts())["bus"] == "ok")

    async with served.events(session) as source:
        stream = source.aiter_sse()
        await tell(within_s=3)
        await asyncio.sleep(0.5)  # the subscription stands
        await tell(within_s=1)
        redis_server.kill()
        assert (await parts())["bus"] == "Redis does not answer"
        assert await _is_ready(served), "Redis is a hint"
        await tell(within_s=3)
        redis_server.start()
        await eventually(hears)
        await tell(within_s=3)
    assert seen == ["1", "2", "3", "4"]


async def _is_ready(served: Served) -> bool:
    return (await served.http.get("/readyz")).status_code == 200


async def test_a_waiting_client_is_woken(stage: Stage, admin: httpx.AsyncClient) -> None:
    await stage.channel()
    asked = asyncio.ensure_future(admin.post("/v1/channels/news/sessions", headers={"Prefer": "wait=10"}))
    session = await eventually(stage.only_session)
    await asyncio.sleep(1)  # its looks have thinned out
    started = time.monotonic()
    await stage.go_live(session.id)
    assert (await asyncio.wait_for(asked, 3)).json()["phase"] == "live"
    assert time.monotonic() - started < 0.4


async def test_a_viewer_that_asks_twenty_times_at_once_has_one_session(stage: Stage, admin: httpx.AsyncClient) -> None:
    await stage.channel()
    calls = [admin.post("/v1/channels/news/sessions", json={"viewer": "alice"}) for _ in range(20)]
    answers = await asyncio.gather(*calls)
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({(answer.json()["id"], answer.json()["token"]) for answer in answers}) == 1


async def test_channels_and_sources_go_through_real_sql(stage: Stage, admin: httpx.AsyncClient) -> None:
    channel = await stage.channel(number=7, policy={"profile": "h264"})
    assert (await admin.get("/v1/channels/news")).json() == channel
    ids = [source["id"] for source in channel["sources"]]
    ordered = (await admin.put("/v1/channels/news/sources", json={"source_ids": ids[::-1]})).json()
    assert [source["id"] for source in ordered] == ids[::-1]
    assert (await admin.post("/v1/channels", json={"slug": "news", "name": "Again"})).status_code == 409
    sport = await stage.channel(slug="sport", name="Sport")
    failovers = (await admin.put("/v1/channels/news/failovers", json={"channels": [sport["id"]]})).json()
    assert failovers == {"channels": [{name: sport[name] for name in ("id", "slug", "name")}]}
    assert (await admin.get("/v1/channels/news/failovers")).json() == failovers
    assert (await admin.put("/v1/channels/news/failovers", json={"channels": ["news"]})).status_code == 422
    assert (await admin.delete("/v1/channels/news")).status_code == 204
    assert (await admin.get(f"/v1/sources/{ids[0]}")).status_code == 404
