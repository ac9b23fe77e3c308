"""Writes a decision's records as rows, within the transaction that writes the state that they belong to.

Rule: rows are locked in one order (session, channel, sources by id), so that sessions which write about the same sources at the
same time do not deadlock. The session's row is locked before these functions run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import assert_never

from sqlalchemy import Connection, bindparam, func, insert, select, update

from orchestrator.adapters.sql.channels import source_rows
from orchestrator.adapters.sql.schema import attempts, channels, events, journal, sources
from orchestrator.core.model import (
    AttemptEnded,
    AttemptLive,
    AttemptStarted,
    AttemptSteady,
    Event,
    Happened,
    Leg,
    LegsChanged,
    Record,
    ReportRead,
    SourceFailed,
)
from orchestrator.core.source import health


def write_records(
    connection: Connection, session_id: str, channel_id: str, records: Sequence[Record], now: float, last_event: int,
    legs: Mapping[int, tuple[Leg, ...]] = {},
) -> tuple[Event, ...]:  # fmt: skip
    """Writes them all; the events get the ids that end with `last_event`. `legs`: of the attempts that run, by number."""
    of_sources: dict[str, list[health.Happening]] = defaultdict(list)
    happened: list[Happened] = []
    for record in records:
        match record:
            case AttemptStarted():
                values = {"session_id": session_id, "number": record.attempt, "source_id": record.source_id}
                values |= {"started_at": now, "start_reason": record.why.text, "start_cause": record.why.cause}
                values |= {"legs": legs.get(record.attempt)}
                connection.execute(_STARTED, values)
            case AttemptLive():
                own = {"own": session_id, "of": record.attempt}
                connection.execute(_LIVE, own | {"at": now, "now": legs.get(record.attempt)})
                connection.execute(_PLAYS, {"channel": channel_id, "source": record.source_id})
                of_sources[record.source_id].append(health.Listed())
            case AttemptSteady():
                of_sources[record.source_id].append(health.PlayedSteadily())
            case AttemptEnded():
                own = {"own": session_id, "of": record.attempt}
                values = {"ended_at": now, "exit_code": record.exit_code}
                connection.execute(_ENDED, own | values | {"end_reason": record.why.text, "end_cause": record.why.cause})
            case LegsChanged():
                connection.execute(_LEGS, {"own": session_id, "of": record.attempt, "now": record.legs})
            case ReportRead():
                pass  # the session's state has the number: the commit's compare-and-swap makes each report count once
            case SourceFailed():
                of_sources[record.source_id].append(health.Failed(record.why, record.stalled, record.in_a_row, record.at))
            case Happened():
                happened.append(record)
            case _:
                assert_never(record)
    for source_id, what in sorted(of_sources.items()):
        source_rows.happened(connection, source_id, what, now)
    written = tuple(
        Event(id=number, session_id=session_id, type=each.type, at=now, fields=each.fields, causes=each.causes)
        for number, each in enumerate(happened, start=last_event - len(happened) + 1)
    )
    if written:
        connection.execute(
            _HAPPENED,
            [
                {"session_id": e.session_id, "id": e.id, "type": e.type, "at": e.at, "fields": e.fields, "causes": e.causes}
                for e in written
            ],
        )
        # Last in the transaction, so that it waits for nothing between getting a cursor and its commit
        connection.execute(_ENTERED, [{"session_id": e.session_id, "event_id": e.id} for e in written])
    return written


def count_events(records: Sequence[Record]) -> int:
    return sum(isinstance(record, Happened) for record in records)


# Made once: to build a statement costs more than to execute it
_STARTED = insert(attempts)
_ENDED = update(attempts).where(attempts.c.session_id == bindparam("own"), attempts.c.number == bindparam("of"))
_LIVE = _ENDED.where(attempts.c.first_segment_at.is_(None)).values(
    first_segment_at=bindparam("at"), legs=func.coalesce(bindparam("now", type_=attempts.c.legs.type), attempts.c.legs)
)
_LEGS = _ENDED.values(legs=bindparam("now", type_=attempts.c.legs.type))
_HAPPENED = insert(events)
_ENTERED = insert(journal)

# The channel's last good source: one of its own, not of a failover channel. The channel's row is written only where that
# changes something: all of its sessions come by here.
_ITS_OWN = (sources.c.id == bindparam("source"), sources.c.channel_id == bindparam("channel"))
_PLAYS = (
    update(channels)
    .where(channels.c.id == bindparam("channel"), channels.c.active_source_id.is_distinct_from(bindparam("source")))
    .where(select(sources.c.id).where(*_ITS_OWN).exists())
    .values(active_source_id=bindparam("source"))
)
