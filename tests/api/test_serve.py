"""The API as a process: real adapters, clear words where it cannot start, and a quick end with streams open."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from orchestrator.migrations import upgrade
from tests.api.stage import KEY, SOURCES
from tests.support import eventually

pytestmark = pytest.mark.slow


def environ(directory: Path, port: int, **more: str) -> dict[str, str]:
    """Redis and the store are where nobody listens: what does not need them works."""
    own = {
        "FAILOVER_DATABASE_URL": f"sqlite+aiosqlite:///{directory}/failover.db",
        "FAILOVER_REDIS_URL": "redis://127.0.0.1:1",
        "FAILOVER_S3_ENDPOINT": "http://127.0.0.1:1",
        "FAILOVER_S3_ACCESS_KEY": "access",
        "FAILOVER_S3_SECRET_KEY": "secret",
        "FAILOVER_ADMIN_KEY": KEY,
        "FAILOVER_PORT": str(port),
    }
    return {name: value for name, value in os.environ.items() if not name.startswith("FAILOVER_")} | own | more


async def start(env: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "failover", "api", env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )


@pytest.fixture
async def taken() -> AsyncIterator[int]:
    """A port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_the_process_serves_and_ends_on_request(tmp_path: Path) -> None:
    upgrade(f"sqlite+aiosqlite:///{tmp_path}/failover.db")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    process = await start(environ(tmp_path, port))
    try:
        headers = {"Authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as http:

            async def answers() -> bool:
                try:
                    return (await http.get("/healthz")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(answers, timeout_s=30)
            assert set((await http.get("/readyz")).json()["parts"]) == {"store", "bus"}
            assert (await http.post("/v1/channels", json={"name": "News", "sources": SOURCES})).status_code == 201
            session = (await http.post("/v1/channels/news/sessions")).json()
            async with http.stream("GET", f"/v1/sessions/{session['id']}/events") as stream:
                process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(5):
                    assert [line async for line in stream.aiter_lines()] == []
        async with asyncio.timeout(5):
            said, _ = await process.communicate()
        assert process.returncode == 0
        assert b"Traceback" not in said, said.decode()
        assert session["token"].encode() not in said
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_a_taken_port_is_one_clear_line(tmp_path: Path, taken: int) -> None:
    upgrade(f"sqlite+aiosqlite:///{tmp_path}/failover.db")
    process = await start(environ(tmp_path, taken))
    async with asyncio.timeout(30):
        said, _ = await process.communicate()
    assert process.returncode == 1
    last = said.decode().splitlines()[-1]
    assert last == f"failover: FAILOVER_HOST, FAILOVER_PORT: cannot listen on 127.0.0.1:{taken}: Address already in use"
