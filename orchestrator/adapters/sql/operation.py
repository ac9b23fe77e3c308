"""Repository (SQL) of what concerns the whole deployment: the orchestrators that run, the leader, draining, and the deletion
of old history.

Rule: history is deleted session by session, of sessions that have ended, in short transactions.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import asdict, fields
from sqlalchemy import Connection, Table, delete, insert, inspect, select, text, tuple_, update

from orchestrator.adapters.sql import leadership as leading
from orchestrator.adapters.sql.database import Database
from orchestrator.adapters.sql.schema import attempts, events, intents, orchestrators, sessions
from orchestrator.core.model import Phase
from orchestrator.errors import LimitReached
from orchestrator.ports import DRAIN_RETRY_S, DRAINING, AttemptRow, Leader, OrchestratorRow
from transcoder.ending import Ending

_ATTEMPT_ROW = tuple(attempts.c[field.name] for field in fields(AttemptRow))
_ROW = tuple(orchestrators.c[field.name] for field in fields(OrchestratorRow))
_FORGET_S = 24 * 3600.0  # after so long the row of an orchestrator that was killed is deleted
_DRAIN = "drain"
_DRAINING_SINCE = select(intents.c.at).where(intents.c.name == _DRAIN)
_SESSIONS_AT_ONCE = 200
_REFUSED_JOBS = 100
_IDS_AT_ONCE = 500  # SQLite allows some thousands of parameters, and PostgreSQL plans few of them faster


class SqlOperation:
    """`ports.Operation` over SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def announce(self, orchestrator: OrchestratorRow) -> None:
        seen = update(orchestrators).where(orchestrators.c.id == orchestrator.id).values(seen_at=orchestrator.seen_at)
        long_gone = delete(orchestrators).where(orchestrators.c.seen_at < orchestrator.seen_at - _FORGET_S)

        def work(connection: Connection) -> None:
            if connection.execute(seen).rowcount == 0:
                connection.execute(long_gone)
                connection.execute(insert(orchestrators).values(asdict(orchestrator)))

        await self._database.write(work)

    async def leave(self, orchestrator_id: str) -> None:
        gone = delete(orchestrators).where(orchestrators.c.id == orchestrator_id)
        await self._database.write(lambda connection: void(connection.execute(gone)))

    async def orchestrators(self) -> tuple[OrchestratorRow, ...]:
        query = select(*_ROW).order_by(orchestrators.c.seen_at.desc(), orchestrators.c.id)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return tuple(OrchestratorRow(**row._asdict()) for row in rows)

    async def lead(
        self, orchestrator_id: str, node: str, lease_s: float, *, process: str = "", ended: str | None = None
    ) -> Leader:
        return await self._database.write(
            lambda connection: leading.lead(connection, orchestrator_id, node, lease_s, process=process, ended=ended)
        )

    async def step_down(self, orchestrator_id: str) -> None:
        await self._database.write(lambda connection: leading.step_down(connection, orchestrator_id))

    async def note_refusal(self, orchestrator_id: str, node: str) -> None:
        await self._database.write(lambda connection: leading.note_refusal(connection, orchestrator_id, node))

    async def leader(self) -> Leader | None:
        return await self._database.read(leading.leader)

    async def drain(self, at: float | None) -> None:
        wanted = insert(intents).values(name=_DRAIN, at=at)

        def work(connection: Connection) -> None:
            if at is None:
                connection.execute(delete(intents).where(intents.c.name == _DRAIN))
            elif _draining_since(connection) is None:
                connection.execute(wanted)

        await self._database.write(work)

    async def draining_since(self) -> float | None:
        return await self._database.read(_draining_since)

    async def revision(self) -> str | None:
        def work(connection: Connection) -> str | None:
            if not inspect(connection).has_table("alembic_version"):
                return None
            revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
            return revision

        return await self._database.read(work)

    async def refused_jobs(self, since: float) -> tuple[AttemptRow, ...]:
        query = select(*_ATTEMPT_ROW).where(attempts.c.started_at >= since, attempts.c.exit_code == Ending.BAD_JOB)
        query = query.order_by(attempts.c.started_at.desc()).limit(_REFUSED_JOBS)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return tuple(AttemptRow(**row._asdict()) for row in rows)

    async def known(self, session_ids: Collection[str]) -> frozenset[str]:
        ids = sorted(session_ids)

        def work(connection: Connection) -> frozenset[str]:
            found: set[str] = set()
            for start in range(0, len(ids), _IDS_AT_ONCE):
                some = sessions.c.id.in_(ids[start : start + _IDS_AT_ONCE])
                found.update(connection.scalars(select(sessions.c.id).where(some)))
            return frozenset(found)

        return await self._database.read(work)

    async def forget_ended(self, before: float, limit: int) -> int:
        over = select(sessions.c.id).where(sessions.c.ended_at < before, sessions.c.phase == Phase.ENDED)
        over = over.order_by(sessions.c.ended_at).limit(min(limit, _SESSIONS_AT_ONCE))

        def work(connection: Connection) -> int:
            ids = connection.scalars(over).all()
            gone = 0
            # The sessions come last, when nothing refers to them any more: a cascade would be a transaction of any length.
            for table in (events, attempts):
                gone += _delete_some(connection, table, ids, limit - gone)
                if gone >= limit:
                    return gone
            return gone + connection.execute(delete(sessions).where(sessions.c.id.in_(ids))).rowcount

        return await self._database.write(work)


def refuse_while_draining(connection: Connection) -> None:
    """To be called within the transaction that would add a session. Raises LimitReached."""
    if _draining_since(connection) is not None:
        raise LimitReached("draining", DRAINING, DRAIN_RETRY_S)


def _draining_since(connection: Connection) -> float | None:
    return connection.scalar(_DRAINING_SINCE)


def _delete_some(connection: Connection, table: Table, session_ids: Collection[str], limit: int) -> int:
    key = tuple(table.primary_key.columns)
    some = select(*key).where(table.c.session_id.in_(session_ids)).limit(limit)
    return connection.execute(delete(table).where(tuple_(*key).in_(some))).rowcount


def void(_: object) -> None: ...
