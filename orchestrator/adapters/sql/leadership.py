"""The leader lease: one row with a holder and an expiry, compared and set in one transaction by the database's clock.

Why a row and not PostgreSQL's advisory lock: such a lock lasts as long as its connection, which a stopped process (SIGSTOP)
keeps open, so no other could take over; a connection pooler may give the connection, and with it the lock, to another
client; and SQLite has no such lock.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from orchestrator.adapters.sql.schema import leadership, orchestrators
from orchestrator.ports import Challenger, Leader

_NAME: Final = "orchestrator"
_LONGEST_LEASE_S: Final = 60.0  # one that expires later than this was written before the clock was set back
_JULIAN_EPOCH: Final = 2_440_587.5  # 1970-01-01 in SQLite's julianday()

_OWN = leadership.c.name == _NAME
_READ = select(leadership).where(_OWN)
_LOCK = _READ.with_for_update()
_CLOCKS: Final = {
    "postgresql": select(func.extract("epoch", func.clock_timestamp())),
    "sqlite": select((func.julianday("now") - _JULIAN_EPOCH) * 86400.0),
}


def lead(connection: Connection, orchestrator_id: str, node: str, lease_s: float, *, process: str, ended: str | None) -> Leader:
    """As `ports.Operation.lead`, within a transaction that may write."""
    before = connection.execute(_LOCK).one_or_none()
    now = _clock(connection)
    wanted = {"holder": orchestrator_id, "node": node, "process": process, "expires_at": now + lease_s}
    if before is None:
        connection.execute(insert(leadership).values(name=_NAME, **wanted))
    elif before.holder in (orchestrator_id, ended) or not now < before.expires_at <= now + _LONGEST_LEASE_S:
        connection.execute(update(leadership).where(_OWN).values(**wanted))
        if before.holder != orchestrator_id:
            connection.execute(delete(orchestrators).where(orchestrators.c.id == before.holder))
    return _leader(connection.execute(_READ).one(), now)


def step_down(connection: Connection, orchestrator_id: str) -> None:
    connection.execute(delete(leadership).where(_OWN, leadership.c.holder == orchestrator_id))


def note_refusal(connection: Connection, orchestrator_id: str, node: str) -> None:
    refused = {"refused": orchestrator_id, "refused_node": node, "refused_at": _clock(connection)}
    connection.execute(update(leadership).where(_OWN, leadership.c.holder != orchestrator_id).values(**refused))


def leader(connection: Connection) -> Leader | None:
    row = connection.execute(_READ).one_or_none()
    return None if row is None else _leader(row, _clock(connection))


def _leader(row: Row[Any], now: float) -> Leader:
    refused = None
    if row.refused is not None:
        refused = Challenger(id=row.refused, node=row.refused_node or "", ago_s=now - (row.refused_at or 0.0))
    return Leader(
        id=row.holder, node=row.node, process=row.process, expires_at=row.expires_at, left_s=row.expires_at - now,
        refused=refused,
    )  # fmt: skip


def _clock(connection: Connection) -> float:
    """Unix seconds."""
    return float(connection.execute(_CLOCKS[connection.dialect.name]).scalar_one())
