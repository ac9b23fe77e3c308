"""`failover sessions switch` and `stop` wait for the outcome; where it fails they say why and exit with a code other than 0."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from failover.__main__ import main
from failover.commands import sessions
from orchestrator.adapters.sql import SqlTables, open_tables
from orchestrator.app.settings import Settings
from orchestrator.control.switch_request import SwitchAnswer, answer
from orchestrator.core.model import (
    Attempt,
    Channel,
    Decision,
    Ended,
    EndReason,
    Event,
    EventType,
    Fields,
    Happened,
    Live,
    Session,
)
from orchestrator.errors import FailoverError, InvalidInput, NoConnectionLeft, NotFound
from orchestrator.ports import NewSource, OrchestratorRow
from tests.sqlite_file import migrated
from tests.support import eventually
from tests.words import causes, happened


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database_url=migrated(tmp_path))


class Deployment:
    """One session that plays the first of two sources, and an orchestrator as far as rows go."""

    def __init__(self, tables: SqlTables) -> None:
        self.tables = tables
        self.session_id = ""
        self.sources: list[str] = []
        self._orchestrating: asyncio.Task[None] | None = None

    async def open(self) -> None:
        new = [NewSource(url=f"http://{name}.test/") for name in "ab"]
        channel = await self.tables.catalogue.add_channel(Channel(id="", slug="news", name="News"), new)
        self.sources = [source.id for source in await self.tables.catalogue.sources(channel.id)]
        session = (await self.tables.sessions.request(channel.id, "alice", "hash", time.time()))[0].session
        self.session_id = session.id
        attempt = Attempt.on(1, self.sources[0], 1.0, 1.0)
        await self.commit(
            lambda before: replace(before, state=Live(attempt), last_attempt=1),
            happened(EventType.SESSION_LIVE, {"source": self.sources[0], "attempt": 1}),
        )
        await self.tables.operation.announce(OrchestratorRow(id="o-1", node="here", started_at=1.0, seen_at=time.time()))

    async def session(self) -> Session:
        return (await self.tables.sessions.get(self.session_id)).session

    async def commit(self, change: Callable[[Session], Session], *happened: Happened) -> None:
        before = await self.session()
        await self.tables.sessions.commit(before, Decision(session=change(before), records=happened), time.time())

    def orchestrates(self, wish: Callable[[Session], bool], then: Callable[[Session], Awaitable[None]]) -> None:
        """Once the row wants it, that is done."""

        async def wait() -> None:
            async def wanted() -> bool:
                return wish(await self.session())

            await eventually(wanted, every_s=0.02)
            await then(await self.session())

        self._orchestrating = asyncio.create_task(wait())

    async def close(self) -> None:
        if self._orchestrating is not None:
            await self._orchestrating


@pytest.fixture
async def deployment(settings: Settings) -> AsyncIterator[Deployment]:
    assert settings.database_url is not None
    tables = open_tables(settings.database_url)
    deployment = Deployment(tables)
    await deployment.open()
    yield deployment
    await deployment.close()
    await tables.close()


def wishes(session: Session) -> bool:
    return session.switch_to is not None


async def test_a_switch_that_is_done_says_what_plays(
    settings: Settings, deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = deployment.sources

    async def swap(session: Session) -> None:
        fields: Fields = {"from": a, "to": b, "reason": "operator", "attempt": 2, "gap_ms": 0}
        await deployment.commit(lambda before: replace(before, switch_to=None), happened(EventType.STREAM_SWITCH, fields))

    deployment.orchestrates(lambda session: session.switch_to == b, swap)
    assert await sessions.switch(settings, None, deployment.session_id, b) == 0
    assert f"{deployment.session_id} plays {b}, attempt 2" in capsys.readouterr().out


async def test_a_switch_that_is_refused_says_why(settings: Settings, deployment: Deployment) -> None:
    async def refuse(session: Session) -> None:
        fields: Fields = {"to": "next", "reason": "no other source"}
        await deployment.commit(lambda before: replace(before, switch_to=None), happened(EventType.SWITCH_REFUSED, fields))

    deployment.orchestrates(wishes, refuse)
    with pytest.raises(FailoverError, match="refused: no other source; what plays plays on"):
        await sessions.switch(settings, None, deployment.session_id, None)


async def test_a_switch_that_cannot_be_is_not_asked_for(settings: Settings, deployment: Deployment) -> None:
    a, b = deployment.sources
    tables = deployment.tables
    with pytest.raises(NotFound):
        await sessions.switch(settings, None, "s-nobody", None)
    with pytest.raises(InvalidInput, match="source_id: not a source of the session's channel"):
        await sessions.switch(settings, None, deployment.session_id, "x-nobody")
    provider = await tables.providers.add("Acme TV", 1)
    await tables.catalogue.update_source(b, provider_id=provider.id)
    other = await tables.catalogue.add_channel(
        Channel(id="", slug="other", name="Other"), [NewSource(url="http://c.test/", provider_id=provider.id)]
    )
    (held,) = await tables.catalogue.sources(other.id)
    using = (await tables.sessions.request(other.id, "bob", "hash", time.time()))[0].session
    plays = replace(using, state=Live(Attempt.on(1, held.id, 1.0, 1.0)), last_attempt=1)
    await tables.sessions.commit(using, Decision(session=plays), time.time())
    with pytest.raises(NoConnectionLeft, match="Acme TV"):
        await sessions.switch(settings, None, deployment.session_id, b)
    await tables.catalogue.update_source(b, enabled=False)
    with pytest.raises(InvalidInput, match="the source is disabled"):
        await sessions.switch(settings, None, deployment.session_id, b)
    await tables.operation.leave("o-1")
    with pytest.raises(FailoverError, match="no orchestrator runs, and the swap is its work"):
        await sessions.switch(settings, None, deployment.session_id, a)
    assert (await deployment.session()).switch_to is None


async def test_of_a_session_that_ends_meanwhile_it_is_said(settings: Settings, deployment: Deployment) -> None:
    async def end(session: Session) -> None:
        over = happened(EventType.SESSION_ENDED, {"reason": "idle"})
        await deployment.commit(
            lambda before: replace(before, state=Ended(2.0), end_reason=EndReason.IDLE, switch_to=None), over
        )

    deployment.orchestrates(wishes, end)
    with pytest.raises(FailoverError, match="the session has ended: idle"):
        await sessions.switch(settings, None, deployment.session_id, None)
    with pytest.raises(FailoverError, match="has ended: idle"):
        await sessions.switch(settings, None, deployment.session_id, None)


def test_the_answer_is_the_operators_switch_and_no_other() -> None:
    def event(number: int, type: EventType, **fields: Any) -> Event:
        return Event(id=number, session_id="s", type=type, at=1.0, fields=fields, causes=causes(type, fields))

    failover = event(1, EventType.STREAM_SWITCH, to="x-1", reason="source stalled", attempt=2)
    own = event(
        2, EventType.STREAM_SWITCH, to="x-2", reason="operator; provider Acme TV: its only connection is in use", attempt=3
    )
    recovered = event(3, EventType.STREAM_RECOVERED, to="x-2", reason="operator", attempt=4)
    assert answer([]) is None
    assert answer([failover]) is None
    assert answer([failover, own]) == SwitchAnswer(source_id="x-2", attempt=3)
    assert answer([recovered]) == SwitchAnswer(source_id="x-2", attempt=4)


async def test_a_stop_waits_for_the_end(settings: Settings, deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    async def end(session: Session) -> None:
        await deployment.commit(lambda before: replace(before, state=Ended(2.0)))

    deployment.orchestrates(lambda session: session.desired == "stop", end)
    assert await sessions.stop(settings, None, deployment.session_id) == 0
    assert f"{deployment.session_id} has ended: operator" in capsys.readouterr().out
    assert await sessions.stop(settings, None, deployment.session_id) == 0, "what is asked for is so already"
    with pytest.raises(NotFound):
        await sessions.stop(settings, None, "s-nobody")


async def test_a_stop_without_an_orchestrator_is_asked_for_and_said(settings: Settings, deployment: Deployment) -> None:
    await deployment.tables.operation.leave("o-1")
    with pytest.raises(FailoverError, match="no orchestrator runs, and it is asked to stop"):
        await sessions.stop(settings, None, deployment.session_id)
    assert (await deployment.session()).desired == "stop"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("sessions switch s-nobody", "s-nobody"),
        ("sessions stop s-nobody", "s-nobody"),
        ("sessions show s-nobody", "s-nobody"),
        ("sessions logs s-nobody", "s-nobody"),
        ("sessions roll", "no orchestrator runs"),
        ("sources recover", "no orchestrator runs"),
        ("import nowhere.m3u --provider Acme", "neither a file nor an http"),
    ],
)
def test_what_could_not_be_done_exits_with_1_and_a_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    assert settings.database_url is not None
    monkeypatch.setenv("FAILOVER_DATABASE_URL", settings.database_url)
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 1
    assert said in capsys.readouterr().err
