"""`failover doctor`, `failover drain`, `failover sessions roll`: what an operator does with a whole deployment.

They work on the rows, so they work while the API is down.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from failover import data_dir as stacks
from failover.sessions import console, opened_bus, opened_tables, somebody_is_there
from orchestrator.adapters.redis.event_bus import RedisEventBus
from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.app.runtime import open_runtime
from orchestrator.app.settings import PREFIX, Settings, derived
from orchestrator.control import roll as rolling
from orchestrator.control.roll import Outcome
from orchestrator.core.reading.event_payload import timestamp
from orchestrator.doctor import rules as judge
from orchestrator.doctor.examination import examine
from orchestrator.doctor.findings import Finding, Level
from orchestrator.errors import BadSetting, BusUnavailable


async def doctor(settings: Settings, data_dir: Path | None, *, as_json: bool, unknown: tuple[str, ...] = ()) -> int:
    """0: nothing is wrong. `unknown`: variables that were taken out of the environment, for nothing starts with them."""
    settings = derived(stacks.resolve(settings, data_dir))
    for name in ("database_url", "redis_url", "s3_endpoint"):
        if getattr(settings, name) is None:
            raise BadSetting(f"{PREFIX}{name.upper()}: must be set")
    assert settings.redis_url is not None
    async with contextlib.AsyncExitStack() as stack:
        tables = await stack.enter_async_context(opened_tables(settings))
        store = MinioObjectStore(settings)
        stack.push_async_callback(store.close)
        bus = RedisEventBus(settings.redis_url, settings.deployment)
        stack.push_async_callback(bus.close)
        runtime = await open_runtime(settings)
        stack.push_async_callback(runtime.close)
        facts = await examine(settings, tables=tables, bus=bus, store=store, runtime=runtime, unknown_variables=unknown)
    found = judge.findings(facts)
    if as_json:
        document = msgspec.json.encode({"healthy": judge.healthy(found), "findings": found})
        sys.stdout.write(msgspec.json.format(document).decode() + "\n")
    else:
        _show(found)
    return 0 if judge.healthy(found) else 1


def _show(found: Sequence[Finding]) -> None:
    for finding in found:
        style = "red" if finding.level is Level.WRONG else "yellow"
        console.print(f"[{style}]{finding.level.value:<5}[/] [bold]{finding.check}[/]  ", end="")
        console.print(f"{finding.line()}  →  {finding.remedy}", markup=False, soft_wrap=True)
    if judge.healthy(found):
        console.print("nothing is wrong")


async def drain(settings: Settings, data_dir: Path | None, wanted: str) -> int:
    settings = stacks.resolve(settings, data_dir)
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


async def roll(settings: Settings, data_dir: Path | None, at_once: int) -> int:
    """0: every session was rolled, or had no need."""
    settings = stacks.resolve(settings, data_dir)
    async with opened_tables(settings) as tables, opened_bus(settings) as bus:
        await somebody_is_there(tables, "the swaps are its work")

        async def nudge(session_id: str) -> None:
            if bus is not None:
                with contextlib.suppress(BusUnavailable):  # the resync finds the row
                    await bus.nudge(session_id)

        chosen = await rolling.to_roll(tables.sessions)
        counts = dict.fromkeys(Outcome, 0)
        with _progress() as progress:
            task = progress.add_task("rolling", total=len(chosen))
            # An attempt's own limit, its neighbours' starts, and what a loaded engine takes for both
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
    console.print("; ".join(words), soft_wrap=True)
    return 1 if counts[Outcome.FAILED] or left else 0


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not sys.stdout.isatty(), transient=True)
