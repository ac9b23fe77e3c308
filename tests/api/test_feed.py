"""Events of all sessions as the console reads them: over a real server, because that is where they are streamed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx_sse import ServerSentEvent, aconnect_sse
from litestar import Litestar

from api.console import event_feed
from orchestrator.core.model import EventType
from tests.api.stage import KEY, Stage
from tests.api.test_events import Served
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.tables import FakeTables
from tests.support import eventually

SWITCH = EventType.STREAM_SWITCH


@contextlib.asynccontextmanager
async def told(
    served: Served, after: int | None = None, last_event_id: str | None = None
) -> AsyncIterator[list[ServerSentEvent]]:
    """What has been told so far, while the block runs."""
    so_far: list[ServerSentEvent] = []
    headers = {"Authorization": f"Bearer {KEY}"} | ({} if last_event_id is None else {"Last-Event-ID": last_event_id})
    params = {} if after is None else {"after": after}

    async def listen() -> None:
        async with aconnect_sse(served.http, "GET", "/v1/events", params=params, headers=headers) as source:
            async for event in source.aiter_sse():
                so_far.append(event)  # noqa: PERF401  # seen from outside while it grows

    task = asyncio.create_task(listen())
    try:
        yield so_far
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def names(events: list[ServerSentEvent], but: str = "change") -> list[tuple[str, str]]:
    return [(event.id, event.event) for event in events if event.event != but]


async def listening(bus: FakeEventBus) -> None:
    await eventually(lambda: bus.listeners >= 2)


async def test_events_of_all_sessions_are_told_as_they_happen(app: Litestar, stage: Stage, bus: FakeEventBus) -> None:
    news, sport = await stage.channel(), await stage.channel("sport", "Sport")
    one, two = await stage.session("news"), await stage.session("sport")
    await stage.go_live(one["id"])
    async with Served(app) as served, told(served) as events:
        await listening(bus)
        await stage.go_live(two["id"])
        await stage.tell(one["id"], SWITCH, reason="killed")
        await eventually(lambda: len(names(events)) == 2, timeout_s=1.5)  # sooner than the next look without a message
        assert names(events) == [("2", "session.live"), ("3", "stream.switch")]
        first, second = [json.loads(event.data) for event in events if event.event != "change"]
        assert (first["session_id"], first["channel_id"], first["id"]) == (two["id"], sport["id"], 1)
        assert (second["session_id"], second["channel_id"], second["id"]) == (one["id"], news["id"], 2)
        assert second["reason"] == "killed"
        assert second["playlist_url"].endswith(f"{one['id']}/index.m3u8")


async def test_who_comes_back_misses_nothing(app: Litestar, stage: Stage) -> None:
    await stage.channel()
    session = await stage.session()
    await stage.go_live(session["id"])
    for n in range(4):
        await stage.tell(session["id"], SWITCH, reason=str(n))
    async with Served(app) as served:
        async with told(served, after=0) as events:
            await eventually(lambda: names(events)[-1:] == [("5", "stream.switch")])
            assert len(names(events)) == 5
        async with told(served, after=1, last_event_id="3") as events:  # what it has heard since is newer than its address
            await eventually(lambda: [id for id, _ in names(events)] == ["4", "5"])


async def test_without_redis_events_and_changes_come_later(
    app: Litestar, stage: Stage, bus: FakeEventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_feed, "POLL_S", 0.1)
    monkeypatch.setattr(event_feed, "CHANNELS_POLL_S", 0.2)
    channel = await stage.channel()
    session = await stage.session()
    bus.refusing = True
    async with Served(app) as served, told(served) as events:
        await listening(bus)
        await stage.go_live(session["id"])
        await eventually(lambda: names(events) == [("1", "session.live")])
        await eventually(lambda: changed(events) == {channel["id"]})  # its first source plays now: the orchestrator's doing


def changed(events: list[ServerSentEvent]) -> set[str]:
    return {json.loads(event.data)["channel_id"] for event in events if event.event == "change"}


async def test_an_edit_is_told_at_once_and_without_an_id(
    app: Litestar, stage: Stage, bus: FakeEventBus, admin: Any, tables: FakeTables
) -> None:
    one, two = await stage.channel(), await stage.channel("sport", "Sport")
    async with Served(app) as served, told(served) as events, told(served) as others:
        await eventually(lambda: bus.listeners >= 4)
        await admin.patch("/v1/channels/news", json={"name": "Renamed"})
        await eventually(lambda: changed(events) == changed(others) == {one["id"]}, timeout_s=1.5)
        assert {event.id for event in events} == {""}
        await admin.delete("/v1/channels/sport")
        await eventually(lambda: changed(events) == {one["id"], two["id"]}, timeout_s=1.5)
        created = await stage.channel("culture", "Culture")
        await eventually(lambda: created["id"] in changed(events), timeout_s=1.5)


async def test_a_database_that_is_gone_for_a_while_loses_nothing(
    app: Litestar, stage: Stage, tables: FakeTables, bus: FakeEventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_feed, "POLL_S", 0.05)
    await stage.channel()
    session = await stage.session()
    async with Served(app) as served, told(served, after=0) as events:
        await listening(bus)
        await stage.go_live(session["id"])
        await eventually(lambda: len(names(events)) == 1)
        tables.journal.refusing = True
        await stage.tell(session["id"], SWITCH)
        await eventually(lambda: tables.journal.refused >= 3)
        tables.journal.refusing = False
        await eventually(lambda: names(events) == [("1", "session.live"), ("2", "stream.switch")])


async def test_it_ends_with_the_server_and_leaves_no_listener(app: Litestar, stage: Stage, bus: FakeEventBus) -> None:
    await stage.channel()
    async with Served(app) as served, told(served):
        await listening(bus)
        assert await served.stop() < 2.0
    assert bus.listeners == 0
