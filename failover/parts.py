"""The parts that production runs one by one: the API, the orchestrator, the migrations."""

from __future__ import annotations

from pathlib import Path

from failover import data_dir as stacks
from orchestrator.app.settings import PREFIX, Settings, derived
from orchestrator.errors import BadSetting


def _complete(settings: Settings, data_dir: Path | None) -> Settings:
    settings = stacks.resolve(settings, data_dir)
    for name in ("database_url", "redis_url", "s3_endpoint", "s3_access_key", "s3_secret_key", "admin_key"):
        if getattr(settings, name) is None:
            raise BadSetting(f"{PREFIX}{name.upper()}: must be set; only `failover serve` embeds what is missing")
    return derived(settings)


async def api(settings: Settings, data_dir: Path | None) -> int:
    from api import serve

    await serve.run(_complete(settings, data_dir))
    return 0


async def orchestrator(settings: Settings, data_dir: Path | None) -> int:
    from orchestrator.app import service

    await service.run(_complete(settings, data_dir))
    return 0


async def migrate(settings: Settings, data_dir: Path | None) -> int:
    import asyncio

    from orchestrator.migrations import upgrade

    settings = stacks.resolve(settings, data_dir)
    assert settings.database_url is not None
    await asyncio.to_thread(upgrade, settings.database_url)
    return 0
