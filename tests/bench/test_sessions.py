"""The row of the thousand sessions does not rot."""

from __future__ import annotations

from pathlib import Path

from bench.sessions import measure
from orchestrator.app.settings import Settings
from tests.servers import RedisServer, Seaweed


async def test_sessions(seaweed: Seaweed, redis_server: RedisServer, tmp_path: Path) -> None:
    settings = Settings(
        s3_endpoint=seaweed.endpoint, s3_access_key=seaweed.access_key, s3_secret_key=seaweed.secret_key,
        redis_url=redis_server.url,
    )  # fmt: skip
    url = f"sqlite:///{tmp_path}/failover.db"
    share, late = await measure(settings, "SQLite", url, 4, silent=2, steady_s=3.0)
    assert len(share.values) == 3
    assert all(value > 0 for value in share.values)
    assert len(late.values) == 2
    assert all(value >= 0 for value in late.values), "never before the limit"
