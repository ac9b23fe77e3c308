"""A store and an API for edges to stand before: they count what they are asked, and answer as slowly, or not at all, as a test
says. Each has a port of its own, so that one can be away while the other is there."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import NamedTuple, Self

PLAYLIST = ("application/vnd.apple.mpegurl", "public, max-age=1")
SEGMENT = ("video/mp2t", "public, max-age=31536000, immutable")


class Asked(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]  # names in lower case


class Door:
    """One port, which can be shut and opened again."""

    def __init__(self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self.port = 0
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port, backlog=1024)
            self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            self._server = None
            while self._writers:
                await asyncio.sleep(0.01)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


class Origin:
    """`async with Origin() as origin`. Objects are found by their path behind the bucket's name."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str, str]] = {}
        self.asked: list[Asked] = []
        self.delay_s: Callable[[], float] = lambda: 0.0
        self.api_delay_s = 0.0
        self.tokens: set[str] = set()  # that the API takes for a session's playlist
        self._store = Door(self._serve)
        self._api = Door(self._serve)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._store.port}"

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self._api.port}"

    def put(self, path: str, body: bytes) -> None:
        self.objects[f"/hls{path}"] = (body, *(PLAYLIST if path.endswith(".m3u8") else SEGMENT))

    def count(self, path: str) -> int:
        """How often it was asked for this object."""
        return Counter(each.target.partition("?")[0] for each in self.asked)[f"/hls{path}"]

    async def open(self, *, store: bool = True, api: bool = True) -> None:
        """On the same ports as before."""
        for door in self._which(store, api):
            await door.open()

    async def close(self, *, store: bool = True, api: bool = True) -> None:
        """Refuses, and breaks what is open."""
        for door in self._which(store, api):
            await door.close()

    def _which(self, store: bool, api: bool) -> list[Door]:
        return [self._store] * store + [self._api] * api

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            method, target, _ = lines[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            await reader.readexactly(int(headers.get("content-length", "0")))
            asked = Asked(method, target, headers)
            self.asked.append(asked)
            if target.startswith("/v1/events"):
                await self._events(reader, writer)
                return
            body = self.objects.get(target.partition("?")[0])  # as it was when it was asked
            await asyncio.sleep(self.delay_s() if target.startswith("/hls/") else self.api_delay_s)
            writer.write(_answer(asked, body, self.tokens))
            await writer.drain()

    async def _events(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One event, and then nothing for as long as somebody listens."""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b'f\r\ndata: {"id":1}\n\r\n')
        await writer.drain()
        await reader.read()


def _answer(asked: Asked, found: tuple[bytes, str, str] | None, tokens: set[str]) -> bytes:
    path, _, query = asked.target.partition("?")
    if path.startswith(("/watch/", "/v1/sessions/")):
        return _playback(asked, path, query, tokens)
    if asked.target == "/v1/echo":
        return _rendered(200, {"Content-Type": "text/plain"}, asked.headers.get("x-forwarded-for", "").encode())
    if found is None:
        return _rendered(404, {"Content-Type": "application/xml"}, b"<Error><Code>NoSuchKey</Code></Error>")
    body, kind, cache_control = found
    etag = f'"{hashlib.md5(body).hexdigest()}"'
    headers = {"Content-Type": kind, "Cache-Control": cache_control, "ETag": etag, "Accept-Ranges": "bytes", "Vary": "Origin"}
    if asked.headers.get("if-none-match") == etag:
        return _rendered(304, headers, b"")
    return _rendered(200, headers, body, with_body=asked.method != "HEAD")


def _rendered(status: int, headers: dict[str, str], body: bytes, *, with_body: bool = True) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in headers.items())]
    if status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body if with_body else b"")


def _playback(asked: Asked, path: str, query: str, tokens: set[str]) -> bytes:
    """As the API does: a redirect to the playlist, leases, and playlists of its own making, which say so."""
    cross_site = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store", "Set-Cookie": "console=1"}
    if path.startswith("/watch/"):
        address = f"http://{asked.headers['host']}/v1/sessions/s-1/index.m3u8?token=good"
        return _rendered(302, {"Location": address} | cross_site, b"")
    if query.removeprefix("token=") not in tokens:
        return _rendered(401, {"Content-Type": "application/problem+json"} | cross_site, b'{"title": "Unauthorized"}')
    if path.endswith("/heartbeat"):
        return _rendered(204, cross_site, b"", with_body=False)
    return _rendered(200, {"Content-Type": PLAYLIST[0]} | cross_site, b"#EXTM3U\n## by the API\n")
