"""The CDN's origin: any S3 store with conditional writes, through the minio SDK. The one module that imports it.

The SDK is synchronous: its calls run in a pool of threads of their own, never on the loop, and never twice by themselves: a
store that does not answer becomes StoreUnavailable within seconds, and the next sweep asks again (law 3).

Playlists and logs were written by containers, which may write anything: of each so many bytes are read, as they are stored,
and none is decompressed. What is read is taken apart in the pool, too.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar
from urllib.parse import SplitResult, quote, urlencode, urlsplit
from xml.etree import ElementTree

import urllib3
from minio import Minio
from minio.credentials.credentials import Credentials
from minio.datatypes import PostPolicy
from minio.deleteobjects import DeleteObject
from minio.error import MinioException, S3Error
from minio.signer import presign_v4

from orchestrator.adapters.s3 import store_examination
from orchestrator.app.settings import PREFIX, Settings
from orchestrator.errors import BadSetting, CorruptPlaylist, StoreUnavailable
from orchestrator.ports import Stamp, StoredObject, StoreReport
from transcoder.media_playlist import LIMIT_BYTES, MalformedPlaylist, MediaPlaylist, key_of

T = TypeVar("T")

log = logging.getLogger(__name__)

_THREADS = 8
_TIMEOUT = urllib3.Timeout(connect=2.0, read=5.0)
_ANSWER_LIMIT_S = 8.0  # with the wait for a thread, where a store that hangs holds them all
_PAGE = 1000  # the most that S3 lists or deletes at once
_SEGMENT_BYTES = (1, 64 << 20)
_LOG_BYTES = 2 << 20  # twice what an agent keeps
_ANSWER_BYTES = 16 << 20  # of an answer of the store itself: a page of a thousand keys has some hundred kilobytes
_SEGMENT_HEADERS = {"Content-Type": "video/mp2t", "Cache-Control": "public, max-age=31536000, immutable"}
_PLAYLIST_HEADERS = {"Content-Type": "application/vnd.apple.mpegurl", "Cache-Control": "public, max-age=1"}
_FINISH_TRIES = 20
_PREPARED = "prepared"

# Players in any page may read; nobody may write from one.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html
_CORS = (
    b'<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><CORSRule>'
    b"<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedMethod>HEAD</AllowedMethod>"
    b"<AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>86400</MaxAgeSeconds>"
    b"</CORSRule></CORSConfiguration>"
)


class _Listed(NamedTuple):
    key: str
    etag: str
    modified_at: float
    size: int


class _Target(NamedTuple):
    """The bucket, for an examination."""

    bucket_url: str
    origin_url: str | None
    signed: Callable[[str, str], str]
    post: Callable[[str], dict[str, str]]

    def url(self, key: str = "") -> str:
        return f"{self.bucket_url}/{key}".rstrip("/")

    def origin(self, key: str) -> str | None:
        origin_url = (self.origin_url or self.bucket_url).rstrip("/")
        return None if origin_url == self.bucket_url else f"{origin_url}/{key}"

    def post_fields(self, session_id: str) -> dict[str, str]:
        return self.post(f"segments/{session_id}/1/")


class MinioObjectStore:
    """ports.ObjectStore. Raises BadSetting where the settings name no store or no key."""

    def __init__(self, settings: Settings) -> None:
        if settings.s3_endpoint is None or settings.s3_access_key is None or settings.s3_secret_key is None:
            raise BadSetting(f"{PREFIX}S3_ENDPOINT, {PREFIX}S3_ACCESS_KEY, {PREFIX}S3_SECRET_KEY: must be set")
        self._endpoint = _address("S3_ENDPOINT", settings.s3_endpoint)
        self._bucket = settings.s3_bucket
        self._origin_url = settings.origin_url
        self._region = settings.s3_region
        self._credentials = Credentials(settings.s3_access_key, settings.s3_secret_key)
        self._http = urllib3.PoolManager(timeout=_TIMEOUT, retries=False, maxsize=_THREADS)
        self._signature_life = timedelta(seconds=settings.signature_s)
        self._transcoder_endpoint = self._endpoint
        if settings.s3_transcoder_endpoint is not None:
            self._transcoder_endpoint = _address("S3_TRANSCODER_ENDPOINT", settings.s3_transcoder_endpoint)
        try:
            self._client = self._connect(self._endpoint)
            # A client of its own for the host that containers use: the host is part of a signature. It never connects.
            self._signer = self._connect(self._transcoder_endpoint)
            self.sign("session", 1)
        except ValueError as error:
            raise BadSetting(f"{PREFIX}S3_...: {error}") from None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="object-store")

    def _connect(self, endpoint: SplitResult) -> Minio:
        return Minio(
            endpoint.netloc, self._credentials.access_key, self._credentials.secret_key,
            secure=endpoint.scheme == "https", region=self._region, http_client=self._http,
        )  # fmt: skip

    # --- signed addresses ---------------------------------------------------------------------------------------------

    def sign(self, session_id: str, attempt: int) -> dict[str, object]:
        prefix = f"segments/{session_id}/{attempt}/"
        return {
            "segments": {
                "url": f"{self._transcoder_endpoint.geturl()}/{self._bucket}",
                "fields": self._post_fields(prefix),
                "prefix": prefix,
            },
            "playlists": {
                name: {
                    "get": self._signed("GET", _playlist_key(session_id, name)),
                    "put": self._signed("PUT", _playlist_key(session_id, name)),
                }
                for name in ("index", "main")
            },
            "log": {"put": self._signed("PUT", _log_key(session_id, attempt))},
        }

    def _post_fields(self, prefix: str) -> dict[str, str]:
        policy = PostPolicy(self._bucket, datetime.now(UTC) + self._signature_life)
        policy.add_starts_with_condition("key", prefix)
        for name, value in _SEGMENT_HEADERS.items():
            policy.add_equals_condition(name, value)
        policy.add_content_length_range_condition(*_SEGMENT_BYTES)
        return {**_SEGMENT_HEADERS, **self._signer.presigned_post_policy(policy)}

    def _signed(self, method: str, key: str) -> str:
        return self._signer.get_presigned_url(method, self._bucket, key, expires=self._signature_life)

    # --- the bucket ---------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        await self._run(self._prepare)

    def _prepare(self) -> None:
        if not self._client.bucket_exists(self._bucket):
            try:
                self._client.make_bucket(self._bucket)
            except S3Error as error:
                if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):  # another process was faster
                    raise
        self._open_to_players()
        # The first write to a new SeaweedFS bucket takes 0.2 s: not at the first viewer's expense. It shows, too, that
        # the store can be written to at all.
        self._client.put_object(self._bucket, _PREPARED, io.BytesIO(b"1"), 1)
        self._client.remove_object(self._bucket, _PREPARED)

    def _open_to_players(self) -> None:
        """Sets the bucket's rules, unless they are somebody else's: behind a CDN that alone may read, the key moves media and
        may do no more. Whether players can read is what `examine` tells."""
        readable = [f"arn:aws:s3:::{self._bucket}/{prefix}/*" for prefix in ("playlists", "segments")]
        statement = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Resource": readable}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        try:
            self._client.set_bucket_policy(self._bucket, json.dumps(policy))
        except S3Error as error:
            if error.code != "AccessDenied":
                raise
            log.info("store: policy and CORS of %s are its owner's, this key may not set them", self._bucket)
        else:
            self._on_bucket("PUT", {"cors": ""}, _CORS)

    async def check(self) -> None:
        if not await self._run(lambda: self._client.bucket_exists(self._bucket)):
            raise StoreUnavailable(f"there is no bucket {self._bucket}")

    async def examine(self) -> StoreReport:
        probe = store_examination.probes()
        bucket_url = f"{self._endpoint.geturl()}/{self._bucket}"
        target = _Target(bucket_url, self._origin_url, self._presigned, self._post_fields)
        try:
            return await self._run(store_examination.examine, self._http, target, probe)
        finally:
            with contextlib.suppress(StoreUnavailable):  # of nobody: retention takes what is left
                await self.delete(probe.keys)

    def _presigned(self, method: str, key: str) -> str:
        return self._client.get_presigned_url(method, self._bucket, key, expires=timedelta(minutes=1))

    # --- playlists ----------------------------------------------------------------------------------------------------

    async def playlists(self) -> Mapping[str, Stamp]:
        stamps: dict[str, Stamp] = {}
        async for page in self._pages("playlists/"):
            for item in page:
                match item.key.split("/"):
                    case [_, session_id, "main.m3u8"]:
                        stamps[session_id] = Stamp(item.etag, item.modified_at)
        return stamps

    async def read_playlist(self, session_id: str) -> tuple[MediaPlaylist, str] | None:
        return await self._run(self._read_main, session_id)

    def _read_main(self, session_id: str) -> tuple[MediaPlaylist, str] | None:
        found = self._read(_playlist_key(session_id, "main"))
        return None if found is None else (_parsed(found[0]), found[1])

    async def read_multivariant(self, session_id: str) -> str | None:
        found = await self._run(self._read, _playlist_key(session_id, "index"))
        return None if found is None else found[0]

    async def read_segment(self, session_id: str, uri: str, limit_bytes: int) -> bytes | None:
        key = key_of(session_id, uri)
        return None if key is None else await self._run(self._read_beginning, key, limit_bytes)

    def _read_beginning(self, key: str, limit_bytes: int) -> bytes | None:
        answer = self._object(key, limit_bytes)
        if answer is None:
            return None
        try:
            return answer.read(limit_bytes, decode_content=False)
        finally:
            answer.release_conn()

    async def finish_playlist(self, session_id: str) -> None:
        await self._run(self._finish, _playlist_key(session_id, "main"))

    def _finish(self, key: str) -> None:
        url = self._presigned("PUT", key)
        for _ in range(_FINISH_TRIES):
            found = self._read(key)
            if found is None or (playlist := _parsed(found[0])).ended:
                return
            body = playlist.finish().render().encode()
            answer = self._http.request("PUT", url, body=body, headers=_PLAYLIST_HEADERS | {"If-Match": f'"{found[1]}"'})
            if answer.status == 200:
                return
            if answer.status not in (404, 409, 412):  # these mean: somebody was faster, look again
                raise StoreUnavailable(f"the store answers {answer.status} to a playlist")
        raise StoreUnavailable(f"{key} keeps changing")

    # --- everything else ----------------------------------------------------------------------------------------------

    async def objects(self, prefix: str) -> AsyncIterator[Sequence[StoredObject]]:
        async for page in self._pages(prefix):
            yield [StoredObject(item.key, item.modified_at, item.size) for item in page]

    async def delete(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), _PAGE):
            await self._run(self._delete, keys[start : start + _PAGE])

    def _delete(self, keys: Sequence[str]) -> None:
        errors = list(self._client.remove_objects(self._bucket, [DeleteObject(key) for key in keys]))
        if errors:
            raise StoreUnavailable(f"{len(errors)} objects could not be deleted; the first: {errors[0].message}")

    async def read_log(self, session_id: str, attempt: int) -> str | None:
        return await self._run(self._read_log, _log_key(session_id, attempt))

    def _read_log(self, key: str) -> str | None:
        answer = self._object(key)  # not a range: of an empty object there is none
        if answer is None:
            return None
        content = answer.read(_LOG_BYTES, decode_content=False)
        answer.close()  # what is left is read by nobody
        return content.decode(errors="replace")

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        self._http.clear()

    # --- how ----------------------------------------------------------------------------------------------------------

    async def _pages(self, prefix: str) -> AsyncIterator[list[_Listed]]:
        token: str | None = ""
        while token is not None:
            page, token = await self._run(self._list, prefix, token)
            if page:
                yield page

    def _list(self, prefix: str, token: str) -> tuple[list[_Listed], str | None]:
        """A page and the next one's token (ListObjectsV2). Not by the SDK, which takes 45 µs for a key; this takes 5, and
        the sweep lists every session every second."""
        query = {"list-type": "2", "max-keys": str(_PAGE), "prefix": prefix}
        document = ElementTree.fromstring(self._on_bucket("GET", query | ({"continuation-token": token} if token else {})))  # noqa: S314  # our own store's
        if not document.tag.endswith("ListBucketResult"):
            raise ValueError(f"<{document.tag}>")  # an empty list would say that every playlist is gone
        namespace = document.tag.removesuffix("ListBucketResult")
        key, etag, modified, size = (f"{namespace}{name}" for name in ("Key", "ETag", "LastModified", "Size"))
        page = [
            _Listed(
                item.findtext(key, ""),
                item.findtext(etag, "").strip('"'),
                datetime.fromisoformat(item.findtext(modified, "")).timestamp(),
                int(item.findtext(size, "0")),
            )
            for item in document.iter(f"{namespace}Contents")
        ]
        return page, document.findtext(f"{namespace}NextContinuationToken") or None

    def _on_bucket(self, method: str, query: dict[str, str], body: bytes = b"") -> bytes:
        """What the SDK cannot do for a bucket, signed by its signer."""
        url = presign_v4(
            method=method, url=urlsplit(f"{self._endpoint.geturl()}/{self._bucket}?{urlencode(query, quote_via=quote)}"),
            region=self._region, credentials=self._credentials, date=datetime.now(UTC), expires=60,
        )  # fmt: skip
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        headers = {"Content-MD5": digest} if body else {}
        answer = self._http.request(method, url.geturl(), headers=headers, body=body, preload_content=False)
        content = _whole(answer, _ANSWER_BYTES)
        if answer.status not in (200, 204):
            raise StoreUnavailable(f"the store answers {answer.status} to {method} ?{'&'.join(query)}: {content[:300]!r}")
        return content

    def _read(self, key: str) -> tuple[str, str] | None:
        """A playlist's text and its ETag, without its quotes. Raises CorruptPlaylist."""
        answer = self._object(key)
        if answer is None:
            return None
        etag, encoding = answer.headers.get("ETag", "").strip('"'), answer.headers.get("Content-Encoding", "identity")
        try:
            content = _whole(answer, LIMIT_BYTES)
        except _TooLarge:
            raise CorruptPlaylist(f"the store holds a playlist of more than {LIMIT_BYTES >> 20} MiB") from None
        if not etag:
            raise ValueError("an object without an ETag")  # somebody in between has answered
        if encoding != "identity":  # a container may have stored it so: nobody of ours does
            raise CorruptPlaylist("the store holds a compressed playlist")
        return content.decode(errors="replace"), etag

    def _object(self, key: str, length: int = 0) -> urllib3.BaseHTTPResponse | None:
        """Its beginning of so many bytes; 0: all of it. To be read and released."""
        try:
            return self._client.get_object(self._bucket, key, length=length)
        except S3Error as error:
            if error.code == "NoSuchKey":
                return None
            raise

    async def _run(self, call: Callable[..., T], *arguments: object) -> T:
        """In a thread, for a limited time; every failure of the store becomes StoreUnavailable."""
        try:
            async with asyncio.timeout(_ANSWER_LIMIT_S):
                return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)
        except S3Error as error:
            raise StoreUnavailable(f"the store answers {error.code}: {error.message}") from error
        except TimeoutError:
            raise StoreUnavailable(f"{self._endpoint.geturl()}: no answer within {_ANSWER_LIMIT_S:g} s") from None
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreUnavailable(f"{self._endpoint.geturl()}: {error}") from error
        except (ElementTree.ParseError, ValueError) as error:
            raise StoreUnavailable(f"{self._endpoint.geturl()}: an answer that S3 would not give: {error}") from error


class _TooLarge(ValueError):
    """More than was to be read."""


def _whole(answer: urllib3.BaseHTTPResponse, limit_bytes: int) -> bytes:
    """The body as it was sent, without what its headers say of a compression. Raises _TooLarge; the connection is then closed,
    for what is left on it would be read by nobody."""
    content = answer.read(limit_bytes + 1, decode_content=False)
    if len(content) > limit_bytes:
        answer.close()
        raise _TooLarge(f"more than {limit_bytes >> 20} MiB")
    answer.release_conn()
    return content


def _playlist_key(session_id: str, name: str) -> str:
    return f"playlists/{session_id}/{name}.m3u8"


def _log_key(session_id: str, attempt: int) -> str:
    return f"logs/{session_id}/{attempt}.log"


def _parsed(text: str) -> MediaPlaylist:
    try:
        return MediaPlaylist.parse(text)
    except MalformedPlaylist as error:
        raise CorruptPlaylist(f"the store holds a playlist that is none: {error}") from error


def _address(name: str, text: str) -> SplitResult:
    """http(s)://host[:port]"""
    url = urlsplit(text.rstrip("/"))
    if url.scheme not in ("http", "https") or not url.netloc or url.path or url.query:
        raise BadSetting(f"{PREFIX}{name}: must be http(s)://host:port, is {text}")
    return url
