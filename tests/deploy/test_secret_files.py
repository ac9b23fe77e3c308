"""A deployment's secrets: made once, taken from the settings where they are there, and each only where it is read."""

from __future__ import annotations

import json
from pathlib import Path

from failover import secret_files
from orchestrator.app.settings import Settings, read


async def made(directory: Path, settings: Settings | None = None) -> dict[str, str]:
    assert await secret_files.write(settings or Settings(), directory) == 0
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


async def test_they_are_made_once_and_kept(tmp_path: Path) -> None:
    first = await made(tmp_path)
    assert await made(tmp_path) == first
    assert set(first) == {
        "app/admin_key", "app/database_url", "app/redis_url", "app/s3_access_key", "app/s3_secret_key",
        "postgres/password", "redis/password", "redis/redis.conf", "s3/s3.json", "s3/security.toml",
    }  # fmt: skip
    assert await made(tmp_path / "other") != first


async def test_what_servers_and_clients_are_told_is_the_same(tmp_path: Path) -> None:
    files = await made(tmp_path)
    assert f":{files['postgres/password']}@postgres:" in files["app/database_url"]
    assert files["redis/redis.conf"] == f"requirepass {files['redis/password']}"
    assert f":{files['redis/password']}@redis:" in files["app/redis_url"]
    (identity,) = json.loads(files["s3/s3.json"])["identities"]
    assert identity["credentials"] == [{"accessKey": files["app/s3_access_key"], "secretKey": files["app/s3_secret_key"]}]


async def test_what_the_settings_name_is_taken_over(tmp_path: Path) -> None:
    await made(tmp_path)
    chosen = Settings(admin_key="mine", database_url="postgresql://elsewhere/failover", s3_access_key="a", s3_secret_key="b")
    files = await made(tmp_path, chosen)
    assert files["app/admin_key"] == "mine"
    assert files["app/database_url"] == "postgresql://elsewhere/failover"
    assert json.loads(files["s3/s3.json"])["identities"][0]["credentials"] == [{"accessKey": "a", "secretKey": "b"}]
    assert (await made(tmp_path))["app/admin_key"] == "mine"


async def test_the_processes_read_them_as_files(tmp_path: Path) -> None:
    files = await made(tmp_path)
    names = ("admin_key", "database_url", "redis_url", "s3_access_key", "s3_secret_key")
    settings = read({f"FAILOVER_{name.upper()}_FILE": str(tmp_path / "app" / name) for name in names})
    assert settings.admin_key == files["app/admin_key"]
    assert settings.database_url == files["app/database_url"]


async def test_any_reader_may_read_and_none_may_write(tmp_path: Path) -> None:
    await made(tmp_path)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()} == {0o444}
