"""The connection to the S3 store: the minio SDK's client, its HTTP connections, and the threads that its calls run in.

Rule: the store is never waited for on the event loop, nor for longer than a limit, and no call is repeated here. Every failure
of the store becomes StoreUnavailable (law 3); the caller tries again later.

What is read has been written by containers, which may write anything: it is read up to a limit, as it is stored, and never
decompressed.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import SplitResult, quote, urlencode, urlsplit
from xml.etree import ElementTree

import urllib3
from minio import Minio
from minio.credentials.credentials import Credentials
from minio.error import MinioException, S3Error
from minio.signer import presign_v4

from orchestrator.app.settings import PREFIX, Settings
from orchestrator.errors import BadSetting, StoreUnavailable

T = TypeVar("T")

_THREADS = 8
_TIMEOUT = urllib3.Timeout(connect=2.0, read=5.0)
_ANSWER_LIMIT_S = 8.0  # of a whole call, with the wait for a thread: a store that hangs holds all of them
_ANSWER_BYTES = 16 << 20  # of an answer of the store itself; a page of a thousand keys has some hundred kilobytes


class S3Connection:
    """One bucket of one store. Nothing connects before it is used. Raises BadSetting where the settings name no store or no
    key."""

    def __init__(self, settings: Settings) -> None:
        if settings.s3_endpoint is None or settings.s3_access_key is None or settings.s3_secret_key is None:
            raise BadSetting(f"{PREFIX}S3_ENDPOINT, {PREFIX}S3_ACCESS_KEY, {PREFIX}S3_SECRET_KEY: must be set")
        self.endpoint = address("S3_ENDPOINT", settings.s3_endpoint)
        self.bucket = settings.s3_bucket
        self.http = urllib3.PoolManager(timeout=_TIMEOUT, retries=False, maxsize=_THREADS)
        self._region = settings.s3_region
        self._credentials = Credentials(settings.s3_access_key, settings.s3_secret_key)
        self.client = self.client_of(self.endpoint)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="object-store")

    @property
    def bucket_url(self) -> str:
        return f"{self.endpoint.geturl()}/{self.bucket}"

    def client_of(self, endpoint: SplitResult) -> Minio:
        """The SDK's client of the same store under this address. Raises BadSetting."""
        try:
            return Minio(
                endpoint.netloc, self._credentials.access_key, self._credentials.secret_key,
                secure=endpoint.scheme == "https", region=self._region, http_client=self.http,
            )  # fmt: skip
        except ValueError as error:
            raise BadSetting(f"{PREFIX}S3_...: {error}") from None

    async def run(self, call: Callable[..., T], *arguments: object) -> T:
        """Runs the call in a thread, for a limited time. Raises StoreUnavailable."""
        try:
            async with asyncio.timeout(_ANSWER_LIMIT_S):
                return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)
        except S3Error as error:
            raise StoreUnavailable(f"the store answers {error.code}: {error.message}") from error
        except TimeoutError:
            raise StoreUnavailable(f"{self.endpoint.geturl()}: no answer within {_ANSWER_LIMIT_S:g} s") from None
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreUnavailable(f"{self.endpoint.geturl()}: {error}") from error
        except (ElementTree.ParseError, ValueError) as error:
            raise StoreUnavailable(f"{self.endpoint.geturl()}: an answer that S3 would not give: {error}") from error

    def request_bucket(self, method: str, query: dict[str, str], body: bytes = b"") -> bytes:
        """A request about the bucket that the SDK has no call for, signed by the SDK's signer. Blocks."""
        url = presign_v4(
            method=method, url=urlsplit(f"{self.bucket_url}?{urlencode(query, quote_via=quote)}"),
            region=self._region, credentials=self._credentials, date=datetime.now(UTC), expires=60,
        )  # fmt: skip
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        headers = {"Content-MD5": digest} if body else {}
        answer = self.http.request(method, url.geturl(), headers=headers, body=body, preload_content=False)
        content = read_whole(answer, _ANSWER_BYTES)
        if answer.status not in (200, 204):
            raise StoreUnavailable(f"the store answers {answer.status} to {method} ?{'&'.join(query)}: {content[:300]!r}")
        return content

    def get(self, key: str, length: int = 0) -> urllib3.BaseHTTPResponse | None:
        """An object's first `length` bytes, or with 0 all of it, to be read and released; None: there is no such object.
        Blocks."""
        try:
            return self.client.get_object(self.bucket, key, length=length)
        except S3Error as error:
            if error.code == "NoSuchKey":
                return None
            raise

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        self.http.clear()


class TooLarge(ValueError):
    """The body has more bytes than the limit."""


def read_whole(answer: urllib3.BaseHTTPResponse, limit_bytes: int) -> bytes:
    """The body as it was sent, whatever its headers say about a compression. Raises TooLarge, and closes the connection then,
    because what is left on it would not be read."""
    content = answer.read(limit_bytes + 1, decode_content=False)
    if len(content) > limit_bytes:
        answer.close()
        raise TooLarge(f"more than {limit_bytes >> 20} MiB")
    answer.release_conn()
    return content


def address(name: str, text: str) -> SplitResult:
    """The value of the setting `name`, as http(s)://host[:port]. Raises BadSetting."""
    url = urlsplit(text.rstrip("/"))
    if url.scheme not in ("http", "https") or not url.netloc or url.path or url.query:
        raise BadSetting(f"{PREFIX}{name}: must be http(s)://host:port, is {text}")
    return url
