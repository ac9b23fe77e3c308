"""One linear history that ends where the models are, whoever runs it, however often, at the same time."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url, text

from orchestrator import migrations
from orchestrator.adapters.sql.schema import metadata
from orchestrator.errors import BadSetting, DatabaseUnavailable
from orchestrator.migrations import upgrade
from tests.postgres_server import PostgresServer

# What the engine itself says that it has, each a line of text; columns in any order, for a later migration adds at the end
SCHEMA = {
    "sqlite": """
        SELECT m.name || ' ' || c.name || ' ' || c.type || c."notnull" || c.pk || coalesce(c.dflt_value, '')
          FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name <> 'alembic_version'
        UNION ALL SELECT m.name || ' ' || f."from" || ' ' || f."table" || ' ' || f."to" || ' ' || f.on_delete
          FROM sqlite_master m, pragma_foreign_key_list(m.name) f
        UNION ALL SELECT m.name || ' ' || i."unique" || i.origin || ' ' || (
              SELECT group_concat(name) FROM pragma_index_info(i.name)) FROM sqlite_master m, pragma_index_list(m.name) i
         WHERE m.name <> 'alembic_version'
        UNION ALL SELECT sql FROM sqlite_master WHERE type <> 'table' AND sql IS NOT NULL
    """,
    "postgresql": """
        SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default, collation_name)
          FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
        UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
         WHERE connamespace = 'public'::regnamespace AND conrelid <> 'alembic_version'::regclass
    """,
}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes URLs of databases without a table."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        return lambda: server.database(migrated=False)
    names = iter(range(100))
    return lambda: f"sqlite+pysqlite:///{tmp_path}/{next(names)}.db"


def schema(url: str) -> list[str]:
    engine = create_engine(url)
    with engine.connect() as connection:
        lines = connection.execute(text(SCHEMA[engine.dialect.name])).scalars().all()
    engine.dispose()
    return sorted(lines)


def built_from_models(url: str) -> None:
    engine = create_engine(url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num text)"))
    engine.dispose()


def test_the_migrated_schema_equals_the_models(empty_database: Callable[[], str]) -> None:
    migrated, modelled = empty_database(), empty_database()
    upgrade(migrated)
    built_from_models(modelled)
    assert len(schema(migrated)) > 20
    assert schema(migrated) == schema(modelled)


def test_the_history_is_one_line() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    revisions = list(script.walk_revisions())
    assert revisions
    assert all(not revision.is_branch_point and not revision.is_merge_point for revision in revisions)
    assert script.get_heads() == [revisions[0].revision]


def test_an_upgrade_may_run_twice_and_keeps_what_is_there(empty_database: Callable[[], str]) -> None:
    url = empty_database()
    upgrade(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO channels (id, slug, name, enabled, policy, created_at, updated_at, sort_number, search_text)"
                " VALUES ('c-1', 'news', 'News', true, '{}', 1, 1, 1, '')"
            )
        )
    before = schema(url)
    upgrade(url)
    assert schema(url) == before
    with engine.connect() as connection:
        assert connection.execute(text("SELECT slug FROM channels")).scalars().all() == ["news"]
    engine.dispose()


def test_the_token_and_the_renewal_of_a_session_become_its_viewer_s_lease(empty_database: Callable[[], str]) -> None:
    url = empty_database()
    upgrade(url, "0002")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO sessions (id, channel_id, viewer, token_hash, created_at, renewed_at, desired, version, phase,"
                " last_attempt, tried, faults, retries) VALUES"
                " ('s-1', 'c-1', 'alice', 'one', 1, 7, 'run', 3, 'live', 1, '[]', 0, 0),"
                " ('s-2', 'c-1', 'bob', 'two', 2, 8, 'stop', 3, 'ended', 1, '[]', 0, 0)"
            )
        )
    upgrade(url)
    with engine.connect() as connection:
        leases = connection.execute(text("SELECT session_id, viewer, token_hash, renewed_at FROM leases ORDER BY session_id"))
        assert [tuple(row) for row in leases] == [("s-1", "alice", "one", 7.0), ("s-2", "bob", "two", 8.0)]
        assert connection.execute(text("SELECT viewer FROM sessions ORDER BY id")).scalars().all() == ["alice", "bob"]
    engine.dispose()


@pytest.mark.slow
def test_processes_that_upgrade_at_once_all_succeed(empty_database: Callable[[], str]) -> None:
    url, alone = empty_database(), empty_database()
    upgrade(alone)
    code = "import sys; from orchestrator.migrations import upgrade; sys.stdin.read(1); upgrade(sys.argv[1])"
    argv = [sys.executable, "-W", "error", "-c", code, url]
    processes = [subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:  # all are waiting for it, or will find it: they start as close together as they can
        assert process.stdin is not None
        process.stdin.write("!")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=50)
        assert process.returncode == 0, errors
    assert schema(url) == schema(alone)


def test_an_upgrade_waits_for_the_one_that_is_under_way(empty_database: Callable[[], str]) -> None:
    url = empty_database()
    with ThreadPoolExecutor(1) as threads:
        with held(url):
            upgrading = threads.submit(upgrade, url)
            with pytest.raises(TimeoutError):
                upgrading.result(timeout=0.5)
            assert schema_is_empty(url)
        upgrading.result(timeout=20)
    assert not schema_is_empty(url)


@contextmanager
def held(url: str) -> Iterator[None]:
    """As if another process were migrating."""
    engine = create_engine(url)
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({migrations.LOCK_KEY})")
        else:
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
        yield
    engine.dispose()


def schema_is_empty(url: str) -> bool:
    if url.startswith("sqlite"):
        path = make_url(url).database
        assert path is not None
        with closing(sqlite3.connect(path, timeout=0)) as connection:
            try:
                return not connection.execute("SELECT name FROM sqlite_master").fetchall()
            except sqlite3.OperationalError as error:  # held exclusively
                return error.sqlite_errorcode == sqlite3.SQLITE_BUSY
    engine = create_engine(url)
    with engine.connect() as connection:
        names = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
    engine.dispose()
    return not names


def test_an_upgrade_that_fails_leaves_nothing_behind(empty_database: Callable[[], str]) -> None:
    url = empty_database()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE attempts (own text)"))  # in the way of a late step
    with pytest.raises(DatabaseUnavailable, match="attempts"):
        upgrade(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE attempts"))
    engine.dispose()
    assert schema_is_empty(url)
    upgrade(url)
    assert not schema_is_empty(url)


def test_a_database_of_a_later_release_is_left_alone(empty_database: Callable[[], str]) -> None:
    url = empty_database()
    upgrade(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    before = schema(url)
    with pytest.raises(BadSetting, match="9999"):
        upgrade(url)
    assert schema(url) == before


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/none/failover.db", f"postgresql://failover@/failover?host={tmp_path}"):
        with pytest.raises(DatabaseUnavailable):
            upgrade(url)


def test_a_sqlite_file_is_in_wal_mode_afterwards(tmp_path: Path) -> None:
    upgrade(f"sqlite:///{tmp_path}/failover.db")
    with closing(sqlite3.connect(tmp_path / "failover.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
