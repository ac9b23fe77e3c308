"""Health, readiness, metrics, the OpenAPI document, CORS and the headers of every answer."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from api.app import create_app
from api.body import decode
from orchestrator.app.settings import Settings
from orchestrator.core.model import EventType
from orchestrator.errors import BadSetting
from orchestrator.ports import OrchestratorRow, StoreReport
from tests.api.stage import Stage
from tests.api.test_bad_input import assert_problem
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.tables import FakeTables


async def test_the_process_answers(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}


@pytest.mark.parametrize("down", [(), ("database",), ("store",), ("bus",), ("database", "store", "bus")])
async def test_readiness_names_what_is_down(
    client: httpx.AsyncClient, tables: FakeTables, store: FakeObjectStore, bus: FakeEventBus, down: tuple[str, ...]
) -> None:
    tables.refusing, store.refusing, bus.refusing = "database" in down, "store" in down, "bus" in down
    answer = await client.get("/readyz")
    if set(down) - {"bus"}:
        assert set(assert_problem(answer, 503)["parts"]) == set(down)
    else:
        bus_says = "Redis does not answer" if down else "ok"
        assert (answer.status_code, answer.json()["parts"]) == (200, {"database": "ok", "store": "ok", "bus": bus_says})


async def test_a_part_that_hangs_is_down_after_a_second(
    client: httpx.AsyncClient, store: FakeObjectStore, bus: FakeEventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang() -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(store, "check", hang)
    monkeypatch.setattr(bus, "check", hang)
    started = time.monotonic()
    answer = await client.get("/readyz")
    assert time.monotonic() - started < 1.8
    assert assert_problem(answer, 503)["parts"] == {"store": "no answer within 1 s", "bus": "no answer within 1 s"}


async def test_metrics_count_sessions_by_phase(admin: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    sessions = [await stage.session() for _ in range(3)]
    await stage.go_live(sessions[0]["id"])
    await stage.end(sessions[1]["id"])
    text = (await admin.get("/metrics")).text
    assert 'hls_failover_sessions{phase="live"} 1.0' in text
    assert 'hls_failover_sessions{phase="requested"} 1.0' in text
    assert 'hls_failover_sessions{phase="starting"} 0.0' in text
    await stage.end(sessions[0]["id"])
    assert 'hls_failover_sessions{phase="live"} 0.0' in (await admin.get("/metrics")).text


async def test_metrics_count_delivered_events(admin: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    session = await stage.session()
    await stage.tell(session["id"], EventType.STREAM_SWITCH)
    await stage.end(session["id"])
    await admin.get(f"/v1/sessions/{session['id']}/events")
    text = (await admin.get("/metrics")).text
    assert 'hls_failover_events_delivered_total{type="stream.switch"} 1.0' in text
    assert 'hls_failover_events_delivered_total{type="session.ended"} 1.0' in text


async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    described: dict[str, Any] = (await client.get("/schema/openapi.json")).json()
    return described


async def test_every_body_and_every_answer_has_an_example(client: httpx.AsyncClient) -> None:
    described = await document(client)
    assert described["info"]["title"] == "HLS stream failover"
    assert set(described["components"]["securitySchemes"]) >= {"adminKey", "sessionToken"}
    tags = {tag["name"] for tag in described["tags"]}
    for path, item in described["paths"].items():
        for method, operation in item.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert set(operation["tags"]) <= tags, where
            contents = [answer.get("content", {}) for answer in operation["responses"].values()]
            contents.append(operation.get("requestBody", {}).get("content", {}))
            for content in contents:
                for media_type, media in content.items():
                    assert media.get("example"), f"{where}: {media_type} has no example"
                    assert_has_required(described, media.get("schema", {}), media["example"], where)


def assert_has_required(described: dict[str, Any], schema: dict[str, Any], example: Any, where: str) -> None:
    if reference := schema.get("$ref"):
        schema = described["components"]["schemas"][reference.rpartition("/")[2]]
    if isinstance(example, list):
        for each in example:
            assert_has_required(described, schema.get("items", {}), each, where)
    elif isinstance(example, dict) and schema.get("properties"):
        assert set(schema.get("required", ())) <= set(example) <= set(schema["properties"]), where


async def test_the_example_bodies_are_accepted(app: Litestar, client: httpx.AsyncClient) -> None:
    checked = 0
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler, _ in route.route_handler_map.values():
            if (body := handler.opt.get("body")) is not None:
                assert handler.parsed_data_field is not None
                assert decode(msgspec.json.encode(body), handler.parsed_data_field.annotation) == body
                checked += 1
    described = await document(client)
    bodies = sum("requestBody" in operation for item in described["paths"].values() for operation in item.values())
    assert checked == bodies == 14


async def test_any_page_may_call_without_cookies(client: httpx.AsyncClient) -> None:
    preflight = await client.options(
        "/v1/channels",
        headers={
            "Origin": "https://tv.test",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,prefer",
        },
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert {"authorization", "content-type", "prefer"} <= set(
        preflight.headers["access-control-allow-headers"].lower().replace(" ", "").split(",")
    )
    for path in ("/healthz", "/v1/channels", "/nowhere"):
        answer = await client.get(path, headers={"Origin": "https://tv.test"})
        assert answer.headers["access-control-allow-origin"] == "*", path
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/healthz", "/v1/channels", "/nowhere", "/watch/news", "/assets/watch.js", "/schema"])
async def test_every_answer_is_hardened(client: httpx.AsyncClient, stage: Stage, path: str) -> None:
    await stage.channel()
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]


async def test_our_own_fault_shows_nothing_of_our_insides(
    admin: httpx.AsyncClient, tables: FakeTables, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(**_: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(tables.catalogue, "channels", fail)
    answer = await admin.get("/v1/channels")
    problem = assert_problem(answer, 500)
    assert problem["type"] == "urn:hls-failover:problem:internal-error"
    assert "hunter2" not in answer.text and "RuntimeError" not in answer.text
    assert "hunter2" in caplog.text  # the operator's log has it


def test_without_an_admin_key_there_is_no_api(tables: FakeTables, bus: FakeEventBus, store: FakeObjectStore) -> None:
    with pytest.raises(BadSetting, match="FAILOVER_ADMIN_KEY"):
        create_app(Settings(), tables, bus, store, time.time)


# --- doctor and drain -------------------------------------------------------------------------------------------------


async def test_the_doctor_is_asked_over_http(
    client: httpx.AsyncClient, admin: httpx.AsyncClient, tables: FakeTables, store: FakeObjectStore, bus: FakeEventBus
) -> None:
    assert_problem(await client.get("/v1/doctor"), 401)
    now = time.time()
    await tables.operation.beat(OrchestratorRow(id="o-1", node="here", started_at=now, seen_at=now))
    sound = (await admin.get("/v1/doctor")).json()
    assert sound == {"healthy": True, "findings": []}

    bus.refusing = True
    store.report = StoreReport(clock_skew_s=0.0, listable=True)
    await tables.operation.drain(now)
    ill = (await admin.get("/v1/doctor")).json()
    assert not ill["healthy"]
    assert [(each["check"], each["level"]) for each in ill["findings"]] == [
        ("redis", "wrong"),
        ("private-list", "wrong"),
        ("draining", "note"),
    ]
    assert all(each["what"] and each["remedy"] for each in ill["findings"])


@pytest.mark.parametrize("down", ["database", "store"])
async def test_the_doctor_answers_while_a_part_is_down(
    admin: httpx.AsyncClient, tables: FakeTables, store: FakeObjectStore, down: str
) -> None:
    now = time.time()
    await tables.operation.beat(OrchestratorRow(id="o-1", node="here", started_at=now, seen_at=now))
    tables.refusing, store.refusing = down == "database", down == "store"
    answer = (await admin.get("/v1/doctor")).json()
    assert [each["check"] for each in answer["findings"]] == [down]


async def test_while_it_drains_a_new_session_is_refused_and_a_running_one_joined(
    admin: httpx.AsyncClient, stage: Stage, tables: FakeTables
) -> None:
    await stage.channel()
    running = await stage.session(viewer="alice")
    await tables.operation.drain(time.time())
    refused = await admin.post("/v1/channels/news/sessions", json={"viewer": "bob"})
    problem = assert_problem(refused, 503)
    assert (problem["limit"], refused.headers["Retry-After"]) == ("draining", "30")
    joined = await admin.post("/v1/channels/news/sessions", json={"viewer": "alice"})
    assert (joined.status_code, joined.json()["id"]) == (200, running["id"])
    await tables.operation.drain(None)
    assert (await admin.post("/v1/channels/news/sessions", json={"viewer": "bob"})).status_code == 201


async def test_a_database_of_another_release_is_told_by_its_migration(admin: httpx.AsyncClient, tables: FakeTables) -> None:
    tables.operation.schema = None
    (found,) = (await admin.get("/v1/doctor")).json()["findings"]
    assert (found["check"], "at migration none" in found["what"]) == ("schema", True)
