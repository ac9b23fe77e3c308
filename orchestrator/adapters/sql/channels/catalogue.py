"""Repository (SQL) of channels and their ordered sources.

Rule: the priorities of a channel's sources are dense from 1, also under concurrent writes. A transaction that changes the order
locks the channel's row, then its sources' rows by id. A session's commit locks in the same order (sessions/records.py), so
there are no deadlocks.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Insert, Update, bindparam, case, delete, insert, literal, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from orchestrator.adapters.sql.channels.channel_rows import CHANNEL_COLUMNS, channel_of, editable_columns
from orchestrator.adapters.sql.channels.failover_channels import (
    read_all_failovers,
    read_edges,
    read_failovers,
    read_signatures,
    write_failovers,
)
from orchestrator.adapters.sql.channels.source_rows import SOURCE_COLUMNS, health_of, source_of
from orchestrator.adapters.sql.database import Database
from orchestrator.adapters.sql.ids import CHANNEL, SOURCE, new_id
from orchestrator.adapters.sql.schema import PROBLEMATIC, channels, sources
from orchestrator.core.catalogue.failover_channels import Signature, behind
from orchestrator.core.model import Channel, Source, SourceStatus
from orchestrator.core.source import health
from orchestrator.errors import AlreadyExists, InvalidInput, NotFound
from orchestrator.ports import ChannelRow, LineUp, NewSource, ProbeResult

_LINE = select(*SOURCE_COLUMNS).where(sources.c.channel_id.in_(bindparam("line", expanding=True)))
_LINE = _LINE.order_by(sources.c.priority, sources.c.id)
# Statements that are executed often are built once: building one costs more than executing it
_OF_CHANNEL = select(*SOURCE_COLUMNS).where(sources.c.channel_id == bindparam("own"))
_OF_CHANNEL = _OF_CHANNEL.order_by(sources.c.priority, sources.c.id)
_BY_ID = select(*SOURCE_COLUMNS).where(sources.c.id == bindparam("own"))
_BY_ID_LOCKED = _BY_ID.with_for_update()
_NAMED = select(*CHANNEL_COLUMNS).where(or_(channels.c.id == bindparam("name"), channels.c.slug == bindparam("name")))
# A slug may equal another channel's id: the id wins
_NAMED = _NAMED.order_by(case((channels.c.id == bindparam("name"), 0), else_=1)).limit(1)


class SqlCatalogue:
    """`ports.Catalogue` over SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_channel(self, channel: Channel, sources: Sequence[NewSource]) -> Channel:
        now = time.time()
        channel_id = new_id(CHANNEL, now)
        values = {"id": channel_id, "created_at": now, "updated_at": now, **editable_columns(channel)}
        rows = [_new(each, channel_id, priority) for priority, each in enumerate(sources, start=1)]

        def work(connection: Connection) -> Channel:
            _unique_slug(connection, insert(channels).values(values), channel.slug)
            _insert(connection, rows)
            return _read_channel(connection, channel_id)

        return await self._database.write(work)

    async def channel(self, channel: str) -> Channel:
        return await self._database.read(lambda connection: _read_channel(connection, channel))

    async def channels(self, *, limit: int = 100, after: str | None = None, search: str | None = None) -> tuple[Channel, ...]:
        """Raises InvalidInput('after') where that channel no longer exists."""
        order = (channels.c.sort_number, channels.c.name, channels.c.id)
        query = select(*CHANNEL_COLUMNS).order_by(*order).limit(limit)
        if search:
            query = query.where(channels.c.search_text.contains(search.casefold(), autoescape=True))

        def work(connection: Connection) -> tuple[Channel, ...]:
            if after is None:
                return tuple(channel_of(row) for row in connection.execute(query))
            last = connection.execute(select(*order).where(channels.c.id == after)).one_or_none()
            if last is None:
                raise InvalidInput("after", "no such channel")
            further = query.where(tuple_(*order) > tuple_(*map(literal, last)))
            return tuple(channel_of(row) for row in connection.execute(further))

        return await self._database.read(work)

    async def update_channel(self, channel: Channel) -> Channel:
        values = {"updated_at": time.time(), **editable_columns(channel)}
        statement = update(channels).where(channels.c.id == channel.id).values(values)

        def work(connection: Connection) -> Channel:
            _unique_slug(connection, statement, channel.slug)
            return _read_channel(connection, channel.id)

        return await self._database.write(work)

    async def delete_channel(self, channel_id: str) -> None:
        def work(connection: Connection) -> None:
            _lock(connection, channel_id)
            connection.execute(delete(channels).where(channels.c.id == channel_id))

        await self._database.write(work)

    async def sources(self, channel_id: str) -> tuple[Source, ...]:
        return await self._database.read(lambda connection: _read_sources(connection, channel_id))

    async def source(self, source_id: str) -> Source:
        return await self._database.read(lambda connection: _read_source(connection, source_id))

    async def add_source(self, channel_id: str, source: NewSource, priority: int | None = None) -> Source:
        def work(connection: Connection) -> Source:
            _lock(connection, channel_id)
            count = len(_read_sources(connection, channel_id))
            position = min(max(1, count + 1 if priority is None else priority), count + 1)
            _shift(connection, channel_id, position, by=1)
            row = _new(source, channel_id, position)
            _insert(connection, [row])
            return _read_source(connection, row["id"])

        return await self._database.write(work)

    async def update_source(
        self, source_id: str, *, url: str | None = None, user_agent: str | None = None,
        headers: dict[str, str] | None = None, enabled: bool | None = None, provider_id: str | None = None,
    ) -> Source:  # fmt: skip
        """An empty `user_agent` or `provider_id` removes the source's own."""

        now = time.time()

        def change(before: Source) -> dict[str, Any]:
            edited = health.edited(before, now, url=url, enabled=enabled)
            values = health_of(edited) | {"url": edited.url}
            if user_agent is not None:
                values["user_agent"] = user_agent or None
            if headers is not None:
                values["headers"] = headers
            if provider_id is not None:
                values["provider_id"] = provider_id or None
            return values

        return await self._database.write(lambda connection: _change_source(connection, source_id, change))

    async def delete_source(self, source_id: str) -> None:
        def work(connection: Connection) -> None:
            channel_id = _read_source(connection, source_id).channel_id
            _lock(connection, channel_id)
            priority = _read_source(connection, source_id).priority  # read again: only under the lock does it not change
            connection.execute(delete(sources).where(sources.c.id == source_id))
            _shift(connection, channel_id, priority, by=-1)

        await self._database.write(work)

    async def order_sources(self, channel_id: str, source_ids: Sequence[str]) -> tuple[Source, ...]:
        def work(connection: Connection) -> tuple[Source, ...]:
            _lock(connection, channel_id)
            known = [source.id for source in _read_sources(connection, channel_id)]
            if sorted(known) != sorted(source_ids):
                raise InvalidInput("source_ids", "must name each source of the channel exactly once")
            if known:
                positions = case({source_id: position for position, source_id in enumerate(source_ids, 1)}, value=sources.c.id)
                connection.execute(update(sources).where(sources.c.channel_id == channel_id).values(priority=positions))
            return _read_sources(connection, channel_id)

        return await self._database.write(work)

    async def record_probe(self, source_id: str, result: ProbeResult, now: float) -> Source:
        def change(before: Source) -> dict[str, Any]:
            refused = None if result.verdict else result.reason
            return health_of(health.after(before, result.happening, now)) | {"probe_asked_at": None, "probe_refused": refused}

        return await self._database.write(lambda connection: _change_source(connection, source_id, change))

    async def failovers(self, channel_id: str) -> tuple[Channel, ...]:
        return await self._database.read(lambda connection: read_failovers(connection, channel_id))

    async def set_failovers(self, channel_id: str, channel_ids: Sequence[str]) -> tuple[Channel, ...]:
        return await self._database.write(lambda connection: write_failovers(connection, channel_id, channel_ids))

    async def lineup(self, channel: str) -> LineUp:
        def work(connection: Connection) -> LineUp:
            own = _read_channel(connection, channel)
            line = behind(own.id, read_edges(connection, [own.id]))
            found = map(source_of, connection.execute(_LINE, {"line": line}))
            return LineUp(own, tuple(sorted(found, key=lambda each: line.index(each.channel_id))))

        return await self._database.read(work)

    async def lineups(self, channel_ids: Collection[str]) -> Mapping[str, Signature]:
        return await self._database.read(lambda connection: read_signatures(connection, channel_ids))

    async def whole(self) -> tuple[ChannelRow, ...]:
        every = select(*CHANNEL_COLUMNS).order_by(channels.c.sort_number, channels.c.name, channels.c.id)
        in_order = select(*SOURCE_COLUMNS).order_by(sources.c.channel_id, sources.c.priority, sources.c.id)

        def work(connection: Connection) -> tuple[ChannelRow, ...]:
            own: dict[str, list[Source]] = defaultdict(list)
            for row in connection.execute(in_order):
                own[row.channel_id].append(source_of(row))
            behind = read_all_failovers(connection)
            found = map(channel_of, connection.execute(every))
            return tuple(ChannelRow(each, tuple(own.get(each.id, ())), tuple(behind.get(each.id, ()))) for each in found)

        return await self._database.read(work)

    async def problematic_sources(self) -> tuple[Source, ...]:
        query = select(*SOURCE_COLUMNS).where(PROBLEMATIC).order_by(sources.c.id)
        return await self._database.read(lambda connection: tuple(source_of(row) for row in connection.execute(query)))


def _new(source: NewSource, channel_id: str, priority: int) -> dict[str, Any]:
    return {
        "id": new_id(SOURCE),
        "channel_id": channel_id,
        "provider_id": source.provider_id,
        "url": source.url,
        "priority": priority,
        "user_agent": source.user_agent,
        "headers": source.headers,
        "status": SourceStatus.UNKNOWN,
    }


def _insert(connection: Connection, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(sources), rows)


def _unique_slug(connection: Connection, statement: Insert | Update, slug: str) -> None:
    try:
        connection.execute(statement)
    except IntegrityError as error:
        raise AlreadyExists(f"channel {slug}") from error


def _lock(connection: Connection, channel_id: str) -> None:
    channel = select(channels.c.id).where(channels.c.id == channel_id).with_for_update()
    if connection.execute(channel).one_or_none() is None:
        raise NotFound(f"channel {channel_id}")
    own = select(sources.c.id).where(sources.c.channel_id == channel_id).order_by(sources.c.id).with_for_update()
    connection.execute(own).all()


def _shift(connection: Connection, channel_id: str, priority: int, *, by: int) -> None:
    """Moves the sources from this priority on."""
    tail = update(sources).where(sources.c.channel_id == channel_id, sources.c.priority >= priority)
    connection.execute(tail.values(priority=sources.c.priority + by))


def _change_source(connection: Connection, source_id: str, change: Callable[[Source], dict[str, Any]]) -> Source:
    values = change(_read_source(connection, source_id, lock=True))
    connection.execute(update(sources).where(sources.c.id == source_id).values(values))
    return _read_source(connection, source_id)


def _read_channel(connection: Connection, channel: str) -> Channel:
    row = connection.execute(_NAMED, {"name": channel}).one_or_none()
    if row is None:
        raise NotFound(f"channel {channel}")
    return channel_of(row)


def _read_sources(connection: Connection, channel_id: str) -> tuple[Source, ...]:
    return tuple(source_of(row) for row in connection.execute(_OF_CHANNEL, {"own": channel_id}))


def _read_source(connection: Connection, source_id: str, *, lock: bool = False) -> Source:
    row = connection.execute(_BY_ID_LOCKED if lock else _BY_ID, {"own": source_id}).one_or_none()
    if row is None:
        raise NotFound(f"source {source_id}")
    return source_of(row)
