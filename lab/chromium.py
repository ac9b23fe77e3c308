"""Debian's Chromium, driven by Playwright, as the tests, the bench and the pictures of the pages need it; and what a viewer
sees in it: whether the play head moves, looked at from outside of whatever player there is.

Playwright is a tool of development: who imports this has it.
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
    # Every tab is one that somebody looks at.
    "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding",
)  # fmt: skip

# Looked at every 20 ms; shorter stills than a few pictures are not told. A page of its own policy allows no `eval`, which this
# needs not: it is there before the page is.
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
    """The play head stood still although it should have moved. `at`: when it moved again, in Unix seconds."""

    at: float
    ms: float


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """RuntimeError where there is none."""
    if EXECUTABLE is None:
        raise RuntimeError("neither chromium nor chromium-browser is on PATH")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=EXECUTABLE, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


async def look(page: Page) -> None:
    """From the next address on, the page's first video is looked at."""
    await page.add_init_script(_LOOK)


async def shown_s(page: Page) -> float:
    """How much has been shown so far, wherever in the programme."""
    return float(await page.evaluate("globalThis.__seen.shown_s"))


async def stills(page: Page, since: float = 0.0) -> list[Still]:
    """Each time that the play head stood still, the present one included; those that ended after `since`."""
    seen: dict[str, Any] = await page.evaluate("({ ...globalThis.__seen, now: Date.now() / 1000 })")
    found = [Still(each["at"], each["ms"]) for each in seen["stills"]]
    if seen["still_ms"] > 60:
        found.append(Still(seen["now"], seen["still_ms"]))
    return [still for still in found if still.at > since]


def longest_ms(found: list[Still]) -> float:
    return max((still.ms for still in found), default=0.0)
