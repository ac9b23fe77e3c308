"""How long a request for a session takes while a hundred a second come: two API processes on one real database, an orchestrator
that starts what was asked for on the fake engine, and a real store.

Requests are sent by the clock, whether or not the ones before were answered; each is measured from when it was due.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import msgspec

from bench.stage import Stage
from bench.table import Goal, Row
from failover.embedded import Embedded
from failover.play import Client
from failover.server_process import ServerProcess, answers
from orchestrator.app.settings import Settings, derived, environ_of, replaced
from orchestrator.migrations import upgrade

RATE_HZ = 100.0
SECONDS = 20.0
_API_PROCESSES = 2
_CHANNELS = 50
_ROOT = Path(__file__).parents[1]
_PATIENCE_S = 30.0
_LIVE_LIMIT_S = 180.0


async def requests(stage: Stage, runs: int) -> list[Row]:
    """Once on each engine: a run is two thousand requests."""
    return await measure(RATE_HZ, SECONDS)


async def measure(rate_hz: float, seconds: float) -> list[Row]:
    rows = [await _row("SQLite", None, rate_hz, seconds)]
    with _postgresql() as database:
        if database is not None:
            rows.append(await _row("PostgreSQL", database, rate_hz, seconds))
    return rows


async def _row(engine: str, database: str | None, rate_hz: float, seconds: float) -> Row:
    settings = Settings(
        database_url=database,
        # Long segments: two thousand playlists are not what is measured
        segment_s=12.0,
        # Nobody renews: whoever is late is to be seen late, not idle
        idle_timeout_s=600.0,
        # The fake engine has room for everybody
        node_cpus=1e6,
        node_memory_mb=1e9,
        log_level="warning",
    )
    values: list[float] = []
    outcomes: Counter[str] = Counter()
    async with _parts(settings) as (first, *others):
        posts = [Posts(http) for http in (first, *others)]
        channels = [
            (await Client(first).add_channel(f"channel-{n}", f"Channel {n}", [f"http://source.test/{n}.m3u8"]))["id"]
            for n in range(_CHANNELS)
        ]
        loop = asyncio.get_running_loop()
        begin = loop.time() + 0.5

        async def one(number: int) -> None:
            due = begin + number / rate_hz
            await asyncio.sleep(max(0.0, due - loop.time()))
            path = f"/v1/channels/{channels[number % _CHANNELS]}/sessions"
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    outcomes[str(await posts[number % len(posts)](path, {"viewer": f"viewer-{number}"}))] += 1
            except (OSError, EOFError, TimeoutError) as error:
                outcomes[type(error).__name__] += 1
            values.append(loop.time() - due)

        await asyncio.gather(*(one(number) for number in range(round(rate_hz * seconds))))
        for each in posts:
            each.close()
        live_s, live = await _live(first, len(values))
    refused = {outcome: count for outcome, count in outcomes.items() if outcome != "201"}
    return Row(
        f"requests-{engine.lower()}",
        f"{rate_hz:.0f} session requests a second for {seconds:.0f} s, {engine}: request to answer",
        "s",
        Goal(worst=_PATIENCE_S if not refused else 0.0),
        values,
        remark=f"{sum(refused.values())} errors{refused or ''}; {live} of {len(values)} live {live_s:.0f} s after the last",
    )


class Posts:
    """JSON to one server over kept connections (RFC 9112), as cheaply as can be: whoever sends a hundred requests a second on
    the machine that answers them is not to be what is measured."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._host, self._port = http.base_url.host, http.base_url.port
        self._head = f"Host: {self._host}\r\nAuthorization: {http.headers['Authorization']}\r\n"
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __call__(self, path: str, document: object) -> int:
        """The answer's status. Raises OSError, EOFError."""
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
        body = msgspec.json.encode(document)
        head = f"POST {path} HTTP/1.1\r\n{self._head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            writer.write(head.encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = answer.partition("\r\ncontent-length:")[2].partition("\r\n")[0]
            await reader.readexactly(int(length))
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))
        return int(answer.split(" ", 2)[1])

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


async def _live(http: httpx.AsyncClient, wanted: int) -> tuple[float, int]:
    """Waits until so many sessions are live, if they ever are; seconds, and how many."""
    begin = time.monotonic()
    while True:
        text = (await http.get("/metrics")).text
        counts = (line.rpartition(" ")[2] for line in text.splitlines() if "sessions" in line and '"live"' in line)
        live = int(sum(float(count) for count in counts))
        if live >= wanted or time.monotonic() - begin > _LIVE_LIMIT_S:
            return time.monotonic() - begin, live
        await asyncio.sleep(0.5)


@contextlib.asynccontextmanager
async def _parts(settings: Settings) -> AsyncIterator[list[httpx.AsyncClient]]:
    """A client of each API process."""
    async with contextlib.AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-requests-", ignore_cleanup_errors=True)))
        settings = derived(await stack.enter_async_context(Embedded(settings, directory)))
        assert settings.database_url is not None
        await asyncio.to_thread(upgrade, settings.database_url)
        ports = [_free_port() for _ in range(_API_PROCESSES)]
        parts = [
            _process(directory, replaced(settings, port=port), f"api-{port}", ["-m", "failover", "api"], _serves(port))
            for port in ports
        ]
        parts.append(_process(directory, settings, "orchestrator", ["-m", "bench.fake_engine"], _at_once))
        for part in parts:
            stack.push_async_callback(part.stop)
            await part.start()
        headers = {"Authorization": f"Bearer {settings.admin_key}"}
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
        yield [
            await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=_PATIENCE_S, limits=limits, trust_env=False
                )
            )
            for port in ports
        ]


def _process(
    directory: Path, settings: Settings, name: str, arguments: list[str], ready: Callable[[], Awaitable[bool]]
) -> ServerProcess:
    environ = {variable: value for variable, value in os.environ.items() if not variable.startswith("FAILOVER_")}
    return ServerProcess(
        name,
        [sys.executable, *arguments],
        directory=directory,
        log_file=directory / "logs" / f"{name}.log",
        ready=ready,
        environ={**environ, **environ_of(settings), "PYTHONPATH": str(_ROOT)},
        stop_limit_s=10.0,
    )


def _serves(port: int) -> Callable[[], Awaitable[bool]]:
    return lambda: answers(port, b"GET /healthz HTTP/1.0\r\n\r\n", b" 200 ")


async def _at_once() -> bool:
    return True


@contextlib.contextmanager
def _postgresql() -> Iterator[str | None]:
    """A fresh database on a server of its own; None where there is none to start."""
    from tests.postgres_server import PostgresServer, binaries

    found = binaries()
    if found is None:
        yield None
        return
    server = PostgresServer(found)
    try:
        yield server.database()
    finally:
        server.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
