"""HTTP client for untrusted servers.

Rule: what is read is bounded in bytes before and after decoding, whatever the server declares, and no request leaves a cookie
for another source.

A server is asked not to compress. Where it compresses once, by gzip, the answer is decoded, and the limit counts what comes
out. Any other coding (gzip twice: 492 bytes that become 641 MB) is refused by its name (RFC 9110, 8.4). The body of a redirect
is not read.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NamedTuple, Self

import httpx

_REDIRECTS = 4
_GZIP = 16 + zlib.MAX_WBITS  # for zlib.decompressobj: with a gzip header
_CODINGS = {"": False, "identity": False, "gzip": True, "x-gzip": True}
_TOLD = ("gzip, gzip", "br", "deflate", "zstd", "compress")  # named in a reason; any other text of a server is not repeated


class Unreadable(Exception):
    """The answer cannot be decoded; the message is for an operator."""


class BoundedAnswer(NamedTuple):
    """`body`: up to the limit; `complete`: whether that is all of it. `url`: after redirects."""

    url: str
    status: int
    content_type: str
    body: bytes
    complete: bool


class BoundedClient:
    """A client for a few requests to one source: a cookie that a server sets is sent back, and forgotten when the client is
    closed.

    Use as an async context manager. `pool`: clients share connections, and no cookies.
    """

    def __init__(self, pool: httpx.AsyncHTTPTransport) -> None:
        # No proxy from the environment: FFmpeg does not use it either.
        self._http = httpx.AsyncClient(transport=_Shared(pool), trust_env=False, timeout=10.0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def get(
        self, url: str, headers: Mapping[str, str], *, limit_bytes: int, goes_on: Callable[[bytes], bool] = lambda _: True
    ) -> BoundedAnswer:
        """Reads to the end, to the limit, or until `goes_on`, which gets the first bytes, returns False.

        Raises Unreadable, httpx.HTTPError, httpx.InvalidURL. The caller sets the time limit.
        """
        request = self._http.build_request("GET", url, headers={"Accept-Encoding": "identity", **headers})
        for _ in range(_REDIRECTS + 1):
            answer = await self._http.send(request, stream=True)
            try:
                if answer.next_request is None:
                    return await _read(answer, limit_bytes, goes_on)
            finally:
                await answer.aclose()
            # Redirects are followed here: httpx would first read and decompress the whole body of a redirect
            request = answer.next_request
        raise httpx.TooManyRedirects(f"more than {_REDIRECTS} redirects", request=request)


async def _read(answer: httpx.Response, limit_bytes: int, goes_on: Callable[[bytes], bool]) -> BoundedAnswer:
    coding = answer.headers.get("content-encoding", "").strip().lower()
    if coding not in _CODINGS:
        raise Unreadable(f"a compressed answer ({coding if coding in _TOLD else 'of another kind'})")
    decoder = zlib.decompressobj(_GZIP) if _CODINGS[coding] else None
    body, received, complete = bytearray(), 0, True
    async for part in answer.aiter_raw():
        received += len(part)
        left = limit_bytes - len(body)
        body += part[:left] if decoder is None else _decoded(decoder, part, left)
        if received > limit_bytes or len(body) >= limit_bytes or not goes_on(bytes(body[:1024])):
            complete = False
            break
    kind = answer.headers.get("content-type", "").partition(";")[0].strip()
    return BoundedAnswer(str(answer.url), answer.status_code, kind, bytes(body), complete)


def pool() -> httpx.AsyncHTTPTransport:
    """Connections that clients share. The caller closes it."""
    return httpx.AsyncHTTPTransport(trust_env=False)


def _decoded(decoder: zlib._Decompress, part: bytes, left: int) -> bytes:
    if left <= 0:  # which zlib takes for no limit at all
        return b""
    try:
        return decoder.decompress(part, left)
    except zlib.error:
        raise Unreadable("a compressed answer (gzip) that is broken") from None


class _Shared(httpx.AsyncBaseTransport):
    """A pool that is not closed with the client that uses it."""

    def __init__(self, pool: httpx.AsyncHTTPTransport) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._pool.handle_async_request(request)
