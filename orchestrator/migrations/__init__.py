"""The schema's one linear history. `upgrade` may run twice, and from two processes at once: one does it, the other waits and
finds it done. It happens in one transaction, so it has happened or it has not, in SQLite as well."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from orchestrator.adapters.sql import database as tables_engine
from orchestrator.errors import BadSetting, DatabaseUnavailable

WAIT_LIMIT_S = 60.0  # for another process that is migrating
LOCK_KEY = 0x6661696C6F766572  # "failover": ours among the server's advisory locks
_one_thread = Lock()  # Alembic keeps its context in module globals


def upgrade(database_url: str, revision: str = "head") -> None:
    """Bring the database at a SQLAlchemy URL to `revision`, and a SQLite file into WAL mode. Blocks: not for an event loop.

    Raises BadSetting, DatabaseUnavailable.
    """
    _migrate(database_url, lambda config: command.upgrade(config, revision))


def downgrade(database_url: str, revision: str) -> None:
    """Bring it back to `revision`, for a release before this one. Only the newest migration can be taken back; nothing may run.

    Raises as `upgrade`, and NotImplementedError for a migration that cannot be taken back.
    """
    _migrate(database_url, lambda config: command.downgrade(config, revision))


def _migrate(database_url: str, command_on: Callable[[Config], None]) -> None:
    url = tables_engine.database_url(database_url)
    sqlite = url.get_backend_name() == "sqlite"
    engine = create_engine(
        url,
        poolclass=NullPool,
        connect_args={"timeout": WAIT_LIMIT_S, "isolation_level": None} if sqlite else {"connect_timeout": 5},
        hide_parameters=True,
    )
    try:
        with _one_thread, engine.connect() as connection:
            if sqlite:
                _write_ahead(connection)
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{int(WAIT_LIMIT_S)}s'")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK_KEY})")
            command_on(_config(connection))
            connection.commit()
    except CommandError as error:  # a later release has been here
        raise BadSetting(f"FAILOVER_DATABASE_URL: not a database of this release: {error}") from None
    except DBAPIError as error:
        raise DatabaseUnavailable(tables_engine.words(error)) from error
    finally:
        engine.dispose()


def head() -> str:
    """The revision that this release's code goes with."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    assert newest is not None
    return newest


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _write_ahead(connection: Connection) -> None:
    """WAL stays with the file. Changing to it takes the whole file for a moment and does not wait for it: so we do."""
    deadline = time.monotonic() + WAIT_LIMIT_S
    while True:
        try:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        except OperationalError as error:
            # The low byte is the primary code, whatever the extended one is (SQLite, "Result and Error Codes")
            code = error.orig.sqlite_errorcode & 0xFF if isinstance(error.orig, sqlite3.Error) else None
            if code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
