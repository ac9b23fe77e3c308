"""Asking for a session, waiting for it, keeping it, ending it."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from api.session.answers import wait_s
from orchestrator.core.model import SLATE, Attempt, AttemptStarted, Decision, Desired, EventType, Unavailable
from tests.api.stage import ORIGIN, Stage
from tests.api.test_bad_input import assert_problem
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.tables import FakeTables
from tests.support import eventually
from tests.words import happened, why
from transcoder import bucket


async def test_a_new_session_has_all_that_a_client_needs(admin: httpx.AsyncClient, stage: Stage) -> None:
    channel = await stage.channel()
    answer = await admin.post("/v1/channels/news/sessions", json={"viewer": "alice"})
    session = answer.json()
    assert answer.status_code == 201
    assert session["viewer"] == "alice"
    assert session["channel"] == {"id": channel["id"], "slug": "news", "name": "News"}
    assert session["phase"] == "requested"
    assert session["playlist_url"] == f"{ORIGIN}/playlists/{session['id']}/index.m3u8"
    assert session["events_url"] == f"http://api.test/v1/sessions/{session['id']}/events"
    assert session["ws_url"] == f"ws://api.test/v1/sessions/{session['id']}/ws"
    assert session["source_id"] is None and session["attempt"] is None
    assert session["token"]
    assert answer.headers["cache-control"] == "no-store"


async def test_the_same_viewer_gets_its_running_session_back(admin: httpx.AsyncClient, stage: Stage) -> None:
    channel = await stage.channel()
    first = await admin.post("/v1/channels/news/sessions", json={"viewer": "alice"})
    again = await admin.post(f"/v1/channels/{channel['id']}/sessions", json={"viewer": "alice"})
    other = await admin.post("/v1/channels/news/sessions", json={"viewer": "bob"})
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 201)
    assert first.json()["id"] == again.json()["id"] != other.json()["id"]
    assert first.json()["token"] == again.json()["token"]


@pytest.mark.parametrize("body", [None, {}, {"viewer": None}])
async def test_without_a_name_every_viewer_is_new(admin: httpx.AsyncClient, stage: Stage, body: Any) -> None:
    await stage.channel()
    answers = [await admin.post("/v1/channels/news/sessions", json=body) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["viewer"] for answer in answers}) == 3


async def test_the_orchestrator_is_nudged(admin: httpx.AsyncClient, stage: Stage, bus: FakeEventBus) -> None:
    await stage.channel()
    session = await stage.session(viewer="alice")
    assert bus.nudged == [session["id"]]
    await stage.session(viewer="alice")
    assert bus.nudged == [session["id"]]
    await admin.post(f"/v1/sessions/{session['id']}/switch")
    await admin.delete(f"/v1/sessions/{session['id']}")
    assert bus.nudged == [session["id"]] * 3


async def test_with_redis_gone_everything_still_works(admin: httpx.AsyncClient, stage: Stage, bus: FakeEventBus) -> None:
    await stage.channel()
    bus.refusing = True
    asked = asyncio.ensure_future(admin.post("/v1/channels/news/sessions", headers={"Prefer": "wait=10"}))
    session = await eventually(stage.only_session)
    await stage.go_live(session.id)
    answer = await asyncio.wait_for(asked, 3)
    assert answer.status_code == 201 and answer.json()["phase"] == "live"
    assert (await admin.delete(f"/v1/sessions/{session.id}")).status_code == 202


async def test_wait_holds_the_answer_until_live(admin: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    asked = asyncio.ensure_future(admin.post("/v1/channels/news/sessions", headers={"Prefer": "wait=10"}))
    session = await eventually(stage.only_session)
    assert not asked.done()
    await stage.go_live(session.id)
    started = time.monotonic()
    answer = await asyncio.wait_for(asked, 3)
    assert time.monotonic() - started < 0.5
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "wait=10"
    assert (answer.json()["phase"], answer.json()["attempt"]) == ("live", 1)


async def test_wait_ends_in_time(admin: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    started = time.monotonic()
    answer = await admin.post("/v1/channels/news/sessions", headers={"Prefer": "wait=1"})
    assert 0.9 < time.monotonic() - started < 1.9
    assert answer.status_code == 201 and answer.json()["phase"] == "requested"


async def test_wait_outlasts_a_locked_database(admin: httpx.AsyncClient, stage: Stage, tables: FakeTables) -> None:
    await stage.channel()
    asked = asyncio.ensure_future(admin.post("/v1/channels/news/sessions", headers={"Prefer": "wait=10"}))
    session = await eventually(stage.only_session)
    tables.refusing = True
    await asyncio.sleep(0.3)
    tables.refusing = False
    await stage.go_live(session.id)
    assert (await asyncio.wait_for(asked, 3)).json()["phase"] == "live"


async def test_a_refusal_names_each_sources_reason(admin: httpx.AsyncClient, stage: Stage) -> None:
    channel = await stage.channel()
    one, two = (source["id"] for source in channel["sources"])
    asked = asyncio.ensure_future(admin.post("/v1/channels/news/sessions", headers={"Prefer": "wait=10"}))
    session = await eventually(stage.only_session)
    await stage.end(session.id, "no_healthy_source", {one: "404 Not Found", two: "no answer within 5 s"})
    problem = assert_problem(await asyncio.wait_for(asked, 3), 503)
    assert problem["type"] == "urn:hls-failover:problem:no-healthy-source"
    assert problem["sources"] == {one: "404 Not Found", two: "no answer within 5 s"}


async def test_a_session_that_is_stopped_while_waited_for(admin: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    asked = asyncio.ensure_future(admin.post("/v1/channels/news/sessions", headers={"Prefer": "wait=10"}))
    session = await eventually(stage.only_session)
    await stage.end(session.id, "operator")
    assert assert_problem(await asyncio.wait_for(asked, 3), 409)["detail"] == "operator"


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [("wait=5", 5.0), ("respond-async, Wait=7", 7.0), ('wait="3"; x=y', 3.0), ("wait=999", 30.0), ("wait=0", 0.0),
     ("wait=" + "9" * 5000, 30.0), ("wait=-1", None), ("wait=²", None), ("wait", None), ("", None), (None, None),
     ("return=minimal", None)],
)  # fmt: skip
def test_the_preference_is_read_as_rfc_7240_says(prefer: str | None, seconds: float | None) -> None:
    assert wait_s(prefer) == seconds


async def test_a_session_is_shown_renewed_and_stopped_with_its_token(
    client: httpx.AsyncClient, stage: Stage, tables: FakeTables
) -> None:
    await stage.channel()
    session = await stage.session()
    path, token = f"/v1/sessions/{session['id']}", {"Authorization": f"Bearer {session['token']}"}
    shown = (await client.get(path, headers=token)).json()
    assert shown == {name: value for name, value in session.items() if name != "token"}
    assert (await client.get(path, params={"token": session["token"]})).status_code == 200
    before = time.time() - 20.0
    await tables.sessions.renew(session["id"], before)
    assert (await client.post(f"{path}/heartbeat", headers=token)).status_code == 204
    assert (await tables.sessions.get(session["id"])).renewed_at > before
    stopped = await client.delete(path, headers=token)
    assert stopped.status_code == 202 and stopped.json()["desired"] == "stop"
    assert (await tables.sessions.get(session["id"])).session.desired is Desired.STOP
    assert (await client.delete(path, headers=token)).status_code == 202
    await stage.end(session["id"])
    assert_problem(await client.post(f"{path}/heartbeat", headers=token), 409)


async def test_a_session_outlives_its_channel_on_record(admin: httpx.AsyncClient, stage: Stage) -> None:
    channel = await stage.channel()
    session = await stage.session()
    assert (await admin.delete("/v1/channels/news")).status_code == 204
    shown = (await admin.get(f"/v1/sessions/{session['id']}")).json()
    assert shown["channel"] == {"id": channel["id"], "slug": None, "name": None}


async def test_sessions_are_listed_newest_first(admin: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    ids = [(await stage.session())["id"] for _ in range(3)]
    await stage.go_live(ids[1])
    assert [each["id"] for each in (await admin.get("/v1/sessions?limit=2")).json()] == ids[:0:-1]
    assert [each["id"] for each in (await admin.get("/v1/sessions?phase=live")).json()] == [ids[1]]
    assert_problem(await admin.get("/v1/sessions?phase=happy"), 422, "phase")


async def test_a_switch_is_intent(admin: httpx.AsyncClient, stage: Stage, tables: FakeTables) -> None:
    channel = await stage.channel()
    await stage.channel(slug="sport", name="Sport")
    session = await stage.session()
    await stage.go_live(session["id"])
    path, second = f"/v1/sessions/{session['id']}/switch", channel["sources"][1]["id"]
    assert (await admin.post(path, json={"source_id": second})).status_code == 202
    assert (await tables.sessions.get(session["id"])).session.switch_to == second
    assert (await admin.post(path)).status_code == 202
    assert (await tables.sessions.get(session["id"])).session.switch_to == "next"
    assert (await admin.post(path, json={"same": True})).status_code == 202
    assert (await tables.sessions.get(session["id"])).session.switch_to == "same"
    assert_problem(await admin.post(path, json={"same": True, "source_id": second}), 422, "same")
    elsewhere = (await tables.catalogue.sources((await tables.catalogue.channel("sport")).id))[0].id
    assert_problem(await admin.post(path, json={"source_id": elsewhere}), 422, "source_id")
    assert_problem(await admin.post(path, json={"source_id": 7}), 422, "source_id")
    await admin.patch(f"/v1/sources/{second}", json={"enabled": False})
    assert_problem(await admin.post(path, json={"source_id": second}), 422, "source_id")
    await stage.end(session["id"])
    assert_problem(await admin.post(path), 409)


async def test_attempts_and_logs_tell_what_happened(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, stage: Stage, store: FakeObjectStore
) -> None:
    channel = await stage.channel()
    session = await stage.session()
    await stage.go_live(session["id"])
    path, token = f"/v1/sessions/{session['id']}/attempts", {"Authorization": f"Bearer {session['token']}"}
    (attempt,) = (await client.get(path, headers=token)).json()
    assert attempt["number"] == 1 and attempt["source_id"] == channel["sources"][0]["id"]
    assert attempt["first_segment_at"] and attempt["ended_at"] is None
    (leg,) = attempt["legs"]
    assert leg["number"] == 1 and leg["start_reason"] == attempt["start_reason"]
    assert leg["source_id"] == attempt["source_id"]
    assert leg["ended_at"] is None and leg["end_reason"] is None
    # A leg's times are those of the decision, an attempt's those of the commit: the same but for milliseconds
    for name in ("started_at", "first_segment_at"):
        apart = datetime.fromisoformat(leg[name]) - datetime.fromisoformat(attempt[name])
        assert abs(apart.total_seconds()) < 5.0
    assert (await client.get(f"{path}/1/log", headers=token)).status_code == 401
    assert_problem(await admin.get(f"{path}/1/log"), 404)
    store.put(bucket.log_key(session["id"], 1), b"started\nended\n", "text/plain")
    answer = await admin.get(f"{path}/1/log")
    assert answer.text == "started\nended\n"
    assert answer.headers["content-type"].startswith("text/plain")


async def test_a_slate_looks_like_a_source_without_a_row(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, stage: Stage, tables: FakeTables
) -> None:
    await stage.channel()
    session = await stage.session()
    await stage.go_live(session["id"])
    before = (await tables.sessions.get(session["id"])).session
    unavailable = Unavailable(
        since=5.0, why=why("source ended"), from_source_id="x", retry_at=6.0, shown=Attempt.on(2, SLATE, 5.0)
    )
    shown = replace(before, state=unavailable, last_attempt=2)
    told = happened(EventType.STREAM_UNAVAILABLE, {"reason": "source ended", "sources": {}, "slate": True})
    records = (AttemptStarted(2, SLATE, why("source ended")), told)
    await tables.sessions.commit(before, Decision(session=shown, records=records), 5.0)
    token = {"Authorization": f"Bearer {session['token']}"}
    path = f"/v1/sessions/{session['id']}"
    view = (await client.get(path, headers=token)).json()
    assert (view["phase"], view["source_id"], view["attempt"]) == ("unavailable", SLATE, 2)
    assert [each["source_id"] for each in (await client.get(f"{path}/attempts", headers=token)).json()][-1] == SLATE
    assert [each["source_id"] for each in (await admin.get("/v1/sessions")).json()] == [SLATE]
    assert (await client.get(f"{path}/history", headers=token)).json()["events"][-1]["slate"] is True
    assert (await admin.post(f"{path}/switch")).status_code == 202
    assert_problem(await admin.post(f"{path}/switch", json={"source_id": SLATE}), 422, "source_id")


async def test_history_is_polled(client: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    session = await stage.session()
    await stage.go_live(session["id"])
    await stage.tell(session["id"], EventType.STREAM_SWITCH, gap_ms=12)
    params: dict[str, str | int] = {"token": session["token"]}
    path = f"/v1/sessions/{session['id']}/history"
    events = (await client.get(path, params=params)).json()["events"]
    assert [(event["id"], event["type"]) for event in events] == [(1, "session.live"), (2, "stream.switch")]
    assert events[1]["gap_ms"] == 12 and events[1]["playlist_url"] == session["playlist_url"]
    assert [event["id"] for event in (await client.get(path, params=params | {"after": 1})).json()["events"]] == [2]
    assert_problem(await client.get(path, params=params | {"after": -1}), 422, "after")


async def test_a_locked_database_is_a_clear_answer(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, stage: Stage, tables: FakeTables
) -> None:
    await stage.channel()
    tables.refusing = True
    for call in (admin.post("/v1/channels/news/sessions"), client.get("/watch/news.m3u8"), client.get("/v1/sessions/s-1")):
        answer = await call
        assert assert_problem(answer, 503)["title"] == "The database does not answer"
        assert answer.headers["retry-after"]
    tables.refusing = False
    assert await tables.sessions.recent() == ()
