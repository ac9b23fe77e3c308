"""A session as a row, and back: intent and identity in columns of their fields' names, the rest in the column `state`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import asdict, fields
from sqlalchemy import Connection, Row, bindparam, select

from orchestrator.adapters.sql.former_columns import former_columns
from orchestrator.adapters.sql.schema import StateDocument, sessions
from orchestrator.adapters.sql.sessions import leases as holding
from orchestrator.core.model import Session
from orchestrator.errors import NotFound
from orchestrator.ports import SessionRow

_KEPT = tuple(field.name for field in fields(StateDocument))
_COLUMNS = tuple(field.name for field in fields(Session) if field.name not in _KEPT)

SESSION = (*(sessions.c[name] for name in _COLUMNS), sessions.c.state)
RENEWED_AT = holding.latest_renewal().label("renewed_at")
SESSION_ROW = (*SESSION, RENEWED_AT)
_READ = select(*SESSION_ROW).where(sessions.c.id == bindparam("own"))


def columns_of(session: Session) -> dict[str, Any]:
    own = {name: getattr(session, name) for name in _COLUMNS}
    kept = StateDocument(**{name: getattr(session, name) for name in _KEPT})
    return {**former_columns(session), **own, "phase": session.phase, "state": kept}


def session_of(row: Sequence[Any]) -> Session:
    """`row` begins with `SESSION`."""
    kept: StateDocument = row[len(_COLUMNS)]
    return Session(**dict(zip(_COLUMNS, row, strict=False)), **asdict(kept))


def session_row_of(row: Row[Any]) -> SessionRow:
    """`row` is `SESSION_ROW`."""
    return SessionRow(session=session_of(row), renewed_at=row.renewed_at)


def read_session(connection: Connection, session_id: str) -> SessionRow:
    """Raises NotFound."""
    row = connection.execute(_READ, {"own": session_id}).one_or_none()
    if row is None:
        raise NotFound(f"session {session_id}")
    return session_row_of(row)
