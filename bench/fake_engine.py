"""A container engine without containers: a "container" is a playlist in the real store that goes on every `segment_s`.

It is for measures of the control plane alone. The playlists are written with the job's own signed addresses, under the
conditions that an agent keeps, by a process of their own, so that what publishing costs is nobody's time. No segment is stored.

    async with FakeEngine(segment_s=4.0) as engine, orchestrate(settings, runtime=engine, prober=FakeProber(), ...):
        silent_since = await engine.falls_silent(session_id, attempt)

`python -m bench.fake_engine` is an orchestrator's process on such an engine; its settings are the environment's.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import urllib3

from orchestrator.app import settings as settings_module
from orchestrator.app.service import opened, orchestrate, stop_signal
from orchestrator.app.settings import Settings, derived
from orchestrator.core.model import Container, ContainerState, Media, Source
from orchestrator.errors import EngineUnavailable
from orchestrator.ports import ContainerEvent, EngineReport, Launch, ProbeResult
from transcoder import bucket
from transcoder.publish.media_playlist import ListedSegment, MediaPlaylist
from transcoder.publish.multivariant_playlist import MultivariantPlaylist, Variant
from transcoder.publish.playlist_syntax import MalformedPlaylist

log = logging.getLogger(__name__)

MEDIA = Media(video="h264", audio="aac", channels=2, width=640, height=360, bitrate_bps=400_000)

_ROOT = Path(__file__).parents[1]
_PUBLISHERS = 16  # requests to the store at once
_RETRY_S = 1.0  # after the store has not answered

_Key = tuple[str, int]  # session, attempt


class FakeProber:
    """`ports.Prober`: every source works, at once."""

    async def probe(self, source: Source) -> ProbeResult:
        return ProbeResult(MEDIA)

    async def close(self) -> None:
        pass


class FakeEngine:
    """`ports.ContainerRuntime`. `start_s`: how long the engine takes to start a container."""

    kind = "fake"

    def __init__(self, *, segment_s: float = 4.0, start_s: float = 0.0) -> None:
        self._segment_s = segment_s
        self._start_s = start_s
        self._containers: dict[str, dict[int, Container]] = {}  # by session, by attempt
        self._listeners: set[asyncio.Queue[ContainerEvent]] = set()
        self._publishing: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._silent: dict[_Key, asyncio.Future[float]] = {}

    async def __aenter__(self) -> Self:
        self._publishing = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.fake_engine", "publish", str(self._segment_s),
            cwd=_ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read(), name="fake-engine")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- the port -----------------------------------------------------------------------------------------------------

    async def start(self, launch: Launch) -> None:
        key = (launch.session_id, launch.attempt)
        if launch.attempt in self._containers.get(launch.session_id, {}):
            return
        if self._start_s:
            await asyncio.sleep(self._start_s)
        await self._tell({"start": launch.job})
        self._change(
            key,
            Container(
                id=f"{launch.session_id}-{launch.attempt}",
                session_id=launch.session_id,
                attempt=launch.attempt,
                state=ContainerState.RUNNING,
                created_at=time.time(),
            ),
        )

    async def stop(self, session_id: str, attempt: int, grace_s: float) -> None:
        if attempt in self._containers.get(session_id, {}):
            await self._tell({"stop": (session_id, attempt)})
            self._change((session_id, attempt), None)

    async def containers(self, session_id: str | None = None) -> tuple[Container, ...]:
        if session_id is None:
            return tuple(each for attempts in self._containers.values() for each in attempts.values())
        return tuple(self._containers.get(session_id, {}).values())

    def events(self) -> AsyncIterator[ContainerEvent]:
        return self._events(asyncio.Queue())

    async def _events(self, events: asyncio.Queue[ContainerEvent]) -> AsyncIterator[ContainerEvent]:
        self._listeners.add(events)
        try:
            while True:
                yield await events.get()
        finally:
            self._listeners.discard(events)

    async def check(self) -> None:
        if self._publishing is None or self._publishing.returncode is not None:
            raise EngineUnavailable("the fake engine does not run")

    async def contract(self) -> int:
        return 1

    async def examine(self) -> EngineReport:
        await self.check()
        return EngineReport()

    async def close(self) -> None:
        """Everything that it runs ends with it."""
        publishing, self._publishing = self._publishing, None
        if publishing is not None:
            with contextlib.suppress(ProcessLookupError):
                publishing.kill()
            await publishing.wait()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    # --- what happens -------------------------------------------------------------------------------------------------

    async def falls_silent(self, session_id: str, attempt: int) -> float:
        """It runs on and publishes nothing more. When it last did, in unix seconds; 0.0: never."""
        told: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._silent[session_id, attempt] = told
        await self._tell({"silence": (session_id, attempt)})
        return await told

    async def die(self, session_id: str, attempt: int, exit_code: int = 137) -> None:
        await self._tell({"stop": (session_id, attempt)})
        container = self._containers[session_id][attempt]
        exited = msgspec.structs.replace(container, state=ContainerState.EXITED, exit_code=exit_code)
        self._change((session_id, attempt), exited)

    def _change(self, key: _Key, container: Container | None) -> None:
        session_id, attempt = key
        attempts = self._containers.setdefault(session_id, {})
        if container is None:
            attempts.pop(attempt, None)
        else:
            attempts[attempt] = container
        for listener in self._listeners:
            listener.put_nowait(ContainerEvent(*key))

    async def _tell(self, order: dict[str, Any]) -> None:
        await self.check()
        assert self._publishing is not None
        assert self._publishing.stdin is not None
        try:
            self._publishing.stdin.write(json.dumps(order).encode() + b"\n")
            await self._publishing.stdin.drain()
        except ConnectionError as error:
            raise EngineUnavailable(f"the fake engine has ended: {error}") from None

    async def _read(self) -> None:
        assert self._publishing is not None
        assert self._publishing.stdout is not None
        async for line in self._publishing.stdout:
            session_id, attempt, at = json.loads(line)
            told = self._silent.pop((session_id, attempt), None)
            if told is not None and not told.done():
                told.set_result(at)


# --- the process that publishes ---------------------------------------------------------------------------------------


class _Publication:
    """One attempt's playlist."""

    def __init__(self, job: dict[str, Any], segment_s: float) -> None:
        self.key: _Key = (job["session"], job["attempt"])
        self.over = False  # stopped, silent, or fenced by a later attempt
        self.published_at = 0.0
        self._job = job
        self._segment_s = min(segment_s, float(job["target_duration_s"]))
        self._playlist: MediaPlaylist | None = None
        self._etag: str | None = None
        self._n = 0

    def publish(self, http: urllib3.PoolManager) -> float:
        """One more segment is listed. Seconds until the next one is due."""
        address = self._job["store"]["playlists"]["main"]
        began = time.time()
        try:
            if self._playlist is None:
                self._begin(http, address["get"])
            assert self._playlist is not None
            if self.over:
                return self._segment_s
            after = self._playlist.append(self._next(self._playlist), float(self._job["window_s"]))
            condition = {"If-None-Match": "*"} if self._etag is None else {"If-Match": self._etag}
            answer = http.request(
                "PUT", address["put"], body=after.render().encode(), headers=bucket.PLAYLIST_HEADERS | condition
            )
        except (urllib3.exceptions.HTTPError, MalformedPlaylist) as error:
            log.warning("%s: %s", self.key, error)
            return _RETRY_S
        if answer.status in (200, 201, 204):
            self._playlist, self._etag = after, answer.headers["ETag"]
            self._n += 1
            self.published_at = time.time()
            return max(0.0, self._segment_s - (time.time() - began))
        self._playlist = None  # somebody else has written, or nobody knows: read it again
        return 0.05 if answer.status == 412 else _RETRY_S

    def _begin(self, http: urllib3.PoolManager, url: str) -> None:
        found = http.request("GET", url)
        if found.status == 200:
            self._playlist, self._etag = MediaPlaylist.parse(found.data.decode()), found.headers["ETag"]
            self.over = self._playlist.ended or self._playlist.last_attempt > self.key[1]
            return
        self._playlist, self._etag = MediaPlaylist(self._job["target_duration_s"], 0, 0, (), False), None
        index = MultivariantPlaylist((Variant(bucket.MEDIA_PLAYLIST_NAME, 400_000),)).render().encode()
        http.request("PUT", self._job["store"]["playlists"]["index"]["put"], body=index, headers=bucket.PLAYLIST_HEADERS)

    def _next(self, playlist: MediaPlaylist) -> ListedSegment:
        first = playlist.last_attempt not in (0, self.key[1])
        starts_at = max(playlist.end_s or 0.0, time.time() - self._segment_s) if first or not playlist.segments else None
        uri = bucket.segment_uri(*self.key, self._n)
        return ListedSegment(uri, self._segment_s, playlist.end_s if starts_at is None else starts_at, first)  # type: ignore[arg-type]


def _publish(segment_s: float) -> None:
    """Orders come in by lines, until there are none; what fell silent goes out by lines."""
    http = urllib3.PoolManager(maxsize=_PUBLISHERS, retries=False, timeout=5.0)
    publications: dict[_Key, _Publication] = {}
    due: list[tuple[float, int, _Publication]] = []
    orders: queue.SimpleQueue[dict[str, Any] | tuple[float, _Publication] | None] = queue.SimpleQueue()
    numbers = itertools.count()

    def read() -> None:
        for line in sys.stdin:
            orders.put(json.loads(line))
        orders.put(None)

    threading.Thread(target=read, daemon=True).start()
    with ThreadPoolExecutor(_PUBLISHERS) as threads:

        def publish(publication: _Publication) -> None:
            orders.put((time.monotonic() + publication.publish(http), publication))

        while True:
            with contextlib.suppress(queue.Empty):
                order = orders.get(timeout=max(0.0, due[0][0] - time.monotonic()) if due else None)
                match order:
                    case None:
                        threads.shutdown(wait=False, cancel_futures=True)
                        return
                    case (float(at), _Publication() as publication):
                        heapq.heappush(due, (at, next(numbers), publication))
                    case {"start": str(job)}:
                        publication = _Publication(json.loads(job), segment_s)
                        publications[publication.key] = publication
                        heapq.heappush(due, (0.0, next(numbers), publication))
                    case {"stop": [session_id, attempt]}:
                        if (stopped := publications.pop((session_id, attempt), None)) is not None:
                            stopped.over = True
                    case {"silence": [session_id, attempt]}:
                        silent = publications[session_id, attempt]
                        silent.over = True
                        sys.stdout.write(json.dumps((session_id, attempt, silent.published_at)) + "\n")
                        sys.stdout.flush()
            while due and due[0][0] <= time.monotonic():
                publication = heapq.heappop(due)[2]
                if not publication.over:
                    threads.submit(publish, publication)


# --- an orchestrator on it --------------------------------------------------------------------------------------------


async def run(settings: Settings) -> None:
    """An orchestrator's process as `orchestrator.app.service.run`, but for the engine and the probes."""
    settings, stop = derived(settings), stop_signal()
    async with contextlib.AsyncExitStack() as stack:
        tables, store, bus = await stack.enter_async_context(opened(settings))
        engine = await stack.enter_async_context(FakeEngine(segment_s=settings.segment_s))
        await stack.enter_async_context(
            orchestrate(settings, tables=tables, runtime=engine, store=store, bus=bus, prober=FakeProber())
        )
        await stop.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    match sys.argv[1:]:
        case ["publish", segment_s]:
            _publish(float(segment_s))
        case _:
            asyncio.run(run(settings_module.read(os.environ)))
