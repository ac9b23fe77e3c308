"""`failover sources probe|recover`: probes an address from here, or has the orchestrator probe all problematic sources now.

Only the orchestrator probes a deployment's sources, because it counts the connections that each provider allows.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from failover import data_directory
from failover.backends import nudge, opened_bus, opened_tables, require_orchestrator
from orchestrator.adapters.ffmpeg.ffprobe import FfprobeProber
from orchestrator.app.settings import Settings
from orchestrator.core.model import Source, SourceStatus
from orchestrator.ports import PROBES, ProbeAnswer

_POLL_S = 0.25

console = Console(highlight=False)


async def probe(settings: Settings, url: str) -> int:
    """Probe any address from this machine. Exit code 0: it works; 1: it does not work, or the probe has no result."""
    prober = FfprobeProber(settings)
    try:
        result = await prober.probe(Source(id="-", channel_id="-", url=url))
    finally:
        await prober.close()
    if not result.verdict:
        console.print(f"[yellow]cannot be told[/]: {result.reason}")
        return 1
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
    """Have every problematic source probed and print each answer as it arrives. Exit code 1: at least one could not be probed.
    Raises FailoverError where no orchestrator runs."""
    settings = data_directory.resolve(settings, data_dir)
    async with opened_tables(settings) as tables, opened_bus(settings) as bus:
        await require_orchestrator(tables, "probes are its work")
        waiting = {source.id for source in await tables.catalogue.problematic_sources()}
        if not waiting:
            console.print("no source is problematic")
        await tables.probes.ask(waiting, time.time())
        await nudge(bus, PROBES)
        refused = False
        while True:
            answers = await tables.probes.answers(waiting)
            for source_id, answer in answers.items():
                if answer is not None:
                    console.print(f"{source_id}  {_verdict(answer)}", soft_wrap=True)
                    refused = refused or answer.refused is not None
            waiting = {source_id for source_id, answer in answers.items() if answer is None}
            if not waiting:
                return 1 if refused else 0
            await asyncio.sleep(_POLL_S)
            await require_orchestrator(tables, "probes are its work")


def _verdict(answer: ProbeAnswer) -> str:
    if answer.refused is not None:
        return f"[yellow]not probed[/]: {escape(answer.refused)}"
    if answer.source.status is SourceStatus.PROBLEMATIC:
        return f"[red]still problematic[/]: {escape(answer.source.last_failure_reason or '')}"
    return "[green]recovered[/]"
