"""Finds channels, sources and providers by the id or slug in a request's path. A text that cannot be one is not looked up."""

from __future__ import annotations

from api.http.fields import is_id
from orchestrator.core.model import Channel, Provider, Source
from orchestrator.errors import NotFound
from orchestrator.ports import Catalogue, LineUp, Providers


class CatalogueLookup:
    def __init__(self, catalogue: Catalogue, providers: Providers) -> None:
        self._catalogue = catalogue
        self._providers = providers

    async def channel(self, channel: str) -> Channel:
        """By id or slug. Raises NotFound."""
        if not is_id(channel):
            raise NotFound("no such channel")
        return await self._catalogue.channel(channel)

    async def lineup(self, channel: str) -> LineUp:
        """The channel with the sources that its sessions may play, by id or slug. Raises NotFound."""
        if not is_id(channel):
            raise NotFound("no such channel")
        return await self._catalogue.lineup(channel)

    async def source(self, source_id: str) -> Source:
        """Raises NotFound."""
        if not is_id(source_id):
            raise NotFound("no such source")
        return await self._catalogue.source(source_id)

    async def provider(self, provider_id: str) -> Provider:
        """By id alone: a provider's name may hold characters that a path cannot. Raises NotFound."""
        if not is_id(provider_id):
            raise NotFound("no such provider")
        found = await self._providers.get(provider_id)
        if found.id != provider_id:
            raise NotFound("no such provider")
        return found
