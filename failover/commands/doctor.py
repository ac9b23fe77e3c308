"""`failover doctor`: checks a whole deployment and prints what is wrong, with a remedy for each finding."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from failover import data_directory
from failover.backends import opened_tables
from orchestrator.adapters.redis.event_bus import RedisEventBus
from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.app.runtime import open_runtime
from orchestrator.app.settings import PREFIX, Settings, derived
from orchestrator.doctor import rules
from orchestrator.doctor.finding import Finding, Level
from orchestrator.doctor.gathering import examine
from orchestrator.errors import BadSetting

console = Console(highlight=False, soft_wrap=True)


async def doctor(settings: Settings, data_dir: Path | None, *, as_json: bool, unknown: tuple[str, ...] = ()) -> int:
    """Exit code 0: nothing is wrong; 1: something is. `unknown`: environment variables with our prefix that name no setting;
    they are reported here, while every other command refuses to start with them. Raises BadSetting where the settings do not
    name the database, Redis and the store."""
    settings = derived(data_directory.resolve(settings, data_dir))
    for name in ("database_url", "redis_url", "s3_endpoint"):
        if getattr(settings, name) is None:
            raise BadSetting(f"{PREFIX}{name.upper()}: must be set")
    assert settings.redis_url is not None
    async with contextlib.AsyncExitStack() as stack:
        tables = await stack.enter_async_context(opened_tables(settings))
        store = MinioObjectStore(settings)
        stack.push_async_callback(store.close)
        bus = RedisEventBus(settings.redis_url, settings.deployment)
        stack.push_async_callback(bus.close)
        runtime = await open_runtime(settings)
        stack.push_async_callback(runtime.close)
        facts = await examine(settings, tables=tables, bus=bus, store=store, runtime=runtime, unknown_variables=unknown)
    found = rules.findings(facts)
    if as_json:
        document = msgspec.json.encode({"healthy": rules.healthy(found), "findings": found})
        sys.stdout.write(msgspec.json.format(document).decode() + "\n")
    else:
        _show(found)
    return 0 if rules.healthy(found) else 1


def _show(found: Sequence[Finding]) -> None:
    for finding in found:
        style = "red" if finding.level is Level.WRONG else "yellow"
        console.print(f"[{style}]{finding.level.value:<5}[/] [bold]{finding.check}[/]  ", end="")
        console.print(f"{finding.line()}  →  {finding.remedy}", markup=False)
    if rules.healthy(found):
        console.print("nothing is wrong")
