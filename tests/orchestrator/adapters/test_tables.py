"""What the engines do to the tables: locks, death, freezing, races between processes. Faults are real."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import event, make_url

from orchestrator.adapters.sql import SqlTables, database, open_tables
from orchestrator.core.model import (
    Attempt,
    AttemptEnded,
    AttemptLive,
    AttemptStarted,
    Channel,
    Decision,
    EndReason,
    EventType,
    Happened,
    Live,
    Phase,
    Session,
    SourceFailed,
)
from orchestrator.errors import BadSetting, DatabaseUnavailable, InvalidInput, Stale
from orchestrator.migrations import upgrade
from orchestrator.ports import NewSource
from tests.postgres_server import PostgresServer, running_postgres
from tests.records import record
from tests.sqlite_file import migrated
from tests.support import eventually
from tests.words import why

BUSY_LIMIT_S = 0.8


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits of the tables, short enough for a test."""
    monkeypatch.setattr(database, "BUSY_LIMIT_S", BUSY_LIMIT_S)
    monkeypatch.setattr(database, "LIMIT_S", 3 * BUSY_LIMIT_S)


@pytest.fixture
async def tables(database_url: str) -> AsyncIterator[SqlTables]:
    tables = open_tables(database_url)
    yield tables
    await tables.close()


def sqlite_file(url: str) -> str:
    path = make_url(url).database
    assert path is not None
    return path


Lock = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def lock(request: pytest.FixtureRequest, database_url: str) -> Lock:
    """While held, somebody else has the lock that every writer needs."""

    @contextmanager
    def sqlite() -> Iterator[None]:
        with closing(sqlite3.connect(sqlite_file(database_url), isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    @contextmanager
    def postgresql() -> Iterator[None]:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.connect(str(make_url(database_url).database)) as connection, connection.transaction():
            connection.execute("LOCK TABLE sessions, sources, channels, events, attempts, leases IN SHARE MODE")
            yield

    return sqlite if database_url.startswith("sqlite") else postgresql


async def a_session(tables: SqlTables, viewer: str = "viewer") -> Session:
    slug = f"news-{viewer}"
    sources = [NewSource(url="http://a.test/secret"), NewSource(url="http://b.test/secret")]
    channel = await tables.catalogue.add_channel(Channel(id="", slug=slug, name=slug), sources)
    return (await tables.sessions.request(channel.id, viewer, "hash", 1000.0))[0].session


async def next_attempt(tables: SqlTables, session: Session) -> Session:
    """A commit with every kind of record: attempt n+1 takes over on the other source."""
    worse, better = await tables.catalogue.sources(session.channel_id)
    number = session.last_attempt + 1
    if number % 2:
        worse, better = better, worse
    after = replace(session, state=Live(Attempt.on(number, better.id, 1.0, 1.0)), last_attempt=number)
    records = (
        AttemptEnded(session.last_attempt, 13, why("stalled", of_end=True)),
        SourceFailed(worse.id, why("stalled"), stalled=True),
        AttemptStarted(number, better.id, why("stalled")),
        AttemptLive(number, better.id),
        Happened(EventType.STREAM_SWITCH, {"attempt": number}),
    )
    await tables.sessions.commit(session, Decision(session=after, records=records), float(number))
    return replace(after, version=session.version + 1)


async def assert_whole(tables: SqlTables, session_id: str) -> Session:
    """Each commit of `next_attempt` is there with all that belongs to it, or not at all."""
    session = (await tables.sessions.get(session_id)).session
    count = session.version
    assert session.last_attempt == count
    assert [row.number for row in await tables.sessions.attempts(session_id)] == list(range(1, count + 1))
    assert [event.id for event in await tables.sessions.events(session_id)] == list(range(1, count + 1))
    sources = await tables.catalogue.sources(session.channel_id)
    assert sum(source.stall_count for source in sources) == count
    return session


# --- locks ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
async def test_a_lock_that_stays_is_an_unavailable_database_and_nothing_is_half_written(tables: SqlTables, lock: Lock) -> None:
    session = await next_attempt(tables, await a_session(tables))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    with lock():
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await next_attempt(tables, session)
        assert BUSY_LIMIT_S * 0.9 < time.monotonic() - began < 3 * BUSY_LIMIT_S
        for write in (
            tables.sessions.stop(session.id, EndReason.STOPPED),
            tables.sessions.renew(session.id, 1.0),
            tables.catalogue.delete_channel(session.channel_id),
        ):
            with pytest.raises(DatabaseUnavailable):
                await write
        assert await assert_whole(tables, session.id) == session  # whoever reads does not wait
        await tables.sessions.check()
    ticking.cancel()
    assert ticks > 50  # nor did the event loop
    session = await next_attempt(tables, session)
    assert await assert_whole(tables, session.id) == session


@pytest.mark.usefixtures("impatient")
async def test_writers_that_queue_for_a_lock_all_hear_of_it_in_time(tables: SqlTables, lock: Lock) -> None:
    sessions = [await a_session(tables, f"{number}") for number in range(30)]
    with lock():
        began = time.monotonic()
        writes = (tables.sessions.renew(session.id, 5.0) for session in sessions)
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert all(isinstance(outcome, DatabaseUnavailable) for outcome in outcomes), outcomes
        assert time.monotonic() - began < 4 * BUSY_LIMIT_S
    await asyncio.gather(*(tables.sessions.renew(session.id, 6.0) for session in sessions))
    assert {row.renewed_at for row in await tables.sessions.recent()} == {6.0}


@pytest.mark.usefixtures("impatient")
async def test_a_lock_that_goes_in_time_only_delays(tables: SqlTables, lock: Lock) -> None:
    session = await a_session(tables)
    with lock():
        write = asyncio.create_task(next_attempt(tables, session))
        await asyncio.sleep(BUSY_LIMIT_S / 3)
        assert not write.done()
    session = await write
    assert await assert_whole(tables, session.id) == session


async def test_a_cancelled_commit_is_whole_or_absent_and_frees_the_lock(tables: SqlTables) -> None:
    session = await a_session(tables)
    session_id = session.id
    outcomes: list[type] = []
    for step in range(60):
        write = asyncio.create_task(next_attempt(tables, session))
        await asyncio.sleep(step * 0.0001)
        write.cancel()
        outcome, *_ = await asyncio.gather(write, return_exceptions=True)
        outcomes.append(type(outcome))
        # What had begun goes on by itself; Stale: it had not ended when the row was read for the next one
        session = await eventually(lambda: assert_whole(tables, session_id), every_s=0.001)
    assert set(outcomes) <= {Session, asyncio.CancelledError, Stale}
    assert outcomes.count(asyncio.CancelledError) > 5
    assert session.version < 60  # some had not begun
    session = await next_attempt(tables, session)
    assert await assert_whole(tables, session.id) == session


# --- processes --------------------------------------------------------------------------------------------------------

WRITER = """
import asyncio, sys
from orchestrator.adapters.sql import open_tables
from orchestrator.core.model import EventType, Happened
from tests.orchestrator.adapters.test_tables import next_attempt
from tests.records import record

async def main(url, own_id, shared_id, count):
    tables = open_tables(url)
    session = (await tables.sessions.get(own_id)).session
    print("ready", flush=True)
    for number in range(count):
        session = await next_attempt(tables, session)
        await record(tables, shared_id, [Happened(EventType.SESSION_LIVE)], 1.0, tries=1000)
    await tables.close()

asyncio.run(main(*sys.argv[1:4], int(sys.argv[4])))
"""


def writer(url: str, own: Session, shared: Session, count: int) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", WRITER, url, own.id, shared.id, str(count)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])


async def test_two_processes_write_at_once(database_url: str) -> None:
    tables = open_tables(database_url)
    own = [await a_session(tables, viewer) for viewer in ("a", "b")]
    shared = await a_session(tables, "shared")
    with writer(database_url, own[0], shared, 100) as one, writer(database_url, own[1], shared, 100) as two:
        for process in (one, two):
            _, errors = await asyncio.to_thread(process.communicate, timeout=50)
            assert process.returncode == 0, errors
    for session in own:
        assert (await assert_whole(tables, session.id)).version == 100
    assert [each.id for each in await tables.sessions.events(shared.id)] == list(range(1, 201))
    await tables.close()


async def test_a_writer_killed_in_the_act_leaves_whole_commits_and_no_lock(database_url: str) -> None:
    tables = open_tables(database_url)
    own, shared = await a_session(tables, "own"), await a_session(tables, "shared")

    async def has_written() -> bool:
        return (await tables.sessions.get(own.id)).session.version > 20

    with writer(database_url, own, shared, 100_000) as process:
        try:
            await eventually(has_written, timeout_s=30, every_s=0.01)
        finally:
            process.kill()
    session = await assert_whole(tables, own.id)
    assert await assert_whole(tables, own.id) == session
    session = await next_attempt(tables, session)
    assert await assert_whole(tables, own.id) == session
    await tables.close()


async def test_a_viewer_who_asks_two_processes_at_once_gets_one_session(database_url: str) -> None:
    apis = [open_tables(database_url) for _ in range(3)]
    for number in range(5):
        viewer = f"viewer-{number}"
        requests = (api.sessions.request("c-1", viewer, "hash", 1.0) for api in apis for _ in range(4))
        answers = await asyncio.gather(*requests)
        assert len({row.session.id for row, _ in answers}) == 1
        assert sum(new for _, new in answers) == 1
    for api in apis:
        await api.close()


async def test_the_order_of_sources_stays_dense_whoever_writes_at_once(database_url: str) -> None:
    apis = [open_tables(database_url) for _ in range(2)]
    session = await a_session(apis[0])
    channel_id = session.channel_id
    first = await apis[0].catalogue.sources(channel_id)

    async def edit(api: SqlTables, number: int) -> None:
        added = await api.catalogue.add_source(channel_id, NewSource(url=f"http://{number}.test"), 1)
        await api.catalogue.add_source(channel_id, NewSource(url=f"http://{number}.test"), 2)
        await record(api, session.id, [AttemptLive(1, added.id)], 1.0, tries=1000)
        await api.catalogue.delete_source(added.id)

    async def reorder(api: SqlTables) -> None:
        with suppress(InvalidInput):  # another source has come or gone since it looked
            order = [source.id for source in await api.catalogue.sources(channel_id)]
            await api.catalogue.order_sources(channel_id, order[::-1])

    async def blame(api: SqlTables) -> None:
        await record(api, session.id, [SourceFailed(source.id, why("404")) for source in first], 1.0, tries=1000)

    await asyncio.gather(
        *(edit(apis[number % 2], number) for number in range(16)),
        *(reorder(apis[number % 2]) for number in range(16)),
        *(blame(apis[number % 2]) for number in range(16)),
    )
    sources = await apis[0].catalogue.sources(channel_id)
    assert [source.priority for source in sources] == list(range(1, 2 + 16 + 1))
    assert [source.failure_count for source in sources if source.id in {each.id for each in first}] == [16, 16]
    assert (await apis[0].catalogue.channel(channel_id)).active_source_id is None
    for api in apis:
        await api.close()


async def test_failover_lists_that_name_each_other_are_edited_at_once(database_url: str) -> None:
    """Each row that names a channel locks it: whoever locks in another order than all waits for ever."""
    apis = [open_tables(database_url) for _ in range(2)]
    session = await a_session(apis[0])
    one = session.channel_id
    others = [(await apis[0].catalogue.add_channel(Channel(id="", slug=f"c{n}", name="C"), [])).id for n in range(3)]
    ids = [one, *others]

    async def edit(api: SqlTables, number: int) -> None:
        own, *behind = ids[number % 4 :] + ids[: number % 4]
        await api.catalogue.set_failovers(own, behind if number % 3 else behind[::-1])
        assert len(await api.catalogue.lineups(ids)) == 4

    async def blame(api: SqlTables) -> None:
        for source in await api.catalogue.sources(one):
            await record(api, session.id, [SourceFailed(source.id, why("404")), AttemptLive(1, source.id)], 1.0, tries=1000)

    await asyncio.gather(
        *(edit(apis[number % 2], number) for number in range(32)), *(blame(apis[number % 2]) for number in range(8))
    )
    for own in ids:
        assert {each.id for each in await apis[0].catalogue.failovers(own)} == set(ids) - {own}
    for api in apis:
        await api.close()


@pytest.mark.usefixtures("impatient")
async def test_what_is_closed_is_unavailable_and_finishes_what_had_begun(tables: SqlTables, lock: Lock) -> None:
    session = await a_session(tables)
    with lock():
        writes = [asyncio.create_task(tables.sessions.renew(session.id, float(number))) for number in range(20)]
        await asyncio.sleep(BUSY_LIMIT_S / 5)
        closing_tables = asyncio.create_task(tables.close())
        await asyncio.sleep(BUSY_LIMIT_S / 5)
    await closing_tables
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {type(None), DatabaseUnavailable}
    with pytest.raises(DatabaseUnavailable, match="closed"):
        await tables.sessions.check()


# --- PostgreSQL's own faults ------------------------------------------------------------------------------------------


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server that may be hurt."""
    with running_postgres() as server:
        yield server


@pytest.mark.usefixtures("impatient")
async def test_a_restarted_server_is_found_again(own_postgres: PostgresServer) -> None:
    tables = open_tables(own_postgres.database())
    session = await next_attempt(tables, await a_session(tables))
    own_postgres.stop()
    for call in (tables.sessions.check(), next_attempt(tables, session), tables.catalogue.channels()):
        with pytest.raises(DatabaseUnavailable):
            await call
    await asyncio.to_thread(own_postgres.start)
    await tables.sessions.check()
    session = await next_attempt(tables, session)
    assert await assert_whole(tables, session.id) == session
    await tables.close()


@pytest.mark.usefixtures("impatient")
async def test_a_frozen_server_does_not_hold_anybody_for_ever(own_postgres: PostgresServer) -> None:
    url = own_postgres.database()
    tables = open_tables(url)
    session = await next_attempt(tables, await a_session(tables))
    frozen = own_postgres.processes()
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        for call in (tables.sessions.check(), next_attempt(tables, session)):
            with pytest.raises(DatabaseUnavailable):
                await call
        assert time.monotonic() - began < 20
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    session = await next_attempt(tables, session)
    assert await assert_whole(tables, session.id) == session
    await tables.close()


# --- what cannot work -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://host/db", "sqlite://", "sqlite+aiosqlite:///:memory:"])
def test_a_url_of_another_engine_is_a_bad_setting(url: str) -> None:
    with pytest.raises(BadSetting, match="FAILOVER_DATABASE_URL"):
        open_tables(url)
    with pytest.raises(BadSetting, match="FAILOVER_DATABASE_URL"):
        upgrade(url)


@pytest.mark.usefixtures("impatient")
async def test_a_database_that_is_not_there_or_not_migrated_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    (tmp_path / "rubbish.db").write_bytes(b"rubbish" * 1000)
    for url in (
        f"sqlite:///{tmp_path}/none/failover.db",
        f"sqlite:///{tmp_path}/empty.db",
        f"sqlite:///{tmp_path}/rubbish.db",
        f"postgresql://failover@/failover?host={tmp_path}",
        "postgresql://failover:hush@127.0.0.1:1/failover",
    ):
        tables = open_tables(url)
        for call in (tables.sessions.check(), tables.catalogue.channels(), tables.sessions.renew("s", 1.0)):
            with pytest.raises(DatabaseUnavailable) as caught:
                await call
            assert "hush" not in str(caught.value)
        await tables.close()


async def test_text_that_an_engine_cannot_hold_is_invalid_input(database_url: str) -> None:
    tables = open_tables(database_url)
    refused: list[bool] = []
    for text in ("nul\0", "\ud800"):
        try:
            await tables.catalogue.add_channel(Channel(id="", slug=text, name="x"), [])
        except InvalidInput as error:
            refused.append("secret" not in str(error))
        else:
            assert (await tables.catalogue.channel(text)).slug == text
            refused.append(False)
    assert refused == [database_url.startswith("postgresql"), True]
    await tables.close()


async def test_an_attempt_is_recorded_once(tables: SqlTables) -> None:
    session = await a_session(tables)
    started = AttemptStarted(1, "x-1", why("requested"))
    await record(tables, session.id, [started], 1.0)
    with pytest.raises(Stale):
        await record(tables, session.id, [started, Happened(EventType.SESSION_LIVE)], 2.0)
    assert [row.started_at for row in await tables.sessions.attempts(session.id)] == [1.0]
    assert await tables.sessions.events(session.id) == ()


# --- indexes ----------------------------------------------------------------------------------------------------------


async def test_what_is_asked_often_is_found_by_an_index(tmp_path: Path) -> None:
    url = migrated(tmp_path)
    tables = open_tables(url)
    asked: list[tuple[str, Any]] = []

    @event.listens_for(tables.database.engine, "before_cursor_execute")
    def _note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        asked.append((statement, parameters))

    session = await a_session(tables)
    asked.clear()
    await tables.catalogue.channel("news-viewer")
    await tables.catalogue.channels(after=session.channel_id)
    await tables.catalogue.problematic_sources()
    await tables.sessions.request(session.channel_id, "viewer", "hash", 2.0)
    await tables.sessions.unended()
    await tables.sessions.recent()
    await tables.sessions.recent(phase=Phase.LIVE)
    await tables.sessions.renew(session.id, 3.0)
    await next_attempt(tables, session)
    await tables.sessions.events(session.id, after=3)
    await tables.sessions.attempts(session.id)
    source, _ = await tables.catalogue.sources(session.channel_id)
    await tables.catalogue.delete_source(source.id)
    await tables.catalogue.delete_channel(session.channel_id)
    await tables.close()
    queries = [each for each in asked if each[0].startswith(("SELECT", "UPDATE", "DELETE"))]
    assert len(queries) > 20
    with closing(sqlite3.connect(sqlite_file(url))) as connection:
        for statement, parameters in queries:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            scans = [step for step in plan if step.startswith("SCAN") and " INDEX " not in step]
            assert not scans, f"{statement}: {plan}"
