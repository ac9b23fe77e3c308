"""A backup as docs/deploy.md makes it: the same pg_dump, restored into another server, has the sessions."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.adapters.sql import open_tables
from orchestrator.core.model import Channel
from orchestrator.migrations import upgrade
from orchestrator.ports import NewSource
from tests.postgres_server import PostgresServer, binaries
from tests.support import require

pytestmark = pytest.mark.postgres

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "deploy.md"


@pytest.fixture
def fresh_server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    found = binaries()
    assert found is not None
    server = PostgresServer(found)
    yield server
    server.close()


def documented(program: str) -> list[str]:
    """The options that the documentation gives it, without who and where: these are the container's there."""
    found = re.search(rf"postgres {program} (.*?)(?: [<>]|$)", DOCUMENTATION.read_text(), re.MULTILINE)
    assert found is not None
    return found[1].replace("--username=failover", "").replace("--dbname=failover", "").split()


def libpq(url: str) -> str:
    """As PostgreSQL's own programs take it."""
    return url.replace("postgresql+psycopg://", "postgresql://")


async def test_a_dump_restored_into_a_fresh_server_has_the_sessions(
    postgres: PostgresServer, fresh_server: PostgresServer, tmp_path: Path
) -> None:
    programs = binaries()
    assert programs is not None
    for program in ("pg_dump", "pg_restore"):
        require(program, (programs / program).exists(), f"not in {programs}")
    url = postgres.database()
    before = open_tables(url)
    channel = await before.catalogue.add_channel(Channel(id="", slug="news", name="News"), [NewSource(url="http://a/live")])
    row, _ = await before.sessions.request(channel.id, "viewer-1", "hash-1", 1000.0)
    await before.close()
    dump = tmp_path / "failover.dump"
    with dump.open("wb") as output:
        command = [str(programs / "pg_dump"), f"--dbname={libpq(url)}", *documented("pg_dump")]
        subprocess.run(command, stdout=output, check=True)
    with fresh_server.connect() as connection:
        connection.execute("CREATE DATABASE failover TEMPLATE template0")
    with dump.open("rb") as source:
        command = [str(programs / "pg_restore"), f"--dbname={libpq(fresh_server.url('failover'))}", *documented("pg_restore")]
        subprocess.run(command, stdin=source, check=True)
    upgrade(fresh_server.url("failover"))  # as `migrate` does at the next start: there is nothing to do
    after = open_tables(fresh_server.url("failover"))
    try:
        assert (await after.catalogue.channel("news")).id == channel.id
        assert (await after.sessions.get(row.session.id)).session == row.session
        joined, new = await after.sessions.request(channel.id, "viewer-1", "hash-2", 1001.0)
        assert (joined.session.id, new) == (row.session.id, False)
    finally:
        await after.close()
