"""Data types of an import: what it knows of channels and sources, and what it plans for them. Only counts are computed here.

There are tens of thousands of each. They cannot be part of a reference cycle, so the garbage collector does not track them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TypeVar

from msgspec import Struct

from orchestrator.core.catalogue.m3u import PlaylistFault


class ChannelFields(Struct, frozen=True, kw_only=True, gc=False):
    """What an import writes of a channel."""

    name: str
    number: int | None = None
    group: str | None = None
    logo: str | None = None
    tvg_id: str | None = None
    tvg_name: str | None = None
    enabled: bool = True


class SourceFields(Struct, frozen=True, kw_only=True, gc=False):
    """What an import writes of a source."""

    url: str
    user_agent: str | None = None
    headers: dict[str, str] = {}
    enabled: bool = True


class ImportedChannel(Struct, frozen=True, gc=False):
    """What was last written by an import of this provider: the one that brought the channel."""

    provider_id: str
    fields: ChannelFields


class ImportedSource(Struct, frozen=True, gc=False):
    """What was last written, and the entry that it came from."""

    name: str
    tvg_id: str | None
    fields: SourceFields


class KnownSource(Struct, frozen=True, kw_only=True, gc=False):
    id: str
    provider_id: str | None
    fields: SourceFields
    imported: ImportedSource | None  # None: the operator's own


class KnownChannel(Struct, frozen=True, kw_only=True, gc=False):
    id: str
    slug: str
    fields: ChannelFields
    imported: ImportedChannel | None  # None: the operator's own
    sources: tuple[KnownSource, ...] = ()  # by priority


class ChannelPlan(Struct, frozen=True, kw_only=True, gc=False):
    """One channel as it is to be."""

    before: KnownChannel | None  # None: it is new
    slug: str
    fields: ChannelFields
    imported: ImportedChannel | None
    changed: tuple[KnownSource, ...] = ()  # of its sources, as they are to be
    added: tuple[ImportedSource, ...] = ()  # behind them


class Counts(Struct, frozen=True, kw_only=True):
    """The counts of a plan."""

    channels_added: int = 0
    channels_updated: int = 0
    channels_enabled: int = 0
    channels_disabled: int = 0
    sources_added: int = 0
    sources_updated: int = 0
    sources_enabled: int = 0
    sources_disabled: int = 0


class ImportPlan(Struct, frozen=True, kw_only=True):
    provider_id: str
    entries: int  # that were read
    duplicates: int = 0  # of them: addresses that their channel has already
    channels: tuple[ChannelPlan, ...] = ()  # that change, or are new
    faults: tuple[PlaylistFault, ...] = ()


F = TypeVar("F", ChannelFields, SourceFields)


def counts(channels: Iterable[ChannelPlan]) -> Counts:
    total: dict[str, int] = defaultdict(int)
    for each in channels:
        for what, count in each_counts(each):
            total[what] += count
    return Counts(**total)


def each_counts(channel: ChannelPlan) -> Iterator[tuple[str, int]]:
    """As `Counts` names them."""
    before = channel.before
    yield "sources_added", len(channel.added)
    if before is None:
        yield "channels_added", 1
        return
    yield from _count("channels", before.fields, channel.fields)
    sources = {source.id: source for source in before.sources}
    for source in channel.changed:
        yield from _count("sources", sources[source.id].fields, source.fields)


def changed_fields(before: F, after: F) -> list[str]:
    return [name for name in before.__struct_fields__ if getattr(before, name) != getattr(after, name)]


def _count(noun: str, before: F, after: F) -> Iterator[tuple[str, int]]:
    changed = changed_fields(before, after)
    if before.enabled != after.enabled:
        yield f"{noun}_{'enabled' if after.enabled else 'disabled'}", 1
    if set(changed) - {"enabled"}:
        yield f"{noun}_updated", 1
