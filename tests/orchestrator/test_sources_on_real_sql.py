"""Failover channels, failback and edits with the control loop on real SQL: agents, engine, store and probes are fakes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from orchestrator.adapters.sql import SqlTables, open_tables
from orchestrator.app.service import orchestrate
from orchestrator.app.settings import Settings
from orchestrator.core.model import Cause, Channel, ChannelPolicy, Phase, Session, SourceStatus, Why
from orchestrator.ports import PROBES, Launch, NewSource, ProbeResult
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.prober import FakeProber
from tests.fakes.runtime import FakeRuntime
from tests.support import eventually
from transcoder import bucket
from transcoder.ending import Ending
from transcoder.publish.media_playlist import ListedSegment, MediaPlaylist

OWN, BEHIND, MOVED = "http://own.test/", "http://behind.test/", "http://moved.test/"
SETTINGS = Settings(origin_url="http://cdn.test/hls", playlist_poll_interval_s=0.1, resync_interval_s=0.1)


class ListingRuntime(FakeRuntime):
    """Whatever is started lists two seconds every half a second, unless its source is dead."""

    def __init__(self, store: FakeObjectStore) -> None:
        super().__init__()
        self.dead: set[str] = set()
        self._store = store
        self._agents: set[asyncio.Task[None]] = set()

    async def start(self, launch: Launch) -> None:
        await super().start(launch)
        self._agents.add(asyncio.create_task(self._lists(launch)))

    async def close(self) -> None:
        for agent in self._agents:
            agent.cancel()
        await asyncio.gather(*self._agents, return_exceptions=True)

    async def _lists(self, launch: Launch) -> None:
        session_id, attempt, url = launch.session_id, launch.attempt, json.loads(launch.job)["source"]["url"]
        for number in range(1000):
            if attempt not in self.running(session_id):
                return
            if url in self.dead:
                self.die(session_id, attempt, Ending.SOURCE_ENDED)
                return
            found = await self._store.read_playlist(session_id)
            playlist = found[0] if found else MediaPlaylist(3, 0, 0, (), False)
            if playlist.last_attempt > attempt or playlist.ended:
                return
            uri = bucket.segment_uri(session_id, attempt, number)
            takes_over = bool(playlist.segments) and playlist.last_attempt != attempt
            playlist = playlist.append(ListedSegment(uri, 2.0, playlist.end_s or time.time(), takes_over), 30.0)
            self._store.put(bucket.media_playlist_key(session_id), playlist.render().encode())
            await asyncio.sleep(0.5)


@pytest.fixture
async def tables(database_url: str) -> AsyncIterator[SqlTables]:
    tables = open_tables(database_url)
    yield tables
    await tables.close()


@pytest.mark.slow
async def test_failover_channel_failback_and_edits_on_real_sql(tables: SqlTables) -> None:
    catalogue = tables.catalogue
    policy = ChannelPolicy(failback_stable_s=2.0)
    news = await catalogue.add_channel(Channel(id="", slug="news", name="News", policy=policy), [NewSource(url=OWN)])
    sport = await catalogue.add_channel(Channel(id="", slug="sport", name="Sport"), [NewSource(url=BEHIND)])
    (own,), (behind,) = await catalogue.sources(news.id), await catalogue.sources(sport.id)
    await catalogue.set_failovers(news.id, [sport.id])
    await catalogue.set_failovers(sport.id, [news.id])
    store, bus, prober = FakeObjectStore(), FakeEventBus(), FakeProber()
    runtime = ListingRuntime(store)
    row, _ = await tables.sessions.request(news.id, "viewer", "hash", time.time())

    async def session() -> Session:
        return (await tables.sessions.get(row.session.id)).session

    async def plays(source_id: str) -> bool:
        now = await session()
        return now.phase is Phase.LIVE and now.attempt is not None and now.attempt.source_id == source_id

    async def is_later_than(number: int) -> bool:
        now = await session()
        return now.phase is Phase.LIVE and now.attempt is not None and now.attempt.number > number

    async def has_ended() -> bool:
        return (await session()).phase is Phase.ENDED

    async def is_answered() -> bool:
        return (await tables.probes.answers([own.id]))[own.id] is not None

    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(runtime.close)
        await stack.enter_async_context(
            orchestrate(SETTINGS, tables=tables, runtime=runtime, store=store, bus=bus, prober=prober)
        )
        await eventually(lambda: plays(own.id))
        runtime.dead.add(OWN)
        prober.results[OWN] = ProbeResult.fails(Why(Cause.UNREADABLE, "404 Not Found"))
        await eventually(lambda: plays(behind.id))
        failed, used = await catalogue.source(own.id), await catalogue.source(behind.id)
        assert (failed.status, failed.failures_in_a_row) == (SourceStatus.PROBLEMATIC, 1)
        assert (used.status, used.failures_in_a_row) == (SourceStatus.HEALTHY, 0)
        assert (await catalogue.channel(news.id)).active_source_id == own.id
        assert (await catalogue.channel(sport.id)).active_source_id is None

        # It is probed by hand
        await tables.probes.ask([own.id], time.time())
        await bus.nudge(PROBES)
        await eventually(is_answered)
        again = await catalogue.source(own.id)
        assert (again.status, again.last_failure_reason) == (SourceStatus.PROBLEMATIC, "404 Not Found")
        assert (again.last_checked_at or 0.0) > (failed.last_checked_at or 0.0)

        # It works again: at another address, for there it is not held off
        runtime.dead.clear()
        prober.results.clear()
        await catalogue.update_source(own.id, url=MOVED)
        await eventually(lambda: plays(own.id), timeout_s=15.0)
        moved = (await session()).attempt
        assert moved is not None and moved.leg.address == (await catalogue.source(own.id)).address

        # The playing source is edited, then its channel is switched off
        await catalogue.update_source(own.id, headers={"Referer": "http://x.test/"})
        await eventually(lambda: is_later_than(moved.number))
        await catalogue.update_channel(replace(await catalogue.channel(news.id), enabled=False))
        await eventually(has_ended)
    assert (await session()).end_reason == "channel_disabled"
    reasons = [each.start_reason for each in await tables.sessions.attempts(row.session.id)]
    assert reasons == ["requested", "source ended", "failback", "source changed"]
