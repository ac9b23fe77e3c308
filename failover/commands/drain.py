"""`failover drain on|off|status`: while a deployment drains, no new session starts and running sessions go on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from rich.console import Console

from failover import data_directory
from failover.backends import opened_tables
from orchestrator.app.settings import Settings
from orchestrator.core.presentation.event_payload import timestamp

console = Console(highlight=False, soft_wrap=True)


async def drain(settings: Settings, data_dir: Path | None, wanted: Literal["on", "off", "status"]) -> int:
    """Switch draining on or off, then print whether it is on and how many sessions run."""
    settings = data_directory.resolve(settings, data_dir)
    async with opened_tables(settings) as tables:
        if wanted != "status":
            await tables.operation.drain(time.time() if wanted == "on" else None)
        since = await tables.operation.draining_since()
        left = len(await tables.sessions.unended())
    if since is None:
        console.print(f"not draining: new sessions start; {left} run")
    else:
        console.print(f"draining since {timestamp(since)}: no new session starts; {left} run")
    return 0
