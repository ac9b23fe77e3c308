"""`failover secrets DIR`: generates the keys and passwords of a deployment as files, one directory per service.

Rules: a file that exists is never changed; a value that the settings name is used; everything else is generated. Each service
is given its own directory and no other. The files are world-readable within it, because each container runs with a user id
of its own.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import quote

import msgspec

from failover.embedded import seaweedfs_security
from orchestrator.app.settings import Settings
from orchestrator.errors import FailoverError

_DATABASE = _USER = "failover"


async def write(settings: Settings, directory: Path) -> int:
    """Write all files under `directory`. `settings` are the values that the operator has chosen. Raises FailoverError where a
    file cannot be written."""
    try:
        _write(settings, directory)
    except OSError as error:
        raise FailoverError(f"the secrets cannot be written: {error.filename or directory}: {error.strerror}") from None
    return 0


def _write(settings: Settings, directory: Path) -> None:
    app, postgres, redis, s3 = (directory / name for name in ("app", "postgres", "redis", "s3"))
    postgres_password = _kept(postgres / "password", None)
    redis_password = _kept(redis / "password", None)
    _put(redis / "redis.conf", f"requirepass {redis_password}")
    _kept(app / "admin_key", settings.admin_key)
    _put(
        app / "database_url",
        settings.database_url or f"postgresql://{_USER}:{quote(postgres_password, safe='')}@postgres:5432/{_DATABASE}",
    )
    _put(app / "redis_url", settings.redis_url or f"redis://:{quote(redis_password, safe='')}@redis:6379/0")
    access_key = _kept(app / "s3_access_key", settings.s3_access_key, bytes_=10)
    secret_key = _kept(app / "s3_secret_key", settings.s3_secret_key)
    identity = {"name": "failover", "actions": ["Admin"], "credentials": [{"accessKey": access_key, "secretKey": secret_key}]}
    _put(s3 / "s3.json", msgspec.json.encode({"identities": [identity]}).decode())
    if not (s3 / "security.toml").exists():
        _put(s3 / "security.toml", seaweedfs_security.signed())


def _kept(path: Path, chosen: str | None, *, bytes_: int = 20) -> str:
    """The chosen value; else the value in the file; else a new random one."""
    if chosen is None:
        chosen = path.read_text() if path.exists() else secrets.token_hex(bytes_)
    _put(path, chosen)
    return chosen


def _put(path: Path, text: str) -> None:
    """Write atomically (rename), because a service that reads the file may be starting."""
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.chmod(0o444)
    fresh.replace(path)
