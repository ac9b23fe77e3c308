"""The edges before a store that counts: what viewers get, and what the store hears of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.deploy.edges import CONFIGURATIONS, ORIGIN_URL, PROGRAMS, Caller, Edge
from tests.deploy.origin import Origin
from tests.support import eventually, require

PLAYLIST = "/playlists/s-1/main.m3u8"
SEGMENT = "/segments/s-1/1/main/0.ts"
VIEWERS = 200


@pytest_asyncio.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as running:
        running.put(PLAYLIST, b"#EXTM3U\n0")
        running.put(SEGMENT, bytes(range(256)) * 40)
        yield running


@pytest_asyncio.fixture(params=list(PROGRAMS))
async def edge(request: pytest.FixtureRequest, origin: Origin) -> AsyncIterator[Edge]:
    program = PROGRAMS[request.param]
    require(request.param, Path(program).exists(), f"there is no {program}")
    with Edge(request.param, origin) as running:
        await eventually(running.listens, what="the edge to listen")
        yield running


@pytest_asyncio.fixture
async def http(edge: Edge) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=edge.url, trust_env=False, timeout=20.0) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "kind", "cache_control"),
    [
        (PLAYLIST, "application/vnd.apple.mpegurl", "public, max-age=1"),
        (SEGMENT, "video/mp2t", "public, max-age=31536000, immutable"),
    ],
)
async def test_what_a_viewer_gets(http: httpx.AsyncClient, origin: Origin, path: str, kind: str, cache_control: str) -> None:
    for _ in range(2):  # from the store, and from the cache
        answer = await http.get(path, headers={"Origin": "https://page.example"})
        assert answer.status_code == 200
        assert answer.content == origin.objects[f"/hls{path}"][0]
        assert answer.headers["content-type"] == kind
        assert answer.headers["cache-control"] == cache_control
        assert answer.headers.get_list("access-control-allow-origin") == ["*"]
        assert "etag" in answer.headers["access-control-expose-headers"].lower()
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "origin" not in answer.headers.get("vary", "").lower()
    assert "HIT" in answer.headers["x-cache"]
    assert origin.count(path) == 1
    unchanged = await http.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert unchanged.status_code == 304
    assert (await http.head(path)).headers["content-type"] == kind


async def test_a_preflight_is_answered_by_the_edge(http: httpx.AsyncClient, origin: Origin) -> None:
    asked = {
        "Origin": "https://page.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "range",
    }
    answer = await http.request("OPTIONS", SEGMENT, headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "GET" in answer.headers["access-control-allow-methods"]
    assert "Range" in answer.headers["access-control-allow-headers"]
    assert answer.headers["access-control-max-age"] == "86400"
    assert origin.asked == []


async def test_nobody_writes_and_nothing_is_listed(http: httpx.AsyncClient, origin: Origin) -> None:
    for method, path in itertools.product(("PUT", "POST", "DELETE", "PATCH"), (PLAYLIST, SEGMENT)):
        assert (await http.request(method, path, content=b"x")).status_code == 405, method
    for path in ("/playlists/", "/segments/", "/segments/s-1/", "/logs/s-1/1.log", f"{PLAYLIST}/", "/playlists?prefix=s"):
        assert (await http.get(path)).status_code == 404, path
    assert origin.asked == []


async def test_ranges_come_from_one_whole_copy(http: httpx.AsyncClient, origin: Origin) -> None:
    await http.get(SEGMENT)
    for first, last in ((0, 9), (300, 511), (10_000, 10_239)):
        part = await http.get(SEGMENT, headers={"Range": f"bytes={first}-{last}"})
        assert part.status_code == 206
        assert part.content == origin.objects[f"/hls{SEGMENT}"][0][first : last + 1]
    assert origin.count(SEGMENT) == 1


async def test_queries_cookies_and_pages_make_no_copies(http: httpx.AsyncClient, origin: Origin) -> None:
    for number in range(5):
        own = {"Cookie": f"a={number}", "Authorization": f"Bearer {number}", "Origin": f"https://{number}.example"}
        await http.get(f"{SEGMENT}?token={number}", headers=own | {"Cache-Control": "no-cache"})
    (asked,) = origin.asked
    assert asked.target == f"/hls{SEGMENT}"
    assert not {"cookie", "authorization", "origin"} & set(asked.headers)


async def test_many_viewers_are_one_to_the_store(edge: Edge, origin: Origin) -> None:
    """Two hundred who come in the same moment, for a segment that nobody has had, and for a playlist that has run out."""
    async with contextlib.AsyncExitStack() as stack:
        viewers = [await stack.enter_async_context(Caller(edge.port)) for _ in range(VIEWERS)]
        origin.delay_s = lambda: 0.3
        segments = await asyncio.gather(*(viewer.get(SEGMENT) for viewer in viewers))
        assert {len(each) for each in segments} == {10_240}
        if edge.kind == "nginx":  # of what it has not, Apache fetches as many copies as are asked for: its file says so
            assert origin.count(SEGMENT) == 1
        await viewers[0].get(PLAYLIST)
        for version in (1, 2):
            origin.put(PLAYLIST, b"#EXTM3U\n%d" % version)
            origin.asked.clear()
            await asyncio.sleep(2.1)  # its life is a second, by clocks of whole seconds: there is nothing to be awaited
            await asyncio.gather(*(viewer.get(PLAYLIST) for viewer in viewers))
            assert origin.count(PLAYLIST) == 1


async def test_the_log_tells_the_hit_ratio(edge: Edge, http: httpx.AsyncClient) -> None:
    for _ in range(4):
        await http.get(SEGMENT)

    def told() -> bool:
        summed = subprocess.run(
            [CONFIGURATIONS / "hit-ratio"], input=edge.log.read_text(), capture_output=True, text=True, check=True
        )
        return " ".join(summed.stdout.split()) == "segments 4 requests, 1 to the store, hit ratio 0.7500"

    await eventually(told, what="the ratio")


@pytest.mark.parametrize("edge", ["nginx"], indirect=True)  # Apache's log has it
async def test_a_page_tells_the_hit_ratio_while_it_runs(edge: Edge, http: httpx.AsyncClient) -> None:
    counting = subprocess.Popen([CONFIGURATIONS / "count-hits", edge.run, "0.2"], start_new_session=True)
    try:

        async def told() -> object:
            answer = await http.get("/edge/hits")
            return answer.json() if answer.status_code == 200 else None

        nothing = {"requests": 0, "to_the_store": 0, "hit_ratio": None}
        await eventually(told, what="the page")
        for seen in (4, 8):
            for _ in range(4):
                await http.get(SEGMENT)
            segments = {"requests": seen, "to_the_store": 1, "hit_ratio": 1 - 1 / seen}

            async def both(expected: object = {"playlists": nothing, "segments": segments}) -> bool:
                return await told() == expected

            await eventually(both, what=f"{seen} requests to be counted")
    finally:
        os.killpg(counting.pid, signal.SIGKILL)
        counting.wait(5)


async def test_no_viewer_gets_an_older_playlist_after_a_newer_one(edge: Edge, origin: Origin) -> None:
    chance = random.Random(7)
    if edge.kind == "apache":  # of what it has not, it fetches several copies, and keeps the last: its file says so
        async with Caller(edge.port) as first:
            await first.get(PLAYLIST)
    origin.delay_s = lambda: chance.choice((0.0, 0.05, 0.6, 1.2))
    newest = 0
    until = time.monotonic() + 4

    async def publish() -> None:
        nonlocal newest
        while time.monotonic() < until:
            newest += 1
            origin.put(PLAYLIST, b"#EXTM3U\n%d" % newest)
            await asyncio.sleep(0.1)

    async def view() -> list[int]:
        seen = []
        async with Caller(edge.port) as viewer:
            while time.monotonic() < until:
                seen.append(int((await viewer.get(PLAYLIST)).split(b"\n")[1]))
                await asyncio.sleep(0.1)
        return seen

    publishing = asyncio.create_task(publish())
    histories = await asyncio.gather(*(view() for _ in range(20)))
    await publishing
    for seen in histories:
        assert seen == sorted(seen)
        assert seen[-1] > newest / 3, "it goes on"


async def test_what_is_not_there_may_be_there_in_a_moment(http: httpx.AsyncClient, origin: Origin) -> None:
    fresh = "/segments/s-1/1/main/1.ts"
    assert (await http.get(fresh)).status_code == 404
    origin.put(fresh, b"there")

    async def there() -> bool:
        return (await http.get(fresh)).content == b"there"

    await eventually(there, timeout_s=3, what="the segment that was not there")


async def test_while_the_store_is_away_the_edge_serves_what_it_has(http: httpx.AsyncClient, origin: Origin) -> None:
    before = {path: (await http.get(path)).content for path in (PLAYLIST, SEGMENT)}
    await origin.close()
    for _ in range(6):  # beyond the playlist's life
        for path, content in before.items():
            answer = await http.get(path)
            assert (answer.status_code, answer.content) == (200, content)
            assert answer.headers["access-control-allow-origin"] == "*"
        await asyncio.sleep(0.4)
    missing = await http.get("/segments/s-1/1/main/7.ts")
    assert missing.status_code in (502, 503)
    origin.put(PLAYLIST, b"#EXTM3U\nagain")
    await origin.open()

    async def again() -> bool:
        return (await http.get(PLAYLIST)).content == b"#EXTM3U\nagain"

    await eventually(again, timeout_s=5, what="the playlist after the outage")


PLAYER = "/v1/sessions/s-1/main.m3u8"
LISTED = b"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.0,\n../../segments/s-1/1/main/%d.ts\n"


@pytest.fixture
def watched(origin: Origin) -> Origin:
    """A session that a plain player watches with the token `good`."""
    origin.tokens.add("good")
    origin.put("/playlists/s-1/index.m3u8", b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1600000\nmain.m3u8\n")
    origin.put(PLAYLIST, LISTED % 0)
    return origin


def renewals(origin: Origin) -> int:
    return sum(asked.method == "POST" and asked.target == "/v1/sessions/s-1/heartbeat?token=good" for asked in origin.asked)


@pytest.mark.parametrize("edge", ["nginx"], indirect=True)  # Apache asks the API
async def test_a_plain_players_playlist_is_the_stores(http: httpx.AsyncClient, watched: Origin) -> None:
    """From /watch/ to the segments: with the token in it, at the origin's address, and the lease is renewed."""
    answer = await http.get("/watch/news.m3u8", follow_redirects=True)
    assert answer.url.path == "/v1/sessions/s-1/index.m3u8"
    assert answer.text.splitlines()[-1] == "main.m3u8?token=good"
    answer = await http.get(str(answer.url.join("main.m3u8?token=good")), headers={"Origin": "https://page.example"})
    assert answer.content == LISTED.replace(b"../..", ORIGIN_URL.encode()) % 0
    assert answer.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert answer.headers.get_list("cache-control") == ["no-store"]
    assert answer.headers.get_list("access-control-allow-origin") == ["*"]
    assert renewals(watched) == 1
    assert not [asked for asked in watched.asked if asked.target.startswith("/v1/sessions/s-1/main")], "the API sent none"

    async def renewed() -> bool:
        assert (await http.get(f"{PLAYER}?token=good")).status_code == 200
        return renewals(watched) >= 3

    await eventually(renewed, timeout_s=10, every_s=0.3, what="a player that goes on reading to renew its lease")


@pytest.mark.parametrize("edge", ["nginx"], indirect=True)
async def test_what_is_not_a_good_token_is_the_apis_to_answer(http: httpx.AsyncClient, watched: Origin) -> None:
    for query in ("?token=bad", "", "?token="):
        answer = await http.get(f"{PLAYER}{query}")
        assert (answer.status_code, answer.json()) == (401, {"title": "Unauthorized"})
        assert answer.headers.get_list("access-control-allow-origin") == ["*"]
    answer = await http.get(f"{PLAYER}?token=good", headers={"Authorization": "Bearer a-key"})  # the header is what counts
    assert "by the API" in answer.text
    assert watched.asked[-1].headers["authorization"] == "Bearer a-key"


@pytest.mark.parametrize("edge", ["nginx"], indirect=True)
async def test_a_token_that_is_taken_back_is_refused(http: httpx.AsyncClient, watched: Origin) -> None:
    assert (await http.get(f"{PLAYER}?token=good")).status_code == 200
    watched.tokens.clear()

    async def refused() -> bool:
        return (await http.get(f"{PLAYER}?token=good")).status_code == 401

    await eventually(refused, timeout_s=10, what="the edge to hear of it")


async def test_a_plain_player_goes_on_while_no_api_answers(edge: Edge, http: httpx.AsyncClient, watched: Origin) -> None:
    """And with nginx the playlist goes on, too: of Apache it is the last one that it has."""
    watch = "/watch/news.m3u8"
    first = await http.get(f"{PLAYER}?token=good")
    redirect, index = await http.get(watch), await http.get("/v1/sessions/s-1/index.m3u8?token=good")
    if edge.kind == "apache":  # each read renews the lease
        assert [(await http.get(f"{PLAYER}?token={token}")).status_code for token in ("good", "bad", "good")] == [200, 401, 200]
        assert sum(asked.target.startswith(PLAYER) for asked in watched.asked) == 4
    await watched.close(store=False)
    until, number = time.monotonic() + 5, 0  # beyond the lease's life at the edge
    seen = []
    while time.monotonic() < until:
        number += 1
        watched.put(PLAYLIST, LISTED % number)
        answer = await http.get(f"{PLAYER}?token=good")
        assert answer.status_code == 200
        seen.append(answer.text)
        await asyncio.sleep(0.4)
    if edge.kind == "apache":
        assert set(seen) == {first.text}
        return
    listed = [int(re.findall(r"main/(\d+)\.ts", text)[0]) for text in seen]
    assert listed == sorted(listed) and listed[-1] >= number - 4, "it goes on, and never back"
    again = await http.get(watch)
    assert (again.status_code, again.headers["location"]) == (302, redirect.headers["location"])
    assert (await http.get("/v1/sessions/s-1/index.m3u8?token=good")).text == index.text
    assert (await http.get(watch, headers={"User-Agent": "another"})).status_code == 502, "who is another viewer is not let in"
    assert (await http.get(f"{PLAYER}?token=bad")).status_code == 502
    await watched.open()
    watched.tokens.clear()

    async def asked_again() -> bool:
        return (await http.get(f"{PLAYER}?token=good")).status_code == 401

    await eventually(asked_again, timeout_s=10, what="the API's word to count again")


@pytest.mark.parametrize("edge", ["nginx"], indirect=True)
async def test_a_plain_player_does_not_wait_for_an_api_that_hangs(http: httpx.AsyncClient, watched: Origin) -> None:
    await http.get(f"{PLAYER}?token=good")
    watched.api_delay_s = 6.0  # longer than the edge waits
    before = renewals(watched)
    for number in range(8):
        watched.put(PLAYLIST, LISTED % number)
        begun = time.monotonic()
        assert (await http.get(f"{PLAYER}?token=good")).status_code == 200
        assert time.monotonic() - begun < 1.0
        await asyncio.sleep(0.5)
    assert renewals(watched) > before, "it was asked meanwhile"


@pytest.mark.parametrize("edge", ["nginx"], indirect=True)
async def test_a_plain_player_goes_on_while_the_store_is_away(http: httpx.AsyncClient, watched: Origin) -> None:
    first = await http.get(f"{PLAYER}?token=good")
    await watched.close(api=False)
    for _ in range(6):
        answer = await http.get(f"{PLAYER}?token=good")
        assert (answer.status_code, answer.text) == (200, first.text)
        await asyncio.sleep(0.4)


async def test_no_log_has_a_key_or_a_token(edge: Edge, http: httpx.AsyncClient, watched: Origin) -> None:
    """Also where the API does not answer, which is an error to tell of."""
    watched.tokens.add("s3cret")
    asked = (f"{PLAYER}?token=s3cret", "/v1/sessions/s-1?token=s3cret", "/stream/channel/news/request?key=s3cret")
    for path in asked:
        await http.get(path)
    await watched.close()
    for _ in range(2):
        answers = [(await http.get(path)).status_code for path in (*asked, f"{PLAYER}?token=other-s3cret")]
        assert answers[1:3] in ([502, 502], [503, 503])
        await asyncio.sleep(2.1)  # beyond the lease's life at the edge
    await eventually(lambda: edge.log.read_text().count("/stream/channel/news/request") == 3, what="the log")
    said = edge.log.read_text() + edge.output.read_text() + "".join(each.read_text() for each in edge.run.glob("error.log"))
    assert "s3cret" not in said


async def test_what_the_api_says_in_headers_arrives(http: httpx.AsyncClient, watched: Origin) -> None:
    """And its cookies are its own: the console's login comes by one."""
    answer = await http.get("/v1/sessions/s-1?token=bad", headers={"Origin": "https://page.example"})
    assert answer.status_code == 401
    assert answer.headers.get_list("access-control-allow-origin") == ["*"]
    assert answer.headers["set-cookie"] == "console=1"


async def test_the_api_behind_the_edge(edge: Edge, http: httpx.AsyncClient, origin: Origin) -> None:
    """Its events are sent when they happen, it hears who asks, and who asks cannot say that it is somebody else."""
    async with asyncio.timeout(5), http.stream("GET", "/v1/events") as answer:
        assert await anext(answer.aiter_lines()) == 'data: {"id":1}'
    echoed = (await http.get("/v1/echo", headers={"X-Forwarded-For": "203.0.113.9"})).text
    assert echoed == "127.0.0.1"
    assert origin.asked[-1].headers["host"] == f"127.0.0.1:{edge.port}"


async def test_who_is_in_front_is_not_asked_for_the_status(http: httpx.AsyncClient) -> None:
    status = await http.get("/edge/status")
    assert status.status_code == 200
    assert "requests" in status.text.lower()
