"""A probe on request: asked for in a row, answered by whoever counts connections."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest
from litestar import Litestar

from api.routes import probe_requests
from orchestrator.core.model import Cause, Source, SourceStatus, Why
from orchestrator.ports import PROBES, OrchestratorRow, ProbeResult
from tests.api.stage import SOURCES, Stage
from tests.api.test_bad_input import assert_problem
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.prober import WORKS, FakeProber
from tests.fakes.tables import FakeTables
from tests.support import eventually

URL = str(SOURCES[0]["url"])
FULL = "provider Acme TV: its only connection is in use"


@pytest.fixture
async def source(stage: Stage, tables: FakeTables) -> Source:
    return await tables.catalogue.source((await stage.channel())["sources"][0]["id"])


def path(source: Source) -> str:
    return f"/v1/sources/{source.id}/probe"


async def test_who_asks_meanwhile_gets_the_same_answer(admin: httpx.AsyncClient, source: Source, prober: FakeProber) -> None:
    answers = prober.hung[URL] = asyncio.Event()
    asking = [asyncio.create_task(admin.post(path(source))) for _ in range(3)]
    await eventually(lambda: prober.probed)
    asking.append(asyncio.create_task(admin.post(path(source))))
    await asyncio.sleep(0.0)
    answers.set()
    assert [(each.status_code, each.json()["status"]) for each in await asyncio.gather(*asking)] == [(200, "healthy")] * 4
    assert prober.probed == [URL]


@pytest.mark.usefixtures("prober")
async def test_a_refusal_says_why_and_leaves_the_source_as_it_is(
    admin: httpx.AsyncClient, source: Source, tables: FakeTables, refusals: dict[str, str]
) -> None:
    refusals[URL] = FULL
    answer = await admin.post(path(source))
    problem = assert_problem(answer, 503)
    assert (problem["title"], problem["detail"]) == ("All connections of the provider are in use", FULL)
    assert answer.headers["Retry-After"]
    assert await tables.catalogue.source(source.id) == source
    refusals.clear()
    assert (await admin.post(path(source))).json()["status"] == "healthy"


async def test_without_a_message_the_row_is_found(
    admin: httpx.AsyncClient, source: Source, tables: FakeTables, bus: FakeEventBus
) -> None:
    bus.refusing = True
    asking = asyncio.create_task(admin.post(path(source)))
    await eventually(tables.probes.asked, every_s=0.01)
    assert bus.nudged == []
    await tables.catalogue.record_probe(source.id, WORKS, time.time())
    assert (await asking).json()["status"] == "healthy"


async def test_a_probe_that_cannot_tell_says_so(admin: httpx.AsyncClient, source: Source, tables: FakeTables) -> None:
    asking = asyncio.create_task(admin.post(path(source)))
    await eventually(tables.probes.asked, every_s=0.01)
    nothing = ProbeResult.fails(Why(Cause.UNREADABLE, "SRT: this FFmpeg does not speak the protocol"), verdict=False)
    await tables.catalogue.record_probe(source.id, nothing, time.time())
    problem = assert_problem(await asking, 503)
    assert (problem["title"], problem["detail"]) == ("The probe cannot tell whether the source works", nothing.reason)
    assert (await tables.catalogue.source(source.id)).status is SourceStatus.UNKNOWN


async def test_a_source_that_is_deleted_meanwhile_is_not_found(
    admin: httpx.AsyncClient, source: Source, tables: FakeTables
) -> None:
    asking = asyncio.create_task(admin.post(path(source)))
    await eventually(tables.probes.asked, every_s=0.01)
    await tables.catalogue.delete_source(source.id)
    assert_problem(await asking, 404)


@pytest.mark.parametrize(
    ("seen_s_ago", "said"),
    [
        (None, "no orchestrator runs; it will be probed as soon as one does"),
        (40.0, "no orchestrator runs: the last one was seen 40 s ago; it will be probed as soon as one does"),
        (1.0, "no orchestrator has probed it within 0 s; the request stays recorded"),
    ],
)
async def test_who_is_answered_by_nobody_is_told_why_and_it_is_still_asked_for(
    admin: httpx.AsyncClient, source: Source, tables: FakeTables, bus: FakeEventBus,
    monkeypatch: pytest.MonkeyPatch, seen_s_ago: float | None, said: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(probe_requests, "_RESTART_S", 0.1)
    monkeypatch.setattr(probe_requests, "answer_limit_s", lambda _: 0.2)
    if seen_s_ago is not None:
        now = time.time()
        row = OrchestratorRow(id="o-1", node="here", started_at=now - 90.0, seen_at=now - seen_s_ago)
        await tables.operation.announce(row)
    problem = assert_problem(await admin.post(path(source)), 503)
    assert (problem["title"], problem["detail"]) == ("The source has not been probed yet", said)
    assert await tables.probes.asked() == (source,)
    assert source.status is SourceStatus.UNKNOWN
    assert bus.nudged == [PROBES]


async def test_a_server_that_stops_keeps_nobody_waiting(
    app: Litestar, admin: httpx.AsyncClient, source: Source, tables: FakeTables
) -> None:
    asking = asyncio.create_task(admin.post(path(source)))
    await eventually(tables.probes.asked, every_s=0.01)
    app.state.server_stop.begin()
    assert assert_problem(await asking, 503)["detail"] == "this server stops; the source will be probed nevertheless"


@pytest.mark.parametrize(
    "change", [{"url": "http://moved.test/"}, {"user_agent": "VLC/3.0"}, {"headers": {"Referer": "http://r.test/"}}]
)
async def test_where_or_how_it_is_fetched_is_edited_and_it_is_probed(
    admin: httpx.AsyncClient, source: Source, tables: FakeTables, change: dict[str, object]
) -> None:
    assert (await admin.patch(f"/v1/sources/{source.id}", json={"provider_id": ""})).status_code == 200
    assert await tables.probes.asked() == ()
    assert (await admin.patch(f"/v1/sources/{source.id}", json=change)).status_code == 200
    assert [each.id for each in await tables.probes.asked()] == [source.id]
    assert (await admin.patch(f"/v1/sources/{source.id}", json=change)).status_code == 200


async def test_a_disabled_source_is_edited_in_peace(admin: httpx.AsyncClient, source: Source, tables: FakeTables) -> None:
    await admin.patch(f"/v1/sources/{source.id}", json={"enabled": False})
    await admin.patch(f"/v1/sources/{source.id}", json={"url": "http://moved.test/"})
    assert await tables.probes.asked() == ()
