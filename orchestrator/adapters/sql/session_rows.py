"""A session as a row, and back. The struct's fields are columns of the same name; its two attempts are five columns each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import astuple, fields
from sqlalchemy import Connection, Row, bindparam, select

from orchestrator.adapters.sql import leases as holding
from orchestrator.adapters.sql.schema import sessions
from orchestrator.core.model import Attempt, Session
from orchestrator.errors import NotFound
from orchestrator.ports import SessionRow

_FLAT = tuple(field.name for field in fields(Session) if field.name not in ("attempt", "previous"))
_ATTEMPT = ("attempt", "source_id", "attempt_started_at", "attempt_live_at", "attempt_address")
_PREVIOUS = ("previous_attempt", "previous_source_id", "previous_started_at", "previous_live_at", "previous_address")

SESSION = tuple(sessions.c[name] for name in (*_FLAT, *_ATTEMPT, *_PREVIOUS))
RENEWED_AT = holding.latest_renewal().label("renewed_at")
SESSION_ROW = (*SESSION, RENEWED_AT)
_READ = select(*SESSION_ROW).where(sessions.c.id == bindparam("own"))


def columns_of(session: Session) -> dict[str, Any]:
    values = {name: getattr(session, name) for name in _FLAT}
    return values | _attempt_columns(_ATTEMPT, session.attempt) | _attempt_columns(_PREVIOUS, session.previous)


def session_of(row: Sequence[Any]) -> Session:
    """`row` begins with `SESSION`."""
    rest = tuple(row)
    current = len(_FLAT)
    previous = current + len(_ATTEMPT)
    return Session(
        **dict(zip(_FLAT, rest, strict=False)),
        attempt=_attempt(rest[current:previous]),
        previous=_attempt(rest[previous : previous + len(_PREVIOUS)]),
    )


def session_row_of(row: Row[Any]) -> SessionRow:
    """`row` is `SESSION_ROW`."""
    return SessionRow(session=session_of(row), renewed_at=row.renewed_at)


def read_session(connection: Connection, session_id: str) -> SessionRow:
    """Raises NotFound."""
    row = connection.execute(_READ, {"own": session_id}).one_or_none()
    if row is None:
        raise NotFound(f"session {session_id}")
    return session_row_of(row)


def _attempt_columns(names: tuple[str, ...], attempt: Attempt | None) -> dict[str, Any]:
    return dict(zip(names, astuple(attempt) if attempt else (None,) * len(names), strict=True))


def _attempt(values: tuple[Any, ...]) -> Attempt | None:
    return None if values[0] is None else Attempt(*values)
