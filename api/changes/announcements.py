"""Whoever shows channels and sources is told when somebody has edited them, by whichever route. A hint (law 1): who shows them
looks again anyway."""

from __future__ import annotations

import logging

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.world import World
from orchestrator.errors import BusUnavailable

log = logging.getLogger(__name__)

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def telling_changes(app: ASGIApp) -> ASGIApp:
    """Middleware of the routes that edit: what is kept is old before the client has its answer."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] in _SAFE:
            await app(scope, receive, send)
            return
        world: World = scope["litestar_app"].state.world
        changed = False

        async def watching(message: Message) -> None:
            nonlocal changed
            if message["type"] == "http.response.start" and message["status"] < 400:
                changed = True
                world.channels.expire()
            await send(message)

        await app(scope, receive, watching)
        if changed:
            try:
                await world.bus.changed()
            except BusUnavailable as error:
                log.info("a change is not told (%s): who shows it looks again by itself", error)

    return middleware
