"""`failover api`, `failover orchestrator`, `failover migrate`: the services that a production deployment runs one by one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from failover import data_directory
from orchestrator.app.settings import PREFIX, Settings, derived
from orchestrator.errors import BadSetting


def _complete(settings: Settings, data_dir: Path | None) -> Settings:
    """Raises BadSetting where one is missing without which neither service can run."""
    settings = data_directory.resolve(settings, data_dir)
    for name in ("database_url", "redis_url", "s3_endpoint", "s3_access_key", "s3_secret_key", "admin_key"):
        if getattr(settings, name) is None:
            raise BadSetting(f"{PREFIX}{name.upper()}: must be set; only `failover serve` embeds what is missing")
    return derived(settings)


async def api(settings: Settings, data_dir: Path | None) -> int:
    """Runs the API until SIGINT or SIGTERM."""
    from api import serve

    await serve.run(_complete(settings, data_dir))
    return 0


async def orchestrator(settings: Settings, data_dir: Path | None) -> int:
    """Runs the orchestrator until SIGINT or SIGTERM."""
    from orchestrator.app import service

    await service.run(_complete(settings, data_dir))
    return 0


async def migrate(settings: Settings, data_dir: Path | None) -> int:
    """Brings the database's schema to the current version; does nothing where it is there already."""
    from orchestrator.migrations import upgrade

    settings = data_directory.resolve(settings, data_dir)
    assert settings.database_url is not None
    await asyncio.to_thread(upgrade, settings.database_url)
    return 0
