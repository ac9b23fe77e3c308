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
from bench.imports import imports
from bench.stage import Stage, open_stage
from bench.start import start_hls, start_ts
from bench.swap import container_killed, source_refuses, source_silent, source_trickles
from bench.table import Row, markdown, show
from orchestrator import settings
from orchestrator.errors import FailoverError

Measure = Callable[[Stage, int], Awaitable[list[Row]]]

MEASURES: dict[str, Measure] = {
    "start-hls": start_hls,
    "start-ts": start_ts,
    "kill": container_killed,
    "refuse": source_refuses,
    "silent": source_silent,
    "trickle": source_trickles,
    "fleet": fleet,
    "footprint": footprint,
    "import": imports,
}

console = Console(highlight=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="How fast it is, on the real stack.")
    parser.add_argument("--runs", type=int, default=20, help="of each row (default 20)")
    parser.add_argument("--only", nargs="+", choices=MEASURES, metavar="NAME", help=", ".join(MEASURES))
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table there")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    try:
        machine, rows = asyncio.run(_measure(asked.only or list(MEASURES), asked.runs))
    except FailoverError as error:
        console.print(f"[red]{error}[/]")
        return 1
    except KeyboardInterrupt:
        return 130
    console.print(f"\n{machine}\n")
    show(console, rows)
    if asked.markdown:
        asked.markdown.write_text(markdown(rows, machine))
    return 0


async def _measure(names: list[str], runs: int) -> tuple[str, list[Row]]:
    rows: list[Row] = []
    async with open_stage(settings.read(os.environ)) as stage:
        machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {stage.runtime} runtime, {runs} runs"
        for name in names:
            started = time.monotonic()
            rows += await MEASURES[name](stage, runs)
            console.print(f"[dim]{name}: {time.monotonic() - started:.0f} s[/]")
    return machine, rows


if __name__ == "__main__":
    sys.exit(main())
