"""The embedded servers, real ones: kept over a restart, ended with this process, restarted when they end alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
from minio import Minio
from minio.error import S3Error

from failover.embedded import seaweedfs
from failover.embedded.ports import kept_ports
from failover.embedded.server_process import ServerProcess
from failover.embedded.servers import EmbeddedServers, locked
from orchestrator.adapters.redis.event_bus import RedisEventBus
from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.app.settings import Settings
from orchestrator.errors import BadSetting, BusUnavailable, FailoverError
from tests.deploy import put_identity
from tests.support import eventually

# What is named is not started: tests that are about one server name the other.
STORE_ELSEWHERE = Settings(s3_endpoint="http://store.test", s3_access_key="access", s3_secret_key="secret")


LOG = b"kept, whatever happens\n" * 10_000


def alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def write_log(settings: Settings) -> str:
    """Writes by a signed address, as a container does, and returns what everybody can read there."""
    store = MinioObjectStore(settings)
    await store.prepare()
    log = store.sign("s-1", 1)["log"]
    assert isinstance(log, dict)
    async with httpx.AsyncClient() as http:
        assert (await http.put(log["put"], content=LOG)).status_code == 200
    await store.close()
    return str(log["put"]).partition("?")[0]


async def read_log(settings: Settings) -> str | None:
    store = MinioObjectStore(settings)
    try:
        return await store.read_log("s-1", 1)
    finally:
        await store.close()


@pytest.mark.s3
async def test_everything_that_is_not_named_runs_and_survives_a_restart(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "directory"
    async with EmbeddedServers(Settings(), data_dir) as first:
        address = await write_log(first)
        bus = RedisEventBus(first.redis_url or "", "test")
        await bus.check()
        await bus.close()
    assert first.database_url == f"sqlite:///{data_dir}/failover.db"
    assert len(first.admin_key or "") >= 32

    # The same addresses and keys: what was handed out before still works.
    begun = time.monotonic()
    async with EmbeddedServers(Settings(), data_dir) as second:
        assert time.monotonic() - begun < 15
        assert second == first
        assert await read_log(second) == LOG.decode()

    # Another process has taken one of the ports meanwhile: the data are found again under new ones.
    ports = json.loads((data_dir / "ports.json").read_text())
    with closing(socket.create_server(("127.0.0.1", ports["seaweedfs"][2]))):
        async with EmbeddedServers(Settings(), data_dir) as third:
            assert third.s3_endpoint != first.s3_endpoint and third.redis_url == first.redis_url
            assert await read_log(third) == LOG.decode()
    assert address.startswith(first.s3_endpoint or "?")


async def test_what_is_named_is_not_started(tmp_path: Path) -> None:
    named = Settings(
        database_url="postgresql://db.test/failover", redis_url="redis://redis.test", admin_key="own",
        s3_endpoint="http://store.test", s3_access_key="access", s3_secret_key="secret",
    )  # fmt: skip
    stack = EmbeddedServers(named, tmp_path)
    async with stack as complete:
        assert complete == named
        assert stack.servers == []


async def test_a_named_store_needs_its_keys(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="FAILOVER_S3_ACCESS_KEY"):
        async with EmbeddedServers(Settings(s3_endpoint="http://store.test"), tmp_path):
            pass
    with locked(tmp_path):  # let go again
        pass


@pytest.mark.redis
async def test_keys_are_nobody_elses(tmp_path: Path) -> None:
    async with EmbeddedServers(STORE_ELSEWHERE, tmp_path / "data"):
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0
        assert (tmp_path / "data" / "keys.json").stat().st_mode & 0o077 == 0
        assert (tmp_path / "data" / "redis" / "redis.conf").stat().st_mode & 0o077 == 0


@pytest.mark.redis
async def test_redis_wants_its_password(tmp_path: Path) -> None:
    async with EmbeddedServers(STORE_ELSEWHERE, tmp_path) as complete:
        assert complete.redis_url is not None
        stranger = RedisEventBus(f"redis://{complete.redis_url.partition('@')[2]}", "test")
        with pytest.raises(BusUnavailable):
            await stranger.check()
        await stranger.close()


def listening(pid: int) -> set[tuple[str, int]]:
    """Addresses of the TCP ports, IPv4 and IPv6, that a process listens on."""
    sockets = psutil.Process(pid).net_connections(kind="tcp")
    return {(each.laddr.ip, each.laddr.port) for each in sockets if each.status == psutil.CONN_LISTEN}


@pytest.mark.s3
async def test_every_port_is_on_loopback_and_none_takes_orders_without_a_key(tmp_path: Path) -> None:
    """Sessions' containers on the host's network reach loopback. PutIdentity was taken on S3's gRPC port."""
    stack = EmbeddedServers(Settings(), tmp_path)
    async with stack as complete:
        pids = [server.pid for server in stack.servers]
        bound = {each for pid in pids if pid is not None for each in listening(pid)}
        ports = sorted(port for _, port in bound)
        kept = json.loads((tmp_path / "ports.json").read_text())
        assert ports == sorted([*kept["redis"], *kept["seaweedfs"]]), "every one is known"
        assert {address for address, _ in bound} == {"127.0.0.1"}
        call = partial(put_identity.outcome, "127.0.0.1", access_key="stranger", secret_key="s" * 20)
        outcomes = {port: await asyncio.to_thread(call, port) for port in ports}
        assert set(outcomes.values()) == {"closed"}, outcomes
        async with httpx.AsyncClient(trust_env=False) as http:
            for port in kept["seaweedfs"]:
                for method, path in (("GET", "/dir/assign"), ("GET", "/1,01637037d6"), ("POST", "/1,01637037d6")):
                    with contextlib.suppress(httpx.TransportError):  # TLS, or nothing that speaks HTTP
                        answer = await http.request(method, f"http://127.0.0.1:{port}{path}")
                        assert answer.status_code in (401, 403, 404, 405), (port, method, path, answer.text)
        await write_log(complete)
        stranger = Minio(complete.s3_endpoint.removeprefix("http://"), "stranger", "s" * 20, secure=False)  # type: ignore[union-attr]
        with pytest.raises(S3Error, match="InvalidAccessKeyId"):
            await asyncio.to_thread(stranger.list_buckets)


@pytest.mark.redis
async def test_a_server_that_dies_comes_back_where_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stack = EmbeddedServers(STORE_ELSEWHERE, tmp_path)
    async with stack as complete:
        bus = RedisEventBus(complete.redis_url or "", "test")
        (redis,) = stack.servers
        for _ in range(2):
            before = redis.pid
            assert before is not None
            os.kill(before, signal.SIGKILL)
            await eventually(partial(runs_anew, redis, before))
            await eventually(lambda: answers(bus))
        await bus.close()
        last = redis.pid
        assert "Redis ended" in caplog.text and "redis.log" in caplog.text
    assert last is not None and not alive(last)


def runs_anew(server: ServerProcess, before: int) -> bool:
    return server.pid not in (None, before)


async def answers(bus: RedisEventBus) -> bool:
    try:
        await bus.check()
    except BusUnavailable:
        return False
    return True


def test_one_data_directory_serves_one_stack(tmp_path: Path) -> None:
    in_use = pytest.raises(FailoverError, match=rf"{tmp_path} is in use by process {os.getpid()}")
    with locked(tmp_path), in_use, locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


@pytest.mark.s3
async def test_a_killed_stack_leaves_nothing_behind(tmp_path: Path) -> None:
    program = f"""
import asyncio
from pathlib import Path
from failover.embedded.servers import EmbeddedServers
from orchestrator.app.settings import Settings

async def main():
    stack = EmbeddedServers(Settings(), Path({str(tmp_path)!r}))
    async with stack:
        print(*(server.pid for server in stack.servers), flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
    assert process.stdout is not None
    pids = [int(pid) for pid in (await asyncio.wait_for(process.stdout.readline(), 30)).split()]
    assert len(pids) == 2 and all(alive(pid) for pid in pids)
    process.kill()
    await process.wait()
    await eventually(lambda: not any(alive(pid) for pid in pids))
    async with EmbeddedServers(STORE_ELSEWHERE, tmp_path):  # and nothing in the way of the next one
        pass


@pytest.mark.redis
async def test_a_server_that_cannot_start_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seaweedfs, "weed", lambda: "/bin/false")
    stack = EmbeddedServers(Settings(), tmp_path)
    with pytest.raises(FailoverError, match=r"SeaweedFS ended \(exit code 1.*; its log is .*/logs/seaweedfs.log"):
        async with stack:
            pass
    assert [server.pid for server in stack.servers] == [None, None]


async def test_a_server_that_never_gets_ready_is_not_waited_for_longer_than_its_limit(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    server = ServerProcess(
        "Sleeper", ["/bin/sleep", "60"], directory=tmp_path, log_file=tmp_path / "log", ready=never, start_limit_s=0.3
    )
    with pytest.raises(FailoverError, match=r"Sleeper was not ready within 0.3 s; its log is"):
        await server.start()
    assert server.pid is None


async def test_a_server_that_ignores_its_stop_signal_is_killed(tmp_path: Path) -> None:
    async def at_once() -> bool:
        return (tmp_path / "deaf").exists()

    deaf = "trap '' TERM; touch deaf; while :; do sleep 0.1; done"
    server = ServerProcess(
        "Deaf", ["/bin/sh", "-c", deaf], directory=tmp_path, log_file=tmp_path / "log", ready=at_once, stop_limit_s=0.3
    )
    await server.start()
    begun = time.monotonic()
    await server.stop()
    assert 0.3 <= time.monotonic() - begun < 2
    assert server.pid is None
    await server.stop()


def test_ports_are_kept_while_they_are_free(tmp_path: Path) -> None:
    first = kept_ports(tmp_path, "one", 3)
    other = kept_ports(tmp_path, "other", 2)
    assert len({*first, *other}) == 5
    assert kept_ports(tmp_path, "one", 3) == first
    with closing(socket.create_server(("127.0.0.1", first[1]))):
        assert first[1] not in kept_ports(tmp_path, "one", 3)
    assert kept_ports(tmp_path, "other", 2) == other
