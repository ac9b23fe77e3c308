"""One provider fails, and with it all sessions that play it: how late the next segment is in each of them.

Old and new way side by side in one run: with input switches off each session needs a new container, with input switches on its
agent goes on with the next input by itself. Both also while orchestrator, API and Redis are stopped (SIGSTOP), as on a machine
whose control plane hangs.

Lateness is what a player has that shows one segment after the other: the greatest of all listings in the time after the
failure; where nothing was listed any more, the time until the end of that.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import NamedTuple

from bench.stage import PATIENCE_S, Requested, Stage, came, open_stage
from bench.table import Goal, Row
from lab import LabFault
from lab.viewer import Listing, Viewer
from orchestrator.app import settings
from orchestrator.app.settings import replaced
from orchestrator.errors import FailoverError

SIZES = (10, 40)
_LOOK_S = 0.1  # between two reads of each playlist: the resolution of the figures; more often would cost too much CPU
_WATCHED_S = 16.0  # after the failure: the slowest switches have long been made
_STEADY = 4  # listings of each session before the failure


class _Case(NamedTuple):
    name: str
    what: str
    fault: LabFault
    goal: Goal


_CASES = (
    _Case("dies", "the provider dies", LabFault.REFUSE, Goal(p95=0.6)),
    _Case("freezes", "the provider freezes", LabFault.FROZEN, Goal(p95=1.0)),
)


async def mass(_stage: Stage, _runs: int) -> list[Row]:
    """Each case is measured once, with as many sessions as its size; each way on a stage of its own."""
    rows = []
    for size in SIZES:
        for switches in ("off", "on"):
            async with open_stage(replaced(settings.read(os.environ), input_switches=switches)) as own:
                rows += [
                    await _row(own, case, size, switches=switches, attended=attended)
                    for attended in (True, False)
                    for case in _CASES
                ]
    return rows


async def _row(stage: Stage, case: _Case, size: int, *, switches: str, attended: bool) -> Row:
    lates_s, faults = await _measure(stage, case.fault, size, attended=attended)
    control = "" if attended else ", control plane stopped"
    return Row(
        f"mass-{case.name}-{size}-{switches}{'' if attended else '-unattended'}",
        f"{size} sessions, {case.what}{control}, input switches {switches}: lateness",
        "s",
        case.goal,
        lates_s,
        remark=f"{faults} broken laws of the playlists" if faults else "",
    )


async def _measure(stage: Stage, fault: LabFault, size: int, *, attended: bool) -> tuple[list[float], int]:
    """The lateness of each session, and how many laws of their playlists were broken."""
    lab = await stage.lab()
    first, second = lab.sources[0], lab.sources[1]
    channels = [await stage.channel([first.hls_url, second.hls_url]) for _ in range(size)]
    asked = await asyncio.gather(*(stage.request(channel["id"], wait_s=PATIENCE_S) for channel in channels))
    viewers = [Viewer(each.session["playlist_url"], fetch=False) for each in asked]
    try:
        async with _watched(viewers):
            if not await came(lambda: all(_listings(each) >= _STEADY for each in viewers)):
                raise FailoverError(f"not all of {size} sessions play")
            with contextlib.nullcontext() if attended else _stopped(stage):
                injured_at = time.time()
                await asyncio.to_thread(first.inject, fault)
                await asyncio.sleep(_WATCHED_S)
                until = time.time()
        return [late_s(each.listings, injured_at, until) for each in viewers], sum(len(each.faults) for each in viewers)
    finally:
        await asyncio.to_thread(first.inject, None)
        for viewer in viewers:
            viewer.close()
        await _end(stage, asked)


def late_s(listings: Sequence[Listing], injured_at: float, until: float) -> float:
    """The greatest lateness of the listings between these two moments, for a viewer at the last segment that was listed before.
    A segment is due when the one before has been shown: what came early leaves the next one's due time where it was, what came
    late moves it."""
    before = [each for each in listings if each.at < injured_at][-1]
    due_at, worst_s = before.at + before.segment.duration_s, 0.0
    for each in listings:
        if each.at >= injured_at:
            worst_s = max(worst_s, each.at - due_at)
            due_at = max(due_at, each.at) + each.segment.duration_s
    return max(worst_s, until - due_at)


def _listings(viewer: Viewer) -> int:
    return len({each.at for each in viewer.listings})


@contextlib.asynccontextmanager
async def _watched(viewers: Sequence[Viewer]) -> AsyncIterator[None]:
    over = asyncio.Event()

    async def watch() -> None:
        while not over.is_set():
            started = time.monotonic()
            await asyncio.gather(*(each.look() for each in viewers))
            await asyncio.sleep(max(0.0, _LOOK_S - (time.monotonic() - started)))

    watching = asyncio.create_task(watch(), name="viewers")
    try:
        yield
    finally:
        over.set()
        await watching


@contextlib.contextmanager
def _stopped(stage: Stage) -> Iterator[None]:
    """Orchestrator, API and Redis do not run for as long as the block does."""
    pids = stage.control_plane
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def _end(stage: Stage, asked: Sequence[Requested]) -> None:
    await asyncio.gather(*(stage.end(each) for each in asked))
