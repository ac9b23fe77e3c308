"""`failover sessions roll`: gives every live session a new attempt (and so the current transcoder image), a few at a time."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from failover import backends, data_directory
from failover.backends import opened_bus, opened_tables, require_orchestrator
from orchestrator.app.settings import Settings
from orchestrator.control import roll as rolling
from orchestrator.control.roll import Outcome

console = Console(highlight=False, soft_wrap=True)


async def roll(settings: Settings, data_dir: Path | None, at_once: int) -> int:
    """`at_once` sessions at a time. Exit code 0: every session was rolled or did not need it; 1: at least one failed, or was
    left alone because too many before it had failed. Raises FailoverError where no orchestrator runs."""
    settings = data_directory.resolve(settings, data_dir)
    async with opened_tables(settings) as tables, opened_bus(settings) as bus:
        await require_orchestrator(tables, "the swaps are its work")

        async def nudge(session_id: str) -> None:
            await backends.nudge(bus, session_id)

        chosen = await rolling.to_roll(tables.sessions)
        counts = dict.fromkeys(Outcome, 0)
        with _progress() as progress:
            task = progress.add_task("rolling", total=len(chosen))
            # An attempt's own limit, that of a start which is under way before it, and the delay of a loaded engine
            limit_s = 2 * settings.start_limit_s + 30.0
            async for rolled in rolling.roll(tables.sessions, chosen, nudge, at_once=at_once, limit_s=limit_s):
                counts[rolled.outcome] += 1
                progress.advance(task)
                if rolled.outcome is not Outcome.ROLLED:
                    progress.console.print(f"{rolled.session_id}  {rolled.outcome.value}: {rolled.reason}", markup=False)
    left = len(chosen) - sum(counts.values())
    words = [f"{counts[Outcome.ROLLED]} of {len(chosen)} sessions rolled"]
    words += [f"{counts[outcome]} {outcome.value}" for outcome in (Outcome.FAILED, Outcome.PASSED) if counts[outcome]]
    if left:
        words.append(f"{left} left alone, because {at_once} in a row have failed: they play on as they are")
    console.print("; ".join(words))
    return 1 if counts[Outcome.FAILED] or left else 0


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not sys.stdout.isatty(), transient=True)
