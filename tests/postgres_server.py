"""A real PostgreSQL for tests: an own cluster in an own directory, reached by a Unix socket alone, gone when the tests are."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from orchestrator.migrations import upgrade
from tests.support import require

# No test outlives a power cut; but a commit must outlive the server's process, as it does in life
_SETTINGS = ("fsync=off", "full_page_writes=off", "max_connections=60", "shared_buffers=16MB")


def binaries() -> Path | None:
    """The directory of the newest installed server; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


class PostgresServer:
    """`database()` gives the URL of a fresh, migrated database."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._directory = Path(tempfile.mkdtemp(prefix="failover-pg-"))
        self._names = itertools.count(1)
        # The server refuses to run as root
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self._directory, self._user)
        self._log = (self._directory / "log").open("wb")
        self._process: subprocess.Popen[bytes] | None = None
        initdb = [str(binaries / "initdb"), f"--pgdata={self._data}", "--username=failover", "--auth=trust", "--no-sync"]
        initdb += ["--encoding=UTF8", "--locale=C.UTF-8"]
        subprocess.run(initdb, check=True, user=self._user, stdout=self._log, stderr=self._log, cwd="/", timeout=50)
        self.start()
        upgrade(self.url("postgres"))

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://failover@/{name}?host={self._directory}"

    def connect(self, name: str = "template1") -> psycopg.Connection:
        """A plain connection, outside of the code under test."""
        return psycopg.connect(f"host={self._directory} user=failover dbname={name}", autocommit=True)

    def database(self, *, migrated: bool = True) -> str:
        name = f"test_{next(self._names)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {'postgres' if migrated else 'template0'}")
        return self.url(name)

    def start(self) -> None:
        settings = [argument for setting in _SETTINGS for argument in ("-c", setting)]
        argv = [str(self._binaries / "postgres"), "-D", str(self._data), "-k", str(self._directory)]
        argv += ["-c", "listen_addresses=", *settings]
        if shutil.which("setpriv"):  # ends with the test run even where that is killed
            argv = ["setpriv", "--pdeathsig=INT", *argv]
        self._process = subprocess.Popen(argv, user=self._user, stdout=self._log, stderr=self._log, cwd="/")
        deadline = time.monotonic() + 30
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Ends every connection at once, as a crash of the server would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
            self._process = None

    def processes(self) -> list[int]:
        """Process ids: the server's and of all that serve a connection."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return [self._process.pid, *map(int, children.split())]

    def close(self) -> None:
        self.stop()
        self._log.close()
        shutil.rmtree(self._directory, ignore_errors=True)


@contextlib.contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server of its own; skips the test, or fails it, where none is installed."""
    found = binaries()
    require("PostgreSQL", found, "no server under /usr/lib/postgresql or on PATH")
    assert found is not None
    server = PostgresServer(found)
    try:
        yield server
    finally:
        server.close()
