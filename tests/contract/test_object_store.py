"""One meaning of the object store: in memory and on SeaweedFS; and what its signed addresses allow, tried by HTTP."""

from __future__ import annotations

import asyncio
import gzip
import io
import itertools
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest
import urllib3
from minio import Minio
from minio.error import S3Error
from msgspec.structs import replace

from orchestrator.adapters.s3 import connection, listing, signed_addresses
from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.app.settings import Settings, replaced
from orchestrator.errors import BadSetting, CorruptPlaylist, StoreUnavailable
from orchestrator.ports import ObjectStore, PrivateReport, StoredObject, StoreReport
from tests.fakes import object_store as fake_object_store
from tests.fakes.object_store import FakeObjectStore
from tests.servers import WRITER_ACCESS_KEY, WRITER_BUCKET, WRITER_SECRET_KEY, Seaweed
from tests.support import eventually
from transcoder import bucket
from transcoder.publish.media_playlist import ListedSegment, MediaPlaylist
from transcoder.publish.playlist_rules import violations
from transcoder.publish.playlist_syntax import LIMIT_BYTES

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
SEGMENT_HEADERS = {"Content-Type": "video/mp2t", "Cache-Control": "public, max-age=31536000, immutable"}


class Rig(NamedTuple):
    store: ObjectStore
    put: Callable[[str, bytes], None]


@pytest.fixture
def settings(seaweed: Seaweed) -> Settings:
    return Settings(
        s3_endpoint=seaweed.endpoint, s3_access_key=seaweed.access_key, s3_secret_key=seaweed.secret_key,
        s3_bucket="contract",
    )  # fmt: skip


@pytest.fixture
def client(settings: Settings) -> Minio:
    """A way around the code under test."""
    assert settings.s3_endpoint is not None
    host = urlsplit(settings.s3_endpoint).netloc
    return Minio(host, settings.s3_access_key, settings.s3_secret_key, secure=False, region=settings.s3_region)


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10) as client:
        yield client


@pytest.fixture
async def store(settings: Settings, client: Minio) -> AsyncIterator[MinioObjectStore]:
    store = MinioObjectStore(settings)
    await store.prepare()
    yield store
    await store.close()
    for item in client.list_objects(settings.s3_bucket, recursive=True):
        client.remove_object(settings.s3_bucket, item.object_name or "")


@pytest.fixture(params=["fake", pytest.param("seaweedfs", marks=pytest.mark.s3)])
def rig(request: pytest.FixtureRequest) -> Rig:
    if request.param == "fake":
        fake = FakeObjectStore()
        return Rig(fake, lambda key, data: void(fake.put(key, data)))
    store: MinioObjectStore = request.getfixturevalue("store")
    client: Minio = request.getfixturevalue("client")
    bucket = request.getfixturevalue("settings").s3_bucket
    return Rig(store, lambda key, data: void(client.put_object(bucket, key, io.BytesIO(data), len(data))))


def void(_: object) -> None: ...


def playlist(session_id: str = "s-1", segments: int = 3) -> MediaPlaylist:
    listed = tuple(
        ListedSegment(bucket.segment_uri(session_id, 1, n), 2.0, 1_700_000_000.0 + 2 * n, n == 0) for n in range(segments)
    )
    return MediaPlaylist(4, 0, 0, listed, ended=False)


async def test_a_listed_segment_is_read_as_far_as_is_wanted(rig: Rig) -> None:
    rig.put(bucket.segment_key("s-1", 1, 0), bytes(range(256)))
    uri = bucket.segment_uri("s-1", 1, 0)
    assert await rig.store.read_segment("s-1", uri, 100) == bytes(range(100))
    assert await rig.store.read_segment("s-1", uri, 1000) == bytes(range(256))
    assert await rig.store.read_segment("s-1", bucket.segment_uri("s-1", 1, 1), 100) is None


@pytest.mark.parametrize(
    "uri",
    [
        bucket.segment_uri("s-2", 1, 0), "../../logs/s-2/1.log", "../../segments/s-1/../s-2/main/0.ts",
        bucket.segment_key("s-2", 1, 0),
        "/segments/s-2/1/main/0.ts", "http://elsewhere.test/segments/s-1/1/main/0.ts", "../../segments/s-1//main/0.ts", "",
    ],
)  # fmt: skip
async def test_a_uri_leads_to_no_other_session_s_segments(rig: Rig, uri: str) -> None:
    for key in (bucket.segment_key("s-2", 1, 0), bucket.log_key("s-2", 1)):
        rig.put(key, b"another's")
    assert await rig.store.read_segment("s-1", uri, 100) is None


async def test_a_store_that_is_right_is_found_right_and_left_as_it_was(rig: Rig) -> None:
    report = await rig.store.examine()
    assert report.clock_skew_s is not None
    assert abs(report.clock_skew_s) < 3.0
    assert replace(report, clock_skew_s=0.0) == StoreReport(clock_skew_s=0.0)
    for prefix in (bucket.PLAYLISTS, bucket.SEGMENTS, bucket.LOGS):
        assert [item async for page in rig.store.objects(prefix) for item in page] == []


async def test_orders_and_reports_are_private_and_the_canary_leaves_nothing(rig: Rig) -> None:
    assert await rig.store.examine_private() == PrivateReport()
    for prefix in (bucket.ORDERS, bucket.INBOX):
        assert [item async for page in rig.store.objects(prefix) for item in page] == []


async def test_a_playlist_that_is_none_is_said_to_be(rig: Rig) -> None:
    rig.put(bucket.media_playlist_key("s-1"), b"half a disk")
    for call in (rig.store.read_playlist, rig.store.finish_playlist):
        with pytest.raises(CorruptPlaylist):
            await call("s-1")


# --- the contract -----------------------------------------------------------------------------------------------------


async def test_reports_are_listed_in_order_a_page_at_a_time(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (listing, fake_object_store):
        monkeypatch.setattr(module, "PAGE", 3)
    ours = [bucket.report_key("s-1", attempt, n) for attempt, n in ((1, 1), (1, 2), (1, 10), (2, 1))]
    other = bucket.report_key("s-10", 1, 1)
    for key in (*reversed(ours), other):
        rig.put(key, b"{}")
    assert [item.key for item in await rig.store.reports()] == ours[:3]
    assert [item.key for item in await rig.store.reports(after=ours[2])] == [ours[3], other]
    assert [item.key for item in await rig.store.reports(after=bucket.reports_prefix("s-1", 1) + "~")] == [ours[3], other]
    assert [item.key for item in await rig.store.reports(session_id="s-1")] == ours[:3]
    assert [item.key for item in await rig.store.reports(session_id="s-1", after=ours[2])] == [ours[3]]
    assert [item.key for item in await rig.store.reports(session_id="s-10")] == [other]
    assert await rig.store.reports(session_id="s") == []
    (found,) = await rig.store.reports(session_id="s-10")
    assert found.size == 2
    assert abs(found.modified_at - time.time()) < 10


async def test_a_report_is_read_up_to_a_limit(rig: Rig) -> None:
    key = bucket.report_key("s-1", 1, 1)
    assert await rig.store.read_report(key) is None
    rig.put(key, b"x" * 100_000)
    assert await rig.store.read_report(key) == b"x" * 65_537
    await rig.store.delete([key])
    assert await rig.store.reports() == []


async def test_one_look_says_which_sessions_advanced(rig: Rig) -> None:
    assert await rig.store.playlists() == {}
    for session_id in ("s-1", "s-2"):
        rig.put(bucket.multivariant_key(session_id), b"#EXTM3U\n")
        rig.put(bucket.media_playlist_key(session_id), playlist(session_id).render().encode())
    rig.put(bucket.multivariant_key("s-3"), b"#EXTM3U\n")
    rig.put(bucket.segment_key("s-4", 1, 0), b"media")

    before = await rig.store.playlists()
    assert set(before) == {"s-1", "s-2"}
    assert abs(before["s-1"].modified_at - time.time()) < 5

    rig.put(bucket.media_playlist_key("s-2"), playlist("s-2", 4).render().encode())
    after = await rig.store.playlists()
    assert after["s-1"] == before["s-1"]
    assert after["s-2"].etag != before["s-2"].etag


async def test_a_playlist_is_read_with_the_etag_that_the_look_showed(rig: Rig) -> None:
    assert await rig.store.read_playlist("s-1") is None
    rig.put(bucket.media_playlist_key("s-1"), playlist().render().encode())
    found = await rig.store.read_playlist("s-1")
    assert found == (playlist(), (await rig.store.playlists())["s-1"].etag)


async def test_the_multivariant_playlist_is_read_as_it_is(rig: Rig) -> None:
    assert await rig.store.read_multivariant("s-1") is None
    rig.put(bucket.multivariant_key("s-1"), b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmain.m3u8\n")
    assert await rig.store.read_multivariant("s-1") == "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmain.m3u8\n"


async def test_a_playlist_that_cannot_be_read_says_nothing(rig: Rig) -> None:
    rig.put(bucket.media_playlist_key("s-1"), b"<html>")
    with pytest.raises(StoreUnavailable):
        await rig.store.read_playlist("s-1")
    with pytest.raises(StoreUnavailable):
        await rig.store.finish_playlist("s-1")


HUGE = "9" * 5000
POISON = {
    "a number of 5,000 digits": f"#EXTM3U\n#EXT-X-TARGETDURATION:{HUGE}\n".encode(),
    "larger than any": b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n" + b"#" * LIMIT_BYTES,
    "a date that cannot be": b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n"
    b"#EXT-X-PROGRAM-DATE-TIME:9999-12-31T23:59:59.999Z\n#EXTINF:4.0,\n../../segments/s-1/1/main/0.ts\n",
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
async def test_whatever_a_container_wrote_is_corrupt_and_nothing_worse(rig: Rig, poison: bytes) -> None:
    rig.put(bucket.media_playlist_key("s-1"), poison)
    with pytest.raises(CorruptPlaylist):
        await rig.store.read_playlist("s-1")
    with pytest.raises(CorruptPlaylist):
        await rig.store.finish_playlist("s-1")


async def test_an_attempt_of_5000_digits_is_none(rig: Rig) -> None:
    listed = playlist().render().replace("/s-1/1/", f"/s-1/{HUGE}/") + f"## CLAIM:{HUGE}\n"
    rig.put(bucket.media_playlist_key("s-1"), listed.encode())
    found = await rig.store.read_playlist("s-1")
    assert found is not None and found[0].fencing_attempt == 0


async def test_a_log_is_read_as_far_as_any_log_can_be(rig: Rig) -> None:
    for size in (0, 10, 5 << 20):
        rig.put(bucket.log_key("s-1", 1), b"x" * size)
        log = await rig.store.read_log("s-1", 1)
        assert log is not None and len(log) == min(size, 2 << 20)


async def test_nothing_that_a_container_stored_is_decompressed(
    store: MinioObjectStore, settings: Settings, http: httpx.Client
) -> None:
    """A signature does not cover what else a container says of its playlist."""
    bomb = gzip.compress(gzip.compress(bytes(128 << 20)))
    job: Any = store.sign("s-1", 1)
    for address in (job["playlists"]["main"]["put"], job["playlists"]["index"]["put"], job["log"]["put"]):
        answer = await asyncio.to_thread(http.put, address, content=bomb, headers={"Content-Encoding": "gzip, gzip"})
        assert answer.status_code == 200
    tracemalloc.start()
    try:
        for read in (store.read_playlist("s-1"), store.read_multivariant("s-1"), store.finish_playlist("s-1")):
            with pytest.raises(CorruptPlaylist):
                await read
        log = await store.read_log("s-1", 1)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert log is not None and len(log) <= len(bomb)
    assert peak_bytes < 16 << 20


async def test_finishing_appends_the_endlist_once(rig: Rig) -> None:
    await rig.store.finish_playlist("s-1")
    assert await rig.store.playlists() == {}

    rig.put(bucket.media_playlist_key("s-1"), playlist().render().encode())
    await rig.store.finish_playlist("s-1")
    found = await rig.store.read_playlist("s-1")
    assert found is not None and found[0] == playlist().finish()

    await rig.store.finish_playlist("s-1")
    assert await rig.store.read_playlist("s-1") == found


async def test_objects_come_in_pages_and_go_in_bulk(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((listing, "PAGE"), (fake_object_store, "PAGE")):
        monkeypatch.setattr(module, name, 10)
    count = 25
    for n in range(count):
        rig.put(bucket.segment_key("s-1", 1, n), b"x" * (n % 7))
    rig.put(bucket.segment_key("s-2", 1, 0), b"other")
    pages = [page async for page in rig.store.objects("segments/s-1/")]
    assert [len(page) for page in pages] == [10, 10, 5]
    sizes = {item.key: item.size for page in pages for item in page}
    assert sizes == {bucket.segment_key("s-1", 1, n): n % 7 for n in range(count)}
    assert all(abs(item.modified_at - time.time()) < 60 for page in pages for item in page)

    await rig.store.delete([*sizes, "segments/s-1/1/main/never.ts"])
    await rig.store.delete([])
    assert await keys(rig.store, bucket.SEGMENTS) == [bucket.segment_key("s-2", 1, 0)]


async def keys(store: ObjectStore, prefix: str) -> list[str]:
    return [item.key async for page in store.objects(prefix) for item in page]


async def test_one_look_sees_more_sessions_than_a_page_holds(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 10)
    for n in range(12):
        rig.put(f"playlists/s-{n}/index.m3u8", b"#EXTM3U\n")
        rig.put(f"playlists/s-{n}/main.m3u8", b"#EXTM3U\n")
    assert set(await rig.store.playlists()) == {f"s-{n}" for n in range(12)}


async def test_a_log_is_read_where_there_is_one(rig: Rig) -> None:
    assert await rig.store.read_log("s-1", 2) is None
    rig.put(bucket.log_key("s-1", 2), b"started\nended \xff\n")
    assert await rig.store.read_log("s-1", 2) == "started\nended \N{REPLACEMENT CHARACTER}\n"


# --- outages ----------------------------------------------------------------------------------------------------------


def calls(store: ObjectStore) -> list[Any]:
    """Every call that needs the store."""

    async def all_objects() -> list[StoredObject]:
        return [item async for page in store.objects(bucket.SEGMENTS) for item in page]

    return [
        store.prepare(), store.check(), store.playlists(), store.read_playlist("s-1"), store.read_multivariant("s-1"),
        store.finish_playlist("s-1"), all_objects(), store.delete(["segments/x"]), store.read_log("s-1", 1),
    ]  # fmt: skip


async def failures(store: ObjectStore) -> list[object]:
    return list(await asyncio.gather(*calls(store), return_exceptions=True))


@pytest.fixture
def nobody() -> str:
    """An address that refuses connections."""
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


@pytest.fixture
def hanging() -> Iterator[str]:
    """An address that accepts connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=100)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


async def test_the_fake_can_refuse() -> None:
    store = FakeObjectStore()
    store.refusing = True
    assert all(isinstance(failure, StoreUnavailable) for failure in await failures(store))


async def test_a_store_that_refuses_is_said_at_once(settings: Settings, nobody: str) -> None:
    store = MinioObjectStore(replaced(settings, s3_endpoint=nobody))
    asked = time.monotonic()
    assert all(isinstance(failure, StoreUnavailable) for failure in await failures(store))
    assert time.monotonic() - asked < 1
    await store.close()


async def test_a_store_that_hangs_is_said_within_seconds(
    settings: Settings, hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_TIMEOUT", urllib3.Timeout(connect=0.5, read=0.5))
    monkeypatch.setattr(connection, "_ANSWER_LIMIT_S", 0.8)
    store = MinioObjectStore(replaced(settings, s3_endpoint=hanging))
    asked = time.monotonic()
    # More calls than threads: who waits for a thread is told in time as well.
    answers = await asyncio.gather(*(failures(store) for _ in range(5)))
    assert all(isinstance(failure, StoreUnavailable) for failure in itertools.chain(*answers))
    assert time.monotonic() - asked < 2
    await store.close()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("503 Service Unavailable", b"<html>busy</html>"), ("500 Internal Server Error", b""), ("502 Bad Gateway", b"no"),
        ("200 OK", b"<html>a wall between</html>"), ("200 OK", b"not even <markup"),
    ],
)  # fmt: skip
async def test_answers_that_are_not_s3s_say_nothing(settings: Settings, status: str, body: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        content = b"" if request.startswith(b"HEAD") else body
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + content)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        store = MinioObjectStore(replaced(settings, s3_endpoint=f"http://127.0.0.1:{port}"))
        calls: list[Any] = [store.playlists(), store.read_playlist("s-1"), store.finish_playlist("s-1")]
        calls.append(keys(store, bucket.SEGMENTS))
        if not status.startswith("200"):  # what is deleted is looked for again: a false yes does no harm
            calls.append(store.delete(["x"]))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
        await store.close()


async def test_a_wrong_key_and_a_missing_bucket_are_said(settings: Settings) -> None:
    missing = MinioObjectStore(replaced(settings, s3_bucket="missing"))
    with pytest.raises(StoreUnavailable, match="missing"):
        await missing.check()
    with pytest.raises(StoreUnavailable):
        await missing.playlists()
    await missing.close()
    stranger = MinioObjectStore(replaced(settings, s3_secret_key="wrong-secret"))
    assert all(isinstance(failure, StoreUnavailable) for failure in await failures(stranger))
    await stranger.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"s3_endpoint": None}, {"s3_access_key": None}, {"s3_secret_key": None}, {"s3_endpoint": "127.0.0.1:9000"},
        {"s3_endpoint": "http://host/path"}, {"s3_transcoder_endpoint": "ftp://host"}, {"s3_bucket": "B"},
        {"signature_s": 8 * 24 * 3600},
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    complete = Settings(s3_endpoint="http://127.0.0.1:1", s3_access_key="access", s3_secret_key="secret")
    with pytest.raises(BadSetting, match="FAILOVER_S"):
        MinioObjectStore(replaced(complete, **changes))


# --- conditional writes -----------------------------------------------------------------------------------------------


async def test_of_many_writers_over_one_version_one_wins(store: MinioObjectStore, settings: Settings) -> None:
    put = signed(store)["playlists"]["main"]["put"]
    async with httpx.AsyncClient(timeout=10) as http:
        etag = (await http.put(put, content=b"first", headers={"If-None-Match": "*"})).headers["etag"]
        for round_ in range(5):
            answers = await asyncio.gather(
                *(http.put(put, content=f"{round_}.{n}".encode(), headers={"If-Match": etag}) for n in range(16))
            )
            won = [answer for answer in answers if answer.status_code == 200]
            assert len(won) == 1
            assert {answer.status_code for answer in answers} <= {200, 409, 412}
            etag = won[0].headers["etag"]


async def test_finishing_loses_nothing_to_an_attempt_that_still_writes(store: MinioObjectStore) -> None:
    addresses = signed(store)["playlists"]["main"]
    history = [playlist(segments=1)]

    async def attempt() -> None:
        """As the agent does: read, append, write over what was read, until the playlist has ended."""
        async with httpx.AsyncClient(timeout=10) as http:
            await http.put(addresses["put"], content=history[0].render(), headers={"If-None-Match": "*"})
            started.set()
            for n in itertools.count(1):
                found = await http.get(addresses["get"])
                current = MediaPlaylist.parse(found.text)
                history.append(current)
                if current.ended:
                    return
                next_one = current.append(playlist(segments=n + 1).segments[n], window_s=30)
                await http.put(addresses["put"], content=next_one.render(), headers={"If-Match": found.headers["etag"]})

    started = asyncio.Event()
    writing = asyncio.create_task(attempt())
    await started.wait()
    await asyncio.sleep(0.05)
    await store.finish_playlist("s-1")
    await asyncio.wait_for(writing, 5)
    assert all(violations(before, after) == [] for before, after in itertools.pairwise(history))
    assert history[-1].ended and len(history) > 2


# --- signed addresses -------------------------------------------------------------------------------------------------


def signed(store: MinioObjectStore, session_id: str = "s-1", attempt: int = 1) -> dict[str, Any]:
    return store.sign(session_id, attempt)


def post(http: httpx.Client, target: dict[str, Any], key: str, data: bytes, **fields: str) -> httpx.Response:
    """As the agent posts a segment."""
    form = {**target["fields"], **fields, "key": key}
    return http.post(target["url"], data=form, files={"file": ("0.ts", data, form["Content-Type"])})


def origin(settings: Settings, key: str) -> str:
    return f"{settings.s3_endpoint}/{settings.s3_bucket}/{key}"


def test_signing_is_quick_and_needs_no_network(nobody: str) -> None:
    store = MinioObjectStore(Settings(s3_endpoint=nobody, s3_access_key="access", s3_secret_key="secret"))
    asked = time.perf_counter()
    for attempt in range(100):
        store.sign("s-1", attempt)
    assert (time.perf_counter() - asked) / 100 < 0.005


def test_addresses_are_signed_for_the_host_that_containers_use(nobody: str) -> None:
    settings = Settings(s3_endpoint=nobody, s3_access_key="access", s3_secret_key="secret")
    store = MinioObjectStore(replaced(settings, s3_transcoder_endpoint="https://store.internal:9000/"))
    urls = [signed(store)["segments"]["url"], signed(store)["log"]["put"]]
    urls += [url for addresses in signed(store)["playlists"].values() for url in addresses.values()]
    assert {urlsplit(url)[:2] for url in urls} == {("https", "store.internal:9000")}


def test_a_segment_is_stored_with_the_headers_that_a_cdn_needs(
    http: httpx.Client, store: MinioObjectStore, settings: Settings
) -> None:
    target = signed(store)["segments"]
    assert target["prefix"] == bucket.segments_prefix("s-1", 1)
    assert post(http, target, bucket.segment_key("s-1", 1, 0), b"media" * 1000).status_code in (200, 201, 204)
    stored = http.get(origin(settings, bucket.segment_key("s-1", 1, 0)))
    assert (stored.status_code, stored.content) == (200, b"media" * 1000)
    assert {name: stored.headers[name] for name in SEGMENT_HEADERS} == SEGMENT_HEADERS


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        (bucket.segment_key("s-1", 2, 0), {}),  # a later attempt's
        (bucket.segment_key("s-2", 1, 0), {}),  # another session's
        (bucket.segment_key("s-1", 10, 0), {}),  # the prefix ends with a slash
        (bucket.media_playlist_key("s-1"), {}),
        (bucket.segment_key("s-1", 1, 0), {"Content-Type": "text/html"}),
        (bucket.segment_key("s-1", 1, 0), {"Cache-Control": "no-store"}),
        (bucket.segment_key("s-1", 1, 0), {"x-amz-signature": "0" * 64}),
        (bucket.segment_key("s-1", 1, 0), {"x-amz-meta-extra": "not in the policy"}),
    ],
)
async def test_a_segments_form_is_good_for_nothing_else(
    http: httpx.Client, store: MinioObjectStore, key: str, fields: dict[str, str]
) -> None:
    assert post(http, signed(store)["segments"], key, b"media", **fields).status_code in (400, 403)
    assert await keys(store, "") == []


async def test_a_segment_may_not_be_empty_nor_huge(
    http: httpx.Client, store: MinioObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signed_addresses, "_SEGMENT_BYTES", (1, 1000))
    target = signed(store)["segments"]
    for size, expected in ((0, 400), (1001, 400), (1, 204), (1000, 204)):
        answer = post(http, target, bucket.segment_key("s-1", 1, size), b"x" * size)
        assert (answer.status_code in (200, 201, 204)) == (expected == 204), (size, answer.text)
    assert await keys(store, bucket.SEGMENTS) == [bucket.segment_key("s-1", 1, 1), bucket.segment_key("s-1", 1, 1000)]


def test_playlists_and_the_log_are_written_and_read_by_their_addresses(
    http: httpx.Client, store: MinioObjectStore, settings: Settings, client: Minio
) -> None:
    addresses = signed(store)
    headers = {"Content-Type": PLAYLIST_TYPE, "Cache-Control": "public, max-age=1"}
    for name in ("index", "main"):
        ways = addresses["playlists"][name]
        assert http.get(ways["get"]).status_code == 404
        created = http.put(ways["put"], content=b"#EXTM3U\n", headers=headers | {"If-None-Match": "*"})
        assert created.status_code == 200
        assert http.put(ways["put"], content=b"2", headers=headers | {"If-None-Match": "*"}).status_code == 412
        assert http.put(ways["put"], content=b"3", headers=headers | {"If-Match": '"other"'}).status_code == 412
        read = http.get(ways["get"])
        assert (read.content, read.headers["etag"]) == (b"#EXTM3U\n", created.headers["etag"])
        public = http.get(origin(settings, f"playlists/s-1/{name}.m3u8"))
        assert {header: public.headers[header] for header in headers} == headers
    assert http.put(addresses["log"]["put"], content=b"a log").status_code == 200
    assert client.stat_object(settings.s3_bucket, bucket.log_key("s-1", 1)).size == 5


def test_an_address_is_good_for_its_own_key_and_way_only(http: httpx.Client, store: MinioObjectStore) -> None:
    addresses = signed(store)
    ways, log = addresses["playlists"]["main"], addresses["log"]["put"]
    assert http.put(ways["get"], content=b"x").status_code == 403
    assert http.get(ways["put"]).status_code == 403
    assert http.delete(ways["put"]).status_code == 403
    for url, old, new in (
        (ways["put"], "s-1", "s-2"), (ways["put"], "main.m3u8", "index.m3u8"), (log, "1.log", "2.log"), (log, "s-1", "s-2"),
    ):  # fmt: skip
        assert http.put(url.replace(old, new), content=b"x").status_code == 403


def with_orders(store: MinioObjectStore) -> dict[str, Any]:
    return store.sign("s-1", 1, with_orders=True)


async def test_a_report_is_posted_below_the_attempts_own_prefix(http: httpx.Client, store: MinioObjectStore) -> None:
    target = with_orders(store)["reports"]
    assert target["prefix"] == bucket.reports_prefix("s-1", 1)
    assert post(http, target, bucket.report_key("s-1", 1, 1), b"{}").status_code in (200, 201, 204)
    (found,) = await store.reports()
    assert (found.key, found.size) == (bucket.report_key("s-1", 1, 1), 2)
    assert await store.read_report(found.key) == b"{}"


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        (bucket.report_key("s-1", 2, 1), {}),
        (bucket.report_key("s-1", 11, 1), {}),  # the prefix ends with a dot
        (bucket.report_key("s-2", 1, 1), {}),
        (bucket.orders_key("s-1", 1), {}),
        (bucket.segment_key("s-1", 1, 0), {}),
        (bucket.media_playlist_key("s-1"), {}),
        (bucket.report_key("s-1", 1, 1), {"Content-Type": "text/html"}),
        (bucket.report_key("s-1", 1, 1), {"x-amz-meta-extra": "not in the policy"}),
    ],
)
async def test_a_reports_form_is_good_for_nothing_else(
    http: httpx.Client, store: MinioObjectStore, key: str, fields: dict[str, str]
) -> None:
    assert post(http, with_orders(store)["reports"], key, b"{}", **fields).status_code in (400, 403)
    assert await keys(store, "") == []


async def test_a_report_may_not_be_empty_nor_longer_than_what_is_read(http: httpx.Client, store: MinioObjectStore) -> None:
    target = with_orders(store)["reports"]
    for n, (size, stored) in enumerate(((0, False), (65_537, False), (1, True), (65_536, True)), start=1):
        answer = post(http, target, bucket.report_key("s-1", 1, n), b"x" * size)
        assert (answer.status_code in (200, 201, 204)) == stored, (size, answer.text)


def test_orders_are_read_by_their_address_and_not_written(
    http: httpx.Client, store: MinioObjectStore, settings: Settings, client: Minio
) -> None:
    get = with_orders(store)["orders"]["get"]
    assert http.get(get).status_code == 404
    client.put_object(settings.s3_bucket, bucket.orders_key("s-1", 1), io.BytesIO(b"{}"), 2)
    assert http.get(get).content == b"{}"
    assert http.put(get, content=b"x").status_code == 403
    assert http.get(get.replace("1.json", "2.json")).status_code == 403


@pytest.mark.parametrize("key", [bucket.orders_key("s-1", 1), bucket.report_key("s-1", 1, 1)])
def test_nobody_reads_orders_or_reports_without_a_signature(
    http: httpx.Client, store: MinioObjectStore, settings: Settings, client: Minio, key: str
) -> None:
    client.put_object(settings.s3_bucket, key, io.BytesIO(b"{}"), 2)
    assert http.get(origin(settings, key)).status_code == 403


async def test_addresses_expire(http: httpx.Client, settings: Settings, store: MinioObjectStore) -> None:
    brief = MinioObjectStore(replaced(settings, signature_s=1))
    addresses = signed(brief)
    put = addresses["playlists"]["main"]["put"]
    await eventually(lambda: http.put(put, content=b"late").status_code == 403, what="the PUT is refused")

    def refused() -> bool:
        return post(http, addresses["segments"], bucket.segment_key("s-1", 1, 0), b"late").status_code == 403

    await eventually(refused, what="the POST is refused")
    await brief.close()


# --- what everybody may do --------------------------------------------------------------------------------------------


async def test_preparing_is_safe_to_repeat_and_from_two_processes_at_once(settings: Settings) -> None:
    stores = [MinioObjectStore(replaced(settings, s3_bucket="prepared-at-once")) for _ in range(2)]
    await asyncio.gather(*(store.prepare() for store in stores))
    for store in stores:
        await store.prepare()
        await store.check()
        await store.close()


def test_everybody_reads_playlists_and_segments_and_nothing_else(
    http: httpx.Client, store: MinioObjectStore, settings: Settings, client: Minio
) -> None:
    for key in (bucket.media_playlist_key("s-1"), bucket.segment_key("s-1", 1, 0), bucket.log_key("s-1", 1), "other"):
        client.put_object(settings.s3_bucket, key, io.BytesIO(b"x"), 1)
    for key in (bucket.media_playlist_key("s-1"), bucket.segment_key("s-1", 1, 0)):
        assert http.get(origin(settings, key)).status_code == 200
        assert http.head(origin(settings, key)).status_code == 200
        for method in ("PUT", "DELETE", "POST"):
            assert http.request(method, origin(settings, key), content=b"x").status_code in (403, 405)
    for closed in (
        bucket.log_key("s-1", 1),
        "other",
        "",
        "?list-type=2",
        "?list-type=2&prefix=segments/",
        "?policy",
        "?versions",
    ):
        assert http.get(origin(settings, closed)).status_code == 403, closed
    listing = http.get(origin(settings, bucket.SEGMENTS))
    assert b"s-1" not in listing.content


def test_players_in_any_page_may_read(http: httpx.Client, store: MinioObjectStore, settings: Settings, client: Minio) -> None:
    client.put_object(settings.s3_bucket, bucket.media_playlist_key("s-1"), io.BytesIO(b"x"), 1)
    url, page = origin(settings, bucket.media_playlist_key("s-1")), {"Origin": "https://player.example"}
    read = http.get(url, headers=page)
    assert read.headers["access-control-allow-origin"] in ("*", "https://player.example")
    assert "etag" in read.headers["access-control-expose-headers"].lower()
    asked = {**page, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
    preflight = http.options(url, headers=asked)
    assert preflight.status_code in (200, 204)
    assert "GET" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-max-age"] == "86400"
    writing = http.options(url, headers={**page, "Access-Control-Request-Method": "PUT"})
    assert "PUT" not in writing.headers.get("access-control-allow-methods", "")


async def test_what_is_wrong_with_a_bucket_is_found(store: MinioObjectStore, settings: Settings, client: Minio) -> None:
    everything = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"]}
    resources = [f"arn:aws:s3:::{settings.s3_bucket}", f"arn:aws:s3:::{settings.s3_bucket}/*"]
    policy = {"Version": "2012-10-17", "Statement": [everything | {"Resource": resources}]}
    client.set_bucket_policy(settings.s3_bucket, json.dumps(policy))
    try:
        report = await store.examine()
        assert bucket.LOGS in report.public
        assert report.listable
        assert report.private == PrivateReport(readable=(bucket.ORDERS, bucket.INBOX))
        client.delete_bucket_policy(settings.s3_bucket)
        report = await store.examine()
        assert (report.public, report.listable) == ((), False)
        assert (report.refuses_overwrite, report.refuses_stale, report.accepts_current) == (True, True, True)
    finally:
        await store.prepare()


async def test_a_store_that_does_not_let_write_is_found(settings: Settings) -> None:
    stranger = MinioObjectStore(replaced(settings, s3_secret_key="wrong"))
    try:
        report = await stranger.examine()
        assert report.write_fault is not None and report.write_fault.startswith("403")
        assert report.private.unwritable.keys() == {bucket.ORDERS, bucket.INBOX}
        assert not report.private.is_private
    finally:
        await stranger.close()


# --- a bucket behind a CDN, whose rules are its owner's ---------------------------------------------------------------


@pytest.fixture
async def owned(settings: Settings, client: Minio) -> AsyncIterator[Settings]:
    """A bucket that nobody may read, and a key that may not change that."""
    client.make_bucket(WRITER_BUCKET)
    yield replaced(settings, s3_bucket=WRITER_BUCKET, s3_access_key=WRITER_ACCESS_KEY, s3_secret_key=WRITER_SECRET_KEY)
    client.remove_bucket(WRITER_BUCKET)


@pytest.fixture
def cdn(client: Minio) -> Iterator[str]:
    """What alone may read the bucket, and lets everybody read playlists and segments."""

    class Reader(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            prefix, _, _ = self.path.lstrip("/").partition("/")
            self.send_response(200 if prefix in ("playlists", "segments") else 403)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            if prefix in ("playlists", "segments"):
                self.wfile.write(client.get_object(WRITER_BUCKET, self.path.lstrip("/")).data)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Reader) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_rules_that_are_the_owners_are_left_alone(
    owned: Settings, client: Minio, caplog: pytest.LogCaptureFixture
) -> None:
    store = MinioObjectStore(owned)
    with caplog.at_level("INFO"):
        await store.prepare()
    assert "they are left as they are" in caplog.text
    await store.close()
    with pytest.raises(S3Error, match="NoSuchBucketPolicy"):
        client.get_bucket_policy(WRITER_BUCKET)


async def test_players_may_read_where_the_cdn_lets_them(owned: Settings, cdn: str) -> None:
    store = MinioObjectStore(replaced(owned, origin_url=cdn))
    report = await store.examine()
    await store.close()
    assert replace(report, clock_skew_s=0.0) == StoreReport(clock_skew_s=0.0)


async def test_a_cdn_that_is_out_of_reach_says_nothing_of_the_bucket(owned: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unheard:
        nowhere = f"http://127.0.0.1:{unheard.getsockname()[1]}"
    store = MinioObjectStore(replaced(owned, origin_url=nowhere))
    report = await store.examine()
    await store.close()
    assert (report.public, report.cors, report.accepts_current) == ((), False, True)
