"""Sessions, their attempts and events. Law: state changes by compare-and-swap on `version`, with its records, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import astuple, fields
from sqlalchemy import Connection, Row, insert, select, update

from orchestrator.adapters.tables.engine import Database
from orchestrator.adapters.tables.ids import SESSION, new_id
from orchestrator.adapters.tables.operation import refuse_while_draining
from orchestrator.adapters.tables.records import count_events, write_records
from orchestrator.adapters.tables.schema import RUNNING, attempts, events, sessions
from orchestrator.core.decide import NEXT
from orchestrator.core.model import Attempt, Decision, Desired, Event, Phase, Record, Session
from orchestrator.errors import DatabaseUnavailable, NotFound, Stale
from orchestrator.ports import AttemptRow, SessionRow

# The struct's fields are columns of the same name, but for the two attempts, which are five columns each
_FLAT = tuple(field.name for field in fields(Session) if field.name not in ("attempt", "previous"))
_ATTEMPT = ("attempt", "source_id", "attempt_started_at", "attempt_live_at", "attempt_address")
_PREVIOUS = ("previous_attempt", "previous_source_id", "previous_started_at", "previous_live_at", "previous_address")
_FIXED = frozenset({"id", "channel_id", "viewer", "created_at"})
_SESSION = tuple(sessions.c[name] for name in (*_FLAT, *_ATTEMPT, *_PREVIOUS))
_ROW = (*_SESSION, sessions.c.token_hash, sessions.c.renewed_at)
_EVENT = tuple(events.c[field.name] for field in fields(Event))
_ATTEMPT_ROW = tuple(attempts.c[field.name] for field in fields(AttemptRow))
_UNENDED = tuple(phase for phase in Phase if phase is not Phase.ENDED)


class SqlSessions:
    """`ports.Sessions` over SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def request(self, channel_id: str, viewer: str, token_hash: str, now: float) -> tuple[SessionRow, bool]:
        """Renews the lease of a session that is found."""
        for _ in range(5):
            try:
                return await self._request(channel_id, viewer, token_hash, now)
            except Stale:  # the same request came twice, and the other one was first: now it is found
                continue
        raise DatabaseUnavailable("the viewer's sessions begin and end faster than they can be read")

    async def _request(self, channel_id: str, viewer: str, token_hash: str, now: float) -> tuple[SessionRow, bool]:
        running = (sessions.c.viewer == viewer, sessions.c.channel_id == channel_id, RUNNING)
        lease = {"token_hash": token_hash, "renewed_at": now}

        def work(connection: Connection) -> tuple[SessionRow, bool]:
            found = connection.scalar(select(sessions.c.id).where(*running).with_for_update())
            if found is not None:
                connection.execute(update(sessions).where(sessions.c.id == found).values(lease))
                return _read(connection, found), False
            refuse_while_draining(connection)
            session = Session(id=new_id(SESSION, now), channel_id=channel_id, viewer=viewer, created_at=now)
            connection.execute(insert(sessions).values(_columns(session) | lease))
            return SessionRow(session=session, token_hash=token_hash, renewed_at=now), True

        return await self._database.write(work)

    async def get(self, session_id: str) -> SessionRow:
        return await self._database.read(lambda connection: _read(connection, session_id))

    async def unended(self) -> tuple[Session, ...]:
        query = select(*_SESSION).where(sessions.c.phase.in_(_UNENDED)).order_by(sessions.c.created_at, sessions.c.id)
        return await self._database.read(lambda connection: tuple(_session(row) for row in connection.execute(query)))

    async def versions(self) -> Mapping[str, int]:
        query = select(sessions.c.id, sessions.c.version).where(sessions.c.phase.in_(_UNENDED))
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return {row.id: row.version for row in rows}

    async def recent(self, *, limit: int = 100, phase: Phase | None = None) -> tuple[SessionRow, ...]:
        query = select(*_ROW).order_by(sessions.c.created_at.desc(), sessions.c.id.desc()).limit(limit)
        if phase is not None:
            query = query.where(sessions.c.phase == phase)
        return await self._database.read(lambda connection: tuple(_session_row(row) for row in connection.execute(query)))

    async def stop(self, session_id: str, reason: str) -> None:
        """The reason becomes the session's `end_reason`. A no-op where it is stopping or has ended."""
        await self._intend(session_id, desired=Desired.STOP, end_reason=reason)

    async def switch(self, session_id: str, source_id: str | None) -> None:
        """A no-op where it is stopping or has ended."""
        await self._intend(session_id, switch_to=source_id or NEXT)

    async def renew(self, session_id: str, now: float) -> None:
        renewed = update(sessions).where(sessions.c.id == session_id).values(renewed_at=now)

        def work(connection: Connection) -> None:
            if connection.execute(renewed).rowcount == 0:
                raise NotFound(f"session {session_id}")

        await self._database.write(work)

    async def commit(self, before: Session, decision: Decision, now: float) -> tuple[Event, ...]:
        state = {name: value for name, value in _columns(decision.session).items() if name not in _FIXED}
        state["version"] = before.version + 1
        count = count_events(decision.records)
        if count:
            state["last_event"] = sessions.c.last_event + count
        swap = update(sessions).where(sessions.c.id == before.id, sessions.c.version == before.version).values(state)
        given = select(sessions.c.last_event).where(sessions.c.id == before.id)

        def work(connection: Connection) -> tuple[Event, ...]:
            if connection.execute(swap).rowcount == 0:
                raise Stale(f"session {before.id} is no longer at version {before.version}")
            last_event = connection.scalar(given) if count else None
            return write_records(connection, before.id, before.channel_id, decision.records, now, last_event or 0)

        return await self._database.write(work)

    async def record(self, session_id: str, records: Sequence[Record], now: float) -> tuple[Event, ...]:
        """Raises NotFound."""
        own = sessions.c.id == session_id
        count = count_events(records)
        query = select(sessions.c.channel_id, sessions.c.last_event).where(own).with_for_update()

        def work(connection: Connection) -> tuple[Event, ...]:
            row = connection.execute(query).one_or_none()
            if row is None:
                raise NotFound(f"session {session_id}")
            last_event = row.last_event + count
            if count:
                connection.execute(update(sessions).where(own).values(last_event=last_event))
            return write_records(connection, session_id, row.channel_id, records, now, last_event)

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

    async def _intend(self, session_id: str, **intent: Any) -> None:
        """Bumps the version, so that a decision made without knowing of the intent is stale."""
        wanted = update(sessions).where(sessions.c.id == session_id, RUNNING)
        wanted = wanted.values(version=sessions.c.version + 1, **intent)

        def work(connection: Connection) -> None:
            if connection.execute(wanted).rowcount == 0:
                _read(connection, session_id)  # NotFound, or there is nothing left to want

        await self._database.write(work)


def _columns(session: Session) -> dict[str, Any]:
    values = {name: getattr(session, name) for name in _FLAT}
    return values | _attempt_columns(_ATTEMPT, session.attempt) | _attempt_columns(_PREVIOUS, session.previous)


def _attempt_columns(names: tuple[str, ...], attempt: Attempt | None) -> dict[str, Any]:
    return dict(zip(names, astuple(attempt) if attempt else (None,) * len(names), strict=True))


def _attempt(values: tuple[Any, ...]) -> Attempt | None:
    return None if values[0] is None else Attempt(*values)


def _session(row: Row[Any]) -> Session:
    rest = tuple(row)
    current = len(_FLAT)
    previous = current + len(_ATTEMPT)
    return Session(
        **dict(zip(_FLAT, rest, strict=False)),
        attempt=_attempt(rest[current:previous]),
        previous=_attempt(rest[previous : previous + len(_PREVIOUS)]),
    )


def _session_row(row: Row[Any]) -> SessionRow:
    return SessionRow(session=_session(row), token_hash=row.token_hash, renewed_at=row.renewed_at)


def _read(connection: Connection, session_id: str) -> SessionRow:
    row = connection.execute(select(*_ROW).where(sessions.c.id == session_id)).one_or_none()
    if row is None:
        raise NotFound(f"session {session_id}")
    return _session_row(row)
