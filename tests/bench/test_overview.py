"""The row of the wall screen does not rot."""

from __future__ import annotations

from pathlib import Path

from bench.overview import measure
from orchestrator.app.settings import Settings
from tests.servers import RedisServer, Seaweed


async def test_overview(seaweed: Seaweed, redis_server: RedisServer, tmp_path: Path) -> None:
    settings = Settings(
        s3_endpoint=seaweed.endpoint, s3_access_key=seaweed.access_key, s3_secret_key=seaweed.secret_key,
        redis_url=redis_server.url,
    )  # fmt: skip
    first, anew, kept = await measure(settings, "SQLite", f"sqlite:///{tmp_path}/failover.db", 2, channels=6, sessions=3)
    assert (len(first.values), len(anew.values), len(kept.values)) == (1, 2, 2)
    assert all(value > 0 for value in (*first.values, *anew.values, *kept.values))
    assert "MB" in anew.remark
