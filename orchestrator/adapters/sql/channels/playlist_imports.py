"""SQL queries of the playlist import.

Rule: a channel that has changed since the import was planned is left alone; the next import sees the change. Rows are locked in
the order of every transaction: channels by id, then sources by id.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import Connection, bindparam, insert, select, update

from orchestrator.adapters.sql.channels.channel_rows import derived_columns
from orchestrator.adapters.sql.channels.source_rows import HEALTH_COLUMNS, SOURCE_COLUMNS, health_of, source_of
from orchestrator.adapters.sql.database import Database
from orchestrator.adapters.sql.ids import CHANNEL, SOURCE, new_id
from orchestrator.adapters.sql.schema import channels, sources
from orchestrator.core.catalogue.imported import (
    ChannelFields,
    ChannelPlan,
    ImportedSource,
    KnownChannel,
    KnownSource,
    SourceFields,
)
from orchestrator.core.model import ChannelPolicy, SourceStatus
from orchestrator.core.source import health

_FIELDS = ChannelFields.__struct_fields__
_EDITED = ("url", "user_agent", "headers", "imported", *HEALTH_COLUMNS)
_CHANNEL = (channels.c.id, channels.c.slug, channels.c.imported, *(channels.c[name] for name in _FIELDS))
_SOURCE = (
    sources.c.id,
    sources.c.channel_id,
    sources.c.provider_id,
    sources.c.imported,
    sources.c.url,
    sources.c.user_agent,
    sources.c.headers,
    sources.c.status,
)
_UPDATE_CHANNEL = update(channels).where(channels.c.id == bindparam("row_id"))
_UPDATE_SOURCE = (
    update(sources)
    .where(sources.c.id == bindparam("row_id"))
    .values({sources.c[name]: bindparam(f"to_{name}") for name in _EDITED})
)


class SqlImports:
    """`ports.Imports` over SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lineup(self) -> tuple[KnownChannel, ...]:
        def work(connection: Connection) -> tuple[KnownChannel, ...]:
            of_channels = connection.execute(select(*_CHANNEL).order_by(channels.c.id)).all()
            of_sources = connection.execute(select(*_SOURCE).order_by(sources.c.priority, sources.c.id)).all()
            return tuple(_known(of_channels, of_sources))

        return await self._database.read(work)

    async def apply(self, provider_id: str, planned: Sequence[ChannelPlan]) -> int:
        now = time.time()

        def work(connection: Connection) -> int:
            held = _lock(connection, [each.before.id for each in planned if each.before is not None])
            new = [each for each in planned if each.before is None]
            kept = [each for each in planned if each.before is not None and held.get(each.before.id) == each.before]
            added: list[dict[str, Any]] = []
            if new:
                rows = [_channel_row(each, now) | {"id": new_id(CHANNEL, now), "created_at": now} for each in new]
                connection.execute(insert(channels), rows)
                for each, row in zip(new, rows, strict=True):
                    added += _source_rows(each.added, row["id"], provider_id, 1)
            changed = [
                {"row_id": each.before.id, **_channel_row(each, now)}
                for each in kept
                if each.before is not None and (each.fields, each.imported) != (each.before.fields, each.before.imported)
            ]
            if changed:
                for row in changed:
                    del row["policy"], row["slug"]
                connection.execute(_UPDATE_CHANNEL, changed)
            of_sources = _source_updates(connection, [source for each in kept for source in each.changed], now)
            if of_sources:
                connection.execute(_UPDATE_SOURCE, of_sources)
            for each in kept:
                assert each.before is not None
                added += _source_rows(each.added, each.before.id, provider_id, len(each.before.sources) + 1)
            if added:
                connection.execute(insert(sources), added)
            return len(new) + len(kept)

        return await self._database.write(work)


def _lock(connection: Connection, ids: list[str]) -> dict[str, KnownChannel]:
    """These channels as they are now; locked, so they stay so until the transaction ends."""
    if not ids:
        return {}
    query = select(*_CHANNEL).where(channels.c.id.in_(ids)).order_by(channels.c.id).with_for_update()
    of_channels = connection.execute(query).all()
    query = select(*_SOURCE, sources.c.priority).where(sources.c.channel_id.in_(ids)).order_by(sources.c.id)
    of_sources = connection.execute(query.with_for_update()).all()
    in_order = sorted(of_sources, key=lambda row: (row.priority, row.id))
    return {channel.id: channel for channel in _known(of_channels, in_order)}


def _known(of_channels: Iterable[Any], of_sources: Iterable[Any]) -> Iterable[KnownChannel]:
    by_channel: dict[str, list[KnownSource]] = defaultdict(list)
    for row in of_sources:
        enabled = row.status is not SourceStatus.DISABLED
        fields = SourceFields(url=row.url, user_agent=row.user_agent, headers=row.headers, enabled=enabled)
        source = KnownSource(id=row.id, provider_id=row.provider_id, fields=fields, imported=row.imported)
        by_channel[row.channel_id].append(source)
    for row in of_channels:
        named = row._mapping
        yield KnownChannel(
            id=row.id,
            slug=row.slug,
            fields=ChannelFields(**{name: named[name] for name in _FIELDS}),
            imported=row.imported,
            sources=tuple(by_channel.get(row.id, ())),
        )


def _channel_row(each: ChannelPlan, now: float) -> dict[str, Any]:
    fields = each.fields
    words = (fields.name, each.slug, fields.group, fields.tvg_id, fields.tvg_name, fields.number)
    own = {"slug": each.slug, "imported": each.imported, "policy": ChannelPolicy(), "updated_at": now}
    return asdict(fields) | own | derived_columns(fields.number, words)


def _source_rows(added: Sequence[ImportedSource], channel_id: str, provider_id: str, first: int) -> list[dict[str, Any]]:
    return [
        {
            "id": new_id(SOURCE),
            "channel_id": channel_id,
            "provider_id": provider_id,
            "priority": priority,
            "url": source.fields.url,
            "user_agent": source.fields.user_agent,
            "headers": source.fields.headers,
            "status": SourceStatus.UNKNOWN,
            "imported": source,
        }
        for priority, source in enumerate(added, first)
    ]


def _source_updates(connection: Connection, changed: Sequence[KnownSource], now: float) -> list[dict[str, Any]]:
    """The rows of `_UPDATE_SOURCE`. The sources' rows are locked already."""
    query = select(*SOURCE_COLUMNS).where(sources.c.id.in_([each.id for each in changed]))
    before = {source.id: source for source in map(source_of, connection.execute(query))} if changed else {}
    rows = []
    for each in changed:
        fields, source = each.fields, before[each.id]
        enabled = fields.enabled if fields.enabled != source.enabled else None
        edited = health.edited(source, now, url=fields.url, enabled=enabled)
        own = {"url": edited.url, "user_agent": fields.user_agent, "headers": fields.headers, "imported": each.imported}
        rows.append({"row_id": each.id} | {f"to_{name}": value for name, value in (own | health_of(edited)).items()})
    return rows
