"""`failover demo`: plays a channel, makes its sources fail, and measures what a viewer notices.

Rule: everything it prints is measured. A viewer (`lab.viewer`) reads the playlist as a player does and checks it against the
rules of a playlist; with `--once` the exit code is the viewer's result.

The sources and the viewer are in `lab`, which is part of the repository and not of the installed package; see `failover.cli`.
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

from failover.api_client import ApiClient
from failover.commands.play import playing
from lab import LabFault, LabProcess
from lab.lab_process import RemoteSource
from lab.viewer import Swap, Viewer, lateness_s
from orchestrator.app.settings import Settings, replaced
from orchestrator.errors import FailoverError

console = Console(highlight=False, soft_wrap=True)

_STEP_LIMIT_S = 20.0
_REPROBE_S = 4.0  # failed sources are probed more often than in production, so that the story is short
_STEADY = 4  # after so many segments in a row the channel is said to play


class ObservedSession:
    """The demo's session as a viewer and a client of the API see it."""

    def __init__(self, client: ApiClient, session: Any, names: dict[str, str]) -> None:
        self.client = client
        self.session = session
        self.names = names
        self.viewer = Viewer(session["playlist_url"])
        self.view: Any = session
        self.started_at = time.monotonic()
        self._told = 0

    async def follow(self) -> None:
        """Read the playlist every 50 ms, until cancelled."""
        while True:
            await self.viewer.look()
            await asyncio.sleep(0.05)

    async def ask(self) -> None:
        """Read the session from the API twice a second, until cancelled."""
        while True:
            with contextlib.suppress(FailoverError):
                self.view = await self.client.call("GET", f"/v1/sessions/{self.session['id']}")
            await asyncio.sleep(0.5)

    def status(self) -> Table:
        """The present state, for the live view."""
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
        table.add_row("broken rules", Text(str(faults), style="red" if faults else "green"))
        return table

    def told(self) -> list[str]:
        """One line for each swap since the last call."""
        swaps = self.viewer.swaps
        fresh, self._told = swaps[self._told :], len(swaps)
        return [f"attempt {swap.attempt} took over: {in_words(swap)}" for swap in fresh]


def in_words(swap: Swap) -> str:
    """How late the first segment after the swap came, and how much of the programme was skipped or repeated."""
    late = f"next segment {swap.late_s:.2f} s late" if swap.late_s > 0 else "next segment in time"
    if abs(swap.gap_s) < 0.05:
        return f"{late}, no programme skipped"
    return f"{late}, {abs(swap.gap_s):.2f} s of programme {'skipped' if swap.gap_s > 0 else 'repeated'}"


async def demo(settings: Settings, data_dir: Path | None, urls: Sequence[str], *, once: bool) -> int:
    """Plays the demo, once or with pauses for a person and until Ctrl-C. Returns the exit code (`exit_code_of`). `urls`: real
    sources instead of the synthetic ones."""
    settings = replaced(settings, reprobe_interval_s=_REPROBE_S)
    with contextlib.ExitStack() as stack:
        lab = None if urls else stack.enter_context(LabProcess(sources=2))
        if lab is not None:
            urls = [lab["a"].hls_url, lab["b"].hls_url]
        async with playing(settings, data_dir, "demo", "Demo", urls) as (deployment, client, channel, session):
            letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
            names = {id: f"{letter} ({label})" for letter, (id, label) in zip(letters, client.names.items(), strict=False)}
            observed = ObservedSession(client, session, names)
            console.print(f"page      {deployment.api_url}/watch/{channel['slug']}")
            console.print(f"playlist  {session['playlist_url']}")
            console.print(f"runtime   {deployment.runtime}")
            finished = await _tell(observed, lab, once=once)
            observed.viewer.close()
            return exit_code_of(observed, finished=finished)


async def _tell(observed: ObservedSession, lab: LabProcess | None, *, once: bool) -> bool:
    """Run the story while the viewer watches. False: Ctrl-C ended it early."""
    told = asyncio.Event()
    try:
        await _beside_the_viewer(observed, lab, told, once=once)
    except asyncio.CancelledError:
        me = asyncio.current_task()
        if once or me is None:
            raise
        me.uncancel()  # Ctrl-C is the normal end of the demo: leave the contexts in order and give the exit code
    return told.is_set()


async def _beside_the_viewer(observed: ObservedSession, lab: LabProcess | None, told: asyncio.Event, *, once: bool) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(observed.follow()),
                group.create_task(observed.ask()),
                group.create_task(show(observed, once=once)),
            ]
            try:
                await story(observed, lab, once=once)
                told.set()
                if not once:
                    say("that was the story; it goes on until Ctrl-C")
                    await asyncio.Event().wait()
            finally:
                for task in beside:
                    task.cancel()
    except* FailoverError as failures:
        raise failures.exceptions[0] from None


async def show(observed: ObservedSession, *, once: bool) -> None:
    """A live view on a terminal; a line per swap elsewhere and with `--once`. Until cancelled."""
    if once or not console.is_terminal:
        while True:
            for line in observed.told():
                say(line)
            await asyncio.sleep(0.1)
    with Live(console=console, refresh_per_second=4, get_renderable=observed.status):
        while True:
            for line in observed.told():
                say(line)
            await asyncio.sleep(0.1)


async def story(observed: ObservedSession, lab: LabProcess | None, *, once: bool) -> None:
    """Stop source A, bring it back, stop source B; each step waits until its effect has been observed."""
    await _until(observed, lambda: len(observed.viewer.listings) >= _STEADY, "the channel plays")
    if lab is None:
        say("the channel plays; a switch is asked for")
        await observed.client.call("POST", f"/v1/sessions/{observed.session['id']}/switch", {})
        await _until(observed, lambda: len(observed.viewer.swaps) >= 1, "the swap")
        await _plays_on(observed)
        return
    say("the channel plays from source A")
    await _hold(0.0 if once else 6.0)
    await _kill(observed, lab["a"], "A", "B", swaps=1)
    await _hold(0.0 if once else 6.0)
    lab["a"].fault = None
    say("source A is back; a probe will find it")
    await _until_recovered(observed)
    await _hold(0.0 if once else 8.0)
    await _kill(observed, lab["b"], "B", "A", swaps=2)
    lab["b"].fault = None


async def _kill(observed: ObservedSession, source: RemoteSource, letter: str, other: str, *, swaps: int) -> None:
    say(f"[bold]source {letter} is killed[/]: it refuses every connection from now on")
    source.fault = LabFault.REFUSE
    await _until(observed, lambda: len(observed.viewer.swaps) >= swaps, f"the swap to source {other}")
    await _plays_on(observed)
    say(f"the channel plays on from source {other}; same address, nothing to reload")


async def _plays_on(observed: ObservedSession) -> None:
    count = len(observed.viewer.listings) + _STEADY
    await _until(observed, lambda: len(observed.viewer.listings) >= count, "the playlist to go on")


async def _until_recovered(observed: ObservedSession) -> None:
    async def recovered() -> bool:
        channel = await observed.client.call("GET", f"/v1/channels/{observed.session['channel']['id']}")
        return any(source["status"] == "recovered" for source in channel["sources"])

    async with asyncio.timeout(_STEP_LIMIT_S):
        while not await recovered():
            await asyncio.sleep(0.5)
    say("source A has been found to work again, and is a choice again")


async def _until(observed: ObservedSession, condition: Any, what: str) -> None:
    deadline = time.monotonic() + _STEP_LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise FailoverError(f"{what} did not come within {_STEP_LIMIT_S:.0f} s (phase {observed.view['phase']})")
        await asyncio.sleep(0.05)


async def _hold(seconds: float) -> None:
    """Give a human time to watch."""
    await asyncio.sleep(seconds)


def exit_code_of(observed: ObservedSession, *, finished: bool) -> int:
    """0 only if no rule of the playlist was broken, every listed segment could be fetched, and no segment was listed later than
    a player's buffer lasts. A finished demo must also have had at least one swap."""
    viewer = observed.viewer
    playlist = viewer.playlist
    buffer_s = 3 * playlist.target_duration_s if playlist else 0  # a player's distance to the live edge: RFC 8216, 6.3.3
    # What is listed early, as after a swap, makes the next segment due no sooner: a player shows one after the other.
    late = max(0.0, lateness_s(viewer.listings)) if len(viewer.listings) > 1 else 0.0
    for fault in viewer.faults:
        console.print(f"[red]broken[/]: {fault}")
    continuous = not viewer.faults and late < buffer_s and (bool(viewer.swaps) or not finished)
    console.print(
        f"{'[green]continuous[/]' if continuous else '[red]not continuous[/]'}: {len(viewer.listings)} segments over "
        f"{len(viewer.swaps)} swaps, latest listing {late:.2f} s after it was due, {len(viewer.faults)} broken rules"
    )
    return 0 if continuous else 1


def say(line: str) -> None:
    console.print(f"[dim]{time.strftime('%H:%M:%S')}[/]  {line}")
