"""What a viewer suffers: how long the play head stands still in Chromium on the watch page, hls.js with its default settings,
when the source dies or stalls.

A run is a viewer of its own on two sources in step. It plays until its buffer is full; then the source is injured, at a moment
that differs from run to run. Every still counts until the new source's media have been shown; where the viewer got another
session, or never saw the new source, the run counts as what patience is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from playwright.async_api import Browser, Page

from bench.stage import PATIENCE_S, Stage
from bench.table import Goal, Row
from lab import LabFault
from lab.chromium import chromium, longest_ms, look, shown_s, stills
from lab.lab_process import RemoteSource
from orchestrator.errors import FailoverError

STILL_S: Final = 0.25  # longer, and a viewer would call it a stall
_FULL_S: Final = 8.0  # of picture: the buffer is what it will be
_GOLDEN: Final = 0.618  # steps of this fraction fill an interval evenly, however many there are
_BUFFER_S: Final = "window.__player.health().buffer_s"
_STATE: Final = "(({ session, source }) => [session?.id, source])(window.__player.state)"


class Run(NamedTuple):
    longest_s: float
    total_s: float


async def rebuffering(stage: Stage, runs: int) -> list[Row]:
    """`runs` source kills, and half as many stalls."""
    kills = [(LabFault.REFUSE, number) for number in range(runs)]
    stalls = [(LabFault.FROZEN, number) for number in range((runs + 1) // 2)]
    async with chromium() as browser:
        done = await _runs(stage, browser, [*kills, *stalls])
    return [
        _row("rebuffering-kill", "source killed", done[: len(kills)]),
        _row("rebuffering-stall", "source frozen", done[len(kills) :]),
    ]


def _row(name: str, what: str, done: Sequence[Run]) -> Row:
    return Row(
        name,
        f"{what}: longest still of the picture in Chromium",
        "s",
        Goal(worst=STILL_S),
        [run.longest_s for run in done],
        remark=f"{sum(run.total_s for run in done):.2f} s in all, over {len(done)} runs",
    )


async def _runs(stage: Stage, browser: Browser, asked: Sequence[tuple[LabFault, int]]) -> list[Run]:
    """On as many pairs of sources at a time as the lab has."""
    lab = await stage.lab()
    waiting = list(enumerate(asked))
    done: dict[int, Run] = {}

    async def lane(first: RemoteSource, second: RemoteSource) -> None:
        while waiting:
            index, (fault, number) = waiting.pop(0)
            done[index] = await _run(stage, browser, first, second, fault, number * _GOLDEN % 1.0)

    try:
        async with asyncio.TaskGroup() as group:
            for first, second in zip(lab.sources[::2], lab.sources[1::2], strict=True):
                group.create_task(lane(first, second))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [done[index] for index in range(len(asked))]


async def _run(stage: Stage, browser: Browser, first: RemoteSource, second: RemoteSource, fault: LabFault, phase: float) -> Run:
    channel = await stage.channel([first.hls_url, second.hls_url])
    context = await browser.new_context(viewport={"width": 800, "height": 600})
    try:
        page = await context.new_page()
        await look(page)
        await page.goto(f"{stage.api_url}/watch/{channel['slug']}")
        if not await _comes(page, _FULL_S):
            raise FailoverError(f"{page.url} does not play")
        await asyncio.sleep(phase * stage.settings.segment_s)
        before, since = await page.evaluate(_STATE), time.time()
        try:
            await asyncio.to_thread(first.inject, fault)
            swapped = await _swaps(page, before)
        finally:
            await asyncio.to_thread(first.inject, None)
        found = await stills(page, since)
        await page.goto("about:blank")  # which gives the session up
    finally:
        await context.close()
    if not swapped:
        return Run(PATIENCE_S, PATIENCE_S)
    return Run(longest_ms(found) / 1000, sum(still.ms for still in found) / 1000)


async def _swaps(page: Page, before: Any) -> bool:
    """Waits until another source plays in the same session, and has been seen: what was buffered before is shown by then."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        session, source = await page.evaluate(_STATE)
        if session != before[0]:
            return False
        if source != before[1]:
            return await _comes(page, float(await page.evaluate(_BUFFER_S)) + 2.0)
        await asyncio.sleep(0.05)
    return False


async def _comes(page: Page, by_s: float) -> bool:
    """Waits until so much more has been shown. False where patience has run out."""
    deadline = time.monotonic() + PATIENCE_S + by_s
    wanted_s = await shown_s(page) + by_s
    while await shown_s(page) < wanted_s:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True
