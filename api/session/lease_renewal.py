"""Renewing leases: often enough to live, and seldom enough to be cheap. And saying that it can be done: what no viewer could
have renewed must not end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from math import inf

from litestar import Litestar
from msgspec.structs import replace

from api.world import World
from orchestrator.errors import NotFound, Temporary
from orchestrator.ports import SessionRow

log = logging.getLogger(__name__)

MARK_S = 2.0


def renew_s(world: World) -> float:
    """Between two writes for one viewer, however often it calls: a player reads every few seconds."""
    return min(5.0, world.idle_timeout_s / 4)


def keep_s(world: World) -> float:
    """The same for who holds a connection open: nobody is missed if it is seldom."""
    return world.idle_timeout_s / 4


async def renew(world: World, row: SessionRow) -> None:
    """The lease of whoever asks, unless it is fresh. Whoever has the admin key watches nothing. Raises NotFound."""
    lease, now = row.lease, world.clock()
    if lease is not None and not 0.0 <= now - lease.renewed_at < renew_s(world):
        await world.sessions.renew(row.session.id, now, lease.viewer)


@contextlib.asynccontextmanager
async def kept(world: World, row: SessionRow) -> AsyncIterator[Callable[[], bool]]:
    """Renews the lease of whoever holds a connection open, for as long as the block runs. What is given says whether it is
    held: not any more where the viewer has given it up."""
    keeping = asyncio.create_task(_keep(world, row), name=f"lease of {row.session.id}")
    try:
        yield lambda: row.lease is None or not keeping.done()
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def _keep(world: World, row: SessionRow) -> None:
    """Not what is fresh, at first: who only waits for a session to be live costs no write."""
    lease = row.lease
    while lease is not None:
        try:
            await renew(world, replace(row, lease=lease))
        except NotFound:
            return
        except Temporary as error:
            log.info("session %s: lease not renewed: %s", row.session.id, error)
        await asyncio.sleep(keep_s(world))
        lease = replace(lease, renewed_at=-inf)


@contextlib.asynccontextmanager
async def renewable(app: Litestar) -> AsyncIterator[None]:
    """While the app lives, the rows say that leases can be renewed."""
    world: World = app.state.world

    async def mark() -> None:
        while True:
            try:
                await world.sessions.can_renew(world.clock())
            except Temporary as error:
                log.info("leases cannot be renewed: %s", error)
            except Exception:  # without this mark no lease of anybody would ever run out
                log.exception("leases cannot be renewed")
            await asyncio.sleep(MARK_S)

    marking = asyncio.create_task(mark(), name="leases can be renewed")
    try:
        yield
    finally:
        marking.cancel()
        await asyncio.gather(marking, return_exceptions=True)
