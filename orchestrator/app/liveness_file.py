"""Liveness file: touched every few seconds for as long as the process's event loop runs; its age is the image's health check.

It says nothing about any server: a process that only waits for one that is down is healthy, and restarting it would not help.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Final

from orchestrator.app.task_group import TaskGroup

log = logging.getLogger(__name__)

TOUCH_INTERVAL_S: Final = 3.0
TASK: Final = "liveness file"


@contextlib.asynccontextmanager
async def keep_touched(path: str | None) -> AsyncIterator[None]:
    """Touches the file, where one is given, for as long as the context is open."""
    if path is None:
        yield
        return
    async with TaskGroup() as tasks:
        tasks.keep_running(partial(_touch_again_and_again, Path(path).touch), TASK)
        yield


async def _touch_again_and_again(touch: Callable[[], None]) -> None:
    while True:
        try:
            touch()
        except OSError as error:  # a disk that is full now may have room later
            log.warning("the liveness file cannot be touched: %s", error)
        await asyncio.sleep(TOUCH_INTERVAL_S)
