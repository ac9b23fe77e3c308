"""`failover sources recover` requests probes, an orchestrator makes them, and each answer is printed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from failover.commands import sources
from orchestrator.adapters.sql import SqlTables, open_tables
from orchestrator.app.settings import Settings
from orchestrator.core.model import Cause, Channel, Why
from orchestrator.errors import FailoverError
from orchestrator.ports import NewSource, OrchestratorRow, ProbeResult
from tests.fakes.prober import WORKS
from tests.sqlite_file import migrated
from tests.support import eventually

FULL = "provider Acme [tv] [/x]: its only connection is in use"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database_url=migrated(tmp_path))


@pytest.fixture
async def tables(settings: Settings) -> AsyncIterator[SqlTables]:
    assert settings.database_url is not None
    tables = open_tables(settings.database_url)
    yield tables
    await tables.close()


async def three_problematic(tables: SqlTables) -> list[str]:
    new = [NewSource(url=f"http://{name}.test/") for name in "abcd"]
    channel = await tables.catalogue.add_channel(Channel(id="", slug="news", name="News"), new)
    ids = [source.id for source in await tables.catalogue.sources(channel.id)]
    for source_id in ids[:3]:
        await tables.catalogue.record_probe(source_id, ProbeResult.fails(Why(Cause.UNREADABLE, "404 Not Found")), 1.0)
    return ids[:3]


async def beat(tables: SqlTables, seen_at: float) -> None:
    await tables.operation.announce(OrchestratorRow(id="o-1", node="here", started_at=1.0, seen_at=seen_at))


async def test_every_problematic_source_is_asked_for_and_each_answer_is_printed(
    settings: Settings, tables: SqlTables, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, c = await three_problematic(tables)
    await beat(tables, time.time())
    recovering = asyncio.create_task(sources.recover(settings, None))
    await eventually(tables.probes.asked, every_s=0.01)
    assert {source.id for source in await tables.probes.asked()} == {a, b, c}
    await tables.catalogue.record_probe(a, WORKS, 2.0)
    said = ""

    def has_said(word: str) -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return word in said

    await eventually(lambda: has_said(f"{a}  recovered\n"))
    assert not recovering.done()
    await tables.catalogue.record_probe(b, ProbeResult.fails(Why(Cause.UNREADABLE, "500")), 2.0)
    await tables.probes.refuse(c, FULL)
    assert await recovering == 1, "one was not probed"
    assert has_said(f"{b}  still problematic: 500\n")
    assert has_said(f"{c}  not probed: {FULL}\n")
    assert said.count("\n") == 3


async def test_where_no_orchestrator_runs_it_says_so_and_asks_for_nothing(settings: Settings, tables: SqlTables) -> None:
    await three_problematic(tables)
    with pytest.raises(FailoverError, match="no orchestrator runs, and probes are its work"):
        await sources.recover(settings, None)
    await beat(tables, time.time() - 60.0)
    with pytest.raises(FailoverError, match="the last one was seen 60 s ago"):
        await sources.recover(settings, None)
    assert await tables.probes.asked() == ()


async def test_it_does_not_wait_for_an_orchestrator_that_has_gone(settings: Settings, tables: SqlTables) -> None:
    await three_problematic(tables)
    await beat(tables, time.time())
    recovering = asyncio.create_task(sources.recover(settings, None))
    await eventually(tables.probes.asked, every_s=0.01)
    await tables.operation.leave("o-1")
    with pytest.raises(FailoverError, match="no orchestrator runs"):
        await asyncio.wait_for(recovering, 5.0)
