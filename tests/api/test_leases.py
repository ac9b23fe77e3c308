"""Who watches keeps a session alive, many may share one, and there is not room for everybody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import websockets
from litestar import Litestar

from api.app import world_of
from orchestrator.app.machine import limits_of, memory_mb
from orchestrator.app.settings import Settings
from orchestrator.core.model import SHARED, Desired
from orchestrator.core.session.limits import Limits
from tests.api.conftest import SETTINGS
from tests.api.stage import Stage, calling
from tests.api.test_bad_input import assert_problem
from tests.api.test_events import Served
from tests.api.test_watch import publish
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.tables import FakeTables
from tests.support import eventually
from transcoder.media_playlist import MultivariantPlaylist

SHARING = {"sharing": "channel"}


class Counting(FakeTables):
    """Counts what is written of leases."""

    def __init__(self) -> None:
        super().__init__()
        self.renewals = 0
        renew = self.sessions.renew

        async def counted(session_id: str, now: float, viewer: str | None = None) -> None:
            await renew(session_id, now, viewer)
            self.renewals += 1

        self.sessions.renew = counted  # type: ignore[method-assign]


@pytest.fixture
def tables() -> Counting:
    return Counting()


@pytest.fixture
def hasty(app: Litestar, tables: Counting, bus: FakeEventBus, store: FakeObjectStore) -> Litestar:
    """Leases of a second."""
    settings = Settings(admin_key=SETTINGS.admin_key, origin_url=SETTINGS.origin_url, idle_timeout_s=1.0)
    app.state.world = world_of(settings, tables, bus, store, time.time)
    return app


@pytest.fixture
async def served(hasty: Litestar) -> AsyncIterator[Served]:
    async with Served(hasty) as served:
        yield served


def limited(app: Litestar, limits: Limits) -> None:
    object.__setattr__(app.state.world, "limits", limits)


def bearer(session: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {session['token']}"}


# --- renewals ---------------------------------------------------------------------------------------------------------


async def test_heartbeats_are_written_once_in_a_while(client: httpx.AsyncClient, stage: Stage, tables: Counting) -> None:
    await stage.channel()
    session = await stage.session()
    await tables.sessions.renew(session["id"], time.time() - 20.0)
    for _ in range(20):
        assert (await client.post(f"/v1/sessions/{session['id']}/heartbeat", headers=bearer(session))).status_code == 204
    assert tables.renewals == 2
    assert time.time() - (await tables.sessions.get(session["id"])).renewed_at < 5.0


async def test_a_clock_that_was_set_back_does_not_stop_renewals(
    client: httpx.AsyncClient, stage: Stage, tables: Counting
) -> None:
    await stage.channel()
    session = await stage.session()
    await tables.sessions.renew(session["id"], time.time() + 3600.0)
    assert (await client.post(f"/v1/sessions/{session['id']}/heartbeat", headers=bearer(session))).status_code == 204
    assert tables.renewals == 2


async def test_a_plain_player_that_reads_often_costs_few_writes(
    client: httpx.AsyncClient, stage: Stage, tables: Counting, store: FakeObjectStore
) -> None:
    await stage.channel()
    session = await stage.session()
    publish(store, session["id"])
    await tables.sessions.renew(session["id"], time.time() - 20.0)
    for _ in range(20):
        answer = await client.get(f"/v1/sessions/{session['id']}/main.m3u8", params={"token": session["token"]})
        assert answer.status_code == 200
    assert tables.renewals == 2
    assert time.time() - (await tables.sessions.get(session["id"])).renewed_at < 5.0


async def test_the_admin_key_watches_nothing_but_its_heartbeat_renews_all(
    admin: httpx.AsyncClient, stage: Stage, tables: Counting, store: FakeObjectStore
) -> None:
    await stage.channel(policy=SHARING)
    sessions = [await stage.session(viewer=viewer) for viewer in ("alice", "bob")]
    path = f"/v1/sessions/{sessions[0]['id']}"
    publish(store, sessions[0]["id"])
    index = await admin.get(f"{path}/index.m3u8")
    assert MultivariantPlaylist.parse(index.text).variants[0].uri == f"http://api.test{path}/main.m3u8"
    assert (await admin.get(f"{path}/main.m3u8")).status_code == 200
    assert tables.renewals == 0
    since = time.time()
    assert (await admin.post(f"{path}/heartbeat")).status_code == 204
    assert await tables.sessions.viewers({sessions[0]["id"]}, since) == {sessions[0]["id"]: 2}


async def test_an_open_event_stream_is_a_viewer(served: Served, stage: Stage, tables: Counting) -> None:
    await stage.channel()
    session = await stage.session()
    async with served.events(session):
        await eventually(lambda: tables.renewals >= 4, timeout_s=5.0)
    await eventually(lambda: _renewals_stop(tables), timeout_s=5.0)


async def _renewals_stop(tables: Counting) -> bool:
    before = tables.renewals
    await asyncio.sleep(0.6)
    return tables.renewals == before


async def test_an_open_websocket_is_a_viewer(served: Served, stage: Stage, tables: Counting) -> None:
    await stage.channel()
    session = await stage.session()
    url = f"ws://127.0.0.1:{served.port}/v1/sessions/{session['id']}/ws?token={session['token']}"
    async with websockets.connect(url, proxy=None):
        await eventually(lambda: tables.renewals >= 4, timeout_s=5.0)
    await eventually(lambda: _renewals_stop(tables), timeout_s=5.0)


async def test_a_stream_outlasts_a_locked_database(served: Served, stage: Stage, tables: Counting) -> None:
    await stage.channel()
    session = await stage.session()
    async with served.events(session):
        await eventually(lambda: tables.renewals >= 1, timeout_s=5.0)
        tables.refusing = True
        await asyncio.sleep(0.6)
        tables.refusing = False
        before = tables.renewals
        await eventually(lambda: tables.renewals > before, timeout_s=5.0)


async def test_an_api_that_runs_says_that_it_can_renew(served: Served, tables: Counting) -> None:
    async def said() -> float | None:
        return (await tables.sessions.renewals()).written_at

    before = await eventually(said)
    assert before is not None
    assert await eventually(lambda: _later(tables, before), timeout_s=5.0)


async def _later(tables: Counting, before: float) -> bool:
    return ((await tables.sessions.renewals()).written_at or 0.0) > before


# --- sharing ----------------------------------------------------------------------------------------------------------


async def test_the_viewers_of_a_shared_channel_have_one_session_and_each_its_own_token(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, stage: Stage, tables: Counting
) -> None:
    await stage.channel(policy=SHARING)
    answers = [await admin.post("/v1/channels/news/sessions", json={"viewer": viewer}) for viewer in ("alice", "bob", "alice")]
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    alice, bob, again = (answer.json() for answer in answers)
    assert alice["id"] == bob["id"] == again["id"]
    assert alice["playlist_url"] == bob["playlist_url"]
    assert alice["token"] == again["token"] != bob["token"]
    assert [alice["viewer"], bob["viewer"]] == ["alice", "bob"]
    path = f"/v1/sessions/{alice['id']}"
    shown = (await client.get(path, headers=bearer(bob))).json()
    assert (shown["viewer"], shown["viewers"]) == ("bob", 2)
    (listed,) = (await admin.get("/v1/sessions")).json()
    assert (listed["viewer"], listed["viewers"]) == (SHARED, 2)
    await tables.sessions.renew(alice["id"], time.time() - 61.0, "alice")
    assert (await admin.get(path)).json()["viewers"] == 1


async def test_who_leaves_ends_its_own_lease_and_the_last_one_the_session(
    client: httpx.AsyncClient, stage: Stage, tables: Counting
) -> None:
    await stage.channel(policy=SHARING)
    alice, bob = [await stage.session(viewer=viewer) for viewer in ("alice", "bob")]
    path = f"/v1/sessions/{alice['id']}"
    left = await client.delete(path, headers=bearer(alice))
    assert (left.status_code, left.json()["desired"], left.json()["viewers"]) == (202, "run", 1)
    assert_problem(await client.get(path, headers=bearer(alice)), 401)
    assert (await client.get(path, headers=bearer(bob))).status_code == 200
    again = await stage.session(viewer="alice")
    assert (again["id"], again["token"]) == (alice["id"], alice["token"])
    assert (await client.delete(path, headers=bearer(alice))).json()["desired"] == "run"
    last = await client.delete(path, headers=bearer(bob))
    assert (last.status_code, last.json()["desired"]) == (202, "stop")
    assert (await tables.sessions.get(alice["id"])).session.desired is Desired.STOP
    assert (await client.get(path, headers=bearer(bob))).status_code == 200
    assert (await stage.session(viewer="alice"))["id"] != alice["id"]


async def test_the_operator_ends_a_shared_session_for_all(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.channel(policy=SHARING)
    alice, bob = [await stage.session(viewer=viewer) for viewer in ("alice", "bob")]
    assert (await admin.delete(f"/v1/sessions/{alice['id']}")).json()["desired"] == "stop"
    for session in (alice, bob):
        answer = await client.get(f"/v1/sessions/{session['id']}", headers=bearer(session))
        assert answer.json()["desired"] == "stop"


async def test_plain_players_share_where_the_policy_says_so(
    client: httpx.AsyncClient, stage: Stage, store: FakeObjectStore, app: Litestar
) -> None:
    await stage.channel(policy=SHARING)
    host = await stage.session(viewer="host")
    publish(store, host["id"])
    await stage.go_live(host["id"])
    tokens = set()
    for player in ("VLC/3.0", "Kodi/21"):
        answer = await client.get("/watch/news.m3u8", headers={"User-Agent": player})
        address = urlsplit(answer.headers["location"])
        assert address.path == f"/v1/sessions/{host['id']}/index.m3u8"
        (variant,) = MultivariantPlaylist.parse((await client.get(answer.headers["location"])).text).variants
        assert parse_qs(urlsplit(variant.uri).query) == parse_qs(address.query), "each player goes on with its own token"
        assert (await client.get(variant.uri)).status_code == 200
        tokens.add(address.query)
    assert len(tokens) == 2
    async with calling(app) as browser:
        await browser.get("/watch/news")
        watched = (await browser.post("/watch/news/session")).json()
    assert (watched["id"], watched["viewers"]) == (host["id"], 4)


async def test_no_viewer_can_be_called_as_all_are(admin: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    assert_problem(await admin.post("/v1/channels/news/sessions", json={"viewer": SHARED}), 422, "viewer")
    assert (await admin.post("/v1/channels/news/sessions", json={"viewer": "**"})).status_code == 201


async def test_a_policy_that_changes_holds_for_who_asks_from_then_on(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, stage: Stage
) -> None:
    await stage.channel()
    own = await stage.session(viewer="alice")
    assert (await admin.patch("/v1/channels/news", json={"policy": SHARING})).status_code == 200
    together = [await stage.session(viewer=viewer) for viewer in ("alice", "bob")]
    assert len({own["id"], *(session["id"] for session in together)}) == 2
    assert (await client.get(f"/v1/sessions/{own['id']}", headers=bearer(own))).json()["desired"] == "run"


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        (Limits(max_sessions=1), 503),
        (Limits(max_sessions_per_channel=1), 503),
        (Limits(node_cpus=0.03), 503),
        (Limits(node_memory_mb=60.0), 503),
        (Limits(max_sessions_per_viewer=1), 429),
    ],
)
async def test_a_limit_is_a_problem_that_names_it_and_says_when_to_come_again(
    admin: httpx.AsyncClient, stage: Stage, app: Litestar, tables: Counting, bus: FakeEventBus, limits: Limits, status: int
) -> None:
    await stage.channel()
    await stage.channel("sport")
    own = await stage.session("sport", viewer="alice")
    limited(app, limits)
    channel, viewer = ("news", "alice") if status == 429 else ("sport", "bob")
    refused = await admin.post(f"/v1/channels/{channel}/sessions", json={"viewer": viewer}, headers={"Prefer": "wait=5"})
    problem = assert_problem(refused, status)
    (name,) = (each for each in limits.__struct_fields__ if getattr(limits, each) is not None and each != "lease_s")
    assert problem["limit"] == name
    assert int(refused.headers["retry-after"]) > 0
    assert len(await tables.sessions.recent()) == 1
    assert (await stage.session("sport", viewer="alice"))["id"] == own["id"], "one's own session needs no place"


async def test_a_plain_player_is_refused_like_everybody(
    client: httpx.AsyncClient, admin: httpx.AsyncClient, stage: Stage, app: Litestar
) -> None:
    channel = await stage.channel()
    await stage.session()
    limited(app, Limits(max_sessions=1))
    answers = (
        await client.get("/watch/news.m3u8"),
        await client.post("/watch/news/session"),
        await admin.get(f"/stream/channel/{channel['id']}/request"),
    )
    for answer in answers:
        assert assert_problem(answer, 503)["limit"] == "max_sessions"
        assert "retry-after" in answer.headers


def test_what_is_not_set_is_the_machine_s_own() -> None:
    own = limits_of(Settings())
    assert own.node_cpus is not None and own.node_cpus >= 1
    assert own.node_memory_mb == memory_mb()
    assert own.node_memory_mb is not None and own.node_memory_mb > 100
    given = limits_of(Settings(node_cpus=3.5, node_memory_mb=900.0, max_sessions=7, idle_timeout_s=20.0))
    assert given == Limits(node_cpus=3.5, node_memory_mb=900.0, max_sessions=7, lease_s=20.0)
