"""`python -m bench`: every row, or those that are named."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console

from bench.fleet import fleet
from bench.footprint import footprint
from bench.mass import mass
from bench.overview import overview
from bench.playlist_imports import imports
from bench.rebuffering import rebuffering
from bench.requests import requests
from bench.sessions import sessions
from bench.stage import Stage, open_stage
from bench.start import start_hls, start_ts
from bench.swap import container_killed, source_refuses, source_silent, source_trickles
from bench.table import Row, markdown, show
from orchestrator.app import settings
from orchestrator.errors import FailoverError

Measure = Callable[[Stage, int], Awaitable[list[Row]]]

MEASURES: dict[str, Measure] = {
    "start-hls": start_hls,
    "start-ts": start_ts,
    "kill": container_killed,
    "refuse": source_refuses,
    "silent": source_silent,
    "trickle": source_trickles,
    "rebuffering": rebuffering,
    "fleet": fleet,
    "mass": mass,
    "footprint": footprint,
    "import": imports,
    "sessions-1000": sessions,
    "requests": requests,
    "overview": overview,
}

console = Console(highlight=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="How fast it is, on the real stack.")
    parser.add_argument("--runs", type=int, default=20, help="of each row (default 20)")
    parser.add_argument("--only", nargs="+", choices=MEASURES, metavar="NAME", help=", ".join(MEASURES))
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table there")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    rows: list[Row] = []
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before"
    try:
        runtime = asyncio.run(_measure(asked.only or list(MEASURES), asked.runs, rows))
    except KeyboardInterrupt:
        return 130
    except FailoverError as error:
        console.print(f"[red]{error}[/]")
        return 1
    finally:  # what has been measured is worth showing, whatever came then
        show(console, rows)
    if asked.markdown:
        asked.markdown.write_text(markdown(rows, f"{machine}; {runtime} runtime; {asked.runs} runs of each."))
    return 0


async def _measure(names: list[str], runs: int, rows: list[Row]) -> str:
    """Adds each row as it is measured; gives the runtime's name."""
    async with open_stage(settings.read(os.environ)) as stage:
        for name in names:
            started = time.monotonic()
            rows += await MEASURES[name](stage, runs)
            console.print(f"[dim]{name}: {time.monotonic() - started:.0f} s[/]")
        return stage.runtime


if __name__ == "__main__":
    sys.exit(main())
