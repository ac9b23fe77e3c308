"""Requests for probes, which are two columns of a source's row that its next probe clears (catalogue.py); and sources that have
not been probed yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, bindparam, or_, select, update

from orchestrator.adapters.sql.channels.source_rows import SOURCE_COLUMNS, source_of
from orchestrator.adapters.sql.database import Database
from orchestrator.adapters.sql.schema import PROBE_ASKED, UNKNOWN, channels, sources
from orchestrator.core.model import Source
from orchestrator.ports import ProbeAnswer

_IDS_AT_ONCE = 500  # SQLite allows some thousands of parameters, and PostgreSQL plans few of them faster
_ASKED = select(*SOURCE_COLUMNS).where(PROBE_ASKED).order_by(sources.c.probe_asked_at.desc(), sources.c.id)
_UNSEEN = select(*SOURCE_COLUMNS).join(channels, channels.c.id == sources.c.channel_id).where(UNKNOWN, channels.c.enabled)
_UNSEEN = _UNSEEN.order_by(sources.c.priority, sources.c.id)
_ASK = (
    update(sources)
    .where(sources.c.id == bindparam("own"), sources.c.probe_asked_at.is_(None))
    .values(probe_asked_at=bindparam("at"), probe_refused=None)
)
_REFUSE = (
    update(sources)
    .where(sources.c.id == bindparam("own"), sources.c.probe_asked_at.is_not(None))
    .values(probe_asked_at=None, probe_refused=bindparam("why"))
)


class SqlProbes:
    """`ports.Probes` over SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(self, source_ids: Collection[str], now: float) -> None:
        rows = [{"own": each, "at": now} for each in sorted(source_ids)]  # every transaction locks sources in this order

        def work(connection: Connection) -> None:
            if rows:
                connection.execute(_ASK, rows)

        await self._database.write(work)

    async def asked(self) -> tuple[Source, ...]:
        return await self._database.read(lambda connection: tuple(map(source_of, connection.execute(_ASKED))))

    async def unseen(self, limit: int, *, but_of: Collection[str] = ()) -> tuple[Source, ...]:
        query = _UNSEEN.limit(limit)
        if but_of:
            query = query.where(or_(sources.c.provider_id.is_(None), sources.c.provider_id.not_in(sorted(but_of))))
        return await self._database.read(lambda connection: tuple(map(source_of, connection.execute(query))))

    async def refuse(self, source_id: str, why: str) -> None:
        def work(connection: Connection) -> None:
            connection.execute(_REFUSE, {"own": source_id, "why": why})

        await self._database.write(work)

    async def answers(self, source_ids: Collection[str]) -> Mapping[str, ProbeAnswer | None]:
        ids = sorted(source_ids)
        query = select(*SOURCE_COLUMNS, sources.c.probe_asked_at, sources.c.probe_refused)

        def work(connection: Connection) -> dict[str, ProbeAnswer | None]:
            found: dict[str, ProbeAnswer | None] = {}
            for start in range(0, len(ids), _IDS_AT_ONCE):
                some = sources.c.id.in_(ids[start : start + _IDS_AT_ONCE])
                for *columns, asked_at, refused in connection.execute(query.where(some)):
                    source = source_of(columns)
                    found[source.id] = None if asked_at is not None else ProbeAnswer(source, refused)
            return found

        return await self._database.read(work)
