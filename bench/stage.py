"""Where everything is measured: the real stack in a temporary directory, live sources beside it, and a client of both.

One stage serves all rows. Sources are in processes of their own, so that what they cost is nobody's time.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin

import httpx

from bench.containers import Containers, containers_of
from bench.moments import moment, of_log
from failover.api_client import ApiClient
from failover.local_deployment import LocalDeployment
from lab import LabProcess
from lab.viewer import Viewer
from orchestrator.app.settings import Settings
from orchestrator.errors import FailoverError

PATIENCE_S = 30.0  # for anything; what takes longer has failed, and counts as this
_LOOK_S = 0.01  # how often the viewer looks while something is measured: the resolution of every figure
_SOURCES = 6  # in each lab: three pairs


class Requested(NamedTuple):
    """A session, and when it was asked for. Unix seconds."""

    session: Any
    sent_at: float
    answered_at: float

    @property
    def id(self) -> str:
        return str(self.session["id"])


class Stage:
    def __init__(self, stack: LocalDeployment, http: httpx.AsyncClient, data_dir: Path) -> None:
        self._stack = stack
        self._data_dir = data_dir
        self.settings = stack.settings
        self.runtime = stack.runtime
        self.api_url = stack.api_url
        self.client = ApiClient(http)
        self.containers: Containers = containers_of(stack.settings)
        self._http = http
        self._origin = httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False)
        self._numbers = itertools.count(1)
        self._labs: dict[int, LabProcess] = {}
        self._exits = contextlib.ExitStack()
        self._watched: dict[str, contextlib.AsyncExitStack] = {}  # every session that was asked for, until its end

    @property
    def control_plane(self) -> list[int]:
        """The process ids of orchestrator, API and Redis. The database is a file."""
        found = [pid for pid in (self._stack.api.pid, self._stack.orchestrator.pid) if pid is not None]
        for entry in Path("/proc").glob("[0-9]*/cwd"):
            with contextlib.suppress(OSError):  # it has ended
                if entry.readlink() == self._data_dir / "redis":
                    found.append(int(entry.parent.name))
        return found

    async def lab(self, bitrate_bps: int = 400_000) -> LabProcess:
        """Sources of that bit rate, with segments as long as the session's."""
        if bitrate_bps not in self._labs:
            lab = LabProcess(_SOURCES, segment_s=self.settings.segment_s, bitrate_bps=bitrate_bps)
            self._labs[bitrate_bps] = await asyncio.to_thread(self._exits.enter_context, lab)
        return self._labs[bitrate_bps]

    async def channel(self, urls: Sequence[str]) -> Any:
        """A new channel, whose sources nobody has ever asked."""
        slug = f"bench-{next(self._numbers)}"
        return await self.client.add_channel(slug, slug, urls)

    async def request(self, channel_id: str, wait_s: float | None = None) -> Requested:
        """A new session, whose lease is renewed until its end. `wait_s`: the answer comes when it is live; raises FailoverError
        where it is refused."""
        headers = {} if wait_s is None else {"Prefer": f"wait={wait_s:.0f}"}
        sent_at = time.time()
        session = await self.client.call("POST", f"/v1/channels/{channel_id}/sessions", {}, headers)
        asked = Requested(session, sent_at, time.time())
        self._watched[asked.id] = contextlib.AsyncExitStack()
        await self._watched[asked.id].enter_async_context(self.client.watching(asked.id))
        return asked

    async def session(self, urls: Sequence[str]) -> Requested:
        return await self.request((await self.channel(urls))["id"])

    @contextlib.asynccontextmanager
    async def watching(self, asked: Requested) -> AsyncIterator[Viewer]:
        """A viewer who follows the session's playlist for as long as the block runs."""
        viewer = Viewer(asked.session["playlist_url"])
        over = asyncio.Event()

        async def follow() -> None:
            while not over.is_set():  # never cancelled in a look: its thread would go on and leave a connection open
                await viewer.look()
                await asyncio.sleep(_LOOK_S)

        following = asyncio.create_task(follow(), name=f"viewer of {asked.id}")
        try:
            yield viewer
        finally:
            over.set()
            await following
            viewer.close()

    async def moments(self, asked: Requested, attempt: int) -> dict[str, float]:
        """What is known of an attempt's course, except what only its log tells."""
        rows = await self.client.call("GET", f"/v1/sessions/{asked.id}/attempts")
        row = next(row for row in rows if row["number"] == attempt)
        known = {"answered": asked.answered_at, "row": moment(asked.session["created_at"])}
        known["decided"] = moment(row["started_at"])
        if row["first_segment_at"]:
            known["noticed"] = moment(row["first_segment_at"])
        return known | await self.containers.moments(asked.id, attempt)

    async def end(self, asked: Requested) -> None:
        """Stops the session and waits until it has ended: its logs are in the store by then."""
        await self._watched.pop(asked.id).aclose()
        await self.client.call("DELETE", f"/v1/sessions/{asked.id}")
        deadline = time.monotonic() + PATIENCE_S
        while (await self.client.call("GET", f"/v1/sessions/{asked.id}"))["phase"] != "ended":
            if time.monotonic() > deadline:
                raise FailoverError(f"session {asked.id} did not end within {PATIENCE_S:g} s")
            await asyncio.sleep(0.05)

    async def logged(self, asked: Requested, attempt: int) -> dict[str, float]:
        """What the log of an attempt that has ended tells; nothing where it was killed."""
        answer = await self._http.get(f"/v1/sessions/{asked.id}/attempts/{attempt}/log")
        return of_log(answer.text) if answer.is_success else {}

    async def object(self, playlist_url: str, uri: str) -> bytes:
        """What a playlist lists, from the origin, as any player."""
        answer = await self._origin.get(urljoin(playlist_url, uri))
        answer.raise_for_status()
        return answer.content

    async def close(self) -> None:
        for watched in self._watched.values():
            await watched.aclose()
        await self._origin.aclose()
        self._exits.close()
        self.containers.close()


@contextlib.asynccontextmanager
async def open_stage(settings: Settings) -> AsyncIterator[Stage]:
    """A stage that is warm: one session has played on it."""
    with tempfile.TemporaryDirectory(prefix="hls-failover-bench-", ignore_cleanup_errors=True) as name:
        async with LocalDeployment(settings, Path(name), port=None) as stack:
            headers = {"Authorization": f"Bearer {stack.settings.admin_key}"}
            limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
            async with httpx.AsyncClient(
                base_url=stack.api_url, headers=headers, timeout=PATIENCE_S, limits=limits, trust_env=False
            ) as http:
                stage = Stage(stack, http, Path(name))
                try:
                    await _warm(stage)
                    yield stage
                finally:
                    await stage.close()


async def _warm(stage: Stage) -> None:
    lab = await stage.lab()
    channel = await stage.channel([lab["a"].hls_url])
    await stage.end(await stage.request(channel["id"], wait_s=20.0))


async def came(condition: Callable[[], bool]) -> bool:
    """Waits for the condition; False where patience has run out."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True
