"""What the API tells and keeps of providers' connections."""

from __future__ import annotations

import httpx

from tests.api.stage import Stage
from tests.api.test_bad_input import assert_problem
from tests.fakes.tables import FakeTables


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
