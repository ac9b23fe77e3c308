"""The console's page, its login, and what its cookie opens and what not."""

from __future__ import annotations

import httpx
import pytest
from litestar import Litestar
from litestar.exceptions import WebSocketDisconnect
from litestar.testing import TestClient
from msgspec.structs import replace

from api.http import assets
from api.keys import CONSOLE_S, ApiKeys
from tests.api.conftest import SETTINGS
from tests.api.stage import KEY, Stage, rewire
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.tables import FakeTables

HEADER = {"X-Console": "1"}


async def log_in(client: httpx.AsyncClient, key: str = KEY) -> httpx.Response:
    return await client.post("/console/login", json={"key": key})


async def test_the_key_is_traded_for_a_cookie_that_no_script_and_no_other_site_has(client: httpx.AsyncClient) -> None:
    answer = await log_in(client)
    assert answer.status_code == 204
    assert answer.content == b""
    cookie = answer.headers["set-cookie"]
    assert KEY not in cookie
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert attributes >= {"httponly", "samesite=strict", "path=/", f"max-age={CONSOLE_S}"}
    assert "secure" not in attributes


async def test_the_cookie_is_secure_where_the_console_is_reached_by_https(app: Litestar, client: httpx.AsyncClient) -> None:
    rewire(
        app,
        replace(SETTINGS, public_url="https://tv.test"),
        FakeTables(),
        FakeEventBus(),
        FakeObjectStore(),
        lambda: 0.0,
    )
    assert "secure" in (await log_in(client)).headers["set-cookie"].lower()


@pytest.mark.parametrize("body", [{"key": "wrong"}, {"key": ""}, {"key": KEY + " "}, {"key": "ä"}])
async def test_another_key_is_refused(client: httpx.AsyncClient, body: dict[str, str]) -> None:
    answer = await client.post("/console/login", json=body)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert "set-cookie" not in answer.headers


async def test_the_cookie_reads_and_with_the_header_it_writes(client: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    assert (await client.get("/v1/channels")).status_code == 401
    await log_in(client)
    assert (await client.get("/v1/channels")).status_code == 200
    for method, path, body in (
        ("POST", "/v1/channels", {"name": "Sport"}),
        ("PATCH", "/v1/channels/news", {"enabled": False}),
        ("PUT", "/v1/drain", {"draining": True}),
        ("DELETE", "/v1/channels/news", None),
    ):
        assert (await client.request(method, path, json=body)).status_code == 401, path
        assert (await client.request(method, path, json=body, headers={"X-Console": "0"})).status_code == 401, path
        assert (await client.request(method, path, json=body, headers=HEADER)).is_success, path


async def test_who_logs_out_is_out(client: httpx.AsyncClient) -> None:
    await log_in(client)
    assert (await client.post("/console/logout")).status_code == 204
    assert not client.cookies
    assert (await client.get("/v1/channels")).status_code == 401


async def test_a_session_is_the_operator_s_by_the_cookie_unless_a_token_is_presented(
    client: httpx.AsyncClient, stage: Stage, tables: FakeTables
) -> None:
    await stage.channel()
    session = await stage.session(viewer="alice")
    path, own = f"/v1/sessions/{session['id']}", {"Authorization": f"Bearer {session['token']}"}
    await log_in(client)
    assert (await client.get(path)).status_code == 200
    assert (await client.get(f"{path}/history")).status_code == 200
    assert (await client.get(path, headers={"Authorization": "Bearer wrong"})).status_code == 401
    assert (await client.get(path, params={"token": "wrong"})).status_code == 401
    assert (await client.post(f"{path}/heartbeat", headers=own)).status_code == 204  # a page of a viewer in the same browser
    assert (await client.post(f"{path}/switch", headers=HEADER | own)).status_code == 401
    assert (await client.delete(path)).status_code == 401
    assert (await client.delete(path, headers=HEADER)).status_code == 202
    assert (await tables.sessions.get(session["id"])).session.end_reason == "stopped"


def test_the_cookie_opens_no_web_socket(app: Litestar) -> None:
    with TestClient(app) as client:
        headers = {"Authorization": f"Bearer {KEY}"}
        client.post("/v1/channels", headers=headers, json={"name": "News", "sources": [{"url": "http://one.test/"}]})
        session = client.post("/v1/channels/news/sessions", headers=headers, json={}).json()
        client.post("/console/login", json={"key": KEY})
        with (
            client.websocket_connect(f"/v1/sessions/{session['id']}/ws", headers=HEADER) as socket,
            pytest.raises(WebSocketDisconnect) as refused,
        ):
            socket.receive_text()
        assert refused.value.code == 4401


def test_a_cookie_ends_and_is_of_no_use_under_another_key() -> None:
    keys = ApiKeys("one")
    cookie = keys.console_cookie(1000.0)
    assert keys.is_console(cookie, 1000.0 + CONSOLE_S - 1)
    assert not keys.is_console(cookie, 1000.0 + CONSOLE_S)
    assert not ApiKeys("two").is_console(cookie, 1000.0)
    end, _, signature = cookie.partition(".")
    for forged in ("", ".", "x", end, f"{int(end) + 1}.{signature}", f"{end}.{signature[:-1]}", f".{signature}", f"{end}.ä"):
        assert not keys.is_console(forged, 1000.0), forged
    assert "one" not in cookie


async def test_no_other_site_may_send_the_header(client: httpx.AsyncClient) -> None:
    preflight = {"Origin": "http://evil.test", "Access-Control-Request-Method": "POST"}
    asked = await client.options("/v1/drain", headers=preflight | {"Access-Control-Request-Headers": "x-console"})
    assert "x-console" not in asked.headers.get("access-control-allow-headers", "").lower()
    assert asked.headers.get("access-control-allow-credentials", "false") == "false"


@pytest.mark.parametrize("path", ["/console", "/console/channels/c-1", "/console/a/b/c", "/console/login", "/console/logout"])
async def test_the_page_is_the_same_at_every_address(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, tmp_path: object, path: str
) -> None:
    answer = await client.get(path)
    if answer.status_code == 404:  # it has not been built here
        assert "make setup" in answer.json()["detail"]
    pages = {"console.html": b"<!doctype html><title>Console</title>"}
    monkeypatch.setattr("api.console.page.built_page", pages.__getitem__)
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.content == pages["console.html"]
    assert answer.headers["content-type"].startswith("text/html")
    assert "script-src 'self';" in answer.headers["content-security-policy"]


async def test_a_page_that_is_not_built_is_missed_in_words(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "DIST", assets.DIST / "nowhere")
    answer = await client.get("/console")
    assert answer.status_code == 404
    assert "make setup" in answer.json()["detail"]


async def test_the_deployment_is_drained_and_comes_back(admin: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    assert (await admin.get("/v1/drain")).json() == {"draining_since": None}
    since = (await admin.put("/v1/drain", json={"draining": True})).json()["draining_since"]
    assert since is not None
    assert (await admin.put("/v1/drain", json={"draining": True})).json() == {"draining_since": since}
    refused = await admin.post("/v1/channels/news/sessions", json={})
    assert (refused.status_code, refused.json()["limit"]) == (503, "draining")
    assert (await admin.put("/v1/drain", json={"draining": False})).json() == {"draining_since": None}
    assert (await admin.post("/v1/channels/news/sessions", json={})).status_code == 201
    assert (await admin.put("/v1/drain", json={"draining": "yes"})).status_code == 422
