"""Databases that a row of the bench has for itself: a file, and a cluster that ends with the row."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final


@contextlib.contextmanager
def sqlite() -> Iterator[str | None]:
    with tempfile.TemporaryDirectory(prefix="bench-sqlite-") as directory:
        yield f"sqlite:///{directory}/failover.db"


@contextlib.contextmanager
def postgresql() -> Iterator[str | None]:
    """A cluster of its own; None where none is installed."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
    if not installed:
        yield None
        return
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    with tempfile.TemporaryDirectory(prefix="bench-pg-") as name:
        directory = Path(name)
        if user:
            shutil.chown(directory, user)
        bin_directory, where = str(installed[-1]), ["-D", f"{name}/data"]
        initdb = [f"{bin_directory}/initdb", *where, "--username=failover", "--auth=trust", "--locale=C.UTF-8"]
        subprocess.run(initdb, check=True, user=user, cwd="/", stdout=subprocess.DEVNULL)
        server = subprocess.Popen(
            [f"{bin_directory}/postgres", *where, "-k", name, "-c", "listen_addresses=", "-c", "max_connections=60"],
            user=user, cwd="/", stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            ready = [f"{bin_directory}/pg_isready", "-q", "-h", name]
            while subprocess.run(ready, check=False).returncode != 0 and server.poll() is None:
                time.sleep(0.1)
            yield f"postgresql://failover@/postgres?host={name}"
        finally:
            server.terminate()
            server.wait(20)


ENGINES: Final[dict[str, Callable[[], AbstractContextManager[str | None]]]] = {"SQLite": sqlite, "PostgreSQL": postgresql}
"""By name; each gives a URL that has not been migrated, or None where the machine has no such engine."""
