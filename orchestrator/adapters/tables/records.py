"""How a decision's records become rows, within the transaction of the state that they belong to.

Law: rows are locked in one order (session, channel, sources by id), so sessions that blame and praise the same sources at once
wait for each other but never for ever. The session's row is locked already when these functions run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from sqlalchemy import Column, Connection, Update, bindparam, case, insert, select, update

from orchestrator.adapters.tables.schema import attempts, channels, events, journal, sources
from orchestrator.core.model import (
    AttemptEnded,
    AttemptLive,
    AttemptStarted,
    AttemptSteady,
    Event,
    Happened,
    Record,
    SourceFailed,
    SourceStatus,
)


def write_records(
    connection: Connection, session_id: str, channel_id: str, records: Sequence[Record], now: float, last_event: int
) -> tuple[Event, ...]:
    """Writes them all; the events get the ids that end with `last_event`."""
    of_sources: list[tuple[str, Update, dict[str, object]]] = []
    happened: list[Happened] = []
    for record in records:
        match record:
            case AttemptStarted():
                values = {"session_id": session_id, "number": record.attempt, "source_id": record.source_id}
                values |= {"started_at": now, "start_reason": record.reason}
                connection.execute(_STARTED, values)
            case AttemptLive():
                own = {"own": session_id, "of": record.attempt}
                connection.execute(_LIVE, own | {"first_segment_at": now})
                connection.execute(_PLAYS, {"channel": channel_id, "source": record.source_id})
                of_sources.append((record.source_id, _HEALTHY, {"last_checked_at": now}))
            case AttemptSteady():
                of_sources.append((record.source_id, _PROVED, {"last_checked_at": now}))
            case AttemptEnded():
                own = {"own": session_id, "of": record.attempt}
                connection.execute(_ENDED, own | {"ended_at": now, "exit_code": record.exit_code, "end_reason": record.reason})
            case SourceFailed():
                failure = {"at": now, "last_failure_reason": record.reason, "failures_in_a_row": record.in_a_row}
                of_sources.append((record.source_id, _STALLED if record.stalled else _FAILED, failure))
            case Happened():
                happened.append(record)
            case _:
                assert_never(record)
    for source_id, statement, values in sorted(of_sources, key=lambda each: each[0]):
        connection.execute(statement, values | {"source": source_id})
    written = tuple(
        Event(id=number, session_id=session_id, type=each.type, at=now, fields=each.fields)
        for number, each in enumerate(happened, start=last_event - len(happened) + 1)
    )
    if written:
        connection.execute(
            _HAPPENED,
            [{"session_id": e.session_id, "id": e.id, "type": e.type, "at": e.at, "fields": e.fields} for e in written],
        )
        # The last that a transaction does: between a cursor and its commit there is to be nothing that waits
        connection.execute(_ENTERED, [{"session_id": e.session_id, "event_id": e.id} for e in written])
    return written


def count_events(records: Sequence[Record]) -> int:
    return sum(isinstance(record, Happened) for record in records)


# Made once: to build a statement costs more than to execute it
_STARTED = insert(attempts)
_ENDED = update(attempts).where(attempts.c.session_id == bindparam("own"), attempts.c.number == bindparam("of"))
_LIVE = _ENDED.where(attempts.c.first_segment_at.is_(None))
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

_OF_SOURCE = update(sources).where(sources.c.id == bindparam("source"))
_STILL_DISABLED = (sources.c.status == SourceStatus.DISABLED, SourceStatus.DISABLED)
_HEALTHY = _OF_SOURCE.values(status=case(_STILL_DISABLED, else_=SourceStatus.HEALTHY))
_PROVED = _HEALTHY.values(failures_in_a_row=0)


def _failure(counter: Column[int]) -> Update:
    at = bindparam("at", type_=sources.c.last_failed_at.type)
    return _OF_SOURCE.values(
        {
            counter: counter + 1,
            sources.c.status: case(_STILL_DISABLED, else_=SourceStatus.PROBLEMATIC),
            sources.c.last_failed_at: at,
            sources.c.problematic_since: case(
                (sources.c.status == SourceStatus.PROBLEMATIC, sources.c.problematic_since), else_=at
            ),
            sources.c.healthy_since: None,
            sources.c.healthy_at: None,
        }
    )


_FAILED, _STALLED = _failure(sources.c.failure_count), _failure(sources.c.stall_count)
