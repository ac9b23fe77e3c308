"""`failover serve`: everything in the foreground, until SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path
from typing import IO, cast

from rich.console import Console

from failover import data_dir as stacks
from failover.log_lines import LogStream
from failover.stack import Stack
from orchestrator.app.settings import Settings

log = logging.getLogger(__name__)

CONSOLE = Console(highlight=False, stderr=True)


async def serve(settings: Settings, data_dir: Path | None, port: int | None) -> int:
    data_dir = data_dir or stacks.DEFAULT
    console = Console(file=cast("IO[str]", LogStream(log)), width=1000) if settings.log_format == "json" else CONSOLE
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with Stack(settings, data_dir, port=port if port is not None else settings.port) as stack:
        console.print(f"console    {stack.api_url}/console", soft_wrap=True)
        console.print(f"watch      {stack.api_url}/watch", soft_wrap=True)
        console.print(f"API        {stack.api_url}  (its documentation: {stack.api_url}/schema)", soft_wrap=True)
        console.print(f"admin key  in {data_dir / 'settings.json'}", soft_wrap=True)
        console.print(f"origin     {stack.settings.origin_url}", soft_wrap=True)
        console.print(f"runtime    {stack.runtime}")
        console.print(f"logs       {data_dir / 'logs'}", soft_wrap=True)
        console.print("[dim]Ctrl-C ends it[/]")
        await stop.wait()
        console.print("stopping")
    return 0
