"""Events as a client reads them: over a real server, because that is where they are streamed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import websockets
from httpx_sse import EventSource, ServerSentEvent, aconnect_sse
from litestar import Litestar

from api import events, refused_sockets, serve
from orchestrator.app.settings import Settings
from orchestrator.core.model import EventType
from orchestrator.errors import BadSetting, NotFound
from tests.api.stage import KEY, Stage
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.tables import FakeTables
from tests.support import eventually


class Served:
    """The app behind a real server on a free port."""

    def __init__(self, app: Litestar) -> None:
        self.app = app
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Served:
        listener = serve.listen(Settings(port=0, admin_key=KEY))
        self.port: int = listener.getsockname()[1]
        self._serving = asyncio.create_task(serve.serve(self.app, listener, self._stop))
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=10, trust_env=False)
        return self

    async def stop(self) -> float:
        """Seconds that it took."""
        started = time.monotonic()
        self._stop.set()
        await self._serving
        return time.monotonic() - started

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()
        await self.stop()

    @contextlib.asynccontextmanager
    async def events(
        self,
        session: dict[str, Any],
        after: int | None = None,
        last_event_id: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> AsyncIterator[EventSource]:
        params: dict[str, str | int] = {"token": session["token"]} | ({} if after is None else {"after": after})
        headers = (headers or {}) | ({} if last_event_id is None else {"Last-Event-ID": last_event_id})
        async with aconnect_sse(
            self.http, "GET", f"/v1/sessions/{session['id']}/events", params=params, headers=headers
        ) as source:
            yield source


@pytest.fixture
async def served(app: Litestar) -> AsyncIterator[Served]:
    async with Served(app) as served:
        yield served


@pytest.fixture
async def session(stage: Stage) -> dict[str, Any]:
    await stage.channel()
    return await stage.session()


async def take(source: AsyncIterator[ServerSentEvent], count: int) -> list[ServerSentEvent]:
    async with asyncio.timeout(5):
        return [await anext(source) for _ in range(count)]


async def test_events_come_as_they_happen(served: Served, stage: Stage, session: dict[str, Any]) -> None:
    await stage.go_live(session["id"])
    async with served.events(session) as source:
        stream = source.aiter_sse()
        (live,) = await take(stream, 1)
        assert (live.id, live.event) == ("1", "session.live")
        assert json.loads(live.data)["playlist_url"] == session["playlist_url"]
        await asyncio.sleep(0.5)
        started = time.monotonic()
        await stage.tell(session["id"], EventType.STREAM_SWITCH, gap_ms=0)
        (switch,) = await take(stream, 1)
        assert time.monotonic() - started < 0.5
        assert (switch.id, switch.event) == ("2", "stream.switch")


async def test_a_client_that_comes_back_gets_what_it_missed(served: Served, stage: Stage, session: dict[str, Any]) -> None:
    for number in range(5):
        await stage.tell(session["id"], EventType.STREAM_SWITCH, number=number)
    async with served.events(session) as source:
        assert [event.id for event in await take(source.aiter_sse(), 5)] == ["1", "2", "3", "4", "5"]
    async with served.events(session, last_event_id="3") as source:
        assert [event.id for event in await take(source.aiter_sse(), 2)] == ["4", "5"]
    async with served.events(session, after=2) as source:
        assert [event.id for event in await take(source.aiter_sse(), 3)] == ["3", "4", "5"]
    async with served.events(session, after=1, last_event_id="4") as source:
        assert [event.id for event in await take(source.aiter_sse(), 1)] == ["5"]
    async with served.events(session, last_event_id="nonsense") as source:
        assert [event.id for event in await take(source.aiter_sse(), 1)] == ["1"]


async def test_many_events_are_all_replayed(
    served: Served, stage: Stage, session: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_PAGE", 7)
    for _ in range(30):
        await stage.tell(session["id"], EventType.STREAM_SWITCH)
    async with served.events(session) as source:
        assert [int(event.id) for event in await take(source.aiter_sse(), 30)] == list(range(1, 31))


async def test_with_redis_gone_nothing_is_lost(
    served: Served, stage: Stage, session: dict[str, Any], bus: FakeEventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LOOK_S", 0.3)
    bus.refusing = True
    async with served.events(session) as source:
        stream = source.aiter_sse()
        for number in range(1, 4):
            await asyncio.sleep(0.4)
            await stage.tell(session["id"], EventType.STREAM_SWITCH)
            assert [event.id for event in await take(stream, 1)] == [str(number)]


async def test_a_locked_database_only_delays(
    served: Served, stage: Stage, session: dict[str, Any], tables: FakeTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LOOK_S", 0.2)
    async with served.events(session) as source:
        stream = source.aiter_sse()
        await stage.tell(session["id"], EventType.STREAM_SWITCH)
        await take(stream, 1)
        tables.refusing = True
        await asyncio.sleep(0.5)
        tables.refusing = False
        await stage.tell(session["id"], EventType.STREAM_SWITCH)
        assert [event.id for event in await take(stream, 1)] == ["2"]


async def test_silence_is_kept_alive(served: Served, session: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE_S", 0.3)
    monkeypatch.setattr(events, "LOOK_S", 0.1)
    params = {"token": session["token"]}
    async with served.http.stream("GET", f"/v1/sessions/{session['id']}/events", params=params) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        said = ""
        async with asyncio.timeout(5):
            async for text in answer.aiter_text():
                said += text
                if said.count(": keep-alive") >= 2:
                    break


async def test_a_stream_ends_after_the_session(served: Served, stage: Stage, session: dict[str, Any]) -> None:
    await stage.go_live(session["id"])
    async with served.events(session) as source:
        seen = []
        async with asyncio.timeout(5):
            async for event in source.aiter_sse():
                seen.append(event.event)
                if event.event == "session.live":
                    await stage.end(session["id"])
    assert seen == ["session.live", "session.ended"]
    async with served.events(session) as source:
        assert [event.event for event in await take(source.aiter_sse(), 2)] == seen
    path = f"/v1/sessions/{session['id']}/events?token={session['token']}"
    answer = await served.http.get(path, headers={"Last-Event-ID": "2"})
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_stream_of_a_session_that_retention_took_ends(
    served: Served, session: dict[str, Any], tables: FakeTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE_S", 0.2)
    monkeypatch.setattr(events, "LOOK_S", 0.1)
    async with served.events(session) as source:
        tables.sessions._rows.clear()
        async with asyncio.timeout(5):
            assert [event async for event in source.aiter_sse()] == []


async def test_a_client_that_leaves_leaves_nothing_behind(served: Served, stage: Stage, session: dict[str, Any]) -> None:
    def following() -> set[str]:
        return {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("wakes of")}

    await stage.go_live(session["id"])
    async with served.events(session) as source:
        await take(source.aiter_sse(), 1)
        assert following()
    await eventually(lambda: not following())


async def test_a_web_socket_tells_the_same(served: Served, stage: Stage, session: dict[str, Any]) -> None:
    await stage.go_live(session["id"])
    url = f"ws://127.0.0.1:{served.port}/v1/sessions/{session['id']}/ws?token={session['token']}"
    async with asyncio.timeout(10), websockets.connect(url, proxy=None) as socket:
        assert json.loads(await socket.recv())["type"] == "session.live"
        await stage.tell(session["id"], EventType.STREAM_UNAVAILABLE)
        unavailable = json.loads(await socket.recv())
        assert (unavailable["id"], unavailable["type"]) == (2, "stream.unavailable")
        await socket.send("nobody listens")
        await stage.end(session["id"])
        assert json.loads(await socket.recv())["type"] == "session.ended"
        with pytest.raises(websockets.ConnectionClosedOK):
            await socket.recv()
    async with asyncio.timeout(10), websockets.connect(f"{url}&after=2", proxy=None) as socket:
        assert json.loads(await socket.recv())["type"] == "session.ended"


@pytest.mark.parametrize(
    ("path", "headers", "code", "reason"),
    [
        ("{id}/ws?token=wrong", {}, 4401, "Unauthorized: the session's token is needed"),
        ("s-nobody/ws", {}, 4401, "Unauthorized: the session's token is needed"),
        ("s-nobody/ws", {"Authorization": f"Bearer {KEY}"}, 4404, "Not found: session s-nobody"),
        ("{id}/ws?token={token}&after=x", {}, 4422, "Invalid input: after: "),
        ("{id}/ws?token={token}&after=-1", {}, 4422, "Invalid input: after: "),
    ],
)
async def test_a_web_socket_that_is_refused_says_why(
    served: Served, session: dict[str, Any], path: str, headers: dict[str, str], code: int, reason: str
) -> None:
    url = f"ws://127.0.0.1:{served.port}/v1/sessions/{path.format(**session)}"
    async with asyncio.timeout(10), websockets.connect(url, proxy=None, additional_headers=headers) as socket:
        with pytest.raises(websockets.ConnectionClosedError) as refused:
            await socket.recv()
    assert refused.value.rcvd is not None
    assert refused.value.rcvd.code == code
    assert refused.value.rcvd.reason.startswith(reason)
    assert session["token"] not in refused.value.rcvd.reason


async def test_a_web_socket_says_that_the_database_is_away(served: Served, session: dict[str, Any], tables: FakeTables) -> None:
    tables.refusing = True
    url = f"ws://127.0.0.1:{served.port}/v1/sessions/{session['id']}/ws?token={session['token']}"
    async with asyncio.timeout(10), websockets.connect(url, proxy=None) as socket:
        with pytest.raises(websockets.ConnectionClosedError) as refused:
            await socket.recv()
    assert refused.value.rcvd is not None
    assert (refused.value.rcvd.code, refused.value.rcvd.reason) == (4503, "The database does not answer")


def test_a_reason_is_as_long_as_a_close_frame_may_be() -> None:
    code, reason = refused_sockets.closing(NotFound("ü" * 200))
    assert code == 4404
    assert reason.startswith("Not found: ü") and 120 < len(reason.encode()) <= 123
    assert refused_sockets.closing(RuntimeError("password=hunter2")) == (4500, "Internal error")


async def test_stopping_is_quick_with_streams_open(app: Litestar, stage: Stage) -> None:
    await stage.channel()
    session = await stage.session()
    await stage.go_live(session["id"])
    async with Served(app) as served:
        url = f"ws://127.0.0.1:{served.port}/v1/sessions/{session['id']}/ws?token={session['token']}"
        async with served.events(session) as source, websockets.connect(url, proxy=None) as socket:
            stream = source.aiter_sse()
            await take(stream, 1)
            await socket.recv()
            waiting = asyncio.create_task(
                served.http.post("/watch/news/session", headers={"Prefer": "wait=20"}), name="a request that waits"
            )
            await asyncio.sleep(0.2)
            assert await served.stop() < 2
            assert [event async for event in stream] == []
            assert (await waiting).json()["phase"] == "requested"
            with pytest.raises(websockets.ConnectionClosed):
                await socket.recv()


async def test_a_taken_port_is_said_clearly() -> None:
    said = r"FAILOVER_PORT: cannot listen on 127\.0\.0\.1:"
    with serve.listen(Settings(port=0)) as taken, pytest.raises(BadSetting, match=said):
        serve.listen(Settings(port=taken.getsockname()[1]))
