"""Every suite of tables runs on the fake and on both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.adapters.sql import open_tables
from orchestrator.ports import Tables
from tests.fakes.tables import FakeTables
from tests.sqlite_file import migrated


@pytest.fixture(params=["fake", "sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def tables(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tables]:
    tables: Tables
    match request.param:
        case "fake":
            tables = FakeTables()
        case "sqlite":
            tables = open_tables(migrated(tmp_path))
        case _:
            tables = open_tables(request.getfixturevalue("postgres").database())
    yield tables
    await tables.close()
