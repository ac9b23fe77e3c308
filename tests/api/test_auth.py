"""Every route of the document, and every route that is registered, without a key and with another session's token."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.exceptions import WebSocketDisconnect
from litestar.routes import HTTPRoute, WebSocketRoute
from litestar.testing import TestClient

from api.keys import ApiKeys, token_hash
from tests.api.stage import KEY, Stage
from tests.fakes.tables import FakeTables

OPEN = ("/healthz", "/readyz", "/schema", "/watch/", "/playlist.m3u", "/assets", "/console")


def is_open(path: str) -> bool:
    return path in ("/", "/watch") or path.startswith(OPEN)


def filled(path: str, session: dict[str, Any]) -> str:
    """A path of the document with real names in it."""
    return (
        path.replace("{channel}", session["channel"]["slug"])
        .replace("{channel_id}", session["channel"]["id"])
        .replace("{session_id}", session["id"])
        .replace("{source_id}", "x-1")
        .replace("{number}", "1")
        .replace("{path}", "x")
    )


def registered(app: Litestar) -> list[tuple[str, str]]:
    return [
        (method, route.path_format)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in sorted(route.methods)
        if method != "OPTIONS"  # a preflight carries no credential and tells the methods alone
    ]


async def documented(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    paths = (await client.get("/schema/openapi.json")).json()["paths"]
    return [(method.upper(), path) for path, item in paths.items() for method in item if method in METHODS]


METHODS = ("get", "put", "post", "delete", "patch", "head")


async def test_the_document_names_every_route(app: Litestar, client: httpx.AsyncClient) -> None:
    pages = {(method, path) for method, path in registered(app) if method == "GET" and path.startswith("/console")}
    listed = {(method, path) for method, path in registered(app) if not path.startswith(("/schema", "/assets"))} - pages
    assert set(await documented(client)) == listed
    assert len(pages) == 4


@pytest.mark.parametrize("credential", ["none", "wrong key", "another session's token", "another session's token in the query"])
async def test_no_route_opens_without_its_own_credential(
    app: Litestar, client: httpx.AsyncClient, stage: Stage, tables: FakeTables, credential: str
) -> None:
    await stage.channel()
    session = await stage.session(viewer="alice")
    another = await stage.session(viewer="mallory")
    headers, params = {
        "none": ({}, {}),
        "wrong key": ({"Authorization": "Bearer wrong"}, {"key": "wrong", "token": "wrong"}),
        "another session's token": ({"Authorization": f"Bearer {another['token']}"}, {}),
        "another session's token in the query": ({}, {"token": another["token"], "key": another["token"]}),
    }[credential]
    before = await tables.sessions.recent(), await tables.catalogue.channels(), await tables.catalogue.sources("c-1")
    tried = 0
    for method, path in {*registered(app), *await documented(client)}:
        if is_open(path):
            continue
        answer = await client.request(method, filled(path, session), headers=headers, params=params, json={})
        assert answer.status_code == 401, (method, path, answer.status_code, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "secret" not in answer.text
        tried += 1
    assert tried >= 25
    assert (await tables.sessions.recent(), await tables.catalogue.channels(), await tables.catalogue.sources("c-1")) == before


async def test_a_sessions_token_does_not_manage(app: Litestar, client: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    session = await stage.session()
    documented_paths = (await client.get("/schema/openapi.json")).json()["paths"]
    tried = 0
    for path, item in documented_paths.items():
        for method, operation in item.items():
            schemes = {name for each in operation.get("security", ()) for name in each}
            if not schemes or "sessionToken" in schemes:
                continue
            answer = await client.request(
                method, filled(path, session), headers={"Authorization": f"Bearer {session['token']}"}, json={}
            )
            assert answer.status_code == 401, (method, path)
            tried += 1
    assert tried >= 15


def test_a_web_socket_opens_for_its_own_token_alone(app: Litestar) -> None:
    for route in app.routes:
        if isinstance(route, WebSocketRoute):
            assert route.path_format == "/v1/sessions/{session_id}/ws"
    with TestClient(app) as client:
        headers = {"Authorization": f"Bearer {KEY}"}
        client.post("/v1/channels", headers=headers, json={"name": "News", "sources": [{"url": "http://one.test/"}]})
        sessions = [
            client.post("/v1/channels/news/sessions", headers=headers, json={"viewer": viewer}).json()
            for viewer in ("alice", "mallory")
        ]
        for query in ("", "?token=wrong", f"?token={sessions[1]['token']}"):
            with (
                client.websocket_connect(f"/v1/sessions/{sessions[0]['id']}/ws{query}") as socket,
                pytest.raises(WebSocketDisconnect) as refused,
            ):
                socket.receive_text()
            assert refused.value.code == 4401
        with client.websocket_connect(f"/v1/sessions/{sessions[0]['id']}/ws?token={sessions[0]['token']}"):
            pass


async def test_what_is_open_answers_without_a_key(client: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    for path in ("/healthz", "/readyz", "/schema", "/schema/openapi.json", "/playlist.m3u", "/watch/news", "/assets/watch.js"):
        assert (await client.get(path)).status_code == 200, path


async def test_a_source_address_is_shown_to_nobody_else(client: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    session = await stage.session()
    await stage.go_live(session["id"])
    token = {"Authorization": f"Bearer {session['token']}"}
    own = [await client.get(f"/v1/sessions/{session['id']}{path}", headers=token) for path in ("", "/attempts", "/history")]
    public = [await client.get(path) for path in ("/playlist.m3u", "/watch/news", "/metrics")]
    watched = [await client.post("/watch/news/session")]
    for answer in own + public + watched:
        assert "one.test" not in answer.text
        assert "secret" not in answer.text


async def test_the_token_is_given_again_and_only_its_hash_is_stored(stage: Stage, tables: FakeTables) -> None:
    await stage.channel()
    first, again, other = [await stage.session(viewer=viewer) for viewer in ("alice", "alice", "bob")]
    assert first["token"] == again["token"] != other["token"]
    (stored,) = [row for row in await tables.sessions.recent() if row.session.viewer == "alice"]
    stored = await tables.sessions.get(stored.session.id, token_hash(first["token"]))
    assert stored.lease is not None
    assert stored.lease.viewer == "alice"
    assert first["token"] not in repr(stored)


def test_a_token_depends_on_the_key_the_channel_and_the_viewer() -> None:
    keys = ApiKeys("one")
    tokens = {
        keys.token("c-1", "alice"),
        keys.token("c-1", "bob"),
        keys.token("c-2", "alice"),
        ApiKeys("two").token("c-1", "alice"),
        keys.token("c-1\nalice", ""),
    }
    assert len(tokens) == 5 and all(len(token) == 43 for token in tokens)


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic " + KEY, KEY, "Bearer " + KEY + "x", "Bearer ä"])
async def test_what_is_not_the_key_is_refused(client: httpx.AsyncClient, header: str) -> None:
    answer = await client.get("/v1/channels", headers=[(b"Authorization", header.encode("latin-1"))])
    assert answer.status_code == 401


async def test_the_scheme_is_not_case_sensitive(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/channels", headers={"Authorization": f"bearer {KEY}"})).status_code == 200


async def test_an_unknown_session_looks_like_any_other_to_a_stranger(
    client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    assert (await client.get("/v1/sessions/s-unknown")).status_code == 401
    assert (await client.get("/v1/sessions/%00")).status_code == 401
    assert (await admin.get("/v1/sessions/s-unknown")).status_code == 404
    assert (await admin.get("/v1/sessions/%00")).status_code == 404
