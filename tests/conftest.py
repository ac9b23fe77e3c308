"""The real parts that tests run against, each started once per test session and ended with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres_server import PostgresServer, binaries
from tests.support import require


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL; `postgres.database()` is the URL of a fresh, migrated database."""
    found = binaries()
    require("PostgreSQL", found, "no server under /usr/lib/postgresql or on PATH")
    assert found is not None
    server = PostgresServer(found)
    yield server
    server.close()
