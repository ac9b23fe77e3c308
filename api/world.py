"""What every handler of the API has at hand: the ports, the settings and what follows from them. It writes intent and nudges;
it never touches a container (law 2), nor a source."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from litestar.connection import ASGIConnection

from api.address_bound import AddressBound
from api.auth import Keys, is_id
from api.glances import Glances
from api.kept import Kept
from api.logos import Logos
from api.on_air import OnAir
from api.posters import Posters
from api.strips import Strips
from orchestrator.app.settings import Settings
from orchestrator.core.model import Channel, Provider, Source
from orchestrator.core.session.limits import Limits
from orchestrator.errors import BusUnavailable, NotFound, Temporary
from orchestrator.ports import (
    Catalogue,
    ChannelRow,
    Download,
    EventBus,
    Imports,
    Journal,
    LineUp,
    ObjectStore,
    Operation,
    Probes,
    Providers,
    Sessions,
)

log = logging.getLogger(__name__)


class Closing:
    """The server is about to stop: whoever holds a connection open ends it now, and its client comes back elsewhere."""

    def __init__(self) -> None:
        self.begun = False
        self._waiting: set[asyncio.Event] = set()

    def begin(self) -> None:
        self.begun = True
        for event in self._waiting:
            event.set()

    @contextmanager
    def waking(self, event: asyncio.Event) -> Iterator[None]:
        """`event` is also set when closing begins."""
        self._waiting.add(event)
        try:
            yield
        finally:
            self._waiting.discard(event)


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    catalogue: Catalogue
    providers: Providers
    imports: Imports
    probes: Probes
    sessions: Sessions
    operation: Operation
    journal: Journal
    bus: EventBus
    store: ObjectStore
    download: Download
    logos: Logos
    clock: Callable[[], float]  # unix seconds
    keys: Keys
    origin_url: str  # what viewers see in front of the bucket's keys
    public_url: str | None  # of this API; None: as the client addressed it
    settings: Settings
    limits: Limits
    addresses: AddressBound
    idle_timeout_s: float
    # Kept for all who look:
    channels: Kept[tuple[ChannelRow, ...]]
    strips: Strips
    on_air: OnAir
    posters: Posters
    glances: Glances = field(default_factory=Glances)
    making: asyncio.Lock = field(default_factory=asyncio.Lock)  # of an overview: one at a time
    closing: Closing = field(default_factory=Closing)

    async def channel(self, channel: str) -> Channel:
        """By id or slug. Raises NotFound, also for what cannot be either."""
        if not is_id(channel):
            raise NotFound("no such channel")
        return await self.catalogue.channel(channel)

    async def lineup(self, channel: str) -> LineUp:
        """Its own, by id or slug. Raises NotFound, also for what cannot be either."""
        if not is_id(channel):
            raise NotFound("no such channel")
        return await self.catalogue.lineup(channel)

    async def source(self, source_id: str) -> Source:
        """Raises NotFound, also for what cannot be an id."""
        if not is_id(source_id):
            raise NotFound("no such source")
        return await self.catalogue.source(source_id)

    async def provider(self, provider_id: str) -> Provider:
        """By id alone: a name may hold what a path cannot. Raises NotFound."""
        if not is_id(provider_id):
            raise NotFound("no such provider")
        found = await self.providers.get(provider_id)
        if found.id != provider_id:
            raise NotFound("no such provider")
        return found

    def base_url(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str:
        """Of this API, as the client reaches it; without a slash at the end."""
        return (self.public_url or str(connection.base_url)).rstrip("/")

    async def nudge(self, session_id: str) -> None:
        """Tell the orchestrator that intent was written. With Redis gone it finds the row by itself (law 1)."""
        try:
            await self.bus.nudge(session_id)
        except BusUnavailable as error:
            log.warning("session %s: no nudge (%s); the orchestrator's resync will find the row", session_id, error)

    async def nudge_sessions_of(self, channel_id: str) -> None:
        """Tell the orchestrator that the channel of these sessions has changed. It would find out by itself, but the viewers
        of a channel that was switched off would look at a still picture until then."""
        try:
            sessions = await self.sessions.unended()
        except Temporary as error:
            log.info("channel %s: its sessions are not nudged: %s", channel_id, error)
            return
        for session in sessions:
            if session.channel_id == channel_id:
                await self.nudge(session.id)
