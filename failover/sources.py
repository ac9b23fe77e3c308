"""`failover sources`: what the orchestrator does by itself every two minutes, by hand.

A source of the deployment is probed by the orchestrator alone, who counts its provider's connections: here it is asked to.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from failover import data_dir as stacks
from failover.sessions import opened_bus, opened_tables, somebody_is_there
from orchestrator.adapters.ffmpeg.ffprobe import FfprobeProber
from orchestrator.app.settings import Settings
from orchestrator.core.model import Source, SourceStatus
from orchestrator.errors import BusUnavailable
from orchestrator.ports import PROBES, ProbeAnswer

_LOOK_S = 0.25

console = Console(highlight=False)


async def probe(settings: Settings, url: str) -> int:
    """Of any address, from here. Exit code 0: it works; 1: it does not, or the probe cannot tell."""
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
    """Every problematic source is probed, and each answer printed as it comes. 1 where one could not be probed. FailoverError
    where no orchestrator runs."""
    settings = stacks.resolve(settings, data_dir)
    async with opened_tables(settings) as tables, opened_bus(settings) as bus:
        await somebody_is_there(tables, "probes are its work")
        waiting = {source.id for source in await tables.catalogue.problematic_sources()}
        if not waiting:
            console.print("no source is problematic")
        await tables.probes.ask(waiting, time.time())
        if bus is not None:
            with contextlib.suppress(BusUnavailable):  # the orchestrator finds the rows
                await bus.nudge(PROBES)
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
            await asyncio.sleep(_LOOK_S)
            await somebody_is_there(tables, "probes are its work")


def _verdict(answer: ProbeAnswer) -> str:
    if answer.refused is not None:
        return f"[yellow]not probed[/]: {escape(answer.refused)}"
    if answer.source.status is SourceStatus.PROBLEMATIC:
        return f"[red]still problematic[/]: {escape(answer.source.last_failure_reason or '')}"
    return "[green]recovered[/]"
