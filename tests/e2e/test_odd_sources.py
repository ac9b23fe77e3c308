"""Sources that froze players: hls.js as anybody builds it, with its default settings, in Chromium, on the real stack."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from lab import Lab, LabFault
from lab.chromium import look, shown_s
from tests.e2e.conftest import SMALL
from tests.e2e.site import served
from tests.e2e.stage import Stage
from tests.servers import RedisServer, Seaweed
from tests.support import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

HERE = Path(__file__).parent
HLS_JS = HERE.parents[1] / "api/web/node_modules/hls.js/dist/hls.min.js"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    usual, long = replace(SMALL, segment_s=2.0), replace(SMALL, segment_s=10.0)
    async with Lab(names=("a", "b", "alone", "long"), recipe=usual, recipes={"long": long}) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    seaweed: Seaweed, redis_server: RedisServer, runtime: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    settings = {"segment_s": 2.0, "stall_limit_s": 3.0, "reprobe_interval_s": 2.0}
    async with Stage.open(tmp_path_factory.mktemp("stack"), seaweed, redis_server, runtime=runtime, **settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the player's page."""
    directory = tmp_path_factory.mktemp("site")
    shutil.copy(HERE / "player.html", directory)
    shutil.copy(HLS_JS, directory)
    with served(directory) as address:
        yield f"{address}/player.html"


async def opened(browser: Browser, site: str, playlist_url: str) -> Page:
    page = await browser.new_page()
    await look(page)
    await page.goto(f"{site}?playlist={quote(playlist_url)}")
    return page


async def goes_on(page: Page, by_s: float, timeout_s: float = 40.0) -> None:
    """Awaits that so much more is shown."""
    wanted_s = await shown_s(page) + by_s

    async def shown() -> bool:
        now_s, seen = await shown_s(page), await page.evaluate("seen")
        assert now_s >= wanted_s, f"{wanted_s - now_s:.1f} s to go, at {seen['at']}, errors {seen['errors'][-3:]}"
        return True

    await eventually(shown, timeout_s, every_s=0.2, what=f"{by_s} s more of {page.url}")


async def fatal(page: Page) -> list[str]:
    errors: list[str] = (await page.evaluate("seen"))["errors"]
    return [error for error in errors if error.startswith("fatal")]


async def test_players_go_on_where_sound_ends_and_join_late_where_keyframes_are_far_apart(
    browser: Browser, stage: Stage, lab: Lab, site: str
) -> None:
    async def sound_ends(channel: Any, *names: str) -> Page:
        async with stage.watch(channel) as watched:
            page = await opened(browser, site, watched.granted["playlist_url"])
            await goes_on(page, 4.0)
            lab[names[0]].fault = LabFault.AUDIO_STOPS
            await watched.is_told("stream.switch" if len(names) > 1 else "stream.recovered", timeout_s=40)
            await goes_on(page, 12.0)  # more than was buffered
            assert await fatal(page) == []
            return page

    async def joins_late() -> None:
        channel = await stage.channel(lab["long"].ts_url)
        async with stage.watch(channel) as watched:
            await watched.plays(2, timeout_s=40)
            assert watched.target_duration_s == 10
            page = await opened(browser, site, watched.granted["playlist_url"])
            await goes_on(page, 4.0)
            assert await fatal(page) == []
            await page.close()

    two = await stage.channel(lab["a"].hls_url, lab["b"].hls_url)
    alone = await stage.channel(lab["alone"].ts_url)
    await asyncio.gather(sound_ends(two, "a", "b"), sound_ends(alone, "alone"), joins_late())
