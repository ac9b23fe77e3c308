"""The journal: events of the whole deployment. Rule: the number of queries does not depend on the number of channels."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from msgspec.structs import fields
from sqlalchemy import ColumnElement, Connection, and_, or_, select

from orchestrator.adapters.sql.database import Database
from orchestrator.adapters.sql.schema import attempts, events, journal, sessions
from orchestrator.core.model import Event, Phase
from orchestrator.core.presentation.day_history import Delivery, Run
from orchestrator.core.presentation.journal import JournalEntry

_EVENT = tuple(events.c[field.name] for field in fields(Event))
_ENTRY = select(journal.c.cursor, sessions.c.channel_id, *_EVENT)
_ENTRY = _ENTRY.join_from(journal, events, and_(journal.c.session_id == events.c.session_id, journal.c.event_id == events.c.id))
_ENTRY = _ENTRY.join(sessions, sessions.c.id == events.c.session_id)
_RUN = tuple(attempts.c[field.name] for field in fields(Run))
_UNENDED = tuple(phase for phase in Phase if phase is not Phase.ENDED)


class SqlJournal:
    """`ports.Journal` over SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def entries(self, after: int, limit: int = 1000) -> tuple[JournalEntry, ...]:
        query = _ENTRY.where(journal.c.cursor > after).order_by(journal.c.cursor).limit(limit)
        return await self._database.read(lambda connection: tuple(map(_entry, connection.execute(query))))

    async def newest(self, limit: int = 100) -> tuple[JournalEntry, ...]:
        query = _ENTRY.order_by(journal.c.cursor.desc()).limit(limit)
        return await self._database.read(lambda connection: tuple(map(_entry, connection.execute(query)))[::-1])

    async def of_channel(self, channel_id: str, limit: int = 100) -> tuple[Event, ...]:
        query = select(*_EVENT).join(sessions, sessions.c.id == events.c.session_id).where(sessions.c.channel_id == channel_id)
        query = query.order_by(events.c.at.desc(), events.c.session_id.desc(), events.c.id.desc()).limit(limit)
        return await self._database.read(lambda connection: tuple(Event(**row._asdict()) for row in connection.execute(query)))

    async def deliveries(self, since: float, channel_id: str | None = None) -> tuple[Delivery, ...]:
        wanted: list[ColumnElement[bool]] = [or_(sessions.c.phase.in_(_UNENDED), sessions.c.ended_at > since)]
        if channel_id is not None:
            wanted.append(sessions.c.channel_id == channel_id)
        own = select(
            sessions.c.id, sessions.c.channel_id, sessions.c.created_at, sessions.c.ended_at, sessions.c.unavailable_since
        ).where(*wanted)
        ran = select(attempts.c.session_id, *_RUN).join(sessions, sessions.c.id == attempts.c.session_id).where(*wanted)
        ran = ran.where(or_(attempts.c.ended_at.is_(None), attempts.c.ended_at > since)).order_by(attempts.c.number)
        told = select(*_EVENT).join(sessions, sessions.c.id == events.c.session_id).where(*wanted, events.c.at > since)
        told = told.order_by(events.c.id)

        def work(connection: Connection) -> tuple[Delivery, ...]:
            # Read first, so that sessions which begin meanwhile are left out of what is read next
            found = connection.execute(own).all()
            runs: dict[str, list[Run]] = defaultdict(list)
            happened: dict[str, list[Event]] = defaultdict(list)
            for row in connection.execute(ran):
                runs[row[0]].append(Run(**_run(row)))
            for row in connection.execute(told):
                happened[row.session_id].append(Event(**row._asdict()))
            return tuple(
                Delivery(
                    channel_id=row.channel_id,
                    created_at=row.created_at,
                    ended_at=row.ended_at,
                    unavailable_since=row.unavailable_since,
                    runs=tuple(runs.get(row.id, ())),
                    events=tuple(happened.get(row.id, ())),
                )
                for row in found
            )

        return await self._database.read(work)


def _run(row: Any) -> dict[str, Any]:
    values: dict[str, Any] = row._asdict()
    del values["session_id"]
    values["legs"] = legs if (legs := values["legs"]) and len(legs) > 1 else ()
    return values


def _entry(row: Any) -> JournalEntry:
    values: dict[str, Any] = row._asdict()
    return JournalEntry(values.pop("cursor"), values.pop("channel_id"), Event(**values))
