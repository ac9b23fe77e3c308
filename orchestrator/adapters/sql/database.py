"""What a unit of work is in each engine: bounded in time, all or nothing, and with one kind of error.

Work runs in threads over SQLAlchemy's synchronous engine. A caller that is cancelled thus never tears a transaction: work that
has begun is finished, work that has not is dropped. It also keeps long result sets off the event loop, and SQLite, which
knows no other way than a thread, is reached once per transaction instead of four times per statement.

SQLite: WAL (set once, by the migration), so readers never wait. A process has one writer, a thread with a queue; against the
other processes it takes the lock at its start (BEGIN IMMEDIATE), for a reader that becomes a writer half way would be refused
at once instead of waiting its turn.
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

BUSY_LIMIT_S = 5.0  # for a free thread, for a lock, for a connection, for a statement
LIMIT_S = 3 * BUSY_LIMIT_S  # for the whole: a server that has frozen must not hold a session for ever
_SQLITE_READERS = 4
_POSTGRESQL_CONNECTIONS = 12
# A thread that has had a statement's answer waits so long for a busy event loop to let it run (Python's default is 5 ms): at
# each statement, while others wait for the lock that its transaction holds.
_SWITCH_INTERVAL_S = 0.0005

T = TypeVar("T")


class Database:
    """A bounded pool of threads and connections; connects on first use. Raises BadSetting for a URL of another engine."""

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
            # A single SELECT needs no BEGIN and ROLLBACK around it: two round trips less
            self._reading = self.engine.execution_options(isolation_level="AUTOCOMMIT")
            self._readers = self._writers = ThreadPoolExecutor(_POSTGRESQL_CONNECTIONS, "postgresql")
            event.listen(self.engine, "connect", lambda connection, _: self._sockets.add(connection))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Single statements, each seeing what is committed. Raises DatabaseUnavailable, InvalidInput."""

        def unit() -> T:
            with self._reading.connect() as connection:
                return work(connection)

        return await self._run(self._readers, unit)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """One transaction, rolled back on any error. Raises DatabaseUnavailable, Stale for what another transaction has made
        impossible, InvalidInput for text or numbers that the engine cannot hold."""

        def unit() -> T:
            with self.engine.connect() as connection:
                if connection.dialect.name == "sqlite":
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                result = work(connection)
                connection.commit()
                return result

        return await self._run(self._writers, unit)

    async def close(self) -> None:
        """Finishes what has begun; drops what has not."""
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
        """Ends all connections to a server that has not kept its own time limit, so that the threads are free again.

        The threads sit in reads that nothing else can end; a socket shut down beneath them is an error to them at once.
        """
        for connection in list(self._sockets):
            with (
                suppress(OSError, psycopg.Error),  # it has ended by itself
                socket.socket(fileno=os.dup(connection.fileno())) as beneath,
            ):
                beneath.shutdown(socket.SHUT_RDWR)


def database_url(url: str) -> URL:
    """The URL with the driver that the project uses. Raises BadSetting for what is neither SQLite in a file nor PostgreSQL."""
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
    """What the engine said, without the statement and its parameters: they hold credentials."""
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
        # No isolation level: the module is to begin no transaction of its own. Any thread may take any connection in turn
        connect_args={"timeout": BUSY_LIMIT_S, "isolation_level": None, "check_same_thread": False},
        pool_size=_SQLITE_READERS + 1,
        max_overflow=0,
        pool_timeout=BUSY_LIMIT_S,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        # In WAL mode a commit outlives the process; what a power cut takes is the last moments, never the file
        connection.execute("PRAGMA synchronous = NORMAL")

    return engine


def _postgresql(url: URL) -> Engine:
    own = url.query.get("options", "")
    limit_ms = int(BUSY_LIMIT_S * 1000)
    options = f"{own if isinstance(own, str) else ' '.join(own)} -c statement_timeout={limit_ms}".strip()
    return create_engine(
        url,
        # tcp_user_timeout: a network that swallows packets
        connect_args={"connect_timeout": int(BUSY_LIMIT_S), "tcp_user_timeout": limit_ms, "options": options},
        pool_size=_POSTGRESQL_CONNECTIONS,
        max_overflow=0,
        pool_timeout=BUSY_LIMIT_S,
        pool_pre_ping=True,  # after a restart of the server the pool holds dead connections
        hide_parameters=True,
    )
