"""Watching without a key: plain players, the page's session, the list for IPTV players; and the replaced system's routes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from litestar import Litestar

from api import watch
from api.app import create_app
from orchestrator.app.settings import Settings
from tests.api.stage import KEY, ORIGIN, Stage, calling
from tests.api.test_bad_input import assert_problem
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.tables import FakeTables
from tests.support import eventually
from transcoder.media_playlist import (
    ListedSegment,
    MediaPlaylist,
    MultivariantPlaylist,
    Sending,
    Variant,
    segment_uri,
)


@pytest.fixture
async def browser(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """A second client, with cookies of its own."""
    async with calling(app) as client:
        yield client


def publish(store: FakeObjectStore, session_id: str) -> None:
    segments = tuple(
        ListedSegment(segment_uri(session_id, 1, "main", n), 2.0, 1_748_811_600.0 + 2 * n, False) for n in range(3)
    )
    media = MediaPlaylist(target_duration_s=4, media_sequence=7, discontinuity_sequence=1, segments=segments, ended=False)
    multivariant = MultivariantPlaylist((Variant("main.m3u8", 1_600_000),), Sending("h264", "aac", 2))
    store.put(f"playlists/{session_id}/index.m3u8", multivariant.render().encode(), "application/vnd.apple.mpegurl")
    store.put(f"playlists/{session_id}/main.m3u8", media.render().encode(), "application/vnd.apple.mpegurl")


async def test_a_plain_player_is_led_to_a_playlist_that_keeps_its_session(
    client: httpx.AsyncClient, stage: Stage, tables: FakeTables, store: FakeObjectStore
) -> None:
    await stage.channel()
    asked = asyncio.ensure_future(client.get("/watch/news.m3u8", headers={"User-Agent": "VLC/3.0"}))
    session = await eventually(stage.only_session)
    publish(store, session.id)
    await stage.go_live(session.id)
    answer = await asyncio.wait_for(asked, 3)
    assert answer.status_code == 302
    assert answer.headers["cache-control"] == "no-store"
    address = answer.headers["location"]
    assert urlsplit(address)._replace(query="").geturl() == f"http://api.test/v1/sessions/{session.id}/index.m3u8"

    first = await client.get(address)
    assert first.headers["content-type"].startswith("application/vnd.apple.mpegurl")
    multivariant = MultivariantPlaylist.parse(first.text)
    (variant,) = multivariant.variants
    assert variant.bandwidth == 1_600_000
    assert urlsplit(variant.uri)._replace(query="").geturl() == f"http://api.test/v1/sessions/{session.id}/main.m3u8"
    assert parse_qs(urlsplit(variant.uri).query) == parse_qs(urlsplit(address).query)

    before = time.time() - 20.0
    await tables.sessions.renew(session.id, before)
    second = await client.get(variant.uri)
    playlist = MediaPlaylist.parse(second.text)
    assert [segment.uri for segment in playlist.segments] == [f"{ORIGIN}/segments/{session.id}/1/main/{n}.ts" for n in range(3)]
    assert (playlist.media_sequence, playlist.discontinuity_sequence, playlist.target_duration_s) == (7, 1, 4)
    assert (await tables.sessions.get(session.id)).renewed_at > before

    again = await client.get("/watch/news.m3u8", headers={"User-Agent": "VLC/3.0"})
    assert again.headers["location"] == address
    assert len(await tables.sessions.recent()) == 1


async def test_a_playlist_that_is_not_there_yet_is_404(admin: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    session = await stage.session()
    for name in ("index", "main"):
        assert_problem(await admin.get(f"/v1/sessions/{session['id']}/{name}.m3u8"), 404)


async def test_a_store_that_is_away_is_said(admin: httpx.AsyncClient, stage: Stage, store: FakeObjectStore) -> None:
    await stage.channel()
    session = await stage.session()
    publish(store, session["id"])
    store.refusing = True
    for name in ("index", "main"):
        problem = assert_problem(await admin.get(f"/v1/sessions/{session['id']}/{name}.m3u8"), 503)
        assert problem["title"] == "The object store does not answer"


async def test_a_channel_that_does_not_come_up_is_said_in_time(
    client: httpx.AsyncClient, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "WAIT_S", 0.3)
    await stage.channel()
    answer = await client.get("/watch/news.m3u8")
    assert_problem(answer, 503)
    assert answer.headers["retry-after"]


async def test_a_refusal_reaches_the_plain_player(client: httpx.AsyncClient, stage: Stage) -> None:
    channel = await stage.channel()
    asked = asyncio.ensure_future(client.get("/watch/news.m3u8"))
    session = await eventually(stage.only_session)
    await stage.end(session.id, "no_healthy_source", {channel["sources"][0]["id"]: "connection refused"})
    problem = assert_problem(await asyncio.wait_for(asked, 3), 503)
    assert list(problem["sources"].values()) == ["unreachable"], "a viewer is told a class"
    assert "connection refused" not in str(problem)


async def test_players_are_told_apart_by_address_and_name(client: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    sessions = [
        (await client.post("/watch/news/session", headers={"User-Agent": agent})).json() for agent in ("VLC", "VLC", "TV")
    ]
    assert sessions[0]["id"] == sessions[1]["id"] != sessions[2]["id"]


async def test_browsers_are_told_apart_by_cookie(client: httpx.AsyncClient, browser: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    page = await client.get("/watch/news")
    cookie = page.headers["set-cookie"]
    assert "HttpOnly" in cookie and "Path=/watch" in cookie and "SameSite=lax" in cookie
    await browser.get("/watch/news")
    first = await client.post("/watch/news/session")
    again = await client.post("/watch/news/session")
    other = await browser.post("/watch/news/session")
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 201)
    assert first.json()["id"] == again.json()["id"] != other.json()["id"]
    value = client.cookies["viewer"]
    await client.get("/watch/news")
    assert client.cookies["viewer"] == value
    assert value not in first.json()["viewer"]


@pytest.mark.parametrize("forged", ["alice", "browser-x", "", "x" * 5000, "a b", '"'])
async def test_nobody_watches_as_a_viewer_that_the_backend_named(client: httpx.AsyncClient, stage: Stage, forged: str) -> None:
    await stage.channel()
    named = await stage.session(viewer=forged or "alice") if len(forged) <= 200 else await stage.session(viewer="alice")
    watched = (await client.post("/watch/news/session", headers={"Cookie": f"viewer={forged}"})).json()
    assert watched["id"] != named["id"]
    again = (await client.post("/watch/news/session", headers={"Cookie": f"viewer={watched['viewer']}"})).json()
    assert again["viewer"].startswith("player-")


async def test_the_page_is_self_contained(client: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    page = await client.get("/watch/news")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "connect-src 'self' http://cdn.test;" in policy
    assert "//" not in page.text.replace("<!doctype html>", "")
    assert "<style" not in page.text and "style=" not in page.text and "<script>" not in page.text
    assets = {"watch.js": "javascript", "watch.css": "css", "icon.svg": "svg", "hls.js": "javascript"}
    assert all(asset in page.text for asset in assets)
    for asset, kind in {**assets, "player.js": "javascript", "player.d.ts": "text/plain"}.items():
        answer = await client.get(f"/assets/{asset}")
        assert answer.status_code == 200 and kind in answer.headers["content-type"], asset
        assert answer.headers["access-control-allow-origin"] == "*", asset
        unchanged = await client.get(f"/assets/{asset}", headers={"If-None-Match": answer.headers["etag"]})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
    unbuilt = ("watch.html", "watch.js.map", ".ready")
    outside = ("../watch.html", "%2e%2e/watch.html", "..%2f..%2fapp.py", "/etc/passwd", "package.json", "%00")
    for name in (*unbuilt, *outside):
        assert (await client.get(f"/assets/{name}")).status_code == 404, name


async def test_a_channel_that_there_is_not_is_said_by_the_page(client: httpx.AsyncClient) -> None:
    page = await client.get("/watch/nowhere", headers={"Accept": "text/html,*/*"})
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "watch.js" in page.text
    assert_problem(await client.get("/watch/nowhere"), 404)
    assert_problem(await client.post("/watch/nowhere/session"), 404)


async def test_a_page_of_another_site_is_told_apart_by_its_secret(client: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    named = await stage.session(viewer="s" * 32)

    async def ask(secret: str | None) -> httpx.Response:
        return await client.post("/watch/news/session", json={"viewer": secret}, headers={"Origin": "https://tv.test"})

    first, again, other, player = [(await ask(secret)).json() for secret in ("s" * 32, "s" * 32, "t" * 32, None)]
    assert first["id"] == again["id"] and first["token"] == again["token"]
    assert len({named["id"], first["id"], other["id"], player["id"]}) == 4
    assert first["viewer"].startswith("page-") and "s" * 32 not in first["viewer"]
    for bad in ("alice", "s" * 31, "s" * 33, "s" * 31 + "/", "s" * 32 + "\n"):
        assert_problem(await ask(bad), 422, "viewer")


async def test_pages_are_given_every_enabled_channel(
    client: httpx.AsyncClient, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_PAGE", 2)
    await stage.channel(number=2, group="Information", logo="http://logo.test/a.png?key=hidden")
    await stage.channel(slug="sport", name="Sport", number=1)
    await stage.channel(slug="dark", name="Dark", number=3, enabled=False)
    answer = await client.get("/watch/channels.json")
    assert answer.json() == [
        {"slug": "sport", "name": "Sport", "number": 1, "group": None, "logo": False},
        {"slug": "news", "name": "News", "number": 2, "group": "Information", "logo": True},
    ]
    assert "hidden" not in answer.text


async def test_the_list_for_players_has_every_enabled_channel(
    client: httpx.AsyncClient, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_PAGE", 2)
    await stage.channel(number=2, group="Info, world", tvg_id="news.test", logo="http://logo.test/a.png")
    await stage.channel(slug="sport", name='The "Sport", live', number=1)
    await stage.channel(slug="dark", name="Dark", number=3, enabled=False)
    await stage.channel(slug="late", name="Late")
    answer = await client.get("/playlist.m3u")
    assert answer.headers["content-type"].startswith("audio/x-mpegurl")
    assert answer.text.splitlines() == [
        "#EXTM3U",
        '#EXTINF:-1 tvg-id="sport" tvg-name="The \'Sport\', live" tvg-chno="1",The "Sport", live',
        "http://api.test/watch/sport.m3u8",
        '#EXTINF:-1 tvg-id="news.test" tvg-name="News" tvg-chno="2" tvg-logo="http://logo.test/a.png" '
        'group-title="Info, world",News',
        "http://api.test/watch/news.m3u8",
        '#EXTINF:-1 tvg-id="late" tvg-name="Late",Late',
        "http://api.test/watch/late.m3u8",
    ]


@pytest.mark.parametrize("logo", ["http://logo.test/a.png?user=joe&password=hunter2", "http://joe:hunter2@logo.test/a.png"])
async def test_the_list_for_players_has_no_account_of_a_logo_s(client: httpx.AsyncClient, stage: Stage, logo: str) -> None:
    await stage.channel(logo=logo)
    told = (await client.get("/playlist.m3u")).text
    assert "hunter2" not in told
    assert 'tvg-logo="http://api.test/watch/news/logo"' in told


@pytest.mark.parametrize("by", ["header", "query"])
async def test_the_replaced_systems_client_gets_what_it_plays(
    client: httpx.AsyncClient, stage: Stage, store: FakeObjectStore, by: str
) -> None:
    channel = await stage.channel()
    headers = {"Authorization": f"Bearer {KEY}"} if by == "header" else {}
    params = {"key": KEY} if by == "query" else {}
    path = f"/stream/channel/{channel['id']}/request"
    asked = asyncio.ensure_future(client.get(path, params=params | {"viewer": "alice"}, headers=headers))
    session = await eventually(stage.only_session)
    publish(store, session.id)
    await stage.go_live(session.id)
    given = (await asyncio.wait_for(asked, 3)).json()
    assert (given["session_id"], given["channel_id"], given["phase"]) == (session.id, channel["id"], "live")
    assert given["source_id"] == channel["sources"][0]["id"]
    assert given["playlist_url"] == f"{ORIGIN}/playlists/{session.id}/index.m3u8"
    assert given["stream_url"].startswith(f"http://api.test/stream/hls/{session.id}/{given['source_id']}/master.m3u8?token=")

    redirect = await client.get(given["stream_url"])
    assert redirect.status_code == 302
    playlist = await client.get(redirect.headers["location"])
    assert playlist.status_code == 200 and playlist.text.startswith("#EXTM3U")
    again = (await client.get(path, params=params | {"viewer": "alice"}, headers=headers)).json()
    assert (again["session_id"], again["token"]) == (given["session_id"], given["token"])
    assert_problem(await client.get(f"/stream/hls/{session.id}/x-1/master.m3u8"), 401)


@pytest.mark.parametrize("sharing", ["viewer", "channel"])
async def test_the_replaced_systems_routes_take_a_token_or_the_key_in_a_header(
    client: httpx.AsyncClient, stage: Stage, store: FakeObjectStore, sharing: str
) -> None:
    await stage.channel(policy={"sharing": sharing})
    session = await stage.session(viewer="alice")
    publish(store, session["id"])
    await stage.go_live(session["id"])
    key = {"Authorization": f"Bearer {KEY}"}
    given = (await client.get("/stream/channel/news/request", params={"viewer": "alice"}, headers=key)).json()
    assert (given["session_id"], given["token"]) == (session["id"], session["token"])

    path = f"/stream/hls/{session['id']}/any/master.m3u8"
    for headers in (key, {"Authorization": f"Bearer {session['token']}"}):
        redirect = await client.get(path, headers=headers)
        assert redirect.status_code == 302
        playlist = await client.get(redirect.headers["location"], headers=headers)
        assert playlist.status_code == 200, playlist.text
        assert playlist.text.startswith("#EXTM3U")
    for stranger in ({}, {"Authorization": "Bearer wrong"}):
        assert_problem(await client.get(path, headers=stranger), 401)
        assert_problem(await client.get("/stream/channel/news/request", headers=stranger), 401)


async def test_the_api_is_behind_the_address_that_it_was_given(
    tables: FakeTables, bus: FakeEventBus, store: FakeObjectStore
) -> None:
    settings = Settings(admin_key=KEY, s3_endpoint="http://s3.test:8333", public_url="https://tv.test/api/")
    app = create_app(settings, tables, bus, store, time.time)
    async with calling(app, Authorization=f"Bearer {KEY}") as client:
        await client.post("/v1/channels", json={"name": "News", "sources": [{"url": "http://one.test/"}]})
        session = (await client.post("/v1/channels/news/sessions")).json()
        assert session["playlist_url"] == f"http://s3.test:8333/hls/playlists/{session['id']}/index.m3u8"
        assert session["events_url"] == f"https://tv.test/api/v1/sessions/{session['id']}/events"
        assert session["ws_url"] == f"wss://tv.test/api/v1/sessions/{session['id']}/ws"
        assert "https://tv.test/api/watch/news.m3u8" in (await client.get("/playlist.m3u")).text
