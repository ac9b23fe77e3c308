"""A session's state is one column of JSON, and causes are words of an enum.

Until now a state was nullable columns and a sentence in `reason`, and every cause was a sentence. This is the one place that
reads causes out of sentences: those that earlier releases wrote. What it does not know becomes `unknown`, with its words kept.
The columns of before stay for one release, and are written; `downgrade` takes the new ones away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

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
_STATE = (
    *("phase", "created_at", "attempt", "source_id", "attempt_started_at", "attempt_live_at", "attempt_address"),
    *("previous_attempt", "previous_source_id", "previous_started_at", "previous_live_at", "previous_address"),
    *("target_duration_s", "last_attempt", "reason", "from_source_id", "chosen", "tried", "refused", "fault_at", "faults"),
    *("unavailable_since", "retries", "retry_at", "slate_at", "slate_faults", "ended_at"),
)
_ATTEMPT = ("source_id", "started_at", "first_segment_at", "start_reason", "end_reason")


def upgrade() -> None:
    for table, column in _COLUMNS:
        op.add_column(table, sa.Column(column, sa.Text))
    op.add_column("events", sa.Column("causes", sa.Text, nullable=False, server_default="{}"))
    connection = op.get_bind()
    sessions = sa.table("sessions", sa.column("end_reason"))
    connection.execute(sa.update(sessions).where(sessions.c.end_reason.not_in(_END_REASONS)).values(end_reason="stopped"))
    _translate(connection, "sessions", ("id",), _STATE, ("state",), lambda row: {"state": json.dumps(state_of(row))})
    _translate(connection, "attempts", ("session_id", "number"), _ATTEMPT, ("start_cause", "end_cause", "legs"), _of_attempt)
    _translate(connection, "events", ("session_id", "id"), ("fields",), ("causes",), _of_event)
    _translate(connection, "sources", ("id",), ("last_failure_reason",), ("last_failure",), _of_source)


def downgrade() -> None:
    for table, column in (*_COLUMNS, ("events", "causes")):
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


# --- a state, from the columns of before ---------------------------------------------------------------------------------


def state_of(row: Row) -> dict[str, Any]:
    """The column `state`: the state itself, and what outlives one."""
    lasting = {name: row[name] for name in ("target_duration_s", "last_attempt", "chosen", "fault_at", "faults", "retries")}
    return {"state": _state_of(row), **lasting, "refused": _list(row["refused"])}


def _state_of(row: Row) -> dict[str, Any]:
    phase, reason, tried = row["phase"], row["reason"] or "", _list(row["tried"])
    attempt, previous = _attempt(row, "", reason), _attempt(row, "previous_", "")
    if phase == "ended":
        return {
            "type": "ended",
            "at": row["ended_at"] if row["ended_at"] is not None else row["created_at"],
            "unavailable_since": row["unavailable_since"],
        }
    if phase == "unavailable":
        return _unavailable(row, reason, tried, attempt, previous)
    if attempt is None:
        return {"type": "requested"}
    if phase == "starting":
        return {"type": "starting", "attempt": attempt, "tried": tried, "from_source_id": row["from_source_id"]}
    if phase == "switching" and previous is None:
        left = row["from_source_id"] or attempt["legs"][-1]["input"]
        return {"type": "switching", "attempt": attempt, "from_source_id": left, "tried": tried}
    backoff = None if row["retry_at"] is None else {"until": row["retry_at"], "failback_only": reason == "failback failed"}
    if phase == "switching":
        return {"type": "live", "attempt": previous, "successor": attempt, "backoff": backoff}
    return {"type": "live", "attempt": attempt, "successor": None, "backoff": backoff}


def _unavailable(row: Row, reason: str, tried: list[str], attempt: Any, previous: Any) -> dict[str, Any]:
    slate = attempt is not None and attempt["legs"][-1]["input"] == "slate"
    since = row["unavailable_since"] if row["unavailable_since"] is not None else row["created_at"]
    return {
        "type": "unavailable",
        "since": since,
        "why": why_of(reason or "retry"),
        "from_source_id": row["from_source_id"] or "",
        "tried": tried,
        "retry_at": row["retry_at"] if row["retry_at"] is not None else since,
        "trying": None if slate else attempt,
        "shown": attempt if slate and previous is None else previous,
        "renewing": attempt if slate and previous is not None else None,
        "slate_faults": row["slate_faults"],
        "slate_at": row["slate_at"],
    }


def _attempt(row: Row, which: str, reason: str) -> dict[str, Any] | None:
    """The current attempt, or the `previous_` one: the columns never kept why that was started."""
    number = row[f"{which or ''}attempt"]
    if number is None:
        return None
    started_at = row[f"{which or 'attempt_'}started_at"]
    leg = {
        "number": 1,
        "input": row[f"{which}source_id"],
        "why": why_of(reason) if reason not in ("", "failback failed") else {"cause": "requested"},
        "started_at": started_at,
        "live_at": row[f"{which or 'attempt_'}live_at"],
        "address": row[f"{which or 'attempt_'}address"],
    }
    return {"number": number, "started_at": started_at, "signed_at": started_at, "legs": [leg]}


def _list(value: Any) -> list[str]:
    """JSON text in the tables."""
    return json.loads(value) if isinstance(value, str) else list(value or ())


# --- a cause, from a sentence of before ----------------------------------------------------------------------------------

_END_REASONS = ("no_healthy_source", "stopped", "idle", "operator", "channel_disabled", "channel_deleted")

_WORDS = {
    "requested": "requested",
    "operator": "operator",
    "rolled": "rolled",
    "failback": "failback",
    "source changed": "source_changed",
    "source removed": "source_removed",
    "signatures run out": "renewal",
    "slate": "slate",
    "retry": "retry",
    "source unreachable": "source_unreachable",
    "source refused": "source_refused",
    "source ended": "source_ended",
    "source stalled": "source_stalled",
    "source undecodable": "source_undecodable",
    "store unreachable": "store_unreachable",
    "fenced": "fenced",
    "ffmpeg crashed": "ffmpeg_crashed",
    "bad job": "bad_job",
    "container out of memory": "container_out_of_memory",
    "container killed": "container_killed",
    "container failed": "container_failed",
    "container stopped": "container_stopped",
    "container paused": "container_paused",
    "container refused": "container_refused",
    "container is gone": "container_gone",
    "container unhealthy": "container_unhealthy",
    "no segment within the start budget": "no_segment",
    "playlist is gone": "playlist_gone",
    "playlist stalled": "playlist_stalled",
    "replaced": "replaced",
    "slate switched off": "slate_off",
    "nothing plays": "nothing_plays",
    "no other source": "no_other_source",
    "the source is disabled": "source_disabled",
    "no longer a source of the channel, nor of those behind it": "source_unknown",
    "failback failed": "switch_undone",
    "its provider's connections were in use": "provider_full",
    "did not answer the probe in time": "probe_late",
    "its playlist does not advance": "frozen",
    "cannot be read": "unreadable",
    "does not work": "not_working",
}
_FORMS = (
    (re.compile(r"replaced: (.*)", re.DOTALL), "replaced"),
    (re.compile(r"ended for its successor \((.*)\): no connection for both", re.DOTALL), "handed_on"),
    (re.compile(r"bad job: (.*)", re.DOTALL), "bad_job"),
    (re.compile(r"container refused: (.*)", re.DOTALL), "container_refused"),
    (re.compile(r"container failed with (.*)", re.DOTALL), "container_failed"),
    (re.compile(r"(provider .* in use)", re.DOTALL), "provider_full"),
    # What probes have said
    (
        re.compile(
            r"(connection refused|connection reset|no such host|no route to host|network unreachable|TLS failed"
            r"|no answer in time|the server answers with an error \(5xx\)|ends before any media|an empty answer"
            r"|(?:HTTP status )?5\d\d\b.*|no (?:answer|media) within .*)",
            re.DOTALL,
        ),
        "unreachable",
    ),
    (re.compile(r"(the server refuses \(4xx\)|(?:HTTP status )?\d{3}\b.*)", re.DOTALL), "refuses"),
    (
        re.compile(
            r"(empty playlist|no video or audio|not media|not an address|leads to a protocol that is not let in|not media .*"
            r"|protected by .*|encrypted by .*|DASH .*|a (?:playlist|compressed answer) .*|this FFmpeg cannot decode .*"
            r"|(?:\w+: )?this FFmpeg does not speak the protocol|only .* sources are let in)",
            re.DOTALL,
        ),
        "unplayable",
    ),
)
_PASSED_OVER = re.compile(r"(.+?); (provider .* in use|its provider's connections were in use)", re.DOTALL)


def why_of(words: str, *, of_end: bool = False) -> dict[str, str]:
    """The cause that these words say, as `core.model.Why` is stored. `of_end`: they say why an attempt has ended, which may be
    the end of its session."""
    if of_end and words in _END_REASONS:
        return {"cause": "session_ended", "detail": words}
    if words in _WORDS:
        return {"cause": _WORDS[words]}
    for form, cause in _FORMS:
        if found := form.fullmatch(words):
            return {"cause": cause, "detail": found[1]}
    if found := _PASSED_OVER.fullmatch(words):
        return {**why_of(found[1]), "passed_over": found[2]}
    return {"cause": "unknown", "detail": words}
