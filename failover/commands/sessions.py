"""`failover sessions list|show|logs|switch|stop`: shows and steers sessions.

It reads and writes the rows, so it works while the API is down.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from failover import data_directory
from failover.backends import nudge, opened_bus, opened_tables, require_orchestrator
from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.app.runtime import open_runtime
from orchestrator.app.settings import Settings
from orchestrator.control import switch_request
from orchestrator.core.model import EndReason, Phase
from orchestrator.core.presentation.event_payload import playlist_url, timestamp
from orchestrator.errors import FailoverError, NotFound

_ALL_ENDED_S = 60.0
_ENDED_S = 30.0
_POLL_S = 0.25

# Wide where the output is piped, so that no id is folded over two lines.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 250)


def _age(at: float | None) -> str:
    if at is None:
        return "-"
    seconds = max(0, round(time.time() - at))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


async def show_all(settings: Settings, data_dir: Path | None, *, ended_too: bool) -> int:
    """Print one line per session, newest first."""
    settings = data_directory.resolve(settings, data_dir)
    async with opened_tables(settings) as tables:
        rows = await tables.sessions.recent(limit=1000)
        shown = [row.session for row in rows if ended_too or row.session.phase is not Phase.ENDED]
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("session", "channel", "phase", "attempt", "source", "age", "why"):
            table.add_column(column, overflow="fold")
        for session in shown:
            attempt = session.attempt
            table.add_row(
                session.id,
                session.channel_id,
                session.phase.value,
                str(attempt.number if attempt else session.last_attempt),
                attempt.source_id if attempt else "-",
                _age(session.created_at),
                escape(session.end_reason or (session.why.text if session.why else "-")),  # a provider's name may stand there
            )
        console.print(table if shown else "no session")
    return 0


async def show(settings: Settings, data_dir: Path | None, session_id: str) -> int:
    """Print one session with its attempts and events. Raises NotFound."""
    settings = data_directory.resolve(settings, data_dir)
    async with opened_tables(settings) as tables:
        session = (await tables.sessions.get(session_id)).session
        console.print(f"{session.id}  channel {session.channel_id}  viewer {session.viewer}  [bold]{session.phase.value}[/]")
        console.print(f"playlist  {playlist_url(settings.origin_url or '', session.id)}", soft_wrap=True)
        table = Table(box=None, pad_edge=False, header_style="dim", title="attempts", title_justify="left")
        for column in ("#", "source", "started", "first segment after", "ended", "exit", "why started", "why ended"):
            table.add_column(column, overflow="fold")
        for row in await tables.sessions.attempts(session_id):
            table.add_row(
                str(row.number),
                row.source_id or "-",
                timestamp(row.started_at),
                f"{row.first_segment_at - row.started_at:.2f} s" if row.first_segment_at else "-",
                timestamp(row.ended_at) if row.ended_at else "-",
                "-" if row.exit_code is None else str(row.exit_code),
                escape(row.start_reason or "-"),
                escape(row.end_reason or "-"),
            )
        console.print(table)
        console.print("[dim]events[/]")
        for event in await tables.sessions.events(session_id):
            fields = "  ".join(f"{name}={value}" for name, value in event.fields.items())
            console.print(f"{event.id:>4}  {timestamp(event.at)}  {event.type.value:<20} {escape(fields)}", soft_wrap=True)
    return 0


async def logs(settings: Settings, data_dir: Path | None, session_id: str, attempt: int | None) -> int:
    """Print the agent's log of this attempt, or of the last one. Raises NotFound."""
    settings = data_directory.resolve(settings, data_dir)
    async with opened_tables(settings) as tables:
        session = (await tables.sessions.get(session_id)).session
    number = attempt if attempt is not None else session.last_attempt
    store = MinioObjectStore(settings)
    try:
        text = await store.read_log(session_id, number)
    finally:
        await store.close()
    if text is None:
        raise NotFound(f"attempt {number} of {session_id} has left no log yet (it is written when an attempt ends)")
    print(text, end="")
    return 0


async def switch(settings: Settings, data_dir: Path | None, session_id: str, source_id: str | None) -> int:
    """Request a switch to this source (None: the next one) and wait until the orchestrator has answered it.

    Raises NotFound, InvalidInput and NoConnectionLeft as the API does, and FailoverError with the reason where the switch was
    refused or no orchestrator runs."""
    settings = data_directory.resolve(settings, data_dir)
    async with opened_tables(settings) as tables, opened_bus(settings) as bus:
        session = (await tables.sessions.get(session_id)).session
        if switch_request.is_over(session):
            raise FailoverError(f"{session_id} has ended: {session.end_reason or 'it was stopped'}")
        if source_id is not None:
            await switch_request.check(tables, session, source_id)
        await require_orchestrator(tables, "the swap is its work")
        after = await switch_request.last_event(tables.sessions, session_id)
        await tables.sessions.switch(session_id, source_id)
        await nudge(bus, session_id)
        # An attempt's own limit, that of a start which is under way before it, and the delay of a loaded engine
        answer = await switch_request.answered(tables.sessions, session_id, after, 2 * settings.start_limit_s + 30.0)
    if answer.refusal is not None:
        raise FailoverError(f"refused: {answer.refusal}; what plays plays on")
    console.print(f"{session_id} plays {answer.source_id}, attempt {answer.attempt}", soft_wrap=True)
    return 0


async def stop(settings: Settings, data_dir: Path | None, session_id: str) -> int:
    """Request the session's end and wait for it. Raises FailoverError where no orchestrator runs or the session does not end in
    time; the request stays in the row and is carried out later."""
    settings = data_directory.resolve(settings, data_dir)
    async with opened_tables(settings) as tables, opened_bus(settings) as bus:
        await tables.sessions.stop(session_id, EndReason.OPERATOR)
        await nudge(bus, session_id)
        deadline = time.monotonic() + _ENDED_S
        while (session := (await tables.sessions.get(session_id)).session).phase is not Phase.ENDED:
            await require_orchestrator(tables, "it is asked to stop, which is an orchestrator's work")
            if time.monotonic() > deadline:
                raise FailoverError(f"{session_id} has not ended within {_ENDED_S:.0f} s: it is asked to")
            await asyncio.sleep(_POLL_S)
    console.print(f"{session_id} has ended: {session.end_reason}", soft_wrap=True)
    return 0


async def stop_all(settings: Settings, data_dir: Path | None) -> int:
    """Request the end of every session and wait until none of their containers runs. Exit code 1: some still run after the
    time limit, for instance because no orchestrator runs."""
    settings = data_directory.resolve(settings, data_dir)
    deadline = time.monotonic() + _ALL_ENDED_S
    asked: set[str] = set()
    async with contextlib.AsyncExitStack() as stack:
        tables = await stack.enter_async_context(opened_tables(settings))
        bus = await stack.enter_async_context(opened_bus(settings))
        runtime = await open_runtime(settings)
        stack.push_async_callback(runtime.close)
        while True:
            unended = {session.id for session in await tables.sessions.unended()}
            for session_id in unended - asked:
                await tables.sessions.stop(session_id, EndReason.OPERATOR)
                await nudge(bus, session_id)
            asked |= unended
            left = unended | {container.session_id for container in await runtime.containers()}
            if not left or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.5)
    console.print(f"ended: {len(asked - left)}" + (f", still running: {', '.join(sorted(left))}" if left else ""))
    return 1 if left else 0
