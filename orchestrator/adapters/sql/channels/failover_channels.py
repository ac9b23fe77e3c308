"""Failover channels, and the sources that a channel may use because of them.

Rule: the number of queries does not depend on how many channels follow each other. A disabled channel, and what is reached only
through it, is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec.structs import fields
from sqlalchemy import Connection, Select, and_, bindparam, delete, insert, select

from orchestrator.adapters.sql.schema import channel_failovers, channels, sources
from orchestrator.core.catalogue.failover_channels import Signature, behind
from orchestrator.core.model import Channel, SourceStatus, address_of
from orchestrator.errors import InvalidInput, NotFound

_CHANNEL = tuple(channels.c[field.name] for field in fields(Channel))
_EDGE = channel_failovers.c


def read_failovers(connection: Connection, channel_id: str) -> tuple[Channel, ...]:
    query = select(*_CHANNEL).join(channel_failovers, _EDGE.failover_channel_id == channels.c.id)
    query = query.where(_EDGE.channel_id == channel_id).order_by(_EDGE.position)
    return tuple(Channel(**row._asdict()) for row in connection.execute(query))


def read_all_failovers(connection: Connection) -> Mapping[str, Sequence[str]]:
    """Channel → its failover channels in order, of every channel that has some."""
    query = select(_EDGE.channel_id, _EDGE.failover_channel_id).order_by(_EDGE.channel_id, _EDGE.position)
    of: dict[str, list[str]] = defaultdict(list)
    for channel_id, failover_id in connection.execute(query):
        of[channel_id].append(failover_id)
    return of


def write_failovers(connection: Connection, channel_id: str, channel_ids: Sequence[str]) -> tuple[Channel, ...]:
    if channel_id in channel_ids:
        raise InvalidInput("channels", "a channel cannot be its own failover channel")
    if len(set(channel_ids)) < len(channel_ids):
        raise InvalidInput("channels", "a channel is named twice")
    # Locked in the order of every transaction, because each row that names a channel locks it
    named = select(channels.c.id).where(channels.c.id.in_({channel_id, *channel_ids})).order_by(channels.c.id)
    known = set(connection.scalars(named.with_for_update()))
    if channel_id not in known:
        raise NotFound(f"channel {channel_id}")
    if missing := set(channel_ids) - known:
        raise InvalidInput("channels", f"no such channel: {min(missing)}")
    connection.execute(delete(channel_failovers).where(_EDGE.channel_id == channel_id))
    if channel_ids:
        rows = [
            {"channel_id": channel_id, "position": position, "failover_channel_id": each}
            for position, each in enumerate(channel_ids, 1)
        ]
        connection.execute(insert(channel_failovers), rows)
    return read_failovers(connection, channel_id)


def read_edges(connection: Connection, channel_ids: Collection[str]) -> Mapping[str, Sequence[str]]:
    """The failover channels of these channels, of those, and so on, by one query. Disabled ones are left out."""
    edges: dict[str, list[str]] = defaultdict(list)
    for channel_id, failover_id in connection.execute(_EDGES, {"roots": list(channel_ids)}):
        edges[channel_id].append(failover_id)
    return edges


def _edges() -> Select[Any]:
    usable = and_(channels.c.id == _EDGE.failover_channel_id, channels.c.enabled)
    roots = select(channels.c.id).where(channels.c.id.in_(bindparam("roots", expanding=True)))
    reached = roots.cte("reached", recursive=True)
    further = select(_EDGE.failover_channel_id).join(reached, _EDGE.channel_id == reached.c.id).join(channels, usable)
    reached = reached.union(further)
    query = select(_EDGE.channel_id, _EDGE.failover_channel_id).join(reached, _EDGE.channel_id == reached.c.id)
    return query.join(channels, usable).order_by(_EDGE.channel_id, _EDGE.position)


_EDGES = _edges()  # built once: each observation of a session executes it


def read_signatures(connection: Connection, channel_ids: Collection[str]) -> Mapping[str, Signature]:
    edges = read_edges(connection, channel_ids)
    lines = {channel_id: behind(channel_id, edges) for channel_id in channel_ids}
    of_channels = select(channels.c.id, channels.c.policy).where(channels.c.id.in_(channel_ids), channels.c.enabled)
    policies = {row.id: row.policy for row in connection.execute(of_channels)}
    played = {each for channel_id in policies for each in lines[channel_id]}
    query = select(sources.c.channel_id, sources.c.id, sources.c.url, sources.c.user_agent, sources.c.headers)
    query = query.where(sources.c.channel_id.in_(played), sources.c.status != SourceStatus.DISABLED)
    own: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in connection.execute(query.order_by(sources.c.priority, sources.c.id)):
        own[row.channel_id].append((row.id, address_of(row.url, row.user_agent, row.headers)))
    return {
        channel_id: Signature(policy, tuple(source for each in lines[channel_id] for source in own[each]))
        for channel_id, policy in policies.items()
    }
