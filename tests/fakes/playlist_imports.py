"""Providers and their imports in memory, over the fake catalogue."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from msgspec.structs import asdict, replace

from orchestrator.core.catalogue.imported import (
    ChannelFields,
    ChannelPlan,
    ImportedChannel,
    ImportedSource,
    KnownChannel,
    KnownSource,
    SourceFields,
)
from orchestrator.core.model import Channel, Phase, Provider, Source
from orchestrator.core.source import health
from orchestrator.errors import AlreadyExists, DatabaseUnavailable, NotFound, Stale

if TYPE_CHECKING:
    from tests.fakes.tables import FakeCatalogue, FakeSessions


class FakeProviders:
    """`ports.Providers` in memory."""

    def __init__(self, catalogue: FakeCatalogue, imports: FakeImports) -> None:
        self.refusing = False
        self.rows: dict[str, Provider] = {}
        self._catalogue = catalogue
        self._imports = imports
        self._numbers = itertools.count(1)
        self.sessions: FakeSessions | None = None
        imports.providers = self.rows

    async def add(self, name: str, max_connections: int | None) -> Provider:
        self._answer()
        self._unique(name, None)
        provider = Provider(id=f"p-{next(self._numbers)}", name=name, max_connections=max_connections, created_at=time.time())
        self.rows[provider.id] = provider
        return provider

    async def get(self, provider: str) -> Provider:
        self._answer()
        by_name = next((each for each in self.rows.values() if each.name == provider), None)
        return self.rows.get(provider) or by_name or self._missing(provider)

    async def all(self) -> tuple[Provider, ...]:
        self._answer()
        return tuple(sorted(self.rows.values(), key=lambda each: each.name))

    async def update(self, provider: Provider) -> Provider:
        self._answer()
        before = self.rows.get(provider.id) or self._missing(provider.id)
        self._unique(provider.name, provider.id)
        self.rows[provider.id] = replace(before, name=provider.name, max_connections=provider.max_connections)
        return self.rows[provider.id]

    async def in_use(self) -> Mapping[str, int]:
        self._answer()
        assert self.sessions is not None
        sessions = [row.session for row in self.sessions._rows.values() if row.session.phase is not Phase.ENDED]
        played = [each.source_id for session in sessions for each in session.attempts]
        return Counter(provider_id for source_id in played if (provider_id := self._of(source_id)) is not None)

    async def of_attempts(self, attempts: Collection[tuple[str, int]]) -> Mapping[tuple[str, int], str]:
        self._answer()
        assert self.sessions is not None
        known = {key: self._of(row.source_id) for key in attempts if (row := self.sessions._attempts.get(key)) is not None}
        return {key: provider_id for key, provider_id in known.items() if provider_id is not None}

    def _of(self, source_id: str | None) -> str | None:
        source = self._catalogue._sources.get(source_id or "")
        return None if source is None else source.provider_id

    async def delete(self, provider_id: str) -> None:
        self._answer()
        if self.rows.pop(provider_id, None) is None:
            self._missing(provider_id)
        touched = set()
        for source in list(self._catalogue._sources.values()):
            if source.provider_id == provider_id:
                touched.add(source.channel_id)
                await self._catalogue.delete_source(source.id)
        for channel_id in touched:
            brought = self._imports.channels.get(channel_id)
            if brought and brought.provider_id == provider_id and not await self._catalogue.sources(channel_id):
                await self._catalogue.delete_channel(channel_id)

    def _answer(self) -> None:
        if self.refusing:
            raise DatabaseUnavailable("refusing")

    def _missing(self, key: str) -> NoReturn:
        raise NotFound(f"provider {key}")

    def _unique(self, name: str, own_id: str | None) -> None:
        if any(each.name == name and each.id != own_id for each in self.rows.values()):
            raise AlreadyExists(f"provider {name}")


class FakeImports:
    """`ports.Imports` in memory."""

    def __init__(self, catalogue: FakeCatalogue) -> None:
        self.refusing = False
        self.providers: dict[str, Provider] = {}
        self.channels: dict[str, ImportedChannel] = {}
        self.sources: dict[str, ImportedSource] = {}
        self._catalogue = catalogue
        self._numbers = itertools.count(1)

    async def lineup(self) -> tuple[KnownChannel, ...]:
        self._answer()
        return tuple([await self._known(channel) for channel in self._catalogue._channels.values()])

    async def apply(self, provider_id: str, planned: Sequence[ChannelPlan]) -> int:
        self._answer()
        known = {each.id: each for each in await self.lineup()}
        slugs = {each.slug for each in known.values()}
        new = [each for each in planned if each.before is None]
        if (new and provider_id not in self.providers) or any(each.slug in slugs for each in new):
            raise Stale("the provider has gone, or a slug is taken")
        written = 0
        for each in planned:
            if each.before is None or known.get(each.before.id) == each.before:
                await self._write(provider_id, each)
                written += 1
        return written

    async def _known(self, channel: Channel) -> KnownChannel:
        fields = ChannelFields(**{name: getattr(channel, name) for name in ChannelFields.__struct_fields__})
        sources = [
            KnownSource(
                id=source.id,
                provider_id=source.provider_id,
                fields=SourceFields(
                    url=source.url,
                    user_agent=source.user_agent,
                    headers=source.headers,
                    enabled=source.enabled,
                ),
                imported=self.sources.get(source.id),
            )
            for source in await self._catalogue.sources(channel.id)
        ]
        imported = self.channels.get(channel.id)
        return KnownChannel(id=channel.id, slug=channel.slug, fields=fields, imported=imported, sources=tuple(sources))

    async def _write(self, provider_id: str, each: ChannelPlan) -> None:
        rows, now = self._catalogue, time.time()
        if each.before is None:
            channel = Channel(id=f"c-i{next(self._numbers)}", slug=each.slug, name="", created_at=now)
        else:
            channel = rows._channels[each.before.id]
        rows._channels[channel.id] = replace(channel, **asdict(each.fields), updated_at=now)
        if each.imported is not None:
            self.channels[channel.id] = each.imported
        for source in each.changed:
            before, fields = rows._sources[source.id], source.fields
            enabled = fields.enabled if fields.enabled != before.enabled else None
            edited = health.edited(before, now, url=fields.url, enabled=enabled)
            rows._sources[source.id] = replace(edited, user_agent=fields.user_agent, headers=fields.headers)
            if source.imported is not None:
                self.sources[source.id] = source.imported
        for priority, imported in enumerate(each.added, len(await rows.sources(channel.id)) + 1):
            fields = imported.fields
            source_id = f"x-i{next(self._numbers)}"
            rows._sources[source_id] = Source(
                id=source_id,
                channel_id=channel.id,
                provider_id=provider_id,
                url=fields.url,
                user_agent=fields.user_agent,
                headers=fields.headers,
                priority=priority,
            )
            self.sources[source_id] = imported

    def _answer(self) -> None:
        if self.refusing:
            raise DatabaseUnavailable("refusing")
