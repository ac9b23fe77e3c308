"""An object store in memory, with the conditional writes of S3."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from orchestrator.errors import CorruptPlaylist, StoreUnavailable
from orchestrator.ports import PrivateReport, Stamp, StoredObject, StoreReport
from transcoder import bucket, report
from transcoder.publish.media_playlist import MediaPlaylist
from transcoder.publish.playlist_syntax import MalformedPlaylist

PAGE = 1000


class FakeObject(NamedTuple):
    data: bytes
    content_type: str
    etag: str
    modified_at: float


class PreconditionFailed(Exception):
    """412: the object is not the one that the writer had read."""


@functools.lru_cache(maxsize=1024)
def parsed(data: bytes) -> MediaPlaylist:
    """A playlist by its bytes. Cached: each state of a simulated world's playlists is read by agents, laws and pollers."""
    return MediaPlaylist.parse(data.decode(errors="replace"))


class FakeObjectStore:
    """`refusing = True`: nothing answers. `objects_by_key` is the bucket."""

    def __init__(self) -> None:
        self.refusing = False
        self.report = StoreReport(clock_skew_s=0.0)
        self.objects_by_key: dict[str, FakeObject] = {}

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream", *, if_match: str | None = None) -> str:
        """What a container would write. Returns the ETag. Raises PreconditionFailed; `if_match=""`: only where it is new."""
        self._answer()
        before = self.objects_by_key.get(key)
        if if_match is not None and if_match != (before.etag if before else ""):
            raise PreconditionFailed(key)
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        self.objects_by_key[key] = FakeObject(data, content_type, etag, time.time())
        return etag

    async def prepare(self) -> None:
        self._answer()

    async def check(self) -> None:
        self._answer()

    async def examine(self) -> StoreReport:
        self._answer()
        return self.report

    async def examine_private(self) -> PrivateReport:
        self._answer()
        return self.report.private

    def sign(self, session_id: str, attempt: int, *, with_orders: bool = False) -> dict[str, object]:
        base = "http://store.test/hls"
        addresses = {
            name: {way: f"{base}/{key}?signed={way}" for way in ("get", "put")}
            for name, key in (("index", bucket.multivariant_key(session_id)), ("main", bucket.media_playlist_key(session_id)))
        }
        signed: dict[str, object] = {
            "segments": {"url": base, "fields": {"policy": "signed"}, "prefix": bucket.segments_prefix(session_id, attempt)},
            "playlists": addresses,
            "log": {"put": f"{base}/{bucket.log_key(session_id, attempt)}?signed=put"},
        }
        if with_orders:
            prefix = bucket.reports_prefix(session_id, attempt)
            signed["reports"] = {"url": base, "fields": {"policy": "signed"}, "prefix": prefix}
            signed["orders"] = {"get": f"{base}/{bucket.orders_key(session_id, attempt)}?signed=get"}
        return signed

    async def reports(self, *, session_id: str = "", after: str = "") -> Sequence[StoredObject]:
        self._answer()
        prefix = bucket.session_reports_prefix(session_id) if session_id else bucket.INBOX
        keys = sorted(key for key in self.objects_by_key if key.startswith(prefix) and key > after)[:PAGE]
        return [StoredObject(key, each.modified_at, len(each.data)) for key in keys for each in (self.objects_by_key[key],)]

    async def read_report(self, key: str) -> bytes | None:
        kept = self._get(key)
        return None if kept is None else kept.data[: report.LIMIT_BYTES + 1]

    async def playlists(self) -> Mapping[str, Stamp]:
        self._answer()
        return {
            key.split("/")[1]: Stamp(kept.etag, kept.modified_at)
            for key, kept in self.objects_by_key.items()
            if key.startswith(bucket.PLAYLISTS) and key.endswith("/main.m3u8")
        }

    async def read_playlist(self, session_id: str) -> tuple[MediaPlaylist, str] | None:
        kept = self._get(bucket.media_playlist_key(session_id))
        if kept is None:
            return None
        try:
            return parsed(kept.data), kept.etag
        except MalformedPlaylist as error:
            raise CorruptPlaylist(str(error)) from error

    async def read_multivariant(self, session_id: str) -> str | None:
        kept = self._get(bucket.multivariant_key(session_id))
        return None if kept is None else kept.data.decode()

    async def read_segment(self, session_id: str, uri: str, limit_bytes: int) -> bytes | None:
        key = bucket.listed_key(session_id, uri)
        kept = None if key is None else self._get(key)
        return None if kept is None else kept.data[:limit_bytes]

    async def finish_playlist(self, session_id: str) -> None:
        found = await self.read_playlist(session_id)
        if found is None or found[0].ended:
            return
        playlist, etag = found
        text = playlist.finish().render()
        self.put(bucket.media_playlist_key(session_id), text.encode(), bucket.PLAYLIST_TYPE, if_match=etag)

    async def objects(self, prefix: str) -> AsyncIterator[Sequence[StoredObject]]:
        after = ""
        while True:
            self._answer()
            keys = sorted(key for key in self.objects_by_key if key.startswith(prefix) and key > after)[:PAGE]
            if not keys:
                return
            kept = [(key, self.objects_by_key[key]) for key in keys]
            yield [StoredObject(key, each.modified_at, len(each.data)) for key, each in kept]
            after = keys[-1]

    async def delete(self, keys: Sequence[str]) -> None:
        self._answer()
        for key in keys:
            self.objects_by_key.pop(key, None)

    async def read_log(self, session_id: str, attempt: int) -> str | None:
        kept = self._get(bucket.log_key(session_id, attempt))
        return None if kept is None else kept.data[: 2 << 20].decode(errors="replace")

    async def close(self) -> None: ...

    def _get(self, key: str) -> FakeObject | None:
        self._answer()
        return self.objects_by_key.get(key)

    def _answer(self) -> None:
        if self.refusing:
            raise StoreUnavailable("the fake store refuses")
