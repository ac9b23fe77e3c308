"""Providers, imports and the playlist that players get, over HTTP."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx
import pytest
from litestar import Litestar
from msgspec.structs import replace

from orchestrator.adapters.http.download import download
from orchestrator.core.catalogue.m3u import BYTES, Entry, parse
from orchestrator.errors import InvalidInput
from tests.api.stage import Stage
from tests.api.test_bad_input import assert_problem
from tests.fakes.tables import FakeTables

PLAYLIST = """#EXTM3U
#EXTINF:-1 tvg-id="one" tvg-logo="http://l.test/1.png" tvg-chno="7" group-title="News",One HD
http://p.test/1
#EXTINF:-1 tvg-id="one" group-title="News",One Backup
http://p.test/2|User-Agent=A
#EXTINF:-1,Nowhere
#EXTINF:-1 group-title="Sport, Live",Two
http://p.test/3
"""
UPLOAD = {"content-type": "audio/x-mpegurl"}


async def upload(admin: httpx.AsyncClient, text: str = PLAYLIST, **query: str) -> Any:
    answer = await admin.post("/v1/imports", params={"provider": "Acme"} | query, content=text.encode(), headers=UPLOAD)
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- providers --------------------------------------------------------------------------------------------------------


async def test_providers_are_managed(admin: httpx.AsyncClient) -> None:
    made = await admin.post("/v1/providers", json={"name": "Acme TV", "max_connections": 4})
    assert made.status_code == 201
    provider = made.json()
    path = f"/v1/providers/{provider['id']}"
    assert (await admin.get("/v1/providers")).json() == [provider] == [(await admin.get(path)).json()]
    assert_problem(await admin.post("/v1/providers", json={"name": "Acme TV"}), 409)
    changed = (await admin.patch(path, json={"max_connections": None})).json()
    assert changed == provider | {"max_connections": None}
    assert (await admin.delete(path)).status_code == 204
    assert_problem(await admin.get(path), 404)
    assert_problem(await admin.get("/v1/providers/%00"), 404)


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "name"), ({"name": ""}, "name"), ({"name": "a", "max_connections": 0}, "max_connections"),
     ({"name": "a", "max_connections": "4"}, "max_connections"), ({"name": "a", "colour": 1}, "colour")],
)  # fmt: skip
async def test_a_bad_provider_is_refused(admin: httpx.AsyncClient, body: Any, field: str) -> None:
    assert_problem(await admin.post("/v1/providers", json=body), 422, field)
    assert (await admin.get("/v1/providers")).json() == []


async def test_sources_belong_to_a_provider_that_is_there(admin: httpx.AsyncClient, stage: Stage) -> None:
    provider = (await admin.post("/v1/providers", json={"name": "a"})).json()["id"]
    source = (await stage.channel(sources=[{"url": "http://a.test/", "provider_id": provider}]))["sources"][0]
    assert source["provider_id"] == provider
    path = f"/v1/sources/{source['id']}"
    assert (await admin.patch(path, json={"provider_id": ""})).json()["provider_id"] is None
    assert (await admin.patch(path, json={"provider_id": provider})).json()["provider_id"] == provider
    assert_problem(await admin.patch(path, json={"provider_id": "p-none"}), 422, "provider_id")
    bad = {"name": "B", "sources": [{"url": "http://a.test/", "provider_id": "p-none"}]}
    assert_problem(await admin.post("/v1/channels", json=bad), 422, "sources[0].provider_id")
    assert (await admin.delete(f"/v1/providers/{provider}")).status_code == 204
    assert_problem(await admin.get(path), 404)


# --- imports ----------------------------------------------------------------------------------------------------------


async def test_a_dry_run_shows_what_would_change_and_changes_nothing(admin: httpx.AsyncClient, tables: FakeTables) -> None:
    report = await upload(admin, dry_run="true")
    assert (report["dry_run"], report["provider"], report["provider_is_new"]) == (True, "Acme", True)
    assert (report["entries"], report["fault_count"], report["faults"]) == (
        3, 1, [{"line": 6, "reason": "no address follows"}],
    )  # fmt: skip
    assert (report["counts"]["channels_added"], report["counts"]["sources_added"], report["change_count"]) == (2, 3, 2)
    assert [(each["channel"], each["is_new"]) for each in report["changes"]] == [("one", True), ("two", True)]
    assert await tables.catalogue.channels() == ()
    assert await tables.providers.all() == ()


async def test_an_import_makes_channels_and_another_one_follows_the_playlist(admin: httpx.AsyncClient) -> None:
    first = await upload(admin)
    assert first["counts"] == (await upload(admin, dry_run="true"))["counts"] | {"channels_added": 2, "sources_added": 3}
    channel = (await admin.get("/v1/channels/one")).json()
    assert (channel["name"], channel["number"], channel["group"], channel["logo"]) == ("One", 7, "News", "http://l.test/1.png")
    assert [(each["url"], each["user_agent"]) for each in channel["sources"]] == [
        ("http://p.test/1", None), ("http://p.test/2", "A"),
    ]  # fmt: skip
    assert (await admin.patch("/v1/channels/one", json={"name": "Mine"})).status_code == 200
    report = await upload(admin, PLAYLIST.replace('group-title="News"', 'group-title="Info"').partition("#EXTINF:-1,No")[0])
    assert {name: count for name, count in report["counts"].items() if count} == {
        "channels_updated": 1, "channels_disabled": 1, "sources_disabled": 1,
    }  # fmt: skip
    assert [each["fields"] for each in report["changes"]] == [["group"], ["enabled"]]
    channel = (await admin.get("/v1/channels/one")).json()
    assert (channel["name"], channel["group"]) == ("Mine", "Info")
    assert not (await admin.get("/v1/channels/two")).json()["enabled"]


async def test_json_may_hold_the_playlist(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/v1/imports", json={"provider": "Acme", "playlist": PLAYLIST})
    assert answer.status_code == 200
    assert answer.json()["counts"]["channels_added"] == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [({"url": "http://a.test"}, "provider"), ({"provider": "a"}, "url"), ({"provider": "a", "playlist": "<html>"}, "playlist"),
     ({"provider": "a", "playlist": ""}, "playlist"), ({"provider": "a", "url": "http://a", "playlist": "x"}, "url"),
     ({"provider": "a", "url": "file:///etc/passwd"}, "url"), ({"provider": "a", "url": "http://a b"}, "url"),
     ({"provider": "a", "playlist": PLAYLIST, "dry_run": "yes"}, "dry_run")],
)  # fmt: skip
async def test_a_bad_import_is_refused_and_nothing_is_stored(
    admin: httpx.AsyncClient, tables: FakeTables, body: Any, field: str
) -> None:
    assert_problem(await admin.post("/v1/imports", json=body), 422, field)
    assert (await tables.providers.all(), await tables.catalogue.channels()) == ((), ())


@pytest.mark.parametrize(("query", "field"), [({}, "provider"), ({"provider": "a", "dry_run": "1"}, "dry_run")])
async def test_a_bad_upload_is_refused(admin: httpx.AsyncClient, query: dict[str, str], field: str) -> None:
    answer = await admin.post("/v1/imports", params=query, content=PLAYLIST.encode(), headers=UPLOAD)
    assert_problem(answer, 422, field)


async def test_an_empty_playlist_disables_nothing(admin: httpx.AsyncClient) -> None:
    await upload(admin)
    answer = await admin.post("/v1/imports", params={"provider": "Acme"}, content=b"#EXTM3U\n", headers=UPLOAD)
    assert "no entry" in assert_problem(answer, 422, "playlist")["detail"]
    assert (await admin.get("/v1/channels/two")).json()["enabled"]


async def test_a_playlist_beyond_all_measure_is_not_read(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/v1/imports", params={"provider": "a"}, content=b"#" * (BYTES + 1), headers=UPLOAD)
    assert_problem(answer, 413)


# --- addresses --------------------------------------------------------------------------------------------------------


BOMB_BYTES = 128 << 20
BOMB = gzip.compress(gzip.compress(bytes(BOMB_BYTES)))  # some hundred bytes


class Pages(BaseHTTPRequestHandler):
    pages: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {
        "/list": (200, {}, PLAYLIST.encode()),
        "/moved": (302, {"Location": "/list"}, b""),
        "/loop": (302, {"Location": "/loop"}, b""),
        "/file": (302, {"Location": "file:///etc/passwd"}, b""),
        "/zip": (200, {"Content-Encoding": "gzip"}, b"?"),
        "/large": (200, {}, b"x" * 2048),
        "/bomb": (200, {"Content-Encoding": "gzip, gzip"}, BOMB),
        "/bomb-moves": (302, {"Location": "/list", "Content-Encoding": "gzip, gzip"}, BOMB),
        "/bomb-fails": (500, {"Content-Encoding": "gzip, gzip"}, BOMB),
        "/words": (500, {}, b""),
    }

    def do_GET(self) -> None:
        status, headers, body = self.pages.get(self.path, (404, {}, b""))
        self.send_response(status, "http://provider.test/live/joe/hunter2/" if self.path == "/words" else None)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def pages() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


async def test_a_playlist_is_fetched(app: Litestar, admin: httpx.AsyncClient, pages: str) -> None:
    app.state.world = _with_download(app.state.world)
    answer = await admin.post("/v1/imports", json={"provider": "Acme", "url": f"{pages}/moved"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["counts"]["channels_added"] == 2
    refused = await admin.post("/v1/imports", json={"provider": "Acme", "url": f"{pages}/none?password=secret"})
    assert "404" in assert_problem(refused, 422, "url")["detail"]
    assert "secret" not in refused.text


def _with_download(world: Any) -> Any:
    return dataclasses.replace(world, download=download)


@pytest.mark.parametrize(
    ("path", "why"),
    [("/none", "404"), ("/loop", "redirects"), ("/file", "cannot be fetched|not a URL"), ("/zip", "compressed"),
     ("/large", "more than"), ("/bomb", "compressed"), ("/bomb-fails", "500 Internal Server Error"),
     ("/words", "500 Internal Server Error$")],
)  # fmt: skip
async def test_a_fetch_is_bounded(pages: str, path: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        await download(pages + path, limit_bytes=1024)


@pytest.mark.parametrize("path", ["/bomb", "/bomb-moves", "/bomb-fails"])
async def test_nothing_is_decompressed_wherever_it_stands(pages: str, path: str) -> None:
    assert len(BOMB) < 1024
    tracemalloc.start()
    try:
        with contextlib.suppress(InvalidInput):
            assert await download(pages + path, limit_bytes=1 << 20) == PLAYLIST.encode()
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < BOMB_BYTES / 8


async def test_a_fetch_that_hangs_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(InvalidInput, match="within"):
        await download(f"http://127.0.0.1:{silent.getsockname()[1]}/", limit_s=0.2)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.test/", "http://", "http://[::1"])
async def test_other_addresses_are_not_fetched(url: str) -> None:
    with pytest.raises(InvalidInput):
        await download(url)


# --- export -----------------------------------------------------------------------------------------------------------


async def test_what_players_get_is_read_by_our_own_parser(admin: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    await upload(admin)
    one = Entry(
        name="One", url="http://api.test/watch/one.m3u8", tvg_id="one", tvg_name="One", number=7,
        logo="http://l.test/1.png", group="News",
    )  # fmt: skip
    two = Entry(name="Two", url="http://api.test/watch/two.m3u8", tvg_id="two", tvg_name="Two", group="Sport, Live")

    async def listed(**query: str) -> list[Any]:
        answer = await client.get("/playlist.m3u", params=query)
        assert answer.headers["content-type"].startswith("audio/x-mpegurl")
        return [replace(each, line=0) for each in parse(answer.text.splitlines())]

    assert await listed() == [one, two]
    assert await listed(group="Sport, Live") == [two]
    assert await listed(group="Nothing") == []
    await admin.patch("/v1/channels/one", json={"enabled": False})
    assert await listed() == [two]
