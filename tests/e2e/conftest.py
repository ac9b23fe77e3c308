"""A stage for each module: the stack on real parts, with docker where an engine answers, and live sources of one second."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from lab import Lab, Recipe
from lab.chromium import EXECUTABLE, chromium
from tests.e2e.stage import Stage
from tests.servers import RedisServer, Seaweed
from tests.support import require

NAMES = ("a", "b", "c", "d", "e", "f", "g", "h")
SMALL = Recipe(segment_s=1.0, width=320, height=180, bitrate_bps=300_000)


@pytest.fixture(scope="session")
def runtime(request: pytest.FixtureRequest) -> str:
    """Containers where an engine answers; else (only where no engine is required) child processes."""
    try:
        request.getfixturevalue("transcoder_image")
    except pytest.skip.Exception:
        return "process"
    return "docker"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    require("Chromium", EXECUTABLE, "neither chromium nor chromium-browser is on PATH")
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    """Eight sources with one-second segments; no keyword of theirs is the same."""
    async with Lab(names=NAMES, recipe=SMALL) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    seaweed: Seaweed, redis_server: RedisServer, runtime: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    async with Stage.open(_data_dir(tmp_path_factory), seaweed, redis_server, runtime=runtime) as opened:
        yield opened


def _data_dir(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("stack", numbered=True)
