"""Reads what a stranger's server answers. Law: bounded in bytes before and after decoding, whatever the server announces, and
no reader leaves anything behind for the next one.

A server is asked for the bytes as they are. One that compresses all the same is understood where it does so once, by gzip: the
limit counts what comes out. Anything else (gzip twice: 492 bytes that become 641 MB) is refused by name (RFC 9110, 8.4). Of a
redirect no body is read.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NamedTuple, Self

import httpx

_REDIRECTS = 4
_GZIP = 16 + zlib.MAX_WBITS  # zlib.decompressobj: a gzip header is expected
_CODINGS = {"": False, "identity": False, "gzip": True, "x-gzip": True}
_TOLD = ("gzip, gzip", "br", "deflate", "zstd", "compress")  # by name; a server may write there what it likes


class Unreadable(Exception):
    """The answer is encoded in a way that is not understood; in words for an operator."""


class Answer(NamedTuple):
    """`body`: no more than the limit; `complete`: all of it. `url`: where it came from, after redirects."""

    url: str
    status: int
    content_type: str
    body: bytes
    complete: bool


class Visitor:
    """Asks for a few pages as one client: a cookie that a server sets is sent back to it, and forgotten with the visitor.

    Use as an async context manager. `pool` is shared by visitors: connections are, cookies are not.
    """

    def __init__(self, pool: httpx.AsyncHTTPTransport) -> None:
        # Nothing of the environment: FFmpeg is not told of it either.
        self._http = httpx.AsyncClient(transport=_Shared(pool), trust_env=False, timeout=10.0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def get(
        self, url: str, headers: Mapping[str, str], *, limit_bytes: int, goes_on: Callable[[bytes], bool] = lambda _: True
    ) -> Answer:
        """Reads to the end, to the limit, or until `goes_on` says of what has come that the rest is not wanted.

        Raises Unreadable, httpx.HTTPError, httpx.InvalidURL. In time it is bounded by the caller.
        """
        request = self._http.build_request("GET", url, headers={"Accept-Encoding": "identity", **headers})
        for _ in range(_REDIRECTS + 1):
            answer = await self._http.send(request, stream=True)
            try:
                if answer.next_request is None:
                    return await _read(answer, limit_bytes, goes_on)
            finally:
                await answer.aclose()
            # Followed here: httpx would read a redirect's body first, to its end, and decompress it
            request = answer.next_request
        raise httpx.TooManyRedirects(f"more than {_REDIRECTS} redirects", request=request)


async def _read(answer: httpx.Response, limit_bytes: int, goes_on: Callable[[bytes], bool]) -> Answer:
    coding = answer.headers.get("content-encoding", "").strip().lower()
    if coding not in _CODINGS:
        raise Unreadable(f"a compressed answer ({coding if coding in _TOLD else 'of another kind'})")
    decoder = zlib.decompressobj(_GZIP) if _CODINGS[coding] else None
    body, received, complete = bytearray(), 0, True
    async for part in answer.aiter_raw():
        received += len(part)
        room = limit_bytes - len(body)
        body += part[:room] if decoder is None else _decoded(decoder, part, room)
        if received > limit_bytes or len(body) >= limit_bytes or not goes_on(bytes(body[:1024])):
            complete = False
            break
    kind = answer.headers.get("content-type", "").partition(";")[0].strip()
    return Answer(str(answer.url), answer.status_code, kind, bytes(body), complete)


def pool() -> httpx.AsyncHTTPTransport:
    """The connections that visitors share. To be closed by whoever made it."""
    return httpx.AsyncHTTPTransport(trust_env=False)


def _decoded(decoder: zlib._Decompress, part: bytes, room: int) -> bytes:
    if room <= 0:  # to zlib no limit at all
        return b""
    try:
        return decoder.decompress(part, room)
    except zlib.error:
        raise Unreadable("a compressed answer (gzip) that is broken") from None


class _Shared(httpx.AsyncBaseTransport):
    """A pool that outlives the client that uses it."""

    def __init__(self, pool: httpx.AsyncHTTPTransport) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._pool.handle_async_request(request)
