"""The whole product under test: the real processes and containers, a real store and a real Redis behind gates, and sources that
misbehave. A test sees it from outside alone: over the API, in the playlist, and in the process table."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import httpx

from failover.api_client import ApiClient
from failover.local_deployment import LocalDeployment
from lab.gate import Gate
from lab.viewer import Viewer
from orchestrator.app.settings import Settings
from orchestrator.errors import FailoverError
from tests.e2e.attempts import Attempts, attempts_of
from tests.servers import RedisServer, Seaweed
from tests.support import eventually, free_port

_SSE_AGAIN_S = 0.2


class Stage:
    """A running stack, and what can be taken away from it."""

    def __init__(self, stack: LocalDeployment, client: ApiClient, http: httpx.AsyncClient, store: Gate, redis: Gate) -> None:
        self.stack = stack
        self.client = client
        self.http = http
        self.store = store
        self.redis = redis
        self._numbers = itertools.count(1)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, data_dir: Path, seaweed: Seaweed, redis_server: RedisServer, *, runtime: str, **settings: Any
    ) -> AsyncIterator[Self]:
        """`settings`: changes to what is the same for all stages. Fails where it leaves anything running."""
        name = f"e2e-{secrets.token_hex(3)}"
        credentials, _, address = redis_server.url.removeprefix("redis://").partition("@")
        async with Gate(seaweed.endpoint.removeprefix("http://")) as store, Gate(address.removesuffix("/0")) as redis:
            chosen: dict[str, Any] = {
                "s3_endpoint": f"http://{store.address}", "s3_bucket": name,
                "s3_access_key": seaweed.access_key, "s3_secret_key": seaweed.secret_key,
                "redis_url": f"redis://{credentials}@{redis.address}/0",
                "runtime": runtime, "deployment": name,
                # Half of what the product has by default, so that the tests take half the time.
                "segment_s": 1.0, "stall_limit_s": 1.5,
                # What a test's source sees comes from the test alone
                "first_probe_interval_s": 3600.0,
            }  # fmt: skip
            async with LocalDeployment(Settings(**chosen | settings), data_dir, port=free_port()) as stack:
                headers = {"Authorization": f"Bearer {stack.settings.admin_key}"}
                limits = httpx.Limits(max_connections=None)
                async with httpx.AsyncClient(
                    base_url=stack.api_url, headers=headers, timeout=40.0, trust_env=False, limits=limits
                ) as http:
                    stage = cls(stack, ApiClient(http), http, store, redis)
                    try:
                        yield stage
                    finally:
                        await stage._end_all()

    @property
    def settings(self) -> Settings:
        return self.stack.settings

    @property
    def attempts(self) -> Attempts:
        """What runs, as the machine sees it."""
        return attempts_of(self.stack.runtime, self.settings.deployment)

    async def channel(self, *urls: str, known: bool = True) -> Any:
        """A channel with these sources. `known`: they have just been seen to work, so a session starts with the first, however
        long a probe takes on a busy machine."""
        slug = f"channel-{next(self._numbers)}"
        channel = await self.client.add_channel(slug, slug.title(), urls)
        if known:
            probes = (f"/v1/sources/{source['id']}/probe" for source in channel["sources"])
            await asyncio.gather(*(self.client.call("POST", probe) for probe in probes))
        return channel

    async def sources(self, channel: Any) -> list[Any]:
        """The channel's sources as they are now, in order."""
        found: list[Any] = (await self.client.call("GET", f"/v1/channels/{channel['id']}"))["sources"]
        return found

    @contextlib.asynccontextmanager
    async def watch(self, channel: Any, *, every_s: float = 0.05, fetch: bool = True) -> AsyncIterator[Watched]:
        """A live session of this channel that somebody watches; it is stopped at the end."""
        asked_at = time.time()
        granted = await self.client.session(channel["id"])
        assert granted["phase"] == "live", granted
        viewer = Viewer(granted["playlist_url"], fetch=fetch)
        watched = Watched(self, channel, granted, time.time() - asked_at, viewer)
        looking = asyncio.create_task(watched.look(every_s))
        listening = asyncio.create_task(watched.listen())
        try:
            yield watched
            await self.stop(watched.id)
            await watched.is_told("session.ended")
            await eventually(lambda: viewer.playlist and viewer.playlist.ended, what=f"the playlist's end of {watched.id}")
        finally:
            listening.cancel()
            watched.over = True  # not cancelled: a thread of its own may be reading
            await asyncio.gather(looking, listening, return_exceptions=True)
            viewer.close()
        looking.result()

    async def stop(self, session_id: str) -> None:
        """Asks for the session's end, and sees that it comes and that nothing of it runs any more."""
        await self.client.call("DELETE", f"/v1/sessions/{session_id}")

        async def ended() -> bool:
            return bool((await self.client.call("GET", f"/v1/sessions/{session_id}"))["phase"] == "ended")

        await eventually(ended, timeout_s=15, every_s=0.1, what=f"the end of {session_id}")
        await self.runs(session_id)

    async def runs(self, session_id: str, *numbers: int, timeout_s: float = 10.0) -> None:
        """Awaits that these attempts of the session, and no others, are on the machine."""

        async def there() -> bool:
            # In a thread: this event loop is also the network between the stack and its store.
            found = await asyncio.to_thread(self.attempts.of, session_id)
            return sorted(attempt.number for attempt in found) == sorted(numbers)

        await eventually(there, timeout_s, every_s=0.2, what=f"{session_id} to run as attempts {numbers} alone")

    async def _end_all(self) -> None:
        """What a failed test has left is stopped; then nothing may run."""
        with contextlib.suppress(FailoverError, httpx.HTTPError):
            for session in await self.client.call("GET", "/v1/sessions?limit=1000"):
                if session["phase"] != "ended":
                    await self.client.call("DELETE", f"/v1/sessions/{session['id']}")
        try:

            async def nothing() -> bool:
                return not await asyncio.to_thread(self.attempts.all)

            await eventually(nothing, timeout_s=20, every_s=0.2, what="the end of all attempts")
        finally:
            self.attempts.remove_all()


class Watched:
    """A session, what its viewer has seen, and what its listener has been told."""

    def __init__(self, stage: Stage, channel: Any, granted: Any, start_s: float, viewer: Viewer) -> None:
        self.stage = stage
        self.channel = channel
        self.id: str = granted["id"]
        self.granted = granted
        self.start_s = start_s  # from the request to the answer that it is live
        self.viewer = viewer
        self.over = False
        self._events: dict[int, Any] = {}

    @property
    def events(self) -> list[Any]:
        return [self._events[number] for number in sorted(self._events)]

    @property
    def target_duration_s(self) -> int:
        assert self.viewer.playlist is not None
        return self.viewer.playlist.target_duration_s

    def told(self, kind: str) -> list[Any]:
        """The events of this type so far."""
        return [event for event in self.events if event["type"] == kind]

    async def is_told(self, kind: str, count: int = 1, timeout_s: float = 15.0) -> Any:
        """Awaits the `count`th event of this type."""
        await eventually(lambda: len(self.told(kind)) >= count, timeout_s, what=f"{kind} number {count} of {self.id}")
        return self.told(kind)[count - 1]

    async def plays(self, segments: int = 4, timeout_s: float = 20.0) -> None:
        """Awaits so many more segments."""
        wanted = len(self.viewer.listings) + segments
        await eventually(lambda: len(self.viewer.listings) >= wanted, timeout_s, what=f"{segments} more segments of {self.id}")

    async def plays_from(self, attempt: int, segments: int = 4, timeout_s: float = 20.0) -> None:
        """Awaits so many segments of this attempt, or of a later one."""

        def listed() -> bool:
            return sum(each.attempt >= attempt for each in self.viewer.listings) >= segments

        await eventually(listed, timeout_s, what=f"{segments} segments of attempt {attempt} of {self.id}")

    async def view(self) -> Any:
        return await self.stage.client.call("GET", f"/v1/sessions/{self.id}")

    async def rows(self) -> list[Any]:
        """Its attempts."""
        found: list[Any] = await self.stage.client.call("GET", f"/v1/sessions/{self.id}/attempts")
        return found

    async def switch(self, source_id: str | None = None) -> None:
        """As an operator would."""
        body = {"source_id": source_id} if source_id else {}
        await self.stage.client.call("POST", f"/v1/sessions/{self.id}/switch", body)

    def late_s(self, since: float = 0.0) -> float:
        """How late the latest listing was, of those that came `since` then."""
        return max((each.late_s or 0.0 for each in self.viewer.listings if each.at > since), default=0.0)

    async def look(self, every_s: float) -> None:
        """Sees the session's playlist, until it is over."""
        while not self.over and not (self.viewer.playlist and self.viewer.playlist.ended):
            await self.viewer.look()
            await asyncio.sleep(every_s)

    async def listen(self) -> None:
        """Hears the session's events; comes back where the API went away, as an EventSource does."""
        while True:
            with contextlib.suppress(httpx.HTTPError, FailoverError):
                async for event in self.stage.client.events(self.granted):
                    self._events[event["id"]] = event
            if self.told("session.ended"):
                return
            await asyncio.sleep(_SSE_AGAIN_S)
