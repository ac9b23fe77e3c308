"""`failover serve`: runs a local deployment in the foreground until SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path
from typing import IO, cast

from rich.console import Console

from failover import data_directory
from failover.local_deployment import LocalDeployment
from failover.log_lines import LogStream
from orchestrator.app.settings import Settings

log = logging.getLogger(__name__)

_STANDARD_ERROR = Console(highlight=False, stderr=True, soft_wrap=True)


async def serve(settings: Settings, data_dir: Path | None, port: int | None) -> int:
    """Print where everything is, then wait. With JSON log lines this text is logged, so that standard error stays JSON only."""
    data_dir = data_dir or data_directory.DEFAULT
    as_json = settings.log_format == "json"
    console = Console(file=cast("IO[str]", LogStream(log)), soft_wrap=True) if as_json else _STANDARD_ERROR
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    port = port if port is not None else settings.port
    async with LocalDeployment(settings, data_dir, port=port) as deployment:
        console.print(f"console    {deployment.api_url}/console")
        console.print(f"watch      {deployment.api_url}/watch")
        console.print(f"API        {deployment.api_url}  (its documentation: {deployment.api_url}/schema)")
        console.print(f"admin key  in {data_dir / 'settings.json'}")
        console.print(f"origin     {deployment.settings.origin_url}")
        console.print(f"runtime    {deployment.runtime}")
        console.print(f"logs       {data_dir / 'logs'}")
        console.print("[dim]Ctrl-C ends it[/]")
        await stop.wait()
        console.print("stopping")
    return 0
