"""Channels and their ordered sources, as rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from orchestrator.core.catalogue.failover_channels import Signature
from orchestrator.core.model import Channel, Source
from orchestrator.ports.prober import ProbeResult


class NewSource(Struct, frozen=True, kw_only=True):
    url: str
    provider_id: str | None = None
    user_agent: str | None = None
    headers: dict[str, str] = {}


class LineUp(Struct, frozen=True):
    """A channel, and all sources that its sessions may come to use in the order to try: its own by priority, then those of its
    failover channels, of theirs, and so on, the nearest first. What is behind a disabled channel does not count."""

    channel: Channel
    sources: tuple[Source, ...]


class ChannelRow(Struct, frozen=True):
    """A channel and what belongs to it."""

    channel: Channel
    sources: tuple[Source, ...]  # its own, by priority
    failovers: tuple[str, ...]  # ids of channels, in order; disabled ones are among them


class Catalogue(Protocol):
    """Channels and their ordered sources. All raise DatabaseUnavailable; lookups by slug or id."""

    async def add_channel(self, channel: Channel, sources: Sequence[NewSource]) -> Channel:
        """Ids and times are given here (those in `channel` are ignored). Raises AlreadyExists for a taken slug."""

    async def channel(self, channel: str) -> Channel:
        """By id or slug. Raises NotFound."""

    async def channels(self, *, limit: int = 100, after: str | None = None, search: str | None = None) -> tuple[Channel, ...]:
        """By number, then name; `after` is the id of the last one of the page before."""

    async def update_channel(self, channel: Channel) -> Channel:
        """Writes the editable fields. Raises NotFound, AlreadyExists."""

    async def delete_channel(self, channel_id: str) -> None:
        """Sources go with it; sessions stay as history. Raises NotFound."""

    async def sources(self, channel_id: str) -> tuple[Source, ...]:
        """By priority."""

    async def source(self, source_id: str) -> Source:
        """Raises NotFound."""

    async def add_source(self, channel_id: str, source: NewSource, priority: int | None = None) -> Source:
        """At the end, or at `priority` (the rest moves down). Raises NotFound."""

    async def update_source(
        self, source_id: str, *, url: str | None = None, user_agent: str | None = None,
        headers: dict[str, str] | None = None, enabled: bool | None = None, provider_id: str | None = None,
    ) -> Source:  # fmt: skip
        """Only what is given changes; a changed URL or `enabled=True` sets the status to unknown, with no failure in a row.
        Raises NotFound."""

    async def delete_source(self, source_id: str) -> None:
        """Raises NotFound."""

    async def order_sources(self, channel_id: str, source_ids: Sequence[str]) -> tuple[Source, ...]:
        """Priorities 1, 2, 3 ... in this order; all of the channel's ids exactly once, else InvalidInput('source_ids')."""

    async def record_probe(self, source_id: str, result: ProbeResult, now: float) -> Source:
        """Healthy: unknown → healthy, problematic → recovered; `healthy_since` is set where it was not. Failed: →
        problematic, with the reason, and healthy no more; counters untouched. Without a verdict: problematic → unknown, for
        nothing but an attempt can tell. A disabled source stays disabled. Whoever has asked for a probe is answered
        (Probes). Raises NotFound."""

    async def failovers(self, channel_id: str) -> tuple[Channel, ...]:
        """Whose sources are used when the channel's own are down, in order."""

    async def set_failovers(self, channel_id: str, channel_ids: Sequence[str]) -> tuple[Channel, ...]:
        """In this order, instead of what was there. Raises NotFound; InvalidInput('channels') for one that does not exist,
        that is the channel itself, or that stands there twice."""

    async def lineup(self, channel: str) -> LineUp:
        """By id or slug. Raises NotFound."""

    async def lineups(self, channel_ids: Collection[str]) -> Mapping[str, Signature]:
        """Of these channels, those that are there and enabled, each with its line-up's signature: by few queries, what the
        orchestrator compares with what it knows."""

    async def whole(self) -> tuple[ChannelRow, ...]:
        """Every channel with what belongs to it, by number, then name: by few queries."""

    async def problematic_sources(self) -> tuple[Source, ...]:
        """Of all channels: what the recovery job probes."""
