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
    """A channel, and all sources that its sessions may use, in the order in which they are tried: its own by priority, then
    those of its failover channels, then those of these channels' failover channels, and so on. A disabled channel, and what is
    reached only through it, is left out."""

    channel: Channel
    sources: tuple[Source, ...]


class ChannelRow(Struct, frozen=True):
    """A channel with its sources and its failover channels."""

    channel: Channel
    sources: tuple[Source, ...]  # its own, by priority
    failovers: tuple[str, ...]  # ids of channels, in order, including disabled ones


class Catalogue(Protocol):
    """Channels and their ordered sources. All raise DatabaseUnavailable; lookups by slug or id."""

    async def add_channel(self, channel: Channel, sources: Sequence[NewSource]) -> Channel:
        """Gives ids and times (those in `channel` are ignored). Raises AlreadyExists for a slug that is taken."""

    async def channel(self, channel: str) -> Channel:
        """By id or slug. Raises NotFound."""

    async def channels(self, *, limit: int = 100, after: str | None = None, search: str | None = None) -> tuple[Channel, ...]:
        """By number, then name; `after` is the id of the last one of the page before."""

    async def update_channel(self, channel: Channel) -> Channel:
        """Writes the editable fields. Raises NotFound, AlreadyExists."""

    async def delete_channel(self, channel_id: str) -> None:
        """Deletes its sources, too; its sessions stay as history. Raises NotFound."""

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
        """Sets priorities 1, 2, 3 ... in this order. Raises InvalidInput('source_ids') unless each of the channel's sources is
        named exactly once."""

    async def record_probe(self, source_id: str, result: ProbeResult, now: float) -> Source:
        """Writes a probe's result as core/source/health.py decides it, and answers the request for a probe, if there is one
        (Probes). Raises NotFound."""

    async def failovers(self, channel_id: str) -> tuple[Channel, ...]:
        """The channels whose sources are used when the channel's own do not work, in order."""

    async def set_failovers(self, channel_id: str, channel_ids: Sequence[str]) -> tuple[Channel, ...]:
        """Replaces them, in this order. Raises NotFound; InvalidInput('channels') for a channel that does not exist, that is
        the channel itself, or that is named twice."""

    async def lineup(self, channel: str) -> LineUp:
        """By id or slug. Raises NotFound."""

    async def lineups(self, channel_ids: Collection[str]) -> Mapping[str, Signature]:
        """The signature of the line-up of each of these channels that exists and is enabled. It takes few queries; the
        orchestrator compares it with what it knows."""

    async def whole(self) -> tuple[ChannelRow, ...]:
        """Every channel with what belongs to it, by number, then name. It takes few queries."""

    async def problematic_sources(self) -> tuple[Source, ...]:
        """The problematic sources of all channels."""
