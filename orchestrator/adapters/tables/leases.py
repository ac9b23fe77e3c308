"""Who holds a session, and whether there is room for one more. Law: a lease is written only by its viewer's own doing, and
never touches the session's version; what is counted is counted by whoever may add to it, alone.

Rows are locked in one order: the session, then its leases. A new session is nobody's yet: it waits for its turn instead.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Connection, ScalarSelect, Select, bindparam, delete, func, insert, select, update

from orchestrator.adapters.tables.schema import RUNNING, channels, leases, marks, sessions
from orchestrator.core.limits import Limits, Load, reached
from orchestrator.core.model import ChannelPolicy, Profile
from orchestrator.errors import LimitReached, ViewerLimitReached
from orchestrator.ports import LEASE_KEPT_S, Lease

_ADMISSION_KEY = 0x6164_6D69_7373_696F  # "admissio": ours among the server's advisory locks
_CAN_RENEW = "can renew"  # the mark's name

_BEGIN = insert(leases)
_RENEW = update(leases).where(leases.c.session_id == bindparam("own"), leases.c.viewer == bindparam("whose"))
_FORGET = delete(leases).where(leases.c.session_id == bindparam("own"), leases.c.renewed_at < bindparam("long_ago"))
_COUNT = select(func.count()).select_from(sessions).where(RUNNING)
_COUNT_OF_CHANNEL = _COUNT.where(sessions.c.channel_id == bindparam("channel"))
# A viewer's sessions are its own and those that it shares
_COUNT_OF_VIEWER = _COUNT.join(leases, leases.c.session_id == sessions.c.id)
_COUNT_OF_VIEWER = _COUNT_OF_VIEWER.where(leases.c.viewer == bindparam("viewer"), leases.c.renewed_at >= bindparam("since"))


def _channels_played() -> Select[Any]:
    # The inner query reads an index alone: this is done while others wait
    running = (
        select(sessions.c.channel_id, func.count().label("number")).where(RUNNING).group_by(sessions.c.channel_id).subquery()
    )
    joined = running.join(channels, channels.c.id == running.c.channel_id, isouter=True)
    return select(channels.c.policy, func.sum(running.c.number)).select_from(joined).group_by(channels.c.policy)


_CHANNELS_PLAYED = _channels_played()


def latest_renewal() -> ScalarSelect[float]:
    """Of the session in the enclosing query."""
    latest = select(func.max(leases.c.renewed_at)).where(leases.c.session_id == sessions.c.id).scalar_subquery()
    return func.coalesce(latest, sessions.c.created_at)  # type: ignore[return-value]


def begin(connection: Connection, session_id: str, lease: Lease) -> None:
    """The first lease of a new session."""
    values = {"viewer": lease.viewer, "token_hash": lease.token_hash, "renewed_at": lease.renewed_at}
    connection.execute(_BEGIN, values | {"session_id": session_id})


def take(connection: Connection, session_id: str, lease: Lease) -> None:
    """The viewer's lease is written; those of the session that ran out long ago are forgotten. The session's row is locked."""
    values = {"token_hash": lease.token_hash, "renewed_at": lease.renewed_at}
    if connection.execute(_RENEW, values | {"own": session_id, "whose": lease.viewer}).rowcount == 0:
        begin(connection, session_id, lease)
        connection.execute(_FORGET, {"own": session_id, "long_ago": lease.renewed_at - LEASE_KEPT_S})


def one_at_a_time(connection: Connection) -> bool:
    """Whoever is to add a session waits here for who does; True: so what was read before may be old. SQLite has one writer
    anyway, who has waited before it read anything."""
    if connection.dialect.name != "postgresql":
        return False
    connection.execute(select(func.pg_advisory_xact_lock(_ADMISSION_KEY)))
    return True


def admit(connection: Connection, limits: Limits, profile: Profile, channel_id: str, viewer: str, now: float) -> None:
    """Raises LimitReached, ViewerLimitReached where there is no room for one more session. Reads only what is limited."""

    def count(query: Select[int], **which: object) -> int:
        return connection.scalar(query, which) or 0

    load = Load(
        sessions=0 if limits.max_sessions is None else count(_COUNT),
        of_channel=0 if limits.max_sessions_per_channel is None else count(_COUNT_OF_CHANNEL, channel=channel_id),
        of_viewer=0
        if limits.max_sessions_per_viewer is None
        else count(_COUNT_OF_VIEWER, viewer=viewer, since=now - limits.lease_s),
        of_profile={} if limits.node_cpus is None and limits.node_memory_mb is None else _of_profile(connection),
    )
    full = reached(limits, load, profile)
    if full is not None:
        raise (ViewerLimitReached if full.by_viewer else LimitReached)(full.limit, full.words)


def mark_can_renew(connection: Connection, now: float) -> None:
    """The first two that say it at once may collide (Stale): the next time comes soon."""
    if connection.execute(update(marks).where(marks.c.name == _CAN_RENEW).values(at=now)).rowcount == 0:
        connection.execute(insert(marks).values(name=_CAN_RENEW, at=now))


def can_renew_marked_at(connection: Connection) -> float | None:
    return connection.scalar(select(marks.c.at).where(marks.c.name == _CAN_RENEW))


def _of_profile(connection: Connection) -> Counter[Profile]:
    """By the channels' profiles of today: what a session's next attempt will cost."""
    counts: Counter[Profile] = Counter()
    for policy, number in connection.execute(_CHANNELS_PLAYED):
        counts[(policy or ChannelPolicy()).profile] += int(number)
    return counts
