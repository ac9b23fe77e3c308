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
from sqlalchemy import insert

from api.app import create_app
from api.world import World
from bench.databases import ENGINES
from bench.stage import Stage
from bench.table import Goal, Row
from orchestrator.adapters.redis.event_bus import RedisEventBus
from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.adapters.sql import Tables, open_tables, schema
from orchestrator.app.settings import Settings, replaced
from orchestrator.core.model import ChannelPolicy, Desired, EventType, Media, Phase, SourceStatus
from orchestrator.errors import FailoverError
from orchestrator.migrations import upgrade
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
        app = create_app(settings, tables, bus, store, time.time)
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


async def _fill(tables: Tables, store: MinioObjectStore, count: int, running: int) -> None:
    """Rows as they are after an hour: by a few statements, for it is not their writing that is measured."""
    now = time.time()
    names = [f"{number:05}" for number in range(count)]
    channel_rows = [
        {
            "id": f"c-{name}", "slug": f"channel-{name}", "name": f"Channel {name}", "number": number,
            "group": f"Group {number % 40}", "logo": f"http://logos.example.net/{name}.png", "enabled": True,
            "policy": ChannelPolicy(), "created_at": now, "updated_at": now, "sort_number": number, "search_text": name,
        }
        for number, name in enumerate(names)
    ]  # fmt: skip
    source_rows = [
        {
            "id": f"x-{name}-{n}", "channel_id": f"c-{name}", "priority": n, "headers": {}, "status": SourceStatus.HEALTHY,
            "url": f"http://provider-{n}.example.net:8080/live/account/password/{name}.m3u8", "last_checked_at": now,
            "media": _MEDIA,
        }
        for name in names
        for n in range(1, _SOURCES + 1)
    ]  # fmt: skip
    own: list[dict[str, Any]] = [{"session_id": f"s-{name}"} for name in names[:running]]
    session_rows = [
        {
            "id": f"s-{name}", "channel_id": f"c-{name}", "viewer": f"viewer-{name}", "created_at": now - 3600.0,
            "desired": Desired.RUN, "version": 5, "phase": Phase.LIVE, "last_attempt": 2, "attempt": 2,
            "source_id": f"x-{name}-1", "attempt_started_at": now - 1800.0, "attempt_live_at": now - 1799.0, "tried": (),
            "faults": 0, "retries": 0, "last_event": 2,
        }
        for name in names[:running]
    ]  # fmt: skip
    lease_rows = [row | {"viewer": f"viewer-{row['session_id'][2:]}", "token_hash": "hash", "renewed_at": now} for row in own]
    attempt_rows = [
        row | {"number": n, "source_id": f"x-{row['session_id'][2:]}-1", "started_at": at, "first_segment_at": at + 1.0,
               "ended_at": ended_at}
        for row in own
        for n, at, ended_at in ((1, now - 3600.0, now - 1800.0), (2, now - 1800.0, None))
    ]  # fmt: skip
    event_rows: list[dict[str, Any]] = [
        row | {"id": n, "type": kind, "at": at, "fields": {"reason": "source stalled"}}
        for row in own
        for n, kind, at in ((1, EventType.SESSION_LIVE, now - 3599.0), (2, EventType.STREAM_SWITCH, now - 1799.0))
    ]
    journal_rows = [{"session_id": row["session_id"], "event_id": row["id"]} for row in event_rows]

    def write() -> None:
        with tables.database.engine.begin() as connection:
            for table, rows in (
                (schema.channels, channel_rows),
                (schema.sources, source_rows),
                (schema.sessions, session_rows),
                (schema.leases, lease_rows),
                (schema.attempts, attempt_rows),
                (schema.events, event_rows),
                (schema.journal, journal_rows),
            ):
                connection.execute(insert(table), rows)

    await asyncio.to_thread(write)
    few = asyncio.Semaphore(_AT_ONCE)
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:

        async def publish(session_id: str) -> None:
            signed: Any = store.sign(session_id, 2)["playlists"]
            for name, text in (("main", _playlist(session_id, now)), ("index", _INDEX)):
                async with few:
                    answer = await http.put(signed[name]["put"], content=text.encode())
                answer.raise_for_status()

        await asyncio.gather(*(publish(row["session_id"]) for row in own))


_INDEX = MultivariantPlaylist((Variant("main.m3u8", 6_000_000),)).render()


def _playlist(session_id: str, now: float) -> str:
    listed = (ListedSegment(segment_uri(session_id, 2, "main", n), 2.0, now - 30 + 2 * n, n == 0) for n in range(15))
    return MediaPlaylist(4, 0, 0, tuple(listed), ended=False).render()
