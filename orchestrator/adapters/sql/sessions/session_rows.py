"""A session as a row, and back: intent and identity in columns of their fields' names, the rest in the column `state`."""

from __future__ import annotations

from typing import Any

from msgspec import convert
from msgspec.structs import asdict, fields
from sqlalchemy import Connection, Row, bindparam, select

from orchestrator.adapters.sql.former_columns import READ, former_columns, state_of
from orchestrator.adapters.sql.schema import StateDocument, sessions
from orchestrator.adapters.sql.sessions import leases as holding
from orchestrator.core.model import Session
from orchestrator.errors import NotFound
from orchestrator.ports import SessionRow

_KEPT = tuple(field.name for field in fields(StateDocument))
_COLUMNS = tuple(field.name for field in fields(Session) if field.name not in _KEPT)

SESSION = (*(sessions.c[name] for name in _COLUMNS), sessions.c.state, sessions.c.state_version)
BUMPED = {"version": sessions.c.version + 1, "state_version": sessions.c.state_version + 1}
"""How a write of intent changes the versions, so that it stays known which release has written the state last."""
RENEWED_AT = holding.latest_renewal().label("renewed_at")
SESSION_ROW = (*SESSION, RENEWED_AT)
_READ = select(*SESSION_ROW).where(sessions.c.id == bindparam("own"))
_READ_FORMER = select(*(sessions.c[name] for name in READ)).where(sessions.c.id == bindparam("own"))


def columns_of(session: Session) -> dict[str, Any]:
    own = {name: getattr(session, name) for name in _COLUMNS}
    kept = StateDocument(**{name: getattr(session, name) for name in _KEPT})
    return {**former_columns(session), **own, "phase": session.phase, "state": kept, "state_version": session.version}


def session_of(connection: Connection, row: Row[Any]) -> Session:
    """`row` begins with `SESSION`."""
    kept: StateDocument = row.state if row.state_version == row.version else _former(connection, row.id)
    return Session(**dict(zip(_COLUMNS, row, strict=False)), **asdict(kept))


def session_row_of(connection: Connection, row: Row[Any]) -> SessionRow:
    """`row` is `SESSION_ROW`."""
    return SessionRow(session=session_of(connection, row), renewed_at=row.renewed_at)


def _former(connection: Connection, session_id: str) -> StateDocument:
    """The state where the release before has written it last."""
    row = connection.execute(_READ_FORMER, {"own": session_id}).mappings().one_or_none()
    if row is None:
        raise NotFound(f"session {session_id}")
    return convert(state_of(row), StateDocument)


def read_session(connection: Connection, session_id: str) -> SessionRow:
    """Raises NotFound."""
    row = connection.execute(_READ, {"own": session_id}).one_or_none()
    if row is None:
        raise NotFound(f"session {session_id}")
    return session_row_of(connection, row)
