"""A file that is touched for as long as a process's loop runs: its age is the health check of the image. It says nothing of any
server: one that is down must not make a process look ill that is only waiting for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

BEAT_S: Final = 3.0


@contextlib.asynccontextmanager
async def pulse(path: str | None) -> AsyncIterator[None]:
    """Touch the file, where one is given, for as long as the context is open."""
    if path is None:
        yield
        return
    beating = asyncio.create_task(_beat(Path(path).touch), name="pulse")
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


async def _beat(touch: Callable[[], None]) -> None:
    while True:
        try:
            touch()
        except OSError as error:  # a disk that is full now may have room later
            log.warning("the health file cannot be touched: %s", error)
        await asyncio.sleep(BEAT_S)
