"""Channels and their ordered sources. Law: a channel's order is dense from 1, whoever writes at the same time.

Whatever touches the order locks the channel's row first; a session's commit takes the same order of locks (records.py).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from msgspec.structs import fields
from sqlalchemy import Insert, Row, Update, case, delete, func, insert, literal, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from orchestrator.adapters.tables.engine import Database
from orchestrator.adapters.tables.ids import CHANNEL, SOURCE, new_id
from orchestrator.adapters.tables.schema import PROBLEMATIC, channels, sources
from orchestrator.core.model import Channel, Source, SourceStatus
from orchestrator.errors import AlreadyExists, InvalidInput, NotFound
from orchestrator.ports import NewSource, ProbeResult

_CHANNEL = tuple(channels.c[field.name] for field in fields(Channel))
_SOURCE = tuple(sources.c[field.name] for field in fields(Source))
_UNNUMBERED = 2**31 - 1


class SqlCatalogue:
    """`ports.Catalogue` over SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_channel(self, channel: Channel, sources: Sequence[NewSource]) -> Channel:
        now = time.time()
        channel_id = new_id(CHANNEL, now)
        async with self._database.write() as connection:
            values = {"id": channel_id, "created_at": now, "updated_at": now, **_editable(channel)}
            await _unique_slug(connection, insert(channels).values(values), channel.slug)
            await _insert(connection, [_new(each, channel_id, place) for place, each in enumerate(sources, start=1)])
            return await _read_channel(connection, channel_id)

    async def channel(self, channel: str) -> Channel:
        async with self._database.read() as connection:
            return await _read_channel(connection, channel)

    async def channels(self, *, limit: int = 100, after: str | None = None, search: str | None = None) -> tuple[Channel, ...]:
        place = (channels.c.sort_number, channels.c.name, channels.c.id)
        query = select(*_CHANNEL).order_by(*place).limit(limit)
        async with self._database.read() as connection:
            if after is not None:
                last = (await connection.execute(select(*place).where(channels.c.id == after))).one_or_none()
                if last is None:
                    raise InvalidInput("after", "no such channel")
                query = query.where(tuple_(*place) > tuple_(*map(literal, last)))
            if search:
                query = query.where(channels.c.search_text.contains(search.casefold(), autoescape=True))
            return tuple(_channel(row) for row in await connection.execute(query))

    async def update_channel(self, channel: Channel) -> Channel:
        async with self._database.write() as connection:
            values = {"updated_at": time.time(), **_editable(channel)}
            statement = update(channels).where(channels.c.id == channel.id).values(values)
            await _unique_slug(connection, statement, channel.slug)
            return await _read_channel(connection, channel.id)

    async def delete_channel(self, channel_id: str) -> None:
        async with self._database.write() as connection:
            if (await connection.execute(delete(channels).where(channels.c.id == channel_id))).rowcount == 0:
                raise NotFound(f"channel {channel_id}")

    async def sources(self, channel_id: str) -> tuple[Source, ...]:
        async with self._database.read() as connection:
            return await _read_sources(connection, channel_id)

    async def source(self, source_id: str) -> Source:
        async with self._database.read() as connection:
            return await _read_source(connection, source_id)

    async def add_source(self, channel_id: str, source: NewSource, priority: int | None = None) -> Source:
        async with self._database.write() as connection:
            await _lock(connection, channel_id)
            of_channel = sources.c.channel_id == channel_id
            count = await connection.scalar(select(func.count()).where(of_channel)) or 0
            place = min(max(1, count + 1 if priority is None else priority), count + 1)
            await connection.execute(
                update(sources).where(of_channel, sources.c.priority >= place).values(priority=sources.c.priority + 1)
            )
            row = _new(source, channel_id, place)
            await _insert(connection, [row])
            return await _read_source(connection, row["id"])

    async def update_source(
        self, source_id: str, *, url: str | None = None, user_agent: str | None = None,
        headers: dict[str, str] | None = None, enabled: bool | None = None,
    ) -> Source:  # fmt: skip
        """An empty `user_agent` takes the source's own away."""
        async with self._database.write() as connection:
            before = await _read_source(connection, source_id, lock=True)
            values: dict[str, Any] = {}
            if url is not None and url != before.url:
                values |= {"url": url, "media": None}  # what was seen there says nothing of the new address
                if before.status is not SourceStatus.DISABLED:
                    values["status"] = SourceStatus.UNKNOWN
            if user_agent is not None:
                values["user_agent"] = user_agent or None
            if headers is not None:
                values["headers"] = headers
            if enabled is not None:
                values["status"] = SourceStatus.UNKNOWN if enabled else SourceStatus.DISABLED
            if values:
                await connection.execute(update(sources).where(sources.c.id == source_id).values(values))
            return await _read_source(connection, source_id)

    async def delete_source(self, source_id: str) -> None:
        async with self._database.write() as connection:
            source = await _read_source(connection, source_id)
            await _lock(connection, source.channel_id)
            source = await _read_source(connection, source_id)  # again: its priority may have moved before the lock
            await connection.execute(delete(sources).where(sources.c.id == source_id))
            await connection.execute(
                update(sources)
                .where(sources.c.channel_id == source.channel_id, sources.c.priority > source.priority)
                .values(priority=sources.c.priority - 1)
            )

    async def order_sources(self, channel_id: str, source_ids: Sequence[str]) -> tuple[Source, ...]:
        async with self._database.write() as connection:
            await _lock(connection, channel_id)
            known = [source.id for source in await _read_sources(connection, channel_id)]
            if sorted(known) != sorted(source_ids):
                raise InvalidInput("source_ids", "must name each source of the channel exactly once")
            places = {source_id: place for place, source_id in enumerate(source_ids, start=1)}
            if places:
                statement = update(sources).where(sources.c.channel_id == channel_id)
                await connection.execute(statement.values(priority=case(places, value=sources.c.id)))
            return await _read_sources(connection, channel_id)

    async def record_probe(self, source_id: str, result: ProbeResult, now: float) -> Source:
        async with self._database.write() as connection:
            before = await _read_source(connection, source_id, lock=True)
            values: dict[str, Any] = {"last_checked_at": now}
            if result.media is not None:
                values |= {"media": result.media, "status": _AFTER_SUCCESS.get(before.status, before.status)}
            else:
                values |= {"last_failed_at": now, "last_failure_reason": result.reason}
                if before.status is not SourceStatus.DISABLED:
                    values["status"] = SourceStatus.PROBLEMATIC
            await connection.execute(update(sources).where(sources.c.id == source_id).values(values))
            return await _read_source(connection, source_id)

    async def problematic_sources(self) -> tuple[Source, ...]:
        async with self._database.read() as connection:
            query = select(*_SOURCE).where(PROBLEMATIC).order_by(sources.c.id)
            return tuple(_source(row) for row in await connection.execute(query))


_AFTER_SUCCESS = {SourceStatus.UNKNOWN: SourceStatus.HEALTHY, SourceStatus.PROBLEMATIC: SourceStatus.RECOVERED}


def _channel(row: Row[Any]) -> Channel:
    return Channel(**row._asdict())


def _source(row: Row[Any]) -> Source:
    return Source(**row._asdict())


def _editable(channel: Channel) -> dict[str, Any]:
    """What `update_channel` may write, and what is derived from it."""
    words = (channel.name, channel.slug, channel.group, channel.tvg_id, channel.tvg_name, channel.number)
    return {
        "slug": channel.slug,
        "name": channel.name,
        "number": channel.number,
        "group": channel.group,
        "logo": channel.logo,
        "tvg_id": channel.tvg_id,
        "tvg_name": channel.tvg_name,
        "enabled": channel.enabled,
        "policy": channel.policy,
        "sort_number": _UNNUMBERED if channel.number is None else channel.number,
        "search_text": "\n".join(str(word) for word in words if word is not None).casefold(),
    }


def _new(source: NewSource, channel_id: str, priority: int) -> dict[str, Any]:
    return {
        "id": new_id(SOURCE),
        "channel_id": channel_id,
        "url": source.url,
        "priority": priority,
        "user_agent": source.user_agent,
        "headers": source.headers,
        "status": SourceStatus.UNKNOWN,
    }


async def _insert(connection: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    if rows:
        await connection.execute(insert(sources), rows)


async def _unique_slug(connection: AsyncConnection, statement: Insert | Update, slug: str) -> None:
    try:
        await connection.execute(statement)
    except IntegrityError as error:
        raise AlreadyExists(f"channel {slug}") from error


async def _lock(connection: AsyncConnection, channel_id: str) -> None:
    query = select(channels.c.id).where(channels.c.id == channel_id).with_for_update()
    if (await connection.execute(query)).one_or_none() is None:
        raise NotFound(f"channel {channel_id}")


async def _read_channel(connection: AsyncConnection, channel: str) -> Channel:
    query = select(*_CHANNEL).where(or_(channels.c.id == channel, channels.c.slug == channel))
    # A slug may look like another channel's id: the id wins
    row = (await connection.execute(query.order_by(case((channels.c.id == channel, 0), else_=1)).limit(1))).one_or_none()
    if row is None:
        raise NotFound(f"channel {channel}")
    return _channel(row)


async def _read_sources(connection: AsyncConnection, channel_id: str) -> tuple[Source, ...]:
    query = select(*_SOURCE).where(sources.c.channel_id == channel_id).order_by(sources.c.priority, sources.c.id)
    return tuple(_source(row) for row in await connection.execute(query))


async def _read_source(connection: AsyncConnection, source_id: str, *, lock: bool = False) -> Source:
    query = select(*_SOURCE).where(sources.c.id == source_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound(f"source {source_id}")
    return _source(row)
