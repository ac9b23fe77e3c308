"""Providers: the accounts that sources belong to, with their connection limits."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec.structs import asdict, fields
from sqlalchemy import Connection, Insert, Row, Update, case, delete, func, insert, or_, select, tuple_, union_all, update
from sqlalchemy.exc import IntegrityError

from orchestrator.adapters.sql.database import Database
from orchestrator.adapters.sql.ids import PROVIDER, new_id
from orchestrator.adapters.sql.schema import attempts as attempt_rows
from orchestrator.adapters.sql.schema import channels, providers, sessions, sources
from orchestrator.core.model import Phase, Provider
from orchestrator.errors import AlreadyExists, NotFound

_PROVIDER = tuple(providers.c[field.name] for field in fields(Provider))


class SqlProviders:
    """`ports.Providers` over SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, name: str, max_connections: int | None) -> Provider:
        now = time.time()
        provider = Provider(id=new_id(PROVIDER, now), name=name, max_connections=max_connections, created_at=now)

        def work(connection: Connection) -> Provider:
            _unique(connection, insert(providers).values(asdict(provider)), name)
            return provider

        return await self._database.write(work)

    async def get(self, provider: str) -> Provider:
        return await self._database.read(lambda connection: _read(connection, provider))

    async def all(self) -> tuple[Provider, ...]:
        query = select(*_PROVIDER).order_by(providers.c.name)
        return await self._database.read(lambda connection: tuple(_provider(row) for row in connection.execute(query)))

    async def update(self, provider: Provider) -> Provider:
        values = {"name": provider.name, "max_connections": provider.max_connections}
        statement = update(providers).where(providers.c.id == provider.id).values(values)

        def work(connection: Connection) -> Provider:
            _unique(connection, statement, provider.name)
            return _read(connection, provider.id)

        return await self._database.write(work)

    async def in_use(self) -> Mapping[str, int]:
        unended = sessions.c.phase.in_([phase for phase in Phase if phase is not Phase.ENDED])
        played = union_all(
            select(sessions.c.source_id.label("source_id")).where(unended, sessions.c.source_id.is_not(None)),
            select(sessions.c.previous_source_id).where(unended, sessions.c.previous_source_id.is_not(None)),
        ).subquery()
        query = (
            select(sources.c.provider_id, func.count())
            .join(played, played.c.source_id == sources.c.id)
            .where(sources.c.provider_id.is_not(None))
            .group_by(sources.c.provider_id)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return {row[0]: row[1] for row in rows}

    async def of_attempts(self, attempts: Collection[tuple[str, int]]) -> Mapping[tuple[str, int], str]:
        asked = list(attempts)
        key = (attempt_rows.c.session_id, attempt_rows.c.number)
        query = select(*key, sources.c.provider_id).join(sources, sources.c.id == attempt_rows.c.source_id)
        query = query.where(sources.c.provider_id.is_not(None))

        def work(connection: Connection) -> Mapping[tuple[str, int], str]:
            found: dict[tuple[str, int], str] = {}
            for start in range(0, len(asked), _AT_ONCE):
                rows = connection.execute(query.where(tuple_(*key).in_(asked[start : start + _AT_ONCE])))
                found |= {(session_id, number): provider_id for session_id, number, provider_id in rows}
            return found

        return await self._database.read(work)

    async def delete(self, provider_id: str) -> None:
        own = sources.c.provider_id == provider_id
        touched = select(sources.c.channel_id).where(own)

        def work(connection: Connection) -> None:
            # Every transaction locks in this order: channels by id, then sources by id
            of_them = select(channels.c.id, channels.c.imported).where(channels.c.id.in_(touched)).order_by(channels.c.id)
            affected = connection.execute(of_them.with_for_update()).all()
            connection.execute(select(sources.c.id).where(own).order_by(sources.c.id).with_for_update()).all()
            connection.execute(delete(sources).where(own))
            if connection.execute(delete(providers).where(providers.c.id == provider_id)).rowcount == 0:
                raise NotFound(f"provider {provider_id}")
            for start in range(0, len(affected), _AT_ONCE):
                _close_ranks(connection, provider_id, affected[start : start + _AT_ONCE])

        await self._database.write(work)


_AT_ONCE = 1000


def _close_ranks(connection: Connection, provider_id: str, affected: Sequence[Any]) -> None:
    """Makes the priorities of the remaining sources dense again, and deletes channels that the provider's imports had added and
    that have no source left."""
    ids = [row.id for row in affected]
    position = func.row_number().over(partition_by=sources.c.channel_id, order_by=(sources.c.priority, sources.c.id))
    ranked = select(sources.c.id, position.label("position")).where(sources.c.channel_id.in_(ids)).subquery()
    connection.execute(update(sources).where(sources.c.id == ranked.c.id).values(priority=ranked.c.position))
    brought = [row.id for row in affected if row.imported is not None and row.imported.provider_id == provider_id]
    left = select(sources.c.id).where(sources.c.channel_id == channels.c.id).exists()
    connection.execute(delete(channels).where(channels.c.id.in_(brought), ~left))


def _provider(row: Row[Any]) -> Provider:
    return Provider(**row._asdict())


def _unique(connection: Connection, statement: Insert | Update, name: str) -> None:
    try:
        connection.execute(statement)
    except IntegrityError as error:
        raise AlreadyExists(f"provider {name}") from error


def _read(connection: Connection, provider: str) -> Provider:
    query = select(*_PROVIDER).where(or_(providers.c.id == provider, providers.c.name == provider))
    # A name may equal another provider's id: the id wins
    row = connection.execute(query.order_by(case((providers.c.id == provider, 0), else_=1)).limit(1)).one_or_none()
    if row is None:
        raise NotFound(f"provider {provider}")
    return _provider(row)
