"""Retention on a real store, beyond what one page of a LIST holds: what is over goes, all of it, and nothing else."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from minio import Minio
from msgspec.structs import replace

from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.app.settings import Settings
from orchestrator.core.model import Decision, Ended
from orchestrator.housekeeping.segment_retention import SegmentRetention
from tests.fakes.tables import FakeTables
from tests.servers import Seaweed
from transcoder import bucket
from transcoder.publish.media_playlist import ListedSegment, MediaPlaylist

BUCKET = "retention"
MANY = 2300  # two pages and a bit


@pytest.fixture
def settings(seaweed: Seaweed) -> Settings:
    return Settings(
        s3_endpoint=seaweed.endpoint, s3_access_key=seaweed.access_key, s3_secret_key=seaweed.secret_key, s3_bucket=BUCKET
    )


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[MinioObjectStore]:
    store = MinioObjectStore(settings)
    await store.prepare()
    yield store
    await store.close()


def put(settings: Settings, *keys: str, data: bytes = b"x") -> None:
    assert settings.s3_endpoint is not None
    host = urlsplit(settings.s3_endpoint).netloc
    client = Minio(host, settings.s3_access_key, settings.s3_secret_key, secure=False, region=settings.s3_region)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: client.put_object(BUCKET, key, io.BytesIO(data), len(data)), keys))


async def keys(store: MinioObjectStore) -> set[str]:
    return {
        item.key
        for prefix in (bucket.PLAYLISTS, bucket.SEGMENTS, bucket.LOGS)
        async for page in store.objects(prefix)
        for item in page
    }


async def test_more_than_a_page_goes_and_what_is_young_or_listed_stays(settings: Settings, store: MinioObjectStore) -> None:
    tables = FakeTables()
    ids = [(await tables.sessions.request("c", f"viewer-{n}", "hash", 1.0))[0].session.id for n in range(2)]
    running, over = ids
    listed = tuple(ListedSegment(bucket.segment_uri(running, 1, n), 2.0, 1.7e9 + 2 * n, n == 0) for n in range(MANY - 10, MANY))
    playlist = MediaPlaylist(3, MANY - 10, 0, listed, ended=False).render().encode()
    put(settings, *(bucket.segment_key(running, 1, n) for n in range(MANY)))
    put(settings, bucket.media_playlist_key(running), data=playlist)
    gone = [*(bucket.segment_key(over, 1, n) for n in range(1200)), bucket.media_playlist_key(over), bucket.log_key(over, 1)]
    gone += [f"segments/nobody-{n:04}/1/main/0.ts" for n in range(1100)]  # objects without a row
    put(settings, *gone)
    session = (await tables.sessions.get(over)).session
    before = await keys(store)
    newest = max([item.modified_at async for page in store.objects(bucket.SEGMENTS) for item in page])
    ended = replace(session, state=Ended(newest))
    await tables.sessions.commit(session, Decision(session=ended), newest)
    assert len(before) == MANY + 1 + len(gone)

    retention = SegmentRetention(store, tables.sessions, settings)
    assert await retention.delete_unlisted(newest + settings.ended_retention_s - 60.0) == 0, "what is young stays"
    assert await keys(store) == before
    later = newest + settings.ended_retention_s + 60.0  # the window's first segment has been known for long enough
    went = await retention.delete_unlisted(later)
    assert went == MANY - 10 + len(gone)
    kept = {bucket.segment_key(running, 1, n) for n in range(MANY - 10, MANY)} | {bucket.media_playlist_key(running)}
    assert await keys(store) == kept
