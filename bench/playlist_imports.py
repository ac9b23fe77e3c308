"""How long an import of a provider's playlist takes, and what memory: `failover import` as a process of its own, on a database
of its own. First everything is new; then every address changes, as it does with an account's password."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.stage import Stage
from bench.table import Goal, Row
from orchestrator.core.catalogue.m3u import Entry, render
from orchestrator.errors import FailoverError
from orchestrator.migrations import upgrade

ENTRIES = 20_000
_QUALITIES = ("HD", "FHD", "4K", "SD", "Backup")  # of one channel: a fifth as many channels as entries


async def imports(stage: Stage, runs: int) -> list[Row]:
    return await measure(runs)


async def measure(runs: int, entries: int = ENTRIES) -> list[Row]:
    first: list[float] = []
    again: list[float] = []
    memory: list[float] = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(prefix="bench-imports-") as directory:
            database = f"sqlite:///{directory}/failover.db"
            await asyncio.to_thread(upgrade, database)
            for password, seconds in (("one", first), ("two", again)):
                playlist = Path(directory) / f"{password}.m3u"
                playlist.write_text("\n".join(render(_entries(entries, password))))
                took_s, peak_mb = await asyncio.to_thread(_import, database, playlist)
                seconds.append(took_s)
                memory.append(peak_mb)
    return [
        Row("import", f"import of {entries} entries, all new", "s", Goal(worst=15.0), first),
        Row("import-again", f"import of {entries} entries, every address changed", "s", Goal(worst=15.0), again),
        Row("import-memory", f"memory of an import of {entries} entries, at its peak", "MB", Goal(worst=300.0), memory),
    ]


# The peak is the process's own: what a parent reads off a child's end (`ru_maxrss`) has the parent's own size in it.
_MEASURED = """
import re, runpy, sys
where = sys.argv.pop(1)
try:
    runpy.run_module("failover", run_name="__main__", alter_sys=True)
finally:
    with open("/proc/self/status") as status, open(where, "w") as peak:
        peak.write(re.search(r"VmHWM:\\s*(\\d+)", status.read())[1])
"""


def _import(database: str, playlist: Path) -> tuple[float, float]:
    """Seconds from the start of the process to its end; megabytes resident, at most. Raises FailoverError."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FAILOVER_")}
    peak = playlist.with_suffix(".peak")
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(peak), "import", str(playlist), "--provider", "bench"],
        env=environ | {"FAILOVER_DATABASE_URL": database},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    took_s = time.monotonic() - started
    if done.returncode != 0:
        raise FailoverError(f"the import has ended with {done.returncode}")
    return took_s, int(peak.read_text()) / 1000


def _entries(count: int, password: str) -> Iterator[Entry]:
    for number in range(count):
        channel, quality = divmod(number, len(_QUALITIES))
        yield Entry(
            name=f"UK: Channel {channel} {_QUALITIES[quality]}",
            url=f"http://provider.test:8080/live/account/{password}/{number}.ts",
            tvg_id=f"channel{channel}.uk" if channel % 2 else None,
            tvg_name=f"Channel {channel}",
            logo=f"http://provider.test/logos/{channel}.png",
            number=channel,
            group=f"Group {channel % 40}",
            user_agent="Player/1.0",
        )
