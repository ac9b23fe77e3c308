"""A source as a row: reads it, and changes it under its lock.

Rule: a source's health is computed by `core.source.health` alone, between a locking read and the write of the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import fields
from sqlalchemy import Connection, bindparam, select, update

from orchestrator.adapters.sql.schema import sources
from orchestrator.core.model import Source
from orchestrator.core.source import health

_FIELDS = tuple(field.name for field in fields(Source))
SOURCE_COLUMNS = tuple(sources.c[name] for name in _FIELDS)

# Built once: building a statement costs more than executing it
_LOCKED = select(*SOURCE_COLUMNS).where(sources.c.id == bindparam("own")).with_for_update()
HEALTH_COLUMNS = (*health.FIELDS, "last_failure_reason")  # the latter is for the release before 0018
_HEALTH = (
    update(sources)
    .where(sources.c.id == bindparam("own"))
    .values({sources.c[name]: bindparam(f"to_{name}") for name in HEALTH_COLUMNS})
)


def source_of(row: Iterable[Any]) -> Source:
    """A row of SOURCE_COLUMNS."""
    return Source(**dict(zip(_FIELDS, row, strict=True)))


def health_of(source: Source) -> dict[str, Any]:
    """The columns of the source's health."""
    return {name: getattr(source, name) for name in HEALTH_COLUMNS}


def happened(connection: Connection, source_id: str, what: Sequence[health.Happening], now: float) -> None:
    """Applies what has happened to the source, in this order. A no-op where the source has been deleted."""
    row = connection.execute(_LOCKED, {"own": source_id}).one_or_none()
    if row is None:
        return
    before = source_of(row)
    changed = before
    for each in what:
        changed = health.after(changed, each, now)
    if changed != before:
        values = {f"to_{name}": value for name, value in health_of(changed).items()}
        connection.execute(_HEALTH, {"own": source_id} | values)
