"""Middleware of the routes that edit channels and sources: after a successful edit it expires this process's cache and
publishes a change. A hint (law 1): consoles and orchestrators also read again by themselves."""

from __future__ import annotations

import logging

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.changes.single_flight import SingleFlightCache
from orchestrator.errors import BusUnavailable
from orchestrator.ports import ChannelRow, EventBus

log = logging.getLogger(__name__)

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, 9.2.1


def announcing_changes(app: ASGIApp) -> ASGIApp:
    """The cache has expired before the client has its answer, so that its next read sees its own edit."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] in _SAFE:
            await app(scope, receive, send)
            return
        state = scope["litestar_app"].state
        channel_rows: SingleFlightCache[tuple[ChannelRow, ...]] = state.channel_rows
        bus: EventBus = state.bus
        changed = False

        async def expiring(message: Message) -> None:
            nonlocal changed
            if message["type"] == "http.response.start" and message["status"] < 400:
                changed = True
                channel_rows.expire()
            await send(message)

        await app(scope, receive, expiring)
        if changed:
            try:
                await bus.changed()
            except BusUnavailable as error:
                log.info("a change is not published (%s): consoles and orchestrators read again by themselves", error)

    return middleware
