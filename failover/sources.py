"""`failover sources`: what the orchestrator does by itself every two minutes, by hand."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from rich.console import Console

from failover import data_dir as stacks
from orchestrator.adapters.ffprobe import FfprobeProber
from orchestrator.adapters.tables import open_tables
from orchestrator.core.model import Source
from orchestrator.errors import NotFound
from orchestrator.settings import Settings

console = Console(highlight=False)


async def probe(settings: Settings, url: str) -> int:
    """Exit code 0: it works."""
    prober = FfprobeProber(settings)
    try:
        result = await prober.probe(Source(id="-", channel_id="-", url=url))
    finally:
        await prober.close()
    if result.media is None:
        console.print(f"[red]does not work[/]: {result.reason}")
        return 1
    media = result.media
    size = f" {media.width}x{media.height}" if media.width else ""
    rate = f", {media.bitrate_bps / 1e6:.2f} Mbit/s" if media.bitrate_bps else ""
    channels = f" {media.channels} ch" if media.channels else ""
    console.print(f"[green]works[/]: video {media.video or 'none'}{size}, audio {media.audio or 'none'}{channels}{rate}")
    return 0


async def recover(settings: Settings, data_dir: Path | None) -> int:
    """Probe every problematic source; the orchestrator sees the rows change."""
    settings = stacks.resolve(settings, data_dir)
    assert settings.database_url is not None
    async with contextlib.AsyncExitStack() as stack:
        tables = open_tables(settings.database_url)
        stack.push_async_callback(tables.close)
        prober = FfprobeProber(settings)
        stack.push_async_callback(prober.close)

        async def again(source: Source) -> None:
            result = await prober.probe(source)
            with contextlib.suppress(NotFound):
                await tables.catalogue.record_probe(source.id, result, time.time())
            verdict = "[green]recovered[/]" if result.media else f"[red]still problematic[/]: {result.reason}"
            console.print(f"{source.id}  {verdict}")

        problematic = await tables.catalogue.problematic_sources()
        await asyncio.gather(*(again(source) for source in problematic))
        if not problematic:
            console.print("no source is problematic")
    return 0
