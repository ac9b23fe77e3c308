"""Migration 0018, both ways: rows of the release before become states, and that release can read what this one writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, create_engine, text

from orchestrator.adapters.sql import open_tables
from orchestrator.core.model import (
    SLATE,
    Attempt,
    AttemptEnded,
    AttemptStarted,
    Cause,
    Causes,
    Decision,
    Desired,
    Ended,
    EndReason,
    EventType,
    Live,
    Phase,
    Requested,
    Session,
    SourceFailed,
    Starting,
    State,
    SwapBackoff,
    Switching,
    Unavailable,
    Why,
)
from orchestrator.migrations import downgrade, upgrade
from tests.orchestrator.test_migrations import empty_database, schema
from tests.words import happened, why

__all__ = ["empty_database"]

FULL = "provider Acme: its only connection is in use"

# What the release before wrote of a session: the columns that are not at their defaults, and the state that they mean
OLD = Attempt.on(1, "x-1", 10.0, 11.0, address="aa", why=Why(Cause.REQUESTED))
NEW = Attempt.on(2, "x-2", 20.0, address="bb", why=why("source stalled"))
SHOWN = Attempt.on(2, SLATE, 20.0, 21.0, why=Why(Cause.REQUESTED))
CURRENT = {"attempt": 2, "source_id": "x-2", "attempt_started_at": 20.0, "attempt_address": "bb"}
PREVIOUS = {
    "previous_attempt": 1, "previous_source_id": "x-1", "previous_started_at": 10.0, "previous_live_at": 11.0,
    "previous_address": "aa",
}  # fmt: skip
PLAYING = {
    "attempt": 1, "source_id": "x-1", "attempt_started_at": 10.0, "attempt_live_at": 11.0, "attempt_address": "aa",
}  # fmt: skip
OUTAGE = {"unavailable_since": 15.0, "from_source_id": "x-1", "retry_at": 30.0, "tried": '["x-1"]', "reason": "source ended"}
UNAVAILABLE = Unavailable(since=15.0, why=why("source ended"), from_source_id="x-1", tried=("x-1",), retry_at=30.0)
ROWS: dict[str, tuple[dict[str, Any], State]] = {
    "requested": ({"phase": "requested"}, Requested()),
    "starting": (
        {"phase": "starting", "reason": "source stalled", "tried": '["x-1"]', "from_source_id": "x-1"} | CURRENT,
        Starting(NEW, tried=("x-1",), from_source_id="x-1"),
    ),
    "live": ({"phase": "live", "reason": "requested", "from_source_id": "x-9"} | PLAYING, Live(OLD)),
    "live after a swap that failed": (
        {"phase": "live", "retry_at": 40.0} | PLAYING,
        Live(OLD, backoff=SwapBackoff(40.0)),
    ),
    "live after a failback that failed": (
        {"phase": "live", "retry_at": 40.0, "reason": "failback failed"} | PLAYING,
        Live(OLD, backoff=SwapBackoff(40.0, failback_only=True)),
    ),
    "swapping": (
        {"phase": "switching", "reason": f"operator; {FULL}", "from_source_id": "x-1"} | CURRENT | PREVIOUS,
        Live(OLD, successor=Attempt.on(2, "x-2", 20.0, address="bb", why=Why(Cause.OPERATOR, passed_over=FULL))),
    ),
    "switching": (
        {"phase": "switching", "reason": "source stalled", "from_source_id": "x-1", "tried": '["x-1"]'} | CURRENT,
        Switching(NEW, from_source_id="x-1", tried=("x-1",)),
    ),
    "unavailable, nothing shown": ({"phase": "unavailable"} | OUTAGE, UNAVAILABLE),
    "unavailable, the slate is shown": (
        {"phase": "unavailable", "slate_at": 22.0, "slate_faults": 1} | OUTAGE | CURRENT
        | {"source_id": SLATE, "attempt_live_at": 21.0, "attempt_address": None},
        replace(
            UNAVAILABLE, shown=Attempt.on(2, SLATE, 20.0, 21.0, why=why("source ended")), slate_at=22.0, slate_faults=1
        ),
    ),
    "unavailable, a source is tried beside the slate": (
        {"phase": "unavailable"} | OUTAGE | CURRENT | {"attempt": 3}
        | {"previous_attempt": 2, "previous_source_id": SLATE, "previous_started_at": 20.0, "previous_live_at": 21.0},
        replace(UNAVAILABLE, shown=SHOWN, trying=Attempt.on(3, "x-2", 20.0, address="bb", why=why("source ended"))),
    ),
    "unavailable, a fresh slate is to take over": (
        {"phase": "unavailable"} | OUTAGE | {"attempt": 3, "source_id": SLATE, "attempt_started_at": 25.0}
        | {"previous_attempt": 2, "previous_source_id": SLATE, "previous_started_at": 20.0, "previous_live_at": 21.0},
        replace(UNAVAILABLE, shown=SHOWN, renewing=Attempt.on(3, SLATE, 25.0, why=why("source ended"))),
    ),
    "ended": (
        {"phase": "ended", "desired": "stop", "ended_at": 50.0, "end_reason": "idle", "unavailable_since": 15.0},
        Ended(50.0, unavailable_since=15.0),
    ),
    "ended for words of nobody": (
        {"phase": "ended", "desired": "stop", "ended_at": 50.0, "end_reason": "viewer left"},
        Ended(50.0),
    ),
}  # fmt: skip


@pytest.fixture
def before(empty_database: Callable[[], str]) -> Iterator[tuple[str, Connection]]:
    """A database of the release before."""
    url = empty_database()
    upgrade(url, "0017")
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(
            text("INSERT INTO channels (id, slug, name, enabled, policy, created_at, updated_at, sort_number, search_text) "
                 "VALUES ('c', 'c', 'C', true, '{}', 0, 0, 0, '')")
        )  # fmt: skip
        yield url, connection
    engine.dispose()


def insert(connection: Connection, table: str, **values: Any) -> None:
    quoted = [f'"{name}"' for name in values]
    into, of = ", ".join(quoted), ", ".join(f":{name}" for name in values)
    connection.execute(text(f"INSERT INTO {table} ({into}) VALUES ({of})"), values)


def insert_session(connection: Connection, name: str, **columns: Any) -> None:
    plain = {
        "id": name,
        "channel_id": "c",
        "viewer": name,
        "created_at": 5.0,
        "desired": "run",
        "version": 7,
        "last_attempt": 3,
    }
    plain |= {"tried": "[]", "faults": 1, "retries": 2, "chosen": "x-1", "refused": '["cc"]', "fault_at": 9.0}
    insert(connection, "sessions", **plain | {"target_duration_s": 4} | columns)


async def test_every_state_of_the_release_before_is_read(before: tuple[str, Connection]) -> None:
    url, connection = before
    for name, (columns, _) in ROWS.items():
        insert_session(connection, name, **columns)
    connection.commit()
    upgrade(url)
    tables = open_tables(url)
    for name, (columns, state) in ROWS.items():
        session = (await tables.sessions.get(name)).session
        assert session.state == state, name
        assert session.phase == columns["phase"]
        assert (session.version, session.last_attempt, session.faults, session.retries) == (7, 3, 1, 2)
        assert (session.chosen, session.refused, session.fault_at, session.target_duration_s) == ("x-1", ("cc",), 9.0, 4)
    assert (await tables.sessions.get("ended")).session.end_reason == "idle"
    assert (await tables.sessions.get("ended for words of nobody")).session.end_reason == "stopped"
    await tables.close()


async def test_what_the_release_before_writes_during_an_upgrade_is_read(before: tuple[str, Connection]) -> None:
    """Its API and its orchestrator run on for a moment, and know no column `state`."""
    url, connection = before
    insert_session(connection, "s", phase="starting", reason="requested", **CURRENT)
    connection.commit()
    upgrade(url)
    tables = open_tables(url)
    assert (await tables.sessions.get("s")).session.phase is Phase.STARTING
    live = "UPDATE sessions SET phase = 'live', attempt_live_at = 21.0, version = version + 1"
    connection.execute(text(live))  # as its orchestrator commits
    insert_session(connection, "new", phase="requested")  # as its API lets somebody in
    connection.commit()
    session = (await tables.sessions.get("s")).session
    assert session.state == Live(Attempt.on(2, "x-2", 20.0, 21.0, address="bb", why=Why(Cause.REQUESTED)))
    assert {each.id: each.phase for each in await tables.sessions.unended()} == {"s": Phase.LIVE, "new": Phase.REQUESTED}
    await tables.sessions.switch("s", None)  # this release's API: the state is still that of the release before
    asked = (await tables.sessions.get("s")).session
    assert asked == replace(session, switch_to="next", version=9)
    after = replace(asked, switch_to=None, state=replace(asked.state, backoff=SwapBackoff(30.0)))
    await tables.sessions.commit(asked, Decision(session=after), 22.0)
    await tables.sessions.stop("s", EndReason.STOPPED)
    last = (await tables.sessions.get("s")).session
    assert last == replace(after, desired=Desired.STOP, end_reason=EndReason.STOPPED, version=11)
    await tables.close()


async def test_history_and_sources_get_causes_for_their_words(before: tuple[str, Connection]) -> None:
    url, connection = before
    insert_session(connection, "s", phase="live", **PLAYING)
    attempt = {"session_id": "s", "number": 1, "source_id": "x-1", "started_at": 10.0, "first_segment_at": 11.0}
    insert(connection, "attempts", **attempt, start_reason=f"requested; {FULL}", end_reason="replaced: failback")
    insert(connection, "attempts", session_id="s", number=2, source_id="x-2", started_at=20.0, start_reason="failback")
    sources = {"x-1": "404 Not Found", "x-2": FULL, "x-3": "words of nobody"}
    fields = [{"reason": "source stalled", "sources": sources}, {"source": "x-1"}]
    for number, each in enumerate(fields, start=1):
        insert(connection, "events", session_id="s", id=number, type="stream.unavailable", at=1.0, fields=json.dumps(each))
    source = {"channel_id": "c", "url": "http://a/", "priority": 1, "headers": "{}", "status": "problematic"}
    insert(connection, "sources", id="x-1", **source, last_failure_reason="no answer in time")
    insert(connection, "sources", id="x-2", **source)
    connection.commit()
    upgrade(url)
    tables = open_tables(url)
    first, second = await tables.sessions.attempts("s")
    assert (first.start_cause, first.end_cause, first.start_reason) == (Cause.REQUESTED, Cause.REPLACED, f"requested; {FULL}")
    assert (second.start_cause, second.end_cause) == (Cause.FAILBACK, None)
    assert first.legs is not None and (first.legs[0].input, first.legs[0].live_at) == ("x-1", 11.0)
    down, plain = await tables.sessions.events("s")
    causes = {"x-1": Cause.REFUSES, "x-2": Cause.PROVIDER_FULL, "x-3": Cause.UNKNOWN}
    assert (down.causes, down.fields) == (Causes(Cause.SOURCE_STALLED, causes), fields[0])
    assert (plain.causes, plain.fields) == (Causes(), fields[1])
    failed = await tables.catalogue.source("x-1")
    assert (failed.last_failure, failed.last_failure_reason) == (
        Why(Cause.UNREACHABLE, "no answer in time"),
        "no answer in time",
    )
    assert (await tables.catalogue.source("x-2")).last_failure is None
    await tables.close()


@pytest.mark.parametrize("rows", [999, 1000, 2001])
def test_many_rows_are_translated_in_portions(before: tuple[str, Connection], rows: int) -> None:
    url, connection = before
    insert_session(connection, "s", phase="live", **PLAYING)
    event = text("INSERT INTO events (session_id, id, type, at, fields) VALUES ('s', :id, 'stream.switch', 1.0, :fields)")
    connection.execute(event, [{"id": number, "fields": '{"reason": "failback"}'} for number in range(1, rows + 1)])
    connection.commit()
    upgrade(url)
    causes = connection.execute(text("SELECT causes FROM events")).scalars().all()
    assert [json.loads(each) for each in causes] == [{"reason": "failback"}] * rows


# --- back to the release before -------------------------------------------------------------------------------------------

# Frozen: the columns that the release before reads of a session, in the order of its fields
READ = (
    "id, channel_id, viewer, desired, phase, version, created_at, target_duration_s, last_attempt, switch_to, reason, "
    "from_source_id, chosen, tried, refused, fault_at, faults, unavailable_since, retries, retry_at, slate_at, slate_faults, "
    "ended_at, end_reason, attempt, source_id, attempt_started_at, attempt_live_at, attempt_address, previous_attempt, "
    "previous_source_id, previous_started_at, previous_live_at, previous_address"
)


async def committed(url: str, state: State) -> Session:
    """A session that this release has written."""
    tables = open_tables(url)
    session = (await tables.sessions.request("c", "viewer", "hash", 5.0))[0].session
    after = replace(session, state=state, last_attempt=3, faults=1, fault_at=9.0, retries=2, chosen="x-1", refused=("cc",))
    records = (
        AttemptStarted(1, "x-1", why(f"source refused; {FULL}")),
        AttemptEnded(1, 13, why("source stalled", of_end=True)),
        SourceFailed("x-1", why("source stalled"), stalled=True),
        happened(EventType.STREAM_UNAVAILABLE, {"reason": "source stalled", "sources": {"x-1": "source stalled"}}),
    )
    await tables.sessions.commit(session, Decision(session=after, records=records), 20.0)
    session = (await tables.sessions.get(session.id)).session
    await tables.close()
    return session


@pytest.mark.parametrize("name", ROWS)
async def test_the_release_before_reads_what_this_one_writes(before: tuple[str, Connection], name: str) -> None:
    url, connection = before
    source = {"channel_id": "c", "url": "http://a/", "priority": 1, "headers": "{}", "status": "healthy"}
    insert(connection, "sources", id="x-1", **source)
    connection.commit()
    old_schema = schema(url)
    upgrade(url)
    columns, state = ROWS[name]
    session = await committed(url, state)
    downgrade(url, "0017")
    assert schema(url) == old_schema
    row = dict(connection.execute(text(f"SELECT {READ} FROM sessions")).mappings().one())
    expected = {key: value for key, value in columns.items() if key not in ("desired", "end_reason")}
    if session.phase is Phase.LIVE:
        expected["from_source_id"] = None  # that release read it in no live session
    assert {key: row[key] for key in expected} == expected
    assert (row["id"], row["version"], row["last_attempt"], row["faults"], row["retries"]) == (session.id, 1, 3, 1, 2)
    (attempt,) = connection.execute(text("SELECT start_reason, end_reason, exit_code FROM attempts")).all()
    assert tuple(attempt) == (f"source refused; {FULL}", "source stalled", 13)
    fields = connection.execute(text("SELECT fields FROM events")).scalar_one()
    assert json.loads(fields) == {"reason": "source stalled", "sources": {"x-1": "source stalled"}}
    failed = connection.execute(text("SELECT status, last_failure_reason FROM sources")).one()
    assert tuple(failed) == ("problematic", "source stalled")
    connection.rollback()  # in PostgreSQL a transaction that has read keeps a table from being changed
    # And up again: what that release may have changed is translated anew
    upgrade(url)
    tables = open_tables(url)
    again = (await tables.sessions.get(session.id)).session
    assert (again.state, again.phase) == (state, session.phase)
    await tables.close()


def test_every_cause_that_has_words_is_known_by_them() -> None:
    """What this release writes in words, its migration would read as the same cause after a way back and forth."""
    unspoken = {Cause.SESSION_ENDED, Cause.HANDED_ON, Cause.UNREACHABLE, Cause.REFUSES, Cause.UNPLAYABLE, Cause.UNKNOWN}
    for cause in set(Cause) - unspoken:
        assert why(Why(cause).text).cause is cause
    assert why(Why(Cause.HANDED_ON, "failback").text) == Why(Cause.HANDED_ON, "failback")
    assert why(Why(Cause.SESSION_ENDED, "idle").text, of_end=True) == Why(Cause.SESSION_ENDED, "idle")
