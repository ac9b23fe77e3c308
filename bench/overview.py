"""What the wall screen of a big deployment costs: a thousand channels with three sources each, five hundred sessions with a
playlist each in a real store, a day of history.

Asked three ways: the first time; when everything that is kept is old, as happens every two seconds at most, however many look;
and right after that. The API runs in this process, without a socket: what is measured is the answer's making.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import httpx
from litestar import Litestar
from msgspec.structs import replace
from sqlalchemy import update

from api.app import create_app
from api.world import World
from bench.databases import ENGINES
from bench.fake_engine import FakeProber
from bench.stage import Stage
from bench.table import Goal, Row
from orchestrator.adapters.event_bus import RedisEventBus
from orchestrator.adapters.object_store import MinioObjectStore
from orchestrator.adapters.tables import Tables, open_tables
from orchestrator.adapters.tables.schema import sources
from orchestrator.core.model import (
    Attempt,
    AttemptLive,
    AttemptStarted,
    Channel,
    Decision,
    EventType,
    Happened,
    Media,
    Phase,
    SourceStatus,
)
from orchestrator.errors import FailoverError
from orchestrator.migrations import upgrade
from orchestrator.ports import NewSource
from orchestrator.settings import Settings, replaced
from transcoder.media_playlist import ListedSegment, MediaPlaylist, MultivariantPlaylist, Variant, segment_uri

CHANNELS = 1000
SESSIONS = 500
_SOURCES = 3
_AT_ONCE = 4
_MEDIA = Media(video="h264", audio="aac", channels=2, width=1920, height=1080, bitrate_bps=6_000_000, cadence_s=6.0)


async def overview(stage: Stage, runs: int) -> list[Row]:
    rows = []
    for name, database in ENGINES.items():
        with database() as database_url:
            if database_url is not None:
                rows += await measure(stage.settings, name, database_url, runs)
    return rows


async def measure(
    settings: Settings, database: str, database_url: str, runs: int, *, channels: int = CHANNELS, sessions: int = SESSIONS
) -> list[Row]:
    """Needs the settings' store and Redis alone; the bucket and the database are this measure's own."""
    assert settings.redis_url is not None
    name = f"bench-overview-{os.getpid()}-{database.lower()}"
    redis_url = settings.redis_url
    settings = replaced(settings, deployment=name, s3_bucket=name, database_url=database_url, admin_key="bench")
    settings = settings if settings.origin_url else replaced(settings, origin_url="http://cdn.test/hls")
    await asyncio.to_thread(upgrade, database_url)
    tables, store, bus = open_tables(database_url), MinioObjectStore(settings), RedisEventBus(redis_url, name)
    try:
        await store.prepare()
        await _fill(tables, store, channels, sessions)
        app = create_app(settings, tables, bus, store, FakeProber(), time.time)
        first, anew, kept, size, sent = await _ask(app, runs)
    finally:
        await bus.close()
        await store.close()
        await tables.close()
    what = f"overview of {channels} channels, {sessions} sessions, {database}"
    sizes = f"{size / 1e6:.2f} MB, of which {sent / 1e6:.2f} MB are sent (gzip)"
    return [
        Row(f"overview-first-{database}", f"{what}: the first time", "ms", Goal(worst=1000.0), [first]),
        Row(f"overview-{database}", f"{what}: read anew", "ms", Goal(median=150.0), anew, remark=sizes),
        Row(f"overview-kept-{database}", f"{what}: right after that", "ms", Goal(median=150.0), kept),
    ]


async def _ask(app: Litestar, runs: int) -> tuple[float, list[float], list[float], int, int]:
    """Milliseconds: the first, those read anew, those right after; bytes, and of these what is sent."""
    world: World = app.state.world
    app_of_httpx: Any = app  # ASGI's types differ by name alone
    headers = {"Authorization": "Bearer bench", "Accept-Encoding": "gzip"}
    transport = httpx.ASGITransport(app=app_of_httpx)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test", headers=headers) as client:

        async def ask() -> tuple[float, int, bytes]:
            started = time.perf_counter()
            async with client.stream("GET", "/v1/overview") as answer:
                raw = b"".join([each async for each in answer.aiter_raw()])
            if answer.status_code != 200:
                raise FailoverError(f"the overview answers {answer.status_code}")
            return 1000.0 * (time.perf_counter() - started), len(raw), raw

        first, _, _ = await ask()
        anew, kept, sent = [], [], 0
        for _ in range(runs):
            world.channels.expire()
            world.on_air.expire()
            took, sent, _ = await ask()
            anew.append(took)
            kept.append((await ask())[0])
        size = len((await client.get("/v1/overview")).content)
    return first, anew, kept, size, sent


async def _fill(tables: Tables, store: MinioObjectStore, channels: int, sessions: int) -> None:
    few = asyncio.Semaphore(_AT_ONCE)
    playlists = httpx.AsyncClient(trust_env=False, timeout=60)

    async def one(number: int) -> None:
        async with few:
            provider = f"http://provider-{number % 7}.example.net:8080/live/account/password"
            added = await tables.catalogue.add_channel(
                Channel(id="", slug=f"channel-{number}", name=f"Channel {number}", number=number, group=f"Group {number % 40}",
                        logo=f"http://logos.example.net/{number}.png"),
                [NewSource(url=f"{provider}/{number * 10 + n}.m3u8") for n in range(_SOURCES)],
            )  # fmt: skip
            if number < sessions:
                source, *_ = await tables.catalogue.sources(added.id)
                await _go_live(tables, store, playlists, added.id, source.id, number)

    async with playlists:
        await asyncio.gather(*map(one, range(channels)))
    seen = update(sources).values(media=_MEDIA, status=SourceStatus.HEALTHY, last_checked_at=time.time())
    await tables.database.write(lambda connection: connection.execute(seen).rowcount)


async def _go_live(
    tables: Tables, store: MinioObjectStore, http: httpx.AsyncClient, channel_id: str, source_id: str, number: int
) -> None:
    now = time.time()
    row, _ = await tables.sessions.request(channel_id, f"viewer-{number}", "hash", now - 3600.0)
    before = row.session
    live = replace(before, phase=Phase.LIVE, attempt=Attempt(1, source_id, now, now), last_attempt=1)
    records = (
        AttemptStarted(1, source_id, "requested"),
        AttemptLive(1, source_id),
        Happened(EventType.SESSION_LIVE),
        Happened(EventType.STREAM_SWITCH, {"reason": "source stalled"}),
    )
    await tables.sessions.commit(before, Decision(session=live, records=records), now)
    signed: Any = store.sign(before.id, 1)["playlists"]
    for name, text in (("main", _playlist(before.id, now)), ("index", _INDEX)):
        answer = await http.put(signed[name]["put"], content=text.encode())
        answer.raise_for_status()


_INDEX = MultivariantPlaylist((Variant("main.m3u8", 6_000_000),)).render()


def _playlist(session_id: str, now: float) -> str:
    listed = (ListedSegment(segment_uri(session_id, 1, "main", n), 2.0, now - 30 + 2 * n, n == 0) for n in range(15))
    return MediaPlaylist(4, 0, 0, tuple(listed), ended=False).render()
