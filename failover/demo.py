"""`failover demo`: a channel plays, its source dies, and nothing happens to the picture. Told from a viewer's seat.

What is printed is measured: the viewer (`lab.viewer`) reads the playlist as a player does and holds it against its laws. With
`--once` the exit code is its verdict.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from failover.play import Client, playing
from lab import Fault, LabProcess
from lab.process import RemoteSource
from lab.viewer import Swap, Viewer
from orchestrator.app.settings import Settings, replaced
from orchestrator.errors import FailoverError

console = Console(highlight=False)

_PATIENCE_S = 20.0  # for one step of the story
_RECOVERY_S = 4.0  # the demo probes failed sources more often than one would
_STEADY = 4  # segments listed in a row: it plays


class Seat:
    """Where the viewer sits: what it has seen, in words."""

    def __init__(self, client: Client, session: Any, names: dict[str, str]) -> None:
        self.client = client
        self.session = session
        self.names = names
        self.viewer = Viewer(session["playlist_url"])
        self.view: Any = session
        self.started_at = time.monotonic()
        self._told = 0

    async def follow(self) -> None:
        while True:
            await self.viewer.look()
            await asyncio.sleep(0.05)

    async def ask(self) -> None:
        while True:
            with contextlib.suppress(FailoverError):
                self.view = await self.client.call("GET", f"/v1/sessions/{self.session['id']}")
            await asyncio.sleep(0.5)

    def status(self) -> Table:
        playlist, listings, swaps = self.viewer.playlist, self.viewer.listings, self.viewer.swaps
        last = listings[-1] if listings else None
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim")
        table.add_column()
        table.add_row("phase", Text(self.view["phase"], style="green" if self.view["phase"] == "live" else "yellow"))
        table.add_row("source", self.names.get(self.view["source_id"], self.view["source_id"] or "-"))
        table.add_row("attempt", str(last.attempt if last else "-"))
        table.add_row("media sequence", str(playlist.media_sequence if playlist else "-"))
        table.add_row("segments listed", str(len(listings)))
        table.add_row("swaps", str(len(swaps)))
        table.add_row("last gap", in_words(swaps[-1]) if swaps else "-")
        faults = len(self.viewer.faults)
        table.add_row("broken laws", Text(str(faults), style="red" if faults else "green"))
        return table

    def told(self) -> list[str]:
        """One line for each swap not yet told."""
        swaps = self.viewer.swaps
        fresh, self._told = swaps[self._told :], len(swaps)
        return [f"attempt {swap.attempt} took over: {in_words(swap)}" for swap in fresh]


def in_words(swap: Swap) -> str:
    late = f"next segment {swap.late_s:.2f} s late" if swap.late_s > 0 else "next segment in time"
    if abs(swap.gap_s) < 0.05:
        return f"{late}, no programme skipped"
    return f"{late}, {abs(swap.gap_s):.2f} s of programme {'skipped' if swap.gap_s > 0 else 'repeated'}"


async def demo(settings: Settings, data_dir: Path | None, urls: Sequence[str], *, once: bool) -> int:
    settings = replaced(settings, recovery_interval_s=_RECOVERY_S)
    with contextlib.ExitStack() as stack:
        lab = None if urls else stack.enter_context(LabProcess(sources=2))
        if lab is not None:
            urls = [lab["a"].hls_url, lab["b"].hls_url]
        async with playing(settings, data_dir, "demo", "Demo", urls) as (serving, client, channel, session):
            letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
            names = {id: f"{letter} ({label})" for letter, (id, label) in zip(letters, client.names.items(), strict=False)}
            seat = Seat(client, session, names)
            console.print(f"page      {serving.api_url}/watch/{channel['slug']}", soft_wrap=True)
            console.print(f"playlist  {session['playlist_url']}", soft_wrap=True)
            console.print(f"runtime   {serving.runtime}")
            finished = await _tell(seat, lab, once=once)
            seat.viewer.close()
            return verdict(seat, finished=finished)


async def _tell(seat: Seat, lab: LabProcess | None, *, once: bool) -> bool:
    """The story, and the viewer beside it. False: Ctrl-C came before its end."""
    told = asyncio.Event()
    try:
        await _beside_the_viewer(seat, lab, told, once=once)
    except asyncio.CancelledError:
        me = asyncio.current_task()
        if once or me is None:
            raise
        me.uncancel()  # Ctrl-C is how the demo ends: tidy up, and give the verdict
    return told.is_set()


async def _beside_the_viewer(seat: Seat, lab: LabProcess | None, told: asyncio.Event, *, once: bool) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(seat.follow()), group.create_task(seat.ask()), group.create_task(show(seat, once=once))]
            try:
                await story(seat, lab, once=once)
                told.set()
                if not once:
                    say("that was the story; it goes on until Ctrl-C")
                    await asyncio.Event().wait()
            finally:
                for task in beside:
                    task.cancel()
    except* FailoverError as failures:
        raise failures.exceptions[0] from None


async def show(seat: Seat, *, once: bool) -> None:
    """A live view on a terminal; elsewhere, and for the story told once, a line per event."""
    if once or not console.is_terminal:
        while True:
            for line in seat.told():
                say(line)
            await asyncio.sleep(0.1)
    with Live(console=console, refresh_per_second=4, get_renderable=seat.status):
        while True:
            for line in seat.told():
                say(line)
            await asyncio.sleep(0.1)


async def story(seat: Seat, lab: LabProcess | None, *, once: bool) -> None:
    """Kill a source, bring it back, kill the other, kill the container's source of truth: each step awaits its proof."""
    await _until(seat, lambda: len(seat.viewer.listings) >= _STEADY, "the channel plays")
    if lab is None:
        say("the channel plays; a switch is asked for")
        await seat.client.call("POST", f"/v1/sessions/{seat.session['id']}/switch", {})
        await _until(seat, lambda: len(seat.viewer.swaps) >= 1, "the swap")
        await _plays_on(seat)
        return
    say("the channel plays from source A")
    await _hold(0.0 if once else 6.0)
    await _kill(seat, lab["a"], "A", "B", swaps=1)
    await _hold(0.0 if once else 6.0)
    lab["a"].fault = None
    say("source A is back; a probe will find it")
    await _until_recovered(seat)
    await _hold(0.0 if once else 8.0)
    await _kill(seat, lab["b"], "B", "A", swaps=2)
    lab["b"].fault = None


async def _kill(seat: Seat, source: RemoteSource, letter: str, other: str, *, swaps: int) -> None:
    say(f"[bold]source {letter} is killed[/]: it refuses every connection from now on")
    source.fault = Fault.REFUSE
    await _until(seat, lambda: len(seat.viewer.swaps) >= swaps, f"the swap to source {other}")
    await _plays_on(seat)
    say(f"the channel plays on from source {other}; same address, nothing to reload")


async def _plays_on(seat: Seat) -> None:
    count = len(seat.viewer.listings) + _STEADY
    await _until(seat, lambda: len(seat.viewer.listings) >= count, "the playlist to go on")


async def _until_recovered(seat: Seat) -> None:
    async def recovered() -> bool:
        channel = await seat.client.call("GET", f"/v1/channels/{seat.session['channel']['id']}")
        return any(source["status"] == "recovered" for source in channel["sources"])

    async with asyncio.timeout(_PATIENCE_S):
        while not await recovered():
            await asyncio.sleep(0.5)
    say("source A has been found to work again, and is a choice again")


async def _until(seat: Seat, condition: Any, what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise FailoverError(f"{what} did not come within {_PATIENCE_S:.0f} s (phase {seat.view['phase']})")
        await asyncio.sleep(0.05)


async def _hold(seconds: float) -> None:
    """Time for a human to watch; the story told once has none."""
    await asyncio.sleep(seconds)


def verdict(seat: Seat, *, finished: bool) -> int:
    """0 only if no law was broken, every segment was there, and no listing came later than a player's buffer lasts.

    A story that was told to its end must have had its swaps.
    """
    viewer = seat.viewer
    playlist = viewer.playlist
    buffer_s = 3 * playlist.target_duration_s if playlist else 0  # where a player starts: RFC 8216, 6.3.3
    late = max((listing.late_s or 0.0 for listing in viewer.listings), default=0.0)
    for fault in viewer.faults:
        console.print(f"[red]broken[/]: {fault}")
    continuous = not viewer.faults and late < buffer_s and (bool(viewer.swaps) or not finished)
    console.print(
        f"{'[green]continuous[/]' if continuous else '[red]not continuous[/]'}: {len(viewer.listings)} segments over "
        f"{len(viewer.swaps)} swaps, latest listing {late:.2f} s after it was due, {len(viewer.faults)} broken laws"
    )
    return 0 if continuous else 1


def say(line: str) -> None:
    console.print(f"[dim]{time.strftime('%H:%M:%S')}[/]  {line}", soft_wrap=True)
