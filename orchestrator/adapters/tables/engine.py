"""The connection pool, and what a transaction is in each engine: bounded in time, all or nothing, one kind of error.

SQLite: WAL (set once, by the migration), so readers never wait; a writer takes the lock at its start (BEGIN IMMEDIATE), for a
reader that becomes a writer half way is refused at once instead of waiting. Within a process writers queue in order; against
the other process SQLite's busy handler waits, at most BUSY_LIMIT_S.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import URL, event, make_url
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from orchestrator.errors import BadSetting, DatabaseUnavailable, InvalidInput, Stale

BUSY_LIMIT_S = 5.0  # for a lock, a statement, a connection
LIMIT_S = 3 * BUSY_LIMIT_S  # for everything together: a network that swallows packets must not hold a session for ever

_WRITES = "failover_writes"


def database_url(url: str) -> URL:
    """The URL with the driver that the project uses. Raises BadSetting for what is neither SQLite in a file nor PostgreSQL."""
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url)
    except ArgumentError:
        raise BadSetting("FAILOVER_DATABASE_URL: not a database URL") from None
    match parsed.get_backend_name():
        case "sqlite" if parsed.database and ":memory:" not in parsed.database:
            return parsed.set(drivername="sqlite+aiosqlite")
        case "postgresql":
            return parsed.set(drivername="postgresql+psycopg")
        case name:
            raise BadSetting(f"FAILOVER_DATABASE_URL: wants postgresql:// or a file as sqlite:///path, not {name}")


def connect_args(url: URL) -> dict[str, Any]:
    """What the driver is told for either engine, sync or async."""
    if url.get_backend_name() == "sqlite":
        return {"timeout": BUSY_LIMIT_S, "isolation_level": None}  # None: the module begins no transaction of its own
    own = url.query.get("options", "")
    limit_ms = int(BUSY_LIMIT_S * 1000)
    return {
        "connect_timeout": int(BUSY_LIMIT_S),
        "options": f"{own if isinstance(own, str) else ' '.join(own)} -c statement_timeout={limit_ms}".strip(),
    }


class Database:
    """One bounded pool. Raises BadSetting for a URL of another engine."""

    def __init__(self, url: str) -> None:
        self._url = database_url(url)
        if self._url.get_backend_name() == "sqlite":
            self._engine = _sqlite(self._url)
            self._reading = self._engine
            self._queue: asyncio.Lock | None = asyncio.Lock()
        else:
            self._engine = _postgresql(self._url)
            # A single SELECT needs no BEGIN and ROLLBACK around it: two round trips less
            self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
            self._queue = None
        self._writing = self._engine.execution_options(**{_WRITES: True})

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for single statements, each seeing what is committed. Raises DatabaseUnavailable."""
        async with _answered(), self._reading.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed at the end, rolled back on any error. Raises DatabaseUnavailable; Stale for what another
        transaction has made impossible; InvalidInput for what the engine cannot hold."""
        async with _answered(), _turn(self._queue), self._writing.begin() as connection:
            yield connection

    async def close(self) -> None:
        await self._engine.dispose()


@asynccontextmanager
async def _turn(queue: asyncio.Lock | None) -> AsyncIterator[None]:
    if queue is None:
        yield
        return
    async with asyncio.timeout(BUSY_LIMIT_S):
        await queue.acquire()
    try:
        yield
    finally:
        queue.release()


@asynccontextmanager
async def _answered() -> AsyncIterator[None]:
    """Turns whatever the engine does into the port's errors. Never shows a statement's parameters: they hold credentials."""
    try:
        async with asyncio.timeout(LIMIT_S):
            yield
    except IntegrityError as error:
        raise Stale(_words(error)) from error
    except (DataError, UnicodeEncodeError, OverflowError) as error:
        raise InvalidInput("value", "the database cannot hold it") from error
    except (SQLAlchemyError, OSError) as error:  # TimeoutError is an OSError
        raise DatabaseUnavailable(_words(error)) from error


def _words(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__


def _sqlite(url: URL) -> AsyncEngine:
    # Each connection is a thread; one writes at a time, the others read
    engine = create_async_engine(
        url, connect_args=connect_args(url), pool_size=4, max_overflow=0, pool_timeout=BUSY_LIMIT_S, hide_parameters=True
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _connected(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        # In WAL mode a commit survives the death of the process; what a power cut takes is the last moment, never the file
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begun(connection: Connection) -> None:
        if connection.get_execution_options().get(_WRITES):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgresql(url: URL) -> AsyncEngine:
    return create_async_engine(
        url,
        connect_args=connect_args(url),
        pool_size=8,
        max_overflow=8,
        pool_timeout=BUSY_LIMIT_S,
        pool_pre_ping=True,  # after a restart of the server the pool holds dead connections
        hide_parameters=True,
    )
