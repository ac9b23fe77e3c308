"""Opens for one command the database and the event bus of a running deployment.

Commands read and write the rows themselves, so they work while the API is down.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator

from orchestrator.adapters.redis.event_bus import RedisEventBus
from orchestrator.adapters.sql import SqlTables, open_tables
from orchestrator.app.settings import Settings
from orchestrator.control.presence import absence
from orchestrator.errors import BusUnavailable, FailoverError


@contextlib.asynccontextmanager
async def opened_tables(settings: Settings) -> AsyncIterator[SqlTables]:
    assert settings.database_url is not None
    tables = open_tables(settings.database_url)
    try:
        yield tables
    finally:
        await tables.close()


@contextlib.asynccontextmanager
async def opened_bus(settings: Settings) -> AsyncIterator[RedisEventBus | None]:
    """None where the settings name no Redis: it carries hints only, and without them the orchestrator finds the rows a moment
    later."""
    if settings.redis_url is None:
        yield None
        return
    bus = RedisEventBus(settings.redis_url, settings.deployment)
    try:
        yield bus
    finally:
        await bus.close()


async def nudge(bus: RedisEventBus | None, subject: str) -> None:
    """Tell the orchestrator that rows about `subject` (a session's id or `ports.PROBES`) have changed. Never fails: without
    this hint it finds them at its next resync."""
    if bus is not None:
        with contextlib.suppress(BusUnavailable):
            await bus.nudge(subject)


async def require_orchestrator(tables: SqlTables, why: str) -> None:
    """Raises FailoverError where no orchestrator runs; `why` says what one is needed for."""
    absent = absence(await tables.operation.orchestrators(), time.time())
    if absent is not None:
        raise FailoverError(f"{absent}, and {why}: `failover doctor` says more")
