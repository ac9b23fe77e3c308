"""The queue of those who ask for a session: whatever happens to one of them, everybody is answered, and the next are let in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from orchestrator.adapters.sql import open_tables
from orchestrator.adapters.sql.database import Database
from orchestrator.adapters.sql.sessions import admission
from orchestrator.adapters.sql.sessions.admission import Admission, Asked
from orchestrator.core.session.limits import NO_LIMITS
from orchestrator.errors import DatabaseUnavailable
from orchestrator.ports import Lease
from tests.sqlite_file import migrated

T = 1_700_000_000.0


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = migrated(tmp_path)
    tables = open_tables(url)
    await tables.close()
    database = Database(url)
    yield database
    await database.close()


def asked(viewer: str) -> Asked:
    return Asked("c-1", viewer, Lease(viewer=viewer, token_hash=f"hash of {viewer}", renewed_at=T), "copy", NO_LIMITS)


def poisoned(monkeypatch: pytest.MonkeyPatch, viewer: str) -> None:
    """Letting this viewer in raises what nobody has thought of."""
    join: Callable[[Connection, Asked], Any] = admission._join

    def raises(connection: Connection, each: Asked) -> Any:
        if each.whose == viewer:
            raise RuntimeError("what nobody has thought of")
        return join(connection, each)

    monkeypatch.setattr(admission, "_join", raises)


async def test_one_unexpected_exception_is_its_own_askers_alone(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, "mallory")
    queue = Admission(database)
    async with asyncio.timeout(10):
        answers = await asyncio.gather(
            *(queue.ask(asked(viewer)) for viewer in ("alice", "mallory", "bob")), return_exceptions=True
        )
    alice, mallory, bob = answers
    assert isinstance(alice, tuple)
    assert isinstance(bob, tuple)
    assert isinstance(mallory, RuntimeError)


async def test_who_asks_after_an_unexpected_exception_is_let_in(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, "mallory")
    queue = Admission(database)
    async with asyncio.timeout(10):
        with pytest.raises(RuntimeError, match="nobody has thought of"):
            await queue.ask(asked("mallory"))
        _, is_new = await queue.ask(asked("alice"))
    assert is_new


async def test_a_queue_whose_task_is_cancelled_answers_all_who_wait(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    async def hangs(_: object) -> Any:
        begun.set()
        await never.wait()

    monkeypatch.setattr(database, "write", hangs)
    queue = Admission(database)
    waiting = [asyncio.create_task(queue.ask(asked(viewer))) for viewer in ("alice", "bob")]
    async with asyncio.timeout(10):
        await begun.wait()
        late = asyncio.create_task(queue.ask(asked("carol")))  # in no batch yet
        await asyncio.sleep(0)
        assert queue._admitting is not None
        queue._admitting.cancel()
        answers = await asyncio.gather(*waiting, late, return_exceptions=True)
    assert [type(each) for each in answers] == [DatabaseUnavailable] * 3


async def test_nobody_waits_longer_than_the_limit(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    never = asyncio.Event()

    async def hangs(_: object) -> Any:
        await never.wait()

    monkeypatch.setattr(database, "write", hangs)
    monkeypatch.setattr(admission, "_ANSWER_S", 0.05)
    queue = Admission(database)
    async with asyncio.timeout(10):
        with pytest.raises(DatabaseUnavailable, match="within"):
            await queue.ask(asked("alice"))
    never.set()
