"""Unit of work on SQLite and on PostgreSQL: bounded in time, all or nothing, and with the same errors.

Work runs in threads, on SQLAlchemy's synchronous engine. So a caller that is cancelled never interrupts a transaction: work
that has begun is finished, and work that has not begun is dropped. It also keeps large results off the event loop; and SQLite,
which can only be used from a thread, is entered once for a transaction instead of four times for a statement.

SQLite: in WAL mode (set once, by the migration) readers do not wait. A process has one writer, a thread with a queue. A write
transaction takes the lock at its start (BEGIN IMMEDIATE): one that begins as a reader and then writes would be refused at once,
instead of waiting for the writers of other processes.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakSet

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError

from orchestrator.errors import BadSetting, DatabaseUnavailable, InvalidInput, Stale

BUSY_LIMIT_S = 5.0  # each for a free thread, for a lock, for a connection, for a statement
LIMIT_S = 3 * BUSY_LIMIT_S  # for the whole unit, in case the server has frozen
_SQLITE_READERS = 4
_POSTGRESQL_CONNECTIONS = 12
# After each statement's answer a thread waits so long for a busy event loop to release the interpreter's lock (Python's default
# is 5 ms), and meanwhile others wait for the lock of its transaction.
_SWITCH_INTERVAL_S = 0.0005

T = TypeVar("T")


class Database:
    """A bounded pool of threads and connections. Nothing connects before it is used. Raises BadSetting for a URL of another
    database."""

    def __init__(self, url: str) -> None:
        where = database_url(url)
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_INTERVAL_S))
        self._sockets: WeakSet[psycopg.Connection[Any]] = WeakSet()
        if where.get_backend_name() == "sqlite":
            self.engine = _sqlite(where)
            self._reading = self.engine
            self._readers = ThreadPoolExecutor(_SQLITE_READERS, "sqlite-reader")
            self._writers = ThreadPoolExecutor(1, "sqlite-writer")
        else:
            self.engine = _postgresql(where)
            # A single SELECT needs no BEGIN and no ROLLBACK, which saves two round trips
            self._reading = self.engine.execution_options(isolation_level="AUTOCOMMIT")
            self._readers = self._writers = ThreadPoolExecutor(_POSTGRESQL_CONNECTIONS, "postgresql")
            event.listen(self.engine, "connect", lambda connection, _: self._sockets.add(connection))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Runs statements without a transaction: each sees what is committed. Raises DatabaseUnavailable, InvalidInput."""

        def unit() -> T:
            with self._reading.connect() as connection:
                return work(connection)

        return await self._run(self._readers, unit)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs one transaction, which is rolled back on any error. Raises DatabaseUnavailable; Stale where another transaction
        has made it impossible; InvalidInput for text or numbers that the database cannot store."""

        def unit() -> T:
            with self.engine.connect() as connection:
                if connection.dialect.name == "sqlite":
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                result = work(connection)
                connection.commit()
                return result

        return await self._run(self._writers, unit)

    async def close(self) -> None:
        """Finishes the work that has begun, and drops the rest."""
        pools = {self._readers, self._writers}
        ending = [asyncio.create_task(asyncio.to_thread(pool.shutdown, cancel_futures=True)) for pool in pools]
        _, late = await asyncio.wait(ending, timeout=BUSY_LIMIT_S)
        if late:
            self._cut()
            await asyncio.wait(late, timeout=BUSY_LIMIT_S)
        self.engine.dispose()

    async def _run(self, threads: ThreadPoolExecutor, unit: Callable[[], T]) -> T:
        try:
            running = threads.submit(_translated, unit)
        except RuntimeError:  # the pool has ended
            raise DatabaseUnavailable("closed") from None
        future = asyncio.wrap_future(running)
        try:
            await asyncio.wait((future,), timeout=BUSY_LIMIT_S)
            if not future.done():
                if running.cancel():
                    raise DatabaseUnavailable(f"nothing has left its queue for {BUSY_LIMIT_S:g} s")
                await asyncio.wait((future,), timeout=LIMIT_S - BUSY_LIMIT_S)
            if not future.done():
                self._cut()
                raise DatabaseUnavailable(f"no answer within {LIMIT_S:g} s")
            if future.cancelled():  # dropped by `close`
                raise DatabaseUnavailable("closed")
            return future.result()
        finally:
            future.cancel()

    def _cut(self) -> None:
        """Ends all connections to a server that has exceeded its own time limit, so that the threads are free again.

        The threads block in reads that nothing else can end. Shutting their sockets down ends the reads with an error.
        """
        for connection in list(self._sockets):
            with (
                suppress(OSError, psycopg.Error),  # the connection has ended by itself
                socket.socket(fileno=os.dup(connection.fileno())) as beneath,
            ):
                beneath.shutdown(socket.SHUT_RDWR)


def database_url(url: str) -> URL:
    """The URL with the driver that the project uses. Raises BadSetting unless it names SQLite in a file, or PostgreSQL."""
    try:
        given = make_url(f"postgresql://{url.removeprefix('postgres://')}" if url.startswith("postgres://") else url)
    except ArgumentError:
        raise BadSetting("FAILOVER_DATABASE_URL: not a database URL") from None
    match given.get_backend_name():
        case "sqlite" if given.database and ":memory:" not in given.database:
            return given.set(drivername="sqlite+pysqlite")
        case "postgresql":
            return given.set(drivername="postgresql+psycopg")
        case name:
            raise BadSetting(f"FAILOVER_DATABASE_URL: must be postgresql://... or sqlite:///path of a file, not {name}")


def words(error: BaseException) -> str:
    """The database's message without the statement and its parameters, which contain credentials."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__


def _translated(unit: Callable[[], T]) -> T:
    try:
        return unit()
    except IntegrityError as error:
        raise Stale(words(error)) from error
    except (DataError, UnicodeEncodeError, OverflowError) as error:
        raise InvalidInput("value", "the database cannot hold it") from error
    except (SQLAlchemyError, OSError) as error:
        raise DatabaseUnavailable(words(error)) from error


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url,
        # No isolation level: sqlite3 must begin no transaction by itself. A connection may be used by one thread after another
        connect_args={"timeout": BUSY_LIMIT_S, "isolation_level": None, "check_same_thread": False},
        pool_size=_SQLITE_READERS + 1,
        max_overflow=0,
        pool_timeout=BUSY_LIMIT_S,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        # In WAL mode a commit survives the process; a power failure loses the last moments at most, and never the file
        connection.execute("PRAGMA synchronous = NORMAL")

    return engine


def _postgresql(url: URL) -> Engine:
    own = url.query.get("options", "")
    limit_ms = int(BUSY_LIMIT_S * 1000)
    options = f"{own if isinstance(own, str) else ' '.join(own)} -c statement_timeout={limit_ms}".strip()
    return create_engine(
        url,
        # tcp_user_timeout: for a network that loses packets
        connect_args={"connect_timeout": int(BUSY_LIMIT_S), "tcp_user_timeout": limit_ms, "options": options},
        pool_size=_POSTGRESQL_CONNECTIONS,
        max_overflow=0,
        pool_timeout=BUSY_LIMIT_S,
        pool_pre_ping=True,  # after a restart of the server the pool contains dead connections
        hide_parameters=True,
    )
