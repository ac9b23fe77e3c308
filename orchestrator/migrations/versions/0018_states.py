"""A session's state is one column of JSON, and causes are words of an enum.

Until now a state was nullable columns and a sentence in `reason`, and every cause was a sentence. The columns of before stay
for one release, and are written (`former_columns.py`, which also translates); `downgrade` takes the new ones away.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from orchestrator.adapters.sql.former_columns import END_REASONS, READ, state_of, why_of

revision = "0018"
down_revision = "0017"

Row = Mapping[Any, Any]
Names = tuple[str, ...]

_COLUMNS = (
    ("sessions", "state"),
    ("attempts", "start_cause"),
    ("attempts", "end_cause"),
    ("attempts", "legs"),
    ("sources", "last_failure"),
)
_AT_ONCE = 1000  # rows that are read, translated and written together
_ATTEMPT = ("source_id", "started_at", "first_segment_at", "start_reason", "end_reason")


def upgrade() -> None:
    for table, column in _COLUMNS:
        op.add_column(table, sa.Column(column, sa.Text))
    op.add_column("sessions", sa.Column("state_version", sa.Integer))
    op.add_column("events", sa.Column("causes", sa.Text, nullable=False, server_default="{}"))
    connection = op.get_bind()
    sessions = sa.table("sessions", sa.column("end_reason"))
    connection.execute(sa.update(sessions).where(sessions.c.end_reason.not_in(END_REASONS)).values(end_reason="stopped"))
    _translate(connection, "sessions", ("id",), (*READ, "version"), ("state", "state_version"), _of_session)
    _translate(connection, "attempts", ("session_id", "number"), _ATTEMPT, ("start_cause", "end_cause", "legs"), _of_attempt)
    _translate(connection, "events", ("session_id", "id"), ("fields",), ("causes",), _of_event)
    _translate(connection, "sources", ("id",), ("last_failure_reason",), ("last_failure",), _of_source)


def downgrade() -> None:
    for table, column in (*_COLUMNS, ("sessions", "state_version"), ("events", "causes")):
        op.drop_column(table, column)


def _translate(
    connection: sa.Connection, name: str, key: Names, read: Names, write: Names, translated: Callable[[Row], dict[str, Any]]
) -> None:
    """In each row of the table `name` the columns `write` become what is `translated` of the columns `read`, a portion of the
    rows at a time."""
    table = sa.table(name, *(sa.column(each) for each in (*key, *read, *write)))
    keys: list[sa.ColumnElement[Any]] = [table.c[each] for each in key]
    portion = sa.select(*keys, *(table.c[each] for each in read)).order_by(*keys).limit(_AT_ONCE)
    change = sa.update(table).values({each: sa.bindparam(f"to_{each}") for each in write})
    change = change.where(*(table.c[each] == sa.bindparam(f"of_{each}") for each in key))
    query = portion
    while rows := connection.execute(query).mappings().all():
        query = portion.where(sa.tuple_(*keys) > sa.tuple_(*(sa.literal(rows[-1][each]) for each in key)))
        of = [{f"of_{each}": row[each] for each in key} for row in rows]
        to = [{f"to_{each}": value for each, value in translated(row).items()} for row in rows]
        connection.execute(change, [{**which, **values} for which, values in zip(of, to, strict=True)])


def _of_session(row: Row) -> dict[str, Any]:
    return {"state": json.dumps(state_of(row)), "state_version": row["version"]}


def _of_attempt(row: Row) -> dict[str, Any]:
    start = why_of(row["start_reason"] or "")
    leg = {"number": 1, "input": row["source_id"] or "", "why": start, "started_at": row["started_at"]}
    leg |= {"live_at": row["first_segment_at"], "address": None}
    end = None if row["end_reason"] is None else why_of(row["end_reason"], of_end=True)["cause"]
    return {"start_cause": start["cause"], "end_cause": end, "legs": json.dumps([leg])}


def _of_event(row: Row) -> dict[str, Any]:
    fields = json.loads(row["fields"])
    causes: dict[str, Any] = {}
    if isinstance(fields.get("reason"), str):
        causes["reason"] = why_of(fields["reason"])["cause"]
    if isinstance(fields.get("sources"), dict):
        causes["sources"] = {source: why_of(words or "")["cause"] for source, words in fields["sources"].items()}
    return {"causes": json.dumps(causes)}


def _of_source(row: Row) -> dict[str, Any]:
    words = row["last_failure_reason"]
    return {"last_failure": json.dumps(why_of(words)) if words else None}
