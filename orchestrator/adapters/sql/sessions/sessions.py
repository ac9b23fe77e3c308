"""Repository (SQL) of sessions with their attempts and events.

Rule: a session's state changes by compare-and-swap on `version`, in one transaction with its records, or not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from msgspec.structs import fields, replace
from sqlalchemy import Connection, Update, bindparam, delete, func, select, tuple_, update

from orchestrator.adapters.sql.database import Database
from orchestrator.adapters.sql.schema import RUNNING, attempts, events, leases, sessions
from orchestrator.adapters.sql.sessions import leases as holding
from orchestrator.adapters.sql.sessions.admission import Admission, Asked
from orchestrator.adapters.sql.sessions.records import count_events, write_records
from orchestrator.adapters.sql.sessions.session_rows import (
    BUMPED,
    RENEWED_AT,
    SESSION,
    SESSION_ROW,
    columns_of,
    read_session,
    session_of,
    session_row_of,
)
from orchestrator.core.model import SHARED, Decision, Desired, EndReason, Event, Phase, Profile, Session
from orchestrator.core.session.limits import NO_LIMITS, Limits
from orchestrator.core.session.operator_switch import NEXT
from orchestrator.errors import NotFound, Stale
from orchestrator.ports import AttemptRow, LatestRenewals, Lease, SessionRow

_FIXED = frozenset({"id", "channel_id", "viewer", "created_at"})
_LEASE = (leases.c.viewer, leases.c.token_hash, leases.c.renewed_at)
_EVENT = tuple(events.c[field.name] for field in fields(Event))
_ATTEMPT_ROW = tuple(attempts.c[field.name] for field in fields(AttemptRow))
_UNENDED = tuple(phase for phase in Phase if phase is not Phase.ENDED)
# Made once, as every statement that is executed again and again: to build one costs more than to execute it
_READ_LEASE = select(*_LEASE).where(leases.c.session_id == bindparam("own"), leases.c.token_hash == bindparam("hash"))
_RUNS = select(sessions.c.id).where(
    sessions.c.viewer == bindparam("whose"), sessions.c.channel_id == bindparam("channel"), RUNNING
)
_SWAP = update(sessions).where(sessions.c.id == bindparam("own"), sessions.c.version == bindparam("expected"))
_SWAP = _SWAP.values(last_event=sessions.c.last_event + bindparam("happened"))
_LAST_EVENT = select(sessions.c.last_event).where(sessions.c.id == bindparam("own"))


class SqlSessions:
    """`ports.Sessions` over SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._admission = Admission(database)

    async def request(
        self, channel_id: str, viewer: str, token_hash: str, now: float,
        *, shared: bool = False, profile: Profile = "copy", limits: Limits = NO_LIMITS,
    ) -> tuple[SessionRow, bool]:  # fmt: skip
        lease = Lease(viewer=viewer, token_hash=token_hash, renewed_at=now)
        return await self._admission.ask(Asked(channel_id, SHARED if shared else viewer, lease, profile, limits))

    async def get(self, session_id: str, token_hash: str | None = None) -> SessionRow:
        own = {"own": session_id, "hash": token_hash}

        def work(connection: Connection) -> SessionRow:
            row = read_session(connection, session_id)
            found = None if token_hash is None else connection.execute(_READ_LEASE, own).first()
            return row if found is None else replace(row, lease=Lease(**found._asdict()))

        return await self._database.read(work)

    async def unended(self) -> tuple[Session, ...]:
        query = select(*SESSION).where(sessions.c.phase.in_(_UNENDED)).order_by(sessions.c.created_at, sessions.c.id)
        return await self._database.read(
            lambda connection: tuple(session_of(connection, row) for row in connection.execute(query))
        )

    async def versions(self) -> Mapping[str, int]:
        query = select(sessions.c.id, sessions.c.version).where(sessions.c.phase.in_(_UNENDED))
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return {row.id: row.version for row in rows}

    async def recent(self, *, limit: int = 100, phase: Phase | None = None) -> tuple[SessionRow, ...]:
        query = select(*SESSION_ROW).order_by(sessions.c.created_at.desc(), sessions.c.id.desc()).limit(limit)
        if phase is not None:
            query = query.where(sessions.c.phase == phase)
        return await self._database.read(
            lambda connection: tuple(session_row_of(connection, row) for row in connection.execute(query))
        )

    async def stop(self, session_id: str, reason: EndReason) -> None:
        """The reason becomes the session's `end_reason`. A no-op where it is stopping or has ended."""
        await self._intend(session_id, desired=Desired.STOP, end_reason=reason)

    async def switch(self, session_id: str, source_id: str | None) -> None:
        """A no-op where it is stopping or has ended."""
        await self._intend(session_id, switch_to=source_id or NEXT)

    async def renew(self, session_id: str, now: float, viewer: str | None = None) -> None:
        renewed = update(leases).where(leases.c.session_id == session_id).values(renewed_at=now)
        if viewer is not None:
            renewed = renewed.where(leases.c.viewer == viewer)

        def work(connection: Connection) -> None:
            if connection.execute(renewed).rowcount == 0:
                raise NotFound(f"session {session_id}" if viewer is None else f"viewer {viewer} of session {session_id}")

        await self._database.write(work)

    async def leave(self, session_id: str, viewer: str) -> None:
        own = (leases.c.session_id == session_id, leases.c.viewer == viewer)

        def work(connection: Connection) -> None:
            connection.execute(select(sessions.c.id).where(sessions.c.id == session_id).with_for_update())
            held = connection.scalars(select(leases.c.viewer).where(leases.c.session_id == session_id).limit(2)).all()
            if viewer not in held and connection.execute(select(leases.c.viewer).where(*own)).first() is None:
                raise NotFound(f"viewer {viewer} of session {session_id}")
            if len(held) > 1:
                connection.execute(delete(leases).where(*own))
            else:
                connection.execute(_intended(session_id, desired=Desired.STOP, end_reason=EndReason.STOPPED))

        await self._database.write(work)

    async def viewers(self, session_ids: Collection[str], since: float) -> Mapping[str, int]:
        query = select(leases.c.session_id, func.count()).group_by(leases.c.session_id)
        query = query.where(leases.c.session_id.in_(session_ids), leases.c.renewed_at > since)
        return await self._database.read(lambda connection: {row[0]: row[1] for row in connection.execute(query)})

    async def runs(self, channel_id: str, viewer: str) -> bool:
        own = {"channel": channel_id, "whose": viewer}
        return await self._database.read(lambda connection: connection.execute(_RUNS, own).first() is not None)

    async def held(self, places: Collection[tuple[str, str]], since: float) -> frozenset[tuple[str, str]]:
        query = select(sessions.c.channel_id, leases.c.viewer).join(leases, leases.c.session_id == sessions.c.id)
        query = query.where(RUNNING, leases.c.renewed_at >= since)
        query = query.where(tuple_(sessions.c.channel_id, leases.c.viewer).in_(sorted(places)))
        if not places:
            return frozenset()
        return await self._database.read(lambda connection: frozenset((row[0], row[1]) for row in connection.execute(query)))

    async def can_renew(self, now: float) -> None:
        await self._database.write(lambda connection: holding.mark_can_renew(connection, now))

    async def renewals(self) -> LatestRenewals:
        query = select(sessions.c.id, RENEWED_AT).where(sessions.c.phase.in_(_UNENDED))

        def work(connection: Connection) -> LatestRenewals:
            last_at = {row.id: row.renewed_at for row in connection.execute(query)}
            return LatestRenewals(last_at=last_at, written_at=holding.can_renew_marked_at(connection))

        return await self._database.read(work)

    async def commit(self, before: Session, decision: Decision, now: float) -> tuple[Event, ...]:
        state = {name: value for name, value in columns_of(decision.session).items() if name not in _FIXED}
        state["version"] = state["state_version"] = before.version + 1
        count = count_events(decision.records)
        legs = {each.number: each.legs for each in decision.session.attempts}
        swap = state | {"own": before.id, "expected": before.version, "happened": count}

        def work(connection: Connection) -> tuple[Event, ...]:
            if connection.execute(_SWAP, swap).rowcount == 0:
                raise Stale(f"session {before.id} is no longer at version {before.version}")
            last_event = connection.scalar(_LAST_EVENT, {"own": before.id}) if count else None
            return write_records(connection, before.id, before.channel_id, decision.records, now, last_event or 0, legs)

        return await self._database.write(work)

    async def events(self, session_id: str, after: int = 0, limit: int = 1000) -> tuple[Event, ...]:
        query = select(*_EVENT).where(events.c.session_id == session_id, events.c.id > after)
        query = query.order_by(events.c.id).limit(limit)
        return await self._database.read(lambda connection: tuple(Event(**row._asdict()) for row in connection.execute(query)))

    async def attempts(self, session_id: str) -> tuple[AttemptRow, ...]:
        query = select(*_ATTEMPT_ROW).where(attempts.c.session_id == session_id).order_by(attempts.c.number)
        return await self._database.read(
            lambda connection: tuple(AttemptRow(**row._asdict()) for row in connection.execute(query))
        )

    async def check(self) -> None:
        query = select(sessions.c.id).limit(1)
        await self._database.read(lambda connection: connection.execute(query).all())

    async def close(self) -> None:
        await self._database.close()
        await self._admission.close()

    async def _intend(self, session_id: str, **intent: Any) -> None:
        """Bumps the version, so that a decision made without knowing of the intent is stale."""
        wanted = _intended(session_id, **intent)

        def work(connection: Connection) -> None:
            if connection.execute(wanted).rowcount == 0:
                read_session(connection, session_id)  # raises NotFound; else the session is stopping or has ended

        await self._database.write(work)


def _intended(session_id: str, **intent: Any) -> Update:
    return update(sessions).where(sessions.c.id == session_id, RUNNING).values(**BUMPED, **intent)
