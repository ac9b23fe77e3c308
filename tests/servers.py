"""The store and the bus that tests run against: the embedded ones, in directories of their own."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from failover.embedded.ports import kept_ports
from failover.embedded.redis import redis
from failover.embedded.seaweedfs import SEAWEEDFS_PORTS, seaweedfs
from failover.embedded.server_process import ServerProcess

# A key that may write to one bucket and not change its rules, as a cloud's policy for the store's writer would have it.
WRITER_BUCKET, WRITER_ACCESS_KEY, WRITER_SECRET_KEY = "of-somebody-else", "test-writer-key", "test-writer-secret"


class Seaweed(NamedTuple):
    """A running SeaweedFS."""

    endpoint: str
    access_key: str
    secret_key: str
    process: ServerProcess


class RedisServer(NamedTuple):
    """A Redis that can be killed and started again on the same port."""

    url: str
    process: ServerProcess

    def kill(self) -> None:
        """SIGKILL, at once."""
        self.process.kill()

    def start(self) -> None:
        """Start it again and return at once: await `ready` where it matters."""
        if self.process.pid is None:
            self.process.spawn()


@contextmanager
def running_seaweed() -> Iterator[Seaweed]:
    with tempfile.TemporaryDirectory(prefix="failover-s3-", ignore_cleanup_errors=True) as name:
        directory = _with_logs(name)
        ports = kept_ports(directory, "seaweedfs", SEAWEEDFS_PORTS)
        access_key, secret_key = "test-access-key", "test-secret-key"
        process = seaweedfs(directory, ports, access_key, secret_key)
        _admit_writer(directory / "seaweedfs" / "s3.json")
        _start(process)
        try:
            yield Seaweed(f"http://127.0.0.1:{ports[0]}", access_key, secret_key, process)
        finally:
            process.kill()


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="failover-redis-") as name:
        directory = _with_logs(name)
        port = kept_ports(directory, "redis", 1)[0]
        process = redis(directory, port, "test-password")
        _start(process)
        try:
            yield RedisServer(f"redis://:test-password@127.0.0.1:{port}/0", process)
        finally:
            process.kill()


def _admit_writer(config: Path) -> None:
    identities = msgspec.json.decode(config.read_bytes())["identities"]
    writer = {
        "name": "writer", "actions": [f"{action}:{WRITER_BUCKET}" for action in ("Read", "Write", "List")],
        "credentials": [{"accessKey": WRITER_ACCESS_KEY, "secretKey": WRITER_SECRET_KEY}],
    }  # fmt: skip
    config.write_bytes(msgspec.json.encode({"identities": [*identities, writer]}))


def _with_logs(name: str) -> Path:
    (Path(name) / "logs").mkdir()
    return Path(name)


def _start(process: ServerProcess) -> None:
    """Spawned by this thread, whose life is the test session's; awaited in another, since a loop may be running here."""
    process.spawn()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, process.until_ready()).result()
