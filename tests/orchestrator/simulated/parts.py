"""The world's parts: the shared fakes with agents that run in them, and with more ways to fail."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.app.periodic import PeriodicJobs
from orchestrator.core.model import Cause, Container, Decision, Event, Session, Source, Why
from orchestrator.errors import EngineUnavailable, StoreUnavailable, Temporary
from orchestrator.ports import Launch, ProbeResult, Stamp, StoredObject
from tests.fakes.object_store import FakeObjectStore, parsed
from tests.fakes.runtime import FakeRuntime
from tests.fakes.tables import FakeCatalogue, FakeSessions
from tests.orchestrator.simulated.agent import MEDIA, Agent, Fault
from transcoder import bucket
from transcoder.publish.media_playlist import MediaPlaylist

if TYPE_CHECKING:
    from tests.orchestrator.simulated.world import World

_HANGS_S = 7.0  # as long as a client has patience
_FOR_EVER_S = 1e6


class SimulatedStore(FakeObjectStore):
    """`hanging`: the orchestrator's requests are not refused, and not answered. `reads` counts single playlists."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.hanging = False
        self.reads = 0
        self._world = world

    def read(self, key: str, target_duration_s: int) -> tuple[MediaPlaylist, str]:
        """As an agent does it: what is listed and its ETag, or an empty playlist."""
        kept = self._get(key)
        if kept is None:
            return MediaPlaylist(target_duration_s, 0, 0, (), False), ""
        return parsed(kept.data), kept.etag

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream", *, if_match: str | None = None) -> str:
        before = self.objects_by_key.get(key)
        etag = super().put(key, data, content_type, if_match=if_match)
        if key.startswith(bucket.INBOX):
            self.objects_by_key[key] = self.objects_by_key[key]._replace(modified_at=self._world.now)
            return etag
        was = None if before is None else parsed(before.data)
        self._world.laws.written(key, was, parsed(data))
        return etag

    async def playlists(self) -> Mapping[str, Stamp]:
        await self._hang()
        return await super().playlists()

    async def read_playlist(self, session_id: str) -> tuple[MediaPlaylist, str] | None:
        self.reads += 1
        await self._hang()
        return await super().read_playlist(session_id)

    async def reports(self, *, session_id: str = "", after: str = "") -> Sequence[StoredObject]:
        await self._hang()
        return await super().reports(session_id=session_id, after=after)

    async def read_report(self, key: str) -> bytes | None:
        await self._hang()
        return await super().read_report(key)

    async def _hang(self) -> None:
        if self.hanging:
            await asyncio.sleep(_HANGS_S)
            self._world.laws.store_silent_at = self._world.now
            raise StoreUnavailable(f"no answer within {_HANGS_S:g} s")

    def _answer(self) -> None:
        if self.refusing:
            self._world.laws.store_silent_at = self._world.now
        super()._answer()


class SimulatedRuntime(FakeRuntime):
    """Switches beside the fake's own: `lost` says what becomes of the next start ("request", "reply": lost; "crash before",
    "crash after": the orchestrator dies there), `hangs_for` which sessions' starts hang, `stop_fails`. `looks` counts."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.lost: str | None = None
        self.hangs_for: set[str] = set()
        self.stop_fails = False
        self.looks: Counter[str | None] = Counter()
        self._world = world

    async def start(self, launch: Launch) -> None:
        if launch.session_id in self.hangs_for:
            await asyncio.sleep(_FOR_EVER_S)
        await asyncio.sleep(0.1)
        lost, self.lost = self.lost, None
        if lost in ("request", "crash before"):
            await self._lose(lost)
        before = len(self.launches)
        await super().start(launch)
        if len(self.launches) > before:
            self._world.laws.runs(launch.session_id, launch.attempt)
            self._world.agents.append(Agent(self._world, launch))
            self._world.accounts.opened(self._world.agents[-1])
        if lost is not None:
            await self._lose(lost)

    async def _lose(self, how: str) -> None:
        if how.startswith("crash"):
            self._world.crash_orchestrator()
            await asyncio.sleep(_FOR_EVER_S)
        raise EngineUnavailable(f"the {how} was lost")

    async def stop(self, session_id: str, attempt: int, grace_s: float) -> None:
        if self.stop_fails:
            raise EngineUnavailable("cannot stop")
        await asyncio.sleep(0.05)
        await super().stop(session_id, attempt, grace_s)

    async def containers(self, session_id: str | None = None) -> tuple[Container, ...]:
        self.looks[session_id] += 1
        return await super().containers(session_id)


class SimulatedProber:
    def __init__(self, world: World) -> None:
        self._world = world

    async def probe(self, source: Source) -> ProbeResult:
        simulated = self._world.source_at(source.url)
        simulated.probes += 1
        with self._world.accounts.probe(source.provider_id):
            await asyncio.sleep(5.0 if simulated.fault is Fault.FROZEN else simulated.answers_after_s)
        if simulated.fault in (None, Fault.FLAPS, Fault.CRASHES_FFMPEG):
            return ProbeResult(MEDIA)
        return ProbeResult.fails(Why(Cause.UNREADABLE, simulated.fault.name.lower()))

    async def close(self) -> None:
        pass


class WatchedCatalogue(FakeCatalogue):
    """What probes have said is kept, for the laws to judge by."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    async def record_probe(self, source_id: str, result: ProbeResult, now: float) -> Source:
        source = await super().record_probe(source_id, result, now)
        self._world.laws.probed(source_id, works=result.media is not None)
        return source

    async def update_source(self, source_id: str, **changes: Any) -> Source:
        before = await self.source(source_id)
        after = await super().update_source(source_id, **changes)
        if after.url != before.url or changes.get("enabled"):
            self._world.laws.starts_anew(source_id)
        return after

    async def delete_source(self, source_id: str) -> None:
        await super().delete_source(source_id)
        self._world.laws.deleted(source_id)

    async def delete_channel(self, channel_id: str) -> None:
        sources = await self.sources(channel_id)
        await super().delete_channel(channel_id)
        for source in sources:
            self._world.laws.deleted(source.id)


class WatchedSessions(FakeSessions):
    """What is committed is judged."""

    def __init__(self, catalogue: FakeCatalogue, world: World) -> None:
        super().__init__(catalogue)
        self._world = world

    async def commit(self, before: Session, decision: Decision, now: float) -> tuple[Event, ...]:
        renewed_at = self._get(before.id).renewed_at if before.id in self._rows else 0.0
        events = await super().commit(before, decision, now)
        self._world.laws.stopped(before, decision.session, renewed_at)
        self._world.laws.committed(before, decision, self._world.name_of)
        return events


class SimulatedPeriodicJobs(PeriodicJobs):
    """The same jobs on the loop's own clock, which the scheduler's is not."""

    def __init__(self, **parts: Any) -> None:
        self._periodic: list[tuple[float, Callable[[], Coroutine[Any, Any, None]]]] = []
        self._running: list[asyncio.Task[None]] = []
        super().__init__(**parts)

    def _every(self, name: str, interval_s: float, run: Callable[[], Any]) -> None:
        self._periodic.append((interval_s, run))

    def start(self) -> None:
        self._running = [asyncio.create_task(_repeat(interval_s, run)) for interval_s, run in self._periodic]

    def close(self) -> None:
        for task in self._running:
            task.cancel()


async def _repeat(interval_s: float, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        await asyncio.sleep(interval_s)
        with contextlib.suppress(Temporary):
            await run()
