"""Starts on loopback the servers that the settings do not name (SQLite, Redis, S3) and completes the settings with them.

Rules: everything these servers keep is in one data directory; one data directory serves one installation at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from failover.embedded.keys import kept_keys
from failover.embedded.ports import kept_ports
from failover.embedded.redis import redis
from failover.embedded.seaweedfs import SEAWEEDFS_PORTS, seaweedfs
from failover.embedded.server_process import ServerProcess
from orchestrator.app.settings import PREFIX, Settings, replaced
from orchestrator.errors import BadSetting, FailoverError


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Exclusive lock on a data directory (flock(2)); the kernel releases it however its holder ends. Raises FailoverError
    where another process holds it or the directory cannot be used."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise FailoverError(f"the data directory {data_dir} cannot be used: {error.strerror}") from None
    with open(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FailoverError(
                f"the data directory {data_dir} is in use by process {file.read().strip()}; stop it, or take another --data-dir"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


class EmbeddedServers:
    """`async with EmbeddedServers(settings, data_dir) as complete`: the servers that `settings` lack run; `complete` has them.

    Raises FailoverError where the directory is in use or a server does not start, BadSetting where the settings name a store
    but not its keys.
    """

    def __init__(self, settings: Settings, data_dir: Path) -> None:
        self._settings = settings
        self._data_dir = data_dir.absolute()
        self._exits = contextlib.AsyncExitStack()
        self.servers: list[ServerProcess] = []

    async def __aenter__(self) -> Settings:
        async with contextlib.AsyncExitStack() as exits:
            exits.enter_context(locked(self._data_dir))
            complete = self._complete()
            for server in self.servers:
                exits.push_async_callback(server.stop)
                await server.start()
            for server in self.servers:
                await exits.enter_async_context(server.kept())
            self._exits = exits.pop_all()
        return complete

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    def _complete(self) -> Settings:
        settings, directory = self._settings, self._data_dir
        (directory / "logs").mkdir(exist_ok=True, mode=0o700)
        keys = kept_keys(directory)
        changes: dict[str, str] = {}
        if settings.admin_key is None:
            changes["admin_key"] = keys.admin_key
        if settings.database_url is None:
            changes["database_url"] = f"sqlite:///{directory}/failover.db"
        if settings.redis_url is None:
            port = kept_ports(directory, "redis", 1)[0]
            self.servers.append(redis(directory, port, keys.redis_password))
            changes["redis_url"] = f"redis://:{keys.redis_password}@127.0.0.1:{port}/0"
        if settings.s3_endpoint is None:
            access_key = settings.s3_access_key or keys.s3_access_key
            secret_key = settings.s3_secret_key or keys.s3_secret_key
            ports = kept_ports(directory, "seaweedfs", SEAWEEDFS_PORTS)
            self.servers.append(seaweedfs(directory, ports, access_key, secret_key))
            changes |= {
                "s3_endpoint": f"http://127.0.0.1:{ports[0]}", "s3_access_key": access_key, "s3_secret_key": secret_key,
            }  # fmt: skip
        elif settings.s3_access_key is None or settings.s3_secret_key is None:
            raise BadSetting(f"{PREFIX}S3_ACCESS_KEY, {PREFIX}S3_SECRET_KEY: must be set where {PREFIX}S3_ENDPOINT is")
        return replaced(settings, **changes)
