"""`failover import`: a provider's playlist from a file, an address or the standard input. Writes the rows itself, so it works
while the API is down."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from failover import data_dir as stacks
from orchestrator.adapters.http.download import download
from orchestrator.adapters.sql import open_tables
from orchestrator.app import playlist_import
from orchestrator.app.playlist_import import Playlist, Report
from orchestrator.app.settings import Settings
from orchestrator.core.catalogue.imported import changed_fields, counts
from orchestrator.core.catalogue.m3u import BYTES
from orchestrator.errors import FailoverError, InvalidInput

STDIN = "-"
console = Console(highlight=False, soft_wrap=True)
_FAULTS_SHOWN = 20
_CHANGES_SHOWN = 50


async def import_playlist(settings: Settings, data_dir: Path | None, where: str, provider: str, *, dry_run: bool) -> int:
    """`where`: a file, an http(s) address, or "-" for the standard input. 1 where channels were left alone, because somebody
    was editing them."""
    settings = stacks.resolve(settings, data_dir)
    assert settings.database_url is not None
    async with contextlib.AsyncExitStack() as stack:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        bars = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
        playlist = await _read(where, bars)
        tables = open_tables(settings.database_url)
        stack.push_async_callback(tables.close)
        task = bars.add_task("channels", total=None)
        report = await playlist_import.run(
            tables,
            provider,
            playlist,
            dry_run=dry_run,
            progress=lambda done, total: bars.update(task, completed=done, total=total),
        )
    _show(report, dry_run=dry_run)
    return 1 if report.changed_meanwhile else 0


async def _read(where: str, bars: Progress) -> Playlist:
    if where.lower().startswith(("http://", "https://")):
        task = bars.add_task("fetching", total=None)
        content = await download(where)
        bars.remove_task(task)
        return await asyncio.to_thread(_parsed, BytesIO(content).readlines(), bars)
    if where == STDIN:
        return await asyncio.to_thread(lambda: _parsed(_given(sys.stdin.buffer), bars))
    return await asyncio.to_thread(lambda: _parsed(_lines(Path(where)), bars))


def _given(stream: BinaryIO) -> list[bytes]:
    """What a pipe or a redirection gives, as much of it as may be fetched from an address."""
    content = stream.read(BYTES + 1)
    if len(content) > BYTES:
        raise InvalidInput("playlist", f"more than {BYTES >> 20} MiB")
    return BytesIO(content).readlines()


def _lines(path: Path) -> list[bytes]:
    if not path.is_file():
        raise InvalidInput("playlist", f"{path} is neither a file nor an http(s) address (`-` reads the standard input)")
    try:
        with path.open("rb") as file:
            return file.readlines()
    except OSError as error:
        raise FailoverError(f"{path}: {error.strerror}") from None


def _parsed(lines: list[bytes], bars: Progress) -> Playlist:
    task = bars.add_task("lines", total=len(lines))

    def told() -> Iterator[bytes]:
        for number, line in enumerate(lines):
            if number % 1000 == 0:
                bars.update(task, completed=number)
            yield line

    playlist = playlist_import.read(told())
    bars.update(task, completed=len(lines))
    return playlist


def _show(report: Report, *, dry_run: bool) -> None:
    for fault in report.faults[:_FAULTS_SHOWN]:
        console.print(f"line {fault.line}: {fault.reason}", style="yellow", markup=False)
    if report.fault_count > _FAULTS_SHOWN:
        console.print(f"... and {report.fault_count - _FAULTS_SHOWN} more lines", style="yellow")
    if dry_run:
        for plan in report.channels[:_CHANGES_SHOWN]:
            fields = changed_fields(plan.before.fields, plan.fields) if plan.before else []
            of_sources = counts([plan])
            words = [
                f"{count} {what.replace('_', ' ')}"
                for what in of_sources.__struct_fields__
                if what.startswith("sources") and (count := getattr(of_sources, what))
            ]
            sign = "~" if plan.before else "+"
            console.print(f"{sign} {plan.slug}  {', '.join([*fields, *words])}", markup=False)
        if len(report.channels) > _CHANGES_SHOWN:
            console.print(f"... and {len(report.channels) - _CHANGES_SHOWN} more channels")
    total = report.counts
    new = " (new)" if report.provider_is_new else ""
    console.print(
        f"{report.provider}{new}: {report.entries} entries, {report.duplicates} twice, {report.fault_count} reported",
        markup=False,
    )
    console.print(
        f"channels  {total.channels_added} added, {total.channels_updated} updated, {total.channels_enabled} enabled, "
        f"{total.channels_disabled} disabled"
    )
    console.print(
        f"sources   {total.sources_added} added, {total.sources_updated} updated, {total.sources_enabled} enabled, "
        f"{total.sources_disabled} disabled"
    )
    if report.changed_meanwhile:
        console.print(
            f"{report.changed_meanwhile} channels were being edited and were left alone: import again", style="yellow"
        )
    if dry_run:
        console.print("nothing was written: this was a dry run", style="bold")
