"""Drives Debian's Chromium by Playwright, and measures from outside of any player whether the play head moves.

Used by the tests, the benchmarks and the screenshots. Playwright is a development dependency.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from playwright.async_api import Browser, Page, async_playwright

EXECUTABLE: Final = shutil.which("chromium") or shutil.which("chromium-browser")
_ARGUMENTS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    # Every tab runs at full speed, as the one in front does.
    "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding",
)  # fmt: skip

# Samples the play head every 20 ms; stills shorter than 60 ms are not counted. It is installed before the page loads, because
# the pages' Content-Security-Policy does not allow `eval`.
_LOOK: Final = """
(() => {
  const seen = { shown_s: 0, stills: [], still_ms: 0 };
  Object.assign(globalThis, { __seen: seen });
  let looked = performance.now();
  let shown = 0;
  setInterval(() => {
    const video = document.querySelector("video");
    const now = performance.now();
    const time = video?.currentTime ?? 0;
    if (seen.shown_s && !video.paused && !video.ended && time === shown) {
      seen.still_ms += now - looked;
    } else {
      if (seen.still_ms > 60) seen.stills.push({ at: Date.now() / 1000, ms: Math.round(seen.still_ms) });
      seen.still_ms = 0;
    }
    if (shown < time && time < shown + 1) seen.shown_s += time - shown;
    shown = time;
    looked = now;
  }, 20);
})();
"""


class Still(NamedTuple):
    """The play head stood still for `ms` although it should have moved. `at`: when it moved again, in Unix seconds."""

    at: float
    ms: float


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A running browser. Raises RuntimeError where Chromium is not installed."""
    if EXECUTABLE is None:
        raise RuntimeError("neither chromium nor chromium-browser is on PATH")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=EXECUTABLE, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


async def look(page: Page) -> None:
    """Measure the page's first video, from the next navigation on."""
    await page.add_init_script(_LOOK)


async def shown_s(page: Page) -> float:
    """Seconds of the programme that have been shown so far."""
    return float(await page.evaluate("globalThis.__seen.shown_s"))


async def stills(page: Page, since: float = 0.0) -> list[Still]:
    """All stills that ended after `since` (Unix seconds), including one that is still going on."""
    seen: dict[str, Any] = await page.evaluate("({ ...globalThis.__seen, now: Date.now() / 1000 })")
    found = [Still(each["at"], each["ms"]) for each in seen["stills"]]
    if seen["still_ms"] > 60:
        found.append(Still(seen["now"], seen["still_ms"]))
    return [still for still in found if still.at > since]


def longest_ms(found: list[Still]) -> float:
    return max((still.ms for still in found), default=0.0)
