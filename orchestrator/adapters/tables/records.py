"""How a decision's records become rows, within the transaction of the state that they belong to.

Law: rows are locked in one order (session, channel, sources by id), so sessions that blame and praise the same sources at once
wait for each other but never for ever. The session's row is locked already when these functions run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from sqlalchemy import Connection, Update, case, insert, select, update

from orchestrator.adapters.tables.schema import attempts, channels, events, sources
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
    of_sources: list[tuple[str, Update]] = []
    happened: list[Happened] = []
    for record in records:
        match record:
            case AttemptStarted():
                values = {"session_id": session_id, "number": record.attempt, "source_id": record.source_id}
                values |= {"started_at": now, "start_reason": record.reason}
                connection.execute(insert(attempts), values)
            case AttemptLive():
                connection.execute(_attempt(session_id, record.attempt, live=True).values(first_segment_at=now))
                connection.execute(_plays(channel_id, record.source_id))
                of_sources.append((record.source_id, _healthy(record.source_id, now)))
            case AttemptSteady():
                of_sources.append((record.source_id, _proved(record.source_id, now)))
            case AttemptEnded():
                ended = _attempt(session_id, record.attempt)
                ended = ended.values(ended_at=now, exit_code=record.exit_code, end_reason=record.reason)
                connection.execute(ended)
            case SourceFailed():
                of_sources.append((record.source_id, _failed(record, now)))
            case Happened():
                happened.append(record)
            case _:
                assert_never(record)
    for _, statement in sorted(of_sources, key=lambda each: each[0]):
        connection.execute(statement)
    written = tuple(
        Event(id=number, session_id=session_id, type=each.type, at=now, fields=each.fields)
        for number, each in enumerate(happened, start=last_event - len(happened) + 1)
    )
    if written:
        connection.execute(
            insert(events),
            [{"session_id": e.session_id, "id": e.id, "type": e.type, "at": e.at, "fields": e.fields} for e in written],
        )
    return written


def count_events(records: Sequence[Record]) -> int:
    return sum(isinstance(record, Happened) for record in records)


def _attempt(session_id: str, number: int, *, live: bool = False) -> Update:
    statement = update(attempts).where(attempts.c.session_id == session_id, attempts.c.number == number)
    return statement.where(attempts.c.first_segment_at.is_(None)) if live else statement


def _plays(channel_id: str, source_id: str) -> Update:
    """The channel's last good source: one of its own, not of a failover channel. The channel's row is written only where that
    changes something: all of its sessions come by here."""
    exists = select(sources.c.id).where(sources.c.id == source_id, sources.c.channel_id == channel_id).exists()
    return (
        update(channels)
        .where(channels.c.id == channel_id, channels.c.active_source_id.is_distinct_from(source_id), exists)
        .values(active_source_id=source_id)
    )


_STILL_DISABLED = (sources.c.status == SourceStatus.DISABLED, SourceStatus.DISABLED)


def _healthy(source_id: str, now: float) -> Update:
    status = case(_STILL_DISABLED, else_=SourceStatus.HEALTHY)
    return update(sources).where(sources.c.id == source_id).values(status=status, last_checked_at=now)


def _proved(source_id: str, now: float) -> Update:
    return _healthy(source_id, now).values(failures_in_a_row=0)


def _failed(record: SourceFailed, now: float) -> Update:
    counter = sources.c.stall_count if record.stalled else sources.c.failure_count
    return (
        update(sources)
        .where(sources.c.id == record.source_id)
        .values(
            {
                counter: counter + 1,
                sources.c.status: case(_STILL_DISABLED, else_=SourceStatus.PROBLEMATIC),
                sources.c.last_failed_at: now,
                sources.c.problematic_since: case(
                    (sources.c.status == SourceStatus.PROBLEMATIC, sources.c.problematic_since), else_=now
                ),
                sources.c.last_failure_reason: record.reason,
                sources.c.failures_in_a_row: record.in_a_row,
                sources.c.healthy_since: None,
                sources.c.healthy_at: None,
            }
        )
    )
