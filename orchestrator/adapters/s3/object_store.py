"""The object store, from which the CDN fetches: any S3 store with conditional writes (SeaweedFS is tested), by the minio SDK.

Rule: a playlist is only written conditionally, and an object that cannot be parsed as a playlist is distinguished from a
missing one. Playlists and logs have been written by containers, so they are read up to a limit and parsed in a thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple, TypeVar

import urllib3
from minio.deleteobjects import DeleteObject
from msgspec.structs import replace

from orchestrator.adapters.s3 import bucket_rules, listing, privacy_check, store_conformance
from orchestrator.adapters.s3.connection import S3Connection, TooLarge, read_whole
from orchestrator.adapters.s3.listing import ListedObject, list_page
from orchestrator.adapters.s3.signed_addresses import AddressSigner
from orchestrator.adapters.s3.store_conformance import ConformanceObjects
from orchestrator.app.settings import Settings
from orchestrator.errors import CorruptPlaylist, StoreUnavailable
from orchestrator.ports import PrivateReport, Stamp, StoredObject, StoreReport
from transcoder import bucket, report
from transcoder.publish.media_playlist import MediaPlaylist
from transcoder.publish.playlist_syntax import LIMIT_BYTES, MalformedPlaylist

T = TypeVar("T")

_LOG_BYTES = 2 << 20  # twice what an agent keeps
_FINISH_TRIES = 20


class _BucketUnderTest(NamedTuple):
    """`store_conformance.Target` of the bucket."""

    bucket_url: str
    origin_url: str | None
    signed: Callable[[str, str], str]
    segment_fields: Callable[[str], dict[str, str]]
    report_fields: Callable[[str], dict[str, str]]

    def url(self, key: str = "") -> str:
        return f"{self.bucket_url}/{key}".rstrip("/")

    def origin(self, key: str) -> str | None:
        origin_url = (self.origin_url or self.bucket_url).rstrip("/")
        return None if origin_url == self.bucket_url else f"{origin_url}/{key}"

    def post_fields(self, session_id: str) -> dict[str, str]:
        return self.segment_fields(bucket.segments_prefix(session_id, 1))

    def post_report_fields(self, session_id: str) -> dict[str, str]:
        return self.report_fields(bucket.reports_prefix(session_id, 1))


class MinioObjectStore:
    """ports.ObjectStore. Raises BadSetting where the settings name no store or no key."""

    def __init__(self, settings: Settings) -> None:
        self._connection = S3Connection(settings)
        self._signer = AddressSigner(self._connection, settings)
        self._origin_url = settings.origin_url

    def sign(self, session_id: str, attempt: int, *, with_orders: bool = False) -> dict[str, object]:
        return self._signer.of_attempt(session_id, attempt, with_orders=with_orders)

    # --- the bucket ---------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        await self._connection.run(bucket_rules.prepare, self._connection)

    async def check(self) -> None:
        bucket = self._connection.bucket
        if not await self._connection.run(lambda: self._connection.client.bucket_exists(bucket)):
            raise StoreUnavailable(f"there is no bucket {bucket}")

    async def examine(self) -> StoreReport:
        return replace(await self._examine(store_conformance.examine, "doctor"), private=await self.examine_private())

    async def examine_private(self) -> PrivateReport:
        return await self._examine(privacy_check.examine, "canary")

    async def _examine(self, check: Callable[[urllib3.PoolManager, _BucketUnderTest, ConformanceObjects], T], name: str) -> T:
        objects = store_conformance.objects(name)
        target = _BucketUnderTest(
            self._connection.bucket_url, self._origin_url, self._presigned, self._signer.segment_fields,
            self._signer.report_fields,
        )  # fmt: skip
        try:
            return await self._connection.run(check, self._connection.http, target, objects)
        finally:
            with contextlib.suppress(StoreUnavailable):  # what is left belongs to no session: retention deletes it
                await self.delete(objects.keys)

    def _presigned(self, method: str, key: str) -> str:
        connection = self._connection
        return connection.client.get_presigned_url(method, connection.bucket, key, expires=timedelta(minutes=1))

    # --- playlists ----------------------------------------------------------------------------------------------------

    async def playlists(self) -> Mapping[str, Stamp]:
        stamps: dict[str, Stamp] = {}
        async for page in self._pages(bucket.PLAYLISTS):
            for item in page:
                match item.key.split("/"):
                    case [_, session_id, bucket.MEDIA_PLAYLIST_NAME]:
                        stamps[session_id] = Stamp(item.etag, item.modified_at)
        return stamps

    async def read_playlist(self, session_id: str) -> tuple[MediaPlaylist, str] | None:
        return await self._connection.run(self._read_main, session_id)

    def _read_main(self, session_id: str) -> tuple[MediaPlaylist, str] | None:
        found = self._read(bucket.media_playlist_key(session_id))
        return None if found is None else (_parsed(found[0]), found[1])

    async def read_multivariant(self, session_id: str) -> str | None:
        found = await self._connection.run(self._read, bucket.multivariant_key(session_id))
        return None if found is None else found[0]

    async def finish_playlist(self, session_id: str) -> None:
        await self._connection.run(self._finish, bucket.media_playlist_key(session_id))

    def _finish(self, key: str) -> None:
        url = self._presigned("PUT", key)
        for _ in range(_FINISH_TRIES):
            found = self._read(key)
            if found is None or (playlist := _parsed(found[0])).ended:
                return
            body = playlist.finish().render().encode()
            headers = bucket.PLAYLIST_HEADERS | {"If-Match": f'"{found[1]}"'}
            answer = self._connection.http.request("PUT", url, body=body, headers=headers)
            if answer.status == 200:
                return
            if answer.status not in (404, 409, 412):  # these mean that an agent has written first: read again
                raise StoreUnavailable(f"the store answers {answer.status} to a playlist")
        raise StoreUnavailable(f"{key} keeps changing")

    def _read(self, key: str) -> tuple[str, str] | None:
        """A playlist's text and its ETag, without its quotes. Raises CorruptPlaylist."""
        answer = self._connection.get(key)
        if answer is None:
            return None
        etag, encoding = answer.headers.get("ETag", "").strip('"'), answer.headers.get("Content-Encoding", "identity")
        try:
            content = read_whole(answer, LIMIT_BYTES)
        except TooLarge:
            raise CorruptPlaylist(f"the store holds a playlist of more than {LIMIT_BYTES >> 20} MiB") from None
        if not etag:
            raise ValueError("an object without an ETag")  # not the store, but a proxy before it has answered
        if encoding != "identity":  # no agent of ours stores it so, but a container's signature would let it
            raise CorruptPlaylist("the store holds a compressed playlist")
        return content.decode(errors="replace"), etag

    # --- everything else ----------------------------------------------------------------------------------------------

    async def reports(self, *, session_id: str = "", after: str = "") -> Sequence[StoredObject]:
        prefix = bucket.session_reports_prefix(session_id) if session_id else bucket.INBOX
        page, _ = await self._connection.run(lambda: list_page(self._connection, prefix, after=after))
        return [StoredObject(item.key, item.modified_at, item.size) for item in page]

    async def read_report(self, key: str) -> bytes | None:
        return await self._connection.run(self._read_beginning, key, report.LIMIT_BYTES + 1)

    async def read_segment(self, session_id: str, uri: str, limit_bytes: int) -> bytes | None:
        key = bucket.listed_key(session_id, uri)
        return None if key is None else await self._connection.run(self._read_beginning, key, limit_bytes)

    def _read_beginning(self, key: str, limit_bytes: int) -> bytes | None:
        answer = self._connection.get(key, limit_bytes)
        if answer is None:
            return None
        try:
            return answer.read(limit_bytes, decode_content=False)
        finally:
            answer.release_conn()

    async def objects(self, prefix: str) -> AsyncIterator[Sequence[StoredObject]]:
        async for page in self._pages(prefix):
            yield [StoredObject(item.key, item.modified_at, item.size) for item in page]

    async def delete(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), listing.PAGE):
            await self._connection.run(self._delete, keys[start : start + listing.PAGE])

    def _delete(self, keys: Sequence[str]) -> None:
        client, bucket = self._connection.client, self._connection.bucket
        errors = list(client.remove_objects(bucket, [DeleteObject(key) for key in keys]))
        if errors:
            raise StoreUnavailable(f"{len(errors)} objects could not be deleted; the first: {errors[0].message}")

    async def read_log(self, session_id: str, attempt: int) -> str | None:
        return await self._connection.run(self._read_log, bucket.log_key(session_id, attempt))

    def _read_log(self, key: str) -> str | None:
        answer = self._connection.get(key)  # not a range, which an empty object does not have
        if answer is None:
            return None
        content = answer.read(_LOG_BYTES, decode_content=False)
        answer.close()  # and not release: what is left on the connection is not read
        return content.decode(errors="replace")

    async def close(self) -> None:
        await self._connection.close()

    async def _pages(self, prefix: str) -> AsyncIterator[list[ListedObject]]:
        token: str | None = ""
        while token is not None:
            page, token = await self._connection.run(list_page, self._connection, prefix, token)
            if page:
                yield page


def _parsed(text: str) -> MediaPlaylist:
    try:
        return MediaPlaylist.parse(text)
    except MalformedPlaylist as error:
        raise CorruptPlaylist(f"what the store holds cannot be read as a playlist: {error}") from error
