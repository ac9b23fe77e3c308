"""Renews viewers' leases, at most once per interval however often a viewer calls. While the API runs it also records that
leases can be renewed, so that no lease expires while no API could renew it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from math import inf

from litestar import Litestar
from msgspec.structs import replace

from api.injection import Clock
from orchestrator.errors import NotFound, Temporary
from orchestrator.ports import SessionRow, Sessions

log = logging.getLogger(__name__)

MARK_S = 2.0


class LeaseRenewal:
    """`idle_timeout_s`: a lease that was not renewed for so long has run out."""

    def __init__(self, sessions: Sessions, clock: Clock, idle_timeout_s: float) -> None:
        self._sessions = sessions
        self._clock = clock
        self._idle_timeout_s = idle_timeout_s
        self._by_request_s = min(5.0, idle_timeout_s / 4)  # players read a playlist every few seconds
        self._by_connection_s = idle_timeout_s / 4

    async def renew(self, row: SessionRow) -> None:
        """The lease of the request's viewer, unless it is fresh. Requests with the admin key alone have none. Raises
        NotFound."""
        lease, now = row.lease, self._clock()
        if lease is not None and not 0.0 <= now - lease.renewed_at < self._by_request_s:
            await self._sessions.renew(row.session.id, now, lease.viewer)

    async def renew_all(self, session_id: str) -> None:
        """Every lease of the session."""
        await self._sessions.renew(session_id, self._clock())

    @contextlib.asynccontextmanager
    async def renewed(self, row: SessionRow) -> AsyncIterator[Callable[[], bool]]:
        """Renews the lease of a viewer that holds a connection open, for as long as the block runs. Yields a function that says
        whether the lease is held: no longer, once the viewer has given it up."""
        renewing = asyncio.create_task(self._renew_on(row), name=f"lease of {row.session.id}")
        try:
            yield lambda: row.lease is None or not renewing.done()
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def viewers(self, session_ids: Collection[str]) -> Mapping[str, int]:
        """Session id → how many of its leases are held."""
        return await self._sessions.viewers(session_ids, self._clock() - self._idle_timeout_s)

    async def _renew_on(self, row: SessionRow) -> None:
        """A fresh lease is not renewed at once: waiting for a session to be live costs no write."""
        lease = row.lease
        while lease is not None:
            try:
                await self.renew(replace(row, lease=lease))
            except NotFound:
                return
            except Temporary as error:
                log.info("session %s: lease not renewed: %s", row.session.id, error)
            await asyncio.sleep(self._by_connection_s)
            lease = replace(lease, renewed_at=-inf)


@contextlib.asynccontextmanager
async def renewable(app: Litestar) -> AsyncIterator[None]:
    """While the app lives, records every MARK_S that leases can be renewed."""
    sessions: Sessions = app.state.sessions
    clock: Clock = app.state.clock

    async def mark() -> None:
        while True:
            try:
                await sessions.can_renew(clock())
            except Temporary as error:
                log.info("leases cannot be renewed: %s", error)
            except Exception:  # the loop goes on: without this mark no lease would ever run out
                log.exception("leases cannot be renewed")
            await asyncio.sleep(MARK_S)

    marking = asyncio.create_task(mark(), name="leases can be renewed")
    try:
        yield
    finally:
        marking.cancel()
        await asyncio.gather(marking, return_exceptions=True)
