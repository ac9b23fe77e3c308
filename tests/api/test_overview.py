"""The wall screen's document, and a channel's day."""

from __future__ import annotations

import gzip
import time
from importlib.metadata import version
from typing import Any

import httpx
import pytest
from litestar import Litestar
from msgspec.structs import replace

from api.console import listed_segments
from api.console.source_label import label_of
from orchestrator.core.model import Decision, Ended, EventType
from orchestrator.core.presentation.event_payload import timestamp
from orchestrator.ports import OrchestratorRow
from tests.api.stage import KEY, Stage, calling
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.tables import FakeTables
from tests.words import why
from transcoder import bucket
from transcoder.publish.media_playlist import ListedSegment, MediaPlaylist
from transcoder.publish.multivariant_playlist import MultivariantPlaylist, Variant


def listed(store: FakeObjectStore, session_id: str, segments: int = 3) -> None:
    uris = [bucket.segment_uri(session_id, 1, n) for n in range(segments)]
    playlist = MediaPlaylist(
        4, 0, 0, tuple(ListedSegment(uri, 2.0, 1_700_000_000.0 + 2 * n, n == 0) for n, uri in enumerate(uris)), ended=False
    )
    store.put(bucket.media_playlist_key(session_id), playlist.render().encode())
    store.put(
        bucket.multivariant_key(session_id),
        MultivariantPlaylist((Variant(bucket.MEDIA_PLAYLIST_NAME, 1_600_000),)).render().encode(),
    )


async def overview(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/v1/overview")
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_a_deployment_with_nothing_in_it(admin: httpx.AsyncClient) -> None:
    found = await overview(admin)
    assert found.pop("at")
    assert (found.pop("version"), found.pop("orchestrator")) == (version("hls-failover"), {"seen_at": None, "runs": False})
    assert (found.pop("store_answers"), found.pop("full_providers")) == (True, [])
    assert found.pop("public_url") == "http://api.test"
    assert found == {"draining_since": None, "cursor": 0, "channels": [], "sessions": []}


async def test_what_keeps_all_from_being_well_is_told(
    admin: httpx.AsyncClient, app: Litestar, stage: Stage, tables: FakeTables, store: FakeObjectStore
) -> None:
    async def told() -> tuple[bool, bool, list[dict[str, Any]]]:
        app.state.listed_segments.expire()
        found = await overview(admin)
        return found["orchestrator"]["runs"], found["store_answers"], found["full_providers"]

    channel = await stage.channel()
    acme = (await admin.post("/v1/providers", json={"name": "Acme TV", "max_connections": 1})).json()
    await admin.post("/v1/providers", json={"name": "Roomy", "max_connections": 2})
    await admin.patch(f"/v1/sources/{channel['sources'][0]['id']}", json={"provider_id": acme["id"]})
    now = time.time()
    await tables.operation.announce(OrchestratorRow(id="o-1", node="node", started_at=now, seen_at=now - 900.0))
    assert await told() == (False, True, []), "one that was seen a quarter of an hour ago"
    await tables.operation.announce(OrchestratorRow(id="o-2", node="node", started_at=now, seen_at=now))
    assert await told() == (True, True, [])
    session = await stage.session()
    await stage.go_live(session["id"])
    full = {"id": acme["id"], "name": "Acme TV", "max_connections": 1, "connections_in_use": 1}
    store.refusing = True
    assert await told() == (True, False, [full])


async def test_a_bit_rate_is_the_average_and_follows_a_correction(store: FakeObjectStore, monkeypatch: Any) -> None:
    monkeypatch.setattr(listed_segments, "BITRATE_MAX_AGE_S", 0.0)
    session_id = "s-1"
    listed(store, session_id)
    looking = listed_segments.ListedSegmentsCache(store)
    assert (await looking.get([session_id]))[session_id].bitrate_bps == 1_600_000
    corrected = (
        MultivariantPlaylist((Variant(bucket.MEDIA_PLAYLIST_NAME, 6_000_000, average_bandwidth=4_000_000),)).render().encode()
    )
    listed(store, session_id, segments=4)
    store.put(bucket.multivariant_key(session_id), corrected)
    looking.expire()
    assert (await looking.get([session_id]))[session_id].bitrate_bps == 4_000_000


async def test_everything_at_a_glance(
    admin: httpx.AsyncClient, stage: Stage, tables: FakeTables, store: FakeObjectStore
) -> None:
    sport = await stage.channel("sport", "Sport", enabled=False)
    policy = {"sharing": "channel", "hevc": "h264"}
    news = await stage.channel(number=7, group="Information", logo="http://logo.test/1.png", policy=policy)
    await admin.put("/v1/channels/news/failovers", json={"channels": ["sport"]})
    await admin.patch(f"/v1/sources/{news['sources'][1]['id']}", json={"enabled": False})
    session = await stage.session(viewer="alice")
    await stage.go_live(session["id"])
    listed(store, session["id"])
    await tables.operation.announce(OrchestratorRow(id="o-1", node="node", started_at=1.0, seen_at=1000.5))
    await tables.operation.drain(2000.0)
    found = await overview(admin)
    assert (found["orchestrator"], found["draining_since"]) == (
        {"seen_at": timestamp(1000.5), "runs": False}, timestamp(2000.0),
    )  # fmt: skip
    assert found["cursor"] == 1
    first, second = found["channels"]
    assert (first["slug"], second["slug"], second["enabled"]) == ("news", "sport", False)
    sources = first.pop("sources")
    strip = first.pop("strip")
    assert len(strip) == 96
    assert strip.strip(".") in ("g", "gg")  # the quarter may just have changed
    assert first == {
        "id": news["id"], "slug": "news", "name": "News", "number": 7, "group": "Information", "logo": "http://logo.test/1.png",
        "enabled": True, "profile": "copy", "hevc": "h264", "sharing": "channel", "failback": "when_stable", "slate": True,
        "failovers": [sport["id"]], "sessions": 1,
    }  # fmt: skip
    playing, disabled = sources
    assert playing.pop("last_checked_at")
    assert playing == {
        "id": news["sources"][0]["id"], "label": "one.test/live.m3u8", "priority": 1, "enabled": True, "status": "healthy",
        "provider_id": None, "failure_count": 0, "stall_count": 0, "last_failed_at": None, "last_failure_reason": None,
        "held_off_until": None, "in_use": 1, "video": None, "audio": None, "width": None, "height": None, "bitrate_bps": None,
    }  # fmt: skip
    assert (disabled["enabled"], disabled["status"], disabled["in_use"]) == (False, "disabled", 0)
    (one,) = found["sessions"]
    for when in ("created_at", "attempt_started_at", "live_at", "last_segment_at"):
        assert one.pop(when).endswith("Z")
    assert one == {
        "id": session["id"], "channel_id": news["id"], "viewer": "*", "viewers": 1, "phase": "live", "desired": "run",
        "shown": "source", "attempt": 1, "source_id": news["sources"][0]["id"], "bitrate_bps": 1_600_000, "segments": 3,
        "buffer_s": 6.0,
    }  # fmt: skip


async def test_no_address_of_a_source_is_in_it(admin: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    text = (await admin.get("/v1/overview")).text
    assert "secret" not in text
    assert "hidden" not in text


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("http://user:secret@one.test:8080/live/account/password/7.ts?token=x#y", "one.test:8080/7.ts"),
        ("http://user:p@ss@one.test/a/", "one.test"),
        ("http://one.test/account/password/4711", "one.test/4711"),
        ("http://one.test/account/password", "one.test"),
        ("rtmp://one.test/live/key", "one.test"),
        ("rtmp://one.test", "one.test"),
        ("udp://@239.0.0.1:1234", "239.0.0.1:1234"),
        ("http://[::1/", "not an address"),
    ],
)
def test_a_source_is_called_by_its_host_and_the_end_of_its_path(url: str, label: str) -> None:
    assert label_of(url) == label


async def test_what_is_the_same_is_not_sent_again(admin: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    first = await admin.get("/v1/overview")
    again = await admin.get("/v1/overview", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    await stage.session()
    other = await admin.get("/v1/overview", headers={"If-None-Match": first.headers["etag"]})
    assert other.status_code == 200
    assert len(other.json()["sessions"]) == 1


async def test_it_is_compressed_for_who_takes_that(app: Litestar, stage: Stage) -> None:
    for n in range(20):
        await stage.channel(f"channel-{n}")
    async with calling(app, Authorization=f"Bearer {KEY}") as client:
        plain = await client.get("/v1/overview", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        async with client.stream("GET", "/v1/overview", headers={"Accept-Encoding": "br, gzip;q=0.9"}) as answer:
            assert answer.headers["content-encoding"] == "gzip"
            raw = b"".join([each async for each in answer.aiter_raw()])
    assert len(raw) < len(plain.content) / 4
    assert gzip.decompress(raw)[40:] == plain.content[40:]  # but for `at`


async def test_an_edit_is_seen_at_once_and_told(admin: httpx.AsyncClient, stage: Stage, bus: FakeEventBus) -> None:
    channel = await stage.channel()
    assert (await overview(admin))["channels"][0]["name"] == "News"
    told = bus.changes_told
    await admin.patch("/v1/channels/news", json={"name": "Renamed"})
    assert (await overview(admin))["channels"][0]["name"] == "Renamed"
    assert bus.changes_told == told + 1
    await admin.patch("/v1/channels/nobody", json={"name": "Renamed"})
    await admin.get("/v1/channels")
    assert bus.changes_told == told + 1
    bus.refusing = True
    assert (await admin.delete(f"/v1/sources/{channel['sources'][0]['id']}")).status_code == 204
    assert len((await overview(admin))["channels"][0]["sources"]) == 1


async def test_a_store_that_does_not_answer_is_not_waited_for(
    admin: httpx.AsyncClient, stage: Stage, store: FakeObjectStore
) -> None:
    await stage.channel()
    session = await stage.session()
    await stage.go_live(session["id"])
    store.refusing = True
    (one,) = (await overview(admin))["sessions"]
    assert (one["phase"], one["segments"], one["last_segment_at"]) == ("live", None, None)


async def test_a_playlist_that_is_none_hides_no_other(admin: httpx.AsyncClient, stage: Stage, store: FakeObjectStore) -> None:
    await stage.channel()
    broken, whole = await stage.session(), await stage.session()
    store.put(bucket.media_playlist_key(broken["id"]), b"no playlist")
    listed(store, whole["id"])
    seen = {each["id"]: (each["segments"], each["last_segment_at"] is None) for each in (await overview(admin))["sessions"]}
    assert seen == {broken["id"]: (None, False), whole["id"]: (3, False)}


async def test_a_source_that_is_held_off_says_until_when(admin: httpx.AsyncClient, stage: Stage, tables: FakeTables) -> None:
    channel = await stage.channel()
    source_id = channel["sources"][0]["id"]
    tables.catalogue._sources[source_id] = replace(
        tables.catalogue._sources[source_id],
        failures_in_a_row=3,
        last_failed_at=time.time(),
        last_failure=why("source stalled"),
    )
    source = (await overview(admin))["channels"][0]["sources"][0]
    assert source["held_off_until"] > timestamp(time.time() + 30)
    assert source["last_failure_reason"] == "source stalled"


async def test_a_channels_day_by_the_quarter_hour(admin: httpx.AsyncClient, stage: Stage, tables: FakeTables) -> None:
    channel = await stage.channel()
    session = await stage.session()
    await stage.go_live(session["id"])
    await stage.tell(session["id"], EventType.STREAM_SWITCH, reason="source stalled")
    history = (await admin.get("/v1/channels/news/history")).json()
    assert history["channel_id"] == channel["id"]
    assert len(history["quarters"]) == 96
    assert [each["at"] for each in history["quarters"]] == sorted(each["at"] for each in history["quarters"])
    assert history["quarters"][-1]["state"] == "a"
    assert sum(each["swaps"] for each in history["quarters"]) == 1
    assert [event["type"] for event in history["recent"]] == ["stream.switch", "session.live"]
    assert history["recent"][0]["session_id"] == session["id"]
    assert (await admin.get("/v1/channels/nobody/history")).status_code == 404


async def test_a_strip_goes_on_where_it_was_read_before(
    app: Litestar, admin: httpx.AsyncClient, stage: Stage, tables: FakeTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day is read once; later only what may have changed, and what was read before stays."""
    channel = await stage.channel()
    session = (await tables.sessions.get((await stage.session())["id"])).session
    now = time.time() // 900 * 900 + 450
    tables.sessions._rows[session.id] = replace(
        tables.sessions._rows[session.id], session=replace(session, created_at=now - 60)
    )
    strips = app.state.day_histories
    at = now
    monkeypatch.setattr(strips, "_clock", lambda: at)
    asked: list[float] = []
    deliveries = tables.journal.deliveries

    async def counted(since: float, channel_id: str | None = None) -> Any:
        asked.append(since)
        return await deliveries(since, channel_id)

    monkeypatch.setattr(tables.journal, "deliveries", counted)
    assert (await strips.get())[channel["id"]] == "." * 95 + "?"
    at = now + 1800
    strips._letters.expire()
    assert (await strips.get())[channel["id"]] == "." * 93 + "???"
    assert asked == [now - 450 - 95 * 900, now - 450]
    before = (await tables.sessions.get(session.id)).session
    await tables.sessions.commit(before, Decision(session=replace(before, state=Ended(at))), at)
    at = now + 24 * 3600
    strips._letters.expire()
    assert (await strips.get())[channel["id"]] == "??" + "." * 94  # the first of them is a day ago
