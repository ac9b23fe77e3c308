"""What a viewer reads of a session: no provider, no host; and through the open routes no source's id."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
import websockets
from litestar import Litestar

from api.session.disclosure import ANONYMOUS_PREFIXES
from orchestrator.core.model import EventType, Provider
from tests.api.stage import KEY, Stage
from tests.api.test_events import Served, take
from tests.support import eventually

ACME = Provider(id="p-1", name="Acme TV", max_connections=1).in_use
PRIVATE = ("Acme", "one.test", "10.0.0.7", "account", "secret")


async def watched(client: httpx.AsyncClient, stage: Stage) -> tuple[dict[str, Any], dict[str, Any]]:
    """A channel and an anonymous viewer's live session on it, with something to tell."""
    channel = await stage.channel()
    session = (await client.post("/watch/news/session")).json()
    first, second = (source["id"] for source in channel["sources"])
    await stage.go_live(session["id"])
    at = "http://one.test:8080/account/7.ts"
    await stage.tell(session["id"], EventType.STREAM_SWITCH, **{"from": first, "to": second, "reason": f"operator; {ACME}"})
    await stage.tell(session["id"], EventType.STREAM_UNAVAILABLE, slate=True, reason=f"refused by {at}",
                     sources={first: f"no route to 10.0.0.7:1935/{PRIVATE[-1]}", second: ACME})  # fmt: skip
    await stage.tell(session["id"], EventType.SWITCH_REFUSED, to="next", reason=ACME)
    return channel, session


async def test_an_anonymous_viewer_reads_labels(
    app: Litestar, client: httpx.AsyncClient, admin: httpx.AsyncClient, stage: Stage
) -> None:
    channel, session = await watched(client, stage)
    path, own = f"/v1/sessions/{session['id']}", {"Authorization": f"Bearer {session['token']}"}
    again = (await client.post("/watch/news/session", headers={"Prefer": "wait=1"})).json()
    view, attempts, history = [
        (await client.get(f"{path}{part}", headers=own)).json() for part in ("", "/attempts", "/history")
    ]
    async with Served(app) as served, served.events(session) as source:
        streamed = [json.loads(event.data) for event in await take(source.aiter_sse(), 4)]
        address = f"ws://127.0.0.1:{served.port}{path}/ws?token={session['token']}"
        async with websockets.connect(address, proxy=None) as ws:
            socket = [json.loads(await asyncio.wait_for(ws.recv(), 5)) for _ in range(4)]
    stopped = (await client.delete(path, headers=own)).json()

    read = json.dumps([again, view, attempts, history, streamed, socket, stopped])
    for private in (*PRIVATE, *(source["id"] for source in channel["sources"])):
        assert private not in read, private
    live, switch, unavailable, refused = history["events"]
    assert history["events"] == streamed == socket
    assert (
        live["source"] == view["source_id"] == again["source_id"] == attempts[0]["source_id"] == switch["from"] != switch["to"]
    )
    assert set(unavailable["sources"]) == {switch["from"], switch["to"]}
    assert switch["reason"] == "planned"
    assert (refused["to"], refused["reason"]) == ("next", "busy")

    seen = (await admin.get(f"{path}/history")).json()["events"]
    first, second = (source["id"] for source in channel["sources"])
    assert (seen[1]["from"], seen[1]["to"], seen[1]["reason"]) == (first, second, f"operator; {ACME}")
    assert (await admin.get(path)).json()["source_id"] == first


@pytest.mark.parametrize("way", ["named", "open"])
async def test_the_admin_key_beside_a_token_reads_words(
    app: Litestar, client: httpx.AsyncClient, admin: httpx.AsyncClient, stage: Stage, way: str
) -> None:
    """Who follows a session as a viewer does, to know why (`failover play`), and renews its lease by that."""
    channel = await stage.channel()
    session = await stage.session(viewer="alice") if way == "named" else (await client.post("/watch/news/session")).json()
    first, second = (source["id"] for source in channel["sources"])
    await stage.go_live(session["id"])
    await stage.tell(session["id"], EventType.STREAM_SWITCH, **{"from": first, "to": second, "reason": ACME})
    path, own = f"/v1/sessions/{session['id']}", {"token": session["token"]}
    key = {"Authorization": admin.headers["Authorization"]}
    history = (await admin.get(f"{path}/history", params=own)).json()["events"]
    async with Served(app) as served:
        async with served.events(session, headers=key) as source:
            streamed = [json.loads(event.data) for event in await take(source.aiter_sse(), 2)]
        address = f"ws://127.0.0.1:{served.port}{path}/ws?token={session['token']}"
        async with websockets.connect(address, proxy=None, additional_headers=key) as ws:
            socket = [json.loads(await asyncio.wait_for(ws.recv(), 5)) for _ in range(2)]
    for told in (history, streamed, socket):
        assert (told[1]["from"], told[1]["to"], told[1]["reason"]) == (first, second, ACME)
    attempts = (await admin.get(f"{path}/attempts", params=own)).json()
    assert (attempts[0]["source_id"], attempts[0]["start_reason"]) == (first, "requested")
    assert (await admin.get(path, params=own)).json()["source_id"] == first


async def test_a_viewer_s_page_in_an_operator_s_browser_reads_classes(
    client: httpx.AsyncClient, admin: httpx.AsyncClient, stage: Stage
) -> None:
    """The console's cookie is sent by itself: the watch page shows everybody the same."""
    channel, session = await watched(client, stage)
    assert (await client.post("/console/login", json={"key": KEY})).status_code == 204
    events = (await client.get(f"/v1/sessions/{session['id']}/history", params={"token": session["token"]})).json()["events"]
    assert events[1]["reason"] == "planned"
    assert channel["sources"][0]["id"] not in json.dumps(events)


async def test_labels_differ_from_session_to_session(client: httpx.AsyncClient, stage: Stage) -> None:
    """So nobody who watches two channels learns that a source serves both."""
    await stage.channel()
    labels = []
    for agent in ("VLC", "TV"):
        session = (await client.post("/watch/news/session", headers={"User-Agent": agent})).json()
        await stage.go_live(session["id"])
        labels.append(
            (await client.get(f"/v1/sessions/{session['id']}", params={"token": session["token"]})).json()["source_id"]
        )
    assert labels[0] != labels[1]


async def test_a_named_viewer_keeps_the_ids_and_reads_no_provider(client: httpx.AsyncClient, stage: Stage) -> None:
    channel = await stage.channel()
    session = await stage.session(viewer="alice")
    await stage.go_live(session["id"])
    first = channel["sources"][0]["id"]
    await stage.tell(session["id"], EventType.STREAM_UNAVAILABLE, slate=True, reason=ACME, sources={first: ACME})
    events = (await client.get(f"/v1/sessions/{session['id']}/history", params={"token": session["token"]})).json()["events"]
    assert events[0]["source"] == first
    assert events[1]["sources"] == {first: "busy"}
    assert "Acme" not in json.dumps(events)


@pytest.mark.parametrize("path", ["/watch/news/session", "/watch/news.m3u8"])
async def test_a_refusal_to_an_anonymous_viewer_has_labels(client: httpx.AsyncClient, stage: Stage, path: str) -> None:
    channel = await stage.channel()
    first = channel["sources"][0]["id"]
    method = "POST" if path.endswith("session") else "GET"
    asked = asyncio.ensure_future(client.request(method, path, headers={"Prefer": "wait=5"}))
    session = await eventually(stage.only_session)
    await stage.end(session.id, "no_healthy_source", {first: ACME})
    problem = (await asyncio.wait_for(asked, 3)).text
    assert "busy" in problem
    assert first not in problem and "Acme" not in problem


async def test_a_refusal_to_a_backend_names_its_sources(admin: httpx.AsyncClient, stage: Stage) -> None:
    channel = await stage.channel()
    first = channel["sources"][0]["id"]
    asked = asyncio.ensure_future(admin.post("/v1/channels/news/sessions", headers={"Prefer": "wait=5"}))
    session = await eventually(stage.only_session)
    await stage.end(session.id, "no_healthy_source", {first: ACME})
    assert (await asyncio.wait_for(asked, 3)).json()["sources"] == {first: ACME}


async def test_the_open_routes_name_their_viewers_so(client: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    player = (await client.post("/watch/news/session")).json()["viewer"]
    page = (await client.post("/watch/news/session", json={"viewer": "s" * 32})).json()["viewer"]
    await client.get("/watch/news")
    browser = (await client.post("/watch/news/session")).json()["viewer"]
    assert {viewer.partition("-")[0] + "-" for viewer in (player, page, browser)} == set(ANONYMOUS_PREFIXES)
