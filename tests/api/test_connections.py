"""What the API tells and keeps of providers' connections."""

from __future__ import annotations

import asyncio

import httpx

from orchestrator.core.model import SourceStatus
from tests.api.stage import Stage
from tests.api.test_bad_input import assert_problem
from tests.fakes.prober import FakeProber
from tests.fakes.tables import FakeTables
from tests.support import eventually


async def of_acme(admin: httpx.AsyncClient, stage: Stage, limit: int | None) -> tuple[str, list[str]]:
    """A provider and the ids of a channel's two sources, both its own."""
    body = {"name": "Acme TV", "max_connections": limit}
    provider: str = (await admin.post("/v1/providers", json=body)).json()["id"]
    urls = ("http://one.test/live.ts", "http://two.test/live.ts")
    channel = await stage.channel(sources=[{"url": url, "provider_id": provider} for url in urls])
    return provider, [source["id"] for source in channel["sources"]]


async def test_a_provider_shows_its_connections_in_use(admin: httpx.AsyncClient, stage: Stage) -> None:
    provider, _ = await of_acme(admin, stage, 4)
    session = await stage.session()
    await stage.go_live(session["id"])
    (listed,) = (await admin.get("/v1/providers")).json()
    assert (listed["max_connections"], listed["connections_in_use"]) == (4, 1)
    assert (await admin.get(f"/v1/providers/{provider}")).json() == listed
    assert (await admin.patch(f"/v1/providers/{provider}", json={"max_connections": 1})).json()["connections_in_use"] == 1
    await stage.end(session["id"])
    assert (await admin.get("/v1/providers")).json()[0]["connections_in_use"] == 0


async def test_a_probe_that_would_be_one_too_many_is_refused_and_says_nothing_of_the_source(
    admin: httpx.AsyncClient, stage: Stage, prober: FakeProber, tables: FakeTables
) -> None:
    provider, (_, second) = await of_acme(admin, stage, 1)
    await stage.go_live((await stage.session())["id"])
    answer = await admin.post(f"/v1/sources/{second}/probe")
    problem = assert_problem(answer, 503)
    assert problem["detail"] == "provider Acme TV: its only connection is in use"
    assert answer.headers["Retry-After"]
    assert prober.probed == []
    assert (await tables.catalogue.source(second)).status is SourceStatus.UNKNOWN
    await admin.patch(f"/v1/providers/{provider}", json={"max_connections": 2})
    assert (await admin.post(f"/v1/sources/{second}/probe")).json()["status"] == "healthy"


async def test_probes_at_once_count_each_other(admin: httpx.AsyncClient, stage: Stage, prober: FakeProber) -> None:
    _, (first, second) = await of_acme(admin, stage, 1)
    answers = prober.hung["http://one.test/live.ts"] = asyncio.Event()
    probing = asyncio.create_task(admin.post(f"/v1/sources/{first}/probe"))
    await eventually(lambda: prober.probed)
    assert_problem(await admin.post(f"/v1/sources/{second}/probe"), 503)
    answers.set()
    assert (await probing).status_code == 200
    assert (await admin.post(f"/v1/sources/{second}/probe")).status_code == 200


async def test_a_switch_to_a_source_without_a_connection_is_refused_unless_the_session_has_one_to_hand_on(
    admin: httpx.AsyncClient, stage: Stage, tables: FakeTables
) -> None:
    _, (_, second) = await of_acme(admin, stage, 1)
    playing = await stage.session(viewer="one")
    await stage.go_live(playing["id"])
    path = f"/v1/sessions/{playing['id']}/switch"
    assert (await admin.post(path, json={"source_id": second})).status_code == 202
    other = await stage.channel("other", sources=[{"url": "http://three.test/live.ts"}])
    added = {"url": "http://four.test/", "provider_id": (await tables.providers.get("Acme TV")).id}
    full = (await admin.post("/v1/channels/other/sources", json=added)).json()["id"]
    elsewhere = await stage.session("other", viewer="two")
    await stage.go_live(elsewhere["id"])
    path = f"/v1/sessions/{elsewhere['id']}/switch"
    problem = assert_problem(await admin.post(path, json={"source_id": full}), 503)
    assert problem["detail"] == "provider Acme TV: its only connection is in use"
    assert (await tables.sessions.get(elsewhere["id"])).session.switch_to is None
    assert (await admin.post(path, json={"source_id": other["sources"][0]["id"]})).status_code == 202
