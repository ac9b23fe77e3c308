"""What imports know and write. Law: a channel that has changed since its plan was made is left alone: the next import sees it.

Rows are locked in the order of everybody: channels by id, then sources by id.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import Boolean, Connection, bindparam, case, insert, select, update

from orchestrator.adapters.tables.catalogue import derived
from orchestrator.adapters.tables.engine import Database
from orchestrator.adapters.tables.ids import CHANNEL, SOURCE, new_id
from orchestrator.adapters.tables.schema import channels, sources
from orchestrator.core.imports import (
    ChannelFields,
    ChannelPlan,
    ImportedSource,
    KnownChannel,
    KnownSource,
    SourceFields,
)
from orchestrator.core.model import ChannelPolicy, SourceStatus

_FIELDS = ChannelFields.__struct_fields__
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
_MOVED = sources.c.url != bindparam("to_url")
_ANEW = (sources.c.status == SourceStatus.DISABLED) | _MOVED
_UPDATE_CHANNEL = update(channels).where(channels.c.id == bindparam("row_id"))
_UPDATE_SOURCE = (
    update(sources)
    .where(sources.c.id == bindparam("row_id"))
    .values(
        url=bindparam("to_url"),
        user_agent=bindparam("to_user_agent"),
        headers=bindparam("to_headers"),
        imported=bindparam("to_imported"),
        # As when the operator does it: what was seen says nothing of another address, nor of one that was switched off
        status=case(
            (bindparam("to_enabled", type_=Boolean).is_(False), SourceStatus.DISABLED),
            (_ANEW, SourceStatus.UNKNOWN),
            else_=sources.c.status,
        ),
        failures_in_a_row=case((_ANEW, 0), else_=sources.c.failures_in_a_row),
        healthy_since=case((_ANEW, None), else_=sources.c.healthy_since),
        healthy_at=case((_ANEW, None), else_=sources.c.healthy_at),
        media=case((_MOVED, None), else_=sources.c.media),
    )
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
            of_sources = [_source_update(source) for each in kept for source in each.changed]
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
    """These channels as they are now, and remain until the transaction ends."""
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
    return asdict(fields) | own | derived(fields.number, words)


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


def _source_update(source: KnownSource) -> dict[str, Any]:
    fields = source.fields
    to = {"url": fields.url, "user_agent": fields.user_agent, "headers": fields.headers, "imported": source.imported}
    return {"row_id": source.id, "to_enabled": fields.enabled} | {f"to_{name}": value for name, value in to.items()}
