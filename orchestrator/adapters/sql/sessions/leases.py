"""Leases: a viewer's hold on a session.

Rule: a lease is written only on behalf of its viewer, and does not change the session's version. Rows are locked in one order:
the session, then its leases.
"""

from __future__ import annotations

from sqlalchemy import Connection, ScalarSelect, bindparam, delete, func, insert, select, update

from orchestrator.adapters.sql.schema import leases, marks, sessions
from orchestrator.ports import LEASE_KEPT_S, Lease

_CAN_RENEW = "can renew"  # the mark's name

_BEGIN = insert(leases)
_RENEW = update(leases).where(leases.c.session_id == bindparam("own"), leases.c.viewer == bindparam("whose"))
_FORGET = delete(leases).where(leases.c.session_id == bindparam("own"), leases.c.renewed_at < bindparam("long_ago"))


def latest_renewal() -> ScalarSelect[float]:
    """The latest renewal of the session in the enclosing query."""
    latest = select(func.max(leases.c.renewed_at)).where(leases.c.session_id == sessions.c.id).scalar_subquery()
    return func.coalesce(latest, sessions.c.created_at)  # type: ignore[return-value]


def begin(connection: Connection, session_id: str, lease: Lease) -> None:
    """The first lease of a new session."""
    values = {"viewer": lease.viewer, "token_hash": lease.token_hash, "renewed_at": lease.renewed_at}
    connection.execute(_BEGIN, values | {"session_id": session_id})


def take(connection: Connection, session_id: str, lease: Lease) -> None:
    """Writes the viewer's lease, and deletes leases of the session that expired long ago. The session's row must be locked."""
    values = {"token_hash": lease.token_hash, "renewed_at": lease.renewed_at}
    if connection.execute(_RENEW, values | {"own": session_id, "whose": lease.viewer}).rowcount == 0:
        begin(connection, session_id, lease)
        connection.execute(_FORGET, {"own": session_id, "long_ago": lease.renewed_at - LEASE_KEPT_S})


def mark_can_renew(connection: Connection, now: float) -> None:
    """Where two processes write the first mark at the same time, one gets Stale, and writes again soon."""
    if connection.execute(update(marks).where(marks.c.name == _CAN_RENEW).values(at=now)).rowcount == 0:
        connection.execute(insert(marks).values(name=_CAN_RENEW, at=now))


def can_renew_marked_at(connection: Connection) -> float | None:
    return connection.scalar(select(marks.c.at).where(marks.c.name == _CAN_RENEW))
