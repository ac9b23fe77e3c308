"""Serves live sources over HTTP, each on a port of its own, and does to the connections what their faults ask for."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.http1 import Listener, head, reset
from lab.media import FPS, Recipe, default_cache_dir, default_ffmpeg, make
from lab.source import Fault, Request, Source

_PLAYLIST = "application/vnd.apple.mpegurl"
_TS = "video/mp2t"
_PAGE = b"<!doctype html><title>Account suspended</title><h1>Account suspended</h1>\n"
_STATUS = {Fault.HTTP_403: 403, Fault.HTTP_404: 404, Fault.HTTP_500: 500}
# With these, the endless .ts ends as a new one would: its server has nothing more to say.
_ENDS_TS = {*_STATUS, Fault.HTML, Fault.EMPTY_PLAYLIST, Fault.END}
_TICK_S = 1 / FPS


class SourceServer:
    """One source on one port."""

    def __init__(self, source: Source, host: str, port: int) -> None:
        self.source = source
        self.listener = Listener(host, port, self._answer)
        source.base_url = f"http://{host}:{self.listener.port}"
        source.on_fault = self._apply

    def open(self) -> None:
        """Begins to serve."""
        self._apply()

    async def close(self) -> None:
        """Serves no longer."""
        self.source.on_fault = lambda: None
        await self.listener.close()

    def _apply(self) -> None:
        if self.source.fault is Fault.REFUSE:
            self.listener.refuse()
        else:
            self.listener.open()
        if self.source.fault in (Fault.REFUSE, Fault.RESET):
            self.listener.reset_all()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request) -> None:
        source = self.source
        source.requests += 1
        source.last_request = request
        while source.fault is Fault.HANG:
            if reader.at_eof():
                return writer.close()
            await asyncio.sleep(_TICK_S)
        if source.fault is Fault.RESET:
            return reset(writer)
        if source.fault in _STATUS:
            return await self._send(reader, writer, request, b"no\n", "text/plain", _STATUS[source.fault])
        if source.fault is Fault.HTML:
            return await self._send(reader, writer, request, _PAGE, "text/html; charset=utf-8")
        if request.method not in ("GET", "HEAD"):
            return await self._send(reader, writer, request, b"GET or HEAD\n", "text/plain", 405)

        now_s = time.time()
        home = f"/{source.name}"
        if request.path == f"{home}/media.m3u8":
            return await self._send(reader, writer, request, source.media_playlist(now_s).encode(), _PLAYLIST)
        if request.path == f"{home}/index.m3u8":
            return await self._send(reader, writer, request, source.multivariant_playlist().encode(), _PLAYLIST)
        if request.path == f"{home}/vod.m3u8":
            return await self._send(reader, writer, request, source.vod_playlist().encode(), _PLAYLIST)
        if request.path == f"{home}.mp4":
            return await self._send_media(reader, writer, request, source.loop.mp4.read_bytes(), "video/mp4")
        if request.path == f"{home}.ts":
            return await self._send_endless(reader, writer, request)
        number = request.path.removeprefix(f"{home}/").removesuffix(".ts")
        segment = source.segment(int(number), now_s) if number.isdecimal() else None
        if segment is None:
            return await self._send(reader, writer, request, b"not here\n", "text/plain", 404)
        if source.fault is Fault.SEGMENT_FAILS_ONCE:
            source.fault = None
            return await self._send(reader, writer, request, b"once\n", "text/plain", 500)
        return await self._send_media(reader, writer, request, segment, _TS)

    async def _send_media(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        request: Request,
        body: bytes,
        content_type: str,
    ) -> None:
        if self.source.fault is Fault.GARBAGE:
            body = os.urandom(len(body))
        if self.source.fault is Fault.CUT:
            writer.write(head(200, content_type, len(body)) + body[: len(body) // 2])
            await asyncio.sleep(_TICK_S)  # let the half arrive before the reset
            return reset(writer)
        first, beyond = _asked_range(request, len(body))
        if beyond - first == len(body):
            return await self._send(reader, writer, request, body, content_type, Accept_Ranges="bytes")
        where = f"bytes {first}-{beyond - 1}/{len(body)}"
        return await self._send(reader, writer, request, body[first:beyond], content_type, 206, Content_Range=where)

    async def _send(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        request: Request,
        body: bytes,
        content_type: str,
        status: int = 200,
        **more: str,
    ) -> None:
        writer.write(head(status, content_type, len(body), **more))
        if request.method != "HEAD":
            await self._write(reader, writer, body)

    async def _write(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
        """Writes the body: whole, or, while the source hangs or trickles, as little as it then would."""
        sent = 0
        while sent < len(body) and not reader.at_eof():
            match self.source.fault:
                case Fault.HANG:
                    await asyncio.sleep(_TICK_S)
                case Fault.TRICKLE:
                    piece = max(1, int(self.source.amount * _TICK_S))
                    writer.write(body[sent : sent + piece])
                    sent += piece
                    await asyncio.sleep(_TICK_S)
                case _:
                    writer.write(body[sent:])
                    sent = len(body)
            await writer.drain()

    async def _send_endless(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request) -> None:
        """The endless .ts: from the keyframe at the newest segment border on, one frame each 1/25 s."""
        source = self.source
        writer.write(head(200, _TS, None))
        if request.method == "HEAD":
            writer.close()
            return
        frames_each = round(source.segment_s * FPS)
        start = source.newest(time.time()) + 1
        behind_s = source.clock_s(time.time()) - start * source.segment_s
        sent = start * frames_each
        due_s = time.monotonic()
        while not reader.at_eof() and source.fault not in _ENDS_TS:
            due = int((source.clock_s(time.time()) - behind_s) * FPS) + 1
            if due - sent > 2 * FPS:  # after a stall: a live sender does not keep what nobody took
                sent = due // frames_each * frames_each
            for at in range(sent, due):
                number, frame = divmod(at, frames_each)
                packets = source.frames(number)[frame]
                match source.fault:
                    case Fault.CUT | Fault.SEGMENT_FAILS_ONCE:
                        if source.fault is Fault.SEGMENT_FAILS_ONCE:
                            source.fault = None
                        writer.write(packets[: len(packets) // 2])
                        await asyncio.sleep(_TICK_S)
                        reset(writer)
                        return
                    case Fault.GARBAGE:
                        packets = os.urandom(len(packets))
                await self._write(reader, writer, packets)
                sent = at + 1
            due_s = max(due_s + _TICK_S, time.monotonic())
            await asyncio.sleep(due_s - time.monotonic())
        writer.close()


class Lab:
    """Live sources on loopback, in step with each other and with the wall clock.

    Each name gets a picture, hue, letter and tone of its own, in order. `recipe` says what all sources' media are,
    `recipes` what single sources' are; `segment_s` and `bitrate_bps` are short for these fields of `recipe`. `port` 0
    lets the kernel choose; else sources take `port`, `port + 1`, ... and the control endpoint the next. `wrap_after_s`
    puts the wrap of the 33-bit timestamps that long after the start; by default it comes where Unix time modulo 26.5 h
    has it.
    """

    def __init__(
        self,
        cache_dir: Path | None = None,
        names: tuple[str, ...] = ("a", "b"),
        *,
        segment_s: float | None = None,
        bitrate_bps: int | None = None,
        recipe: Recipe | None = None,
        recipes: Mapping[str, Recipe] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        control: bool = False,
        wrap_after_s: float | None = None,
        ffmpeg: str | None = None,
    ) -> None:
        recipe = recipe or Recipe()
        if segment_s is not None:
            recipe = replace(recipe, segment_s=segment_s)
        if bitrate_bps is not None:
            recipe = replace(recipe, bitrate_bps=bitrate_bps)
        own = recipes or {}
        self._recipes = {name: replace(own.get(name, recipe), picture=number) for number, name in enumerate(names)}
        self._cache_dir = cache_dir or default_cache_dir()
        self._ffmpeg = ffmpeg
        self._host, self._port = host, port
        self._with_control = control
        self._wrap_after_s = wrap_after_s
        self._servers: dict[str, SourceServer] = {}
        self._control: Listener | None = None
        self.control_url: str | None = None

    def __getitem__(self, name: str) -> Source:
        return self._servers[name].source

    @property
    def sources(self) -> list[Source]:
        """All sources, in the order of their names as given."""
        return [server.source for server in self._servers.values()]

    async def __aenter__(self) -> Self:
        ffmpeg = self._ffmpeg or default_ffmpeg()
        jump_s = 0.0
        if self._wrap_after_s is not None:
            jump_s = (1 << 33) / 90_000 - self._wrap_after_s - time.time()
        for number, (name, recipe) in enumerate(self._recipes.items()):
            loop = await asyncio.to_thread(make, recipe, self._cache_dir, ffmpeg)
            port = self._port + number if self._port else 0
            self._servers[name] = SourceServer(Source(name, loop, jump_s=jump_s), self._host, port)
        for server in self._servers.values():
            server.open()
        if self._with_control:
            self._control = Listener(self._host, self._port + len(self._recipes) if self._port else 0, self._answer_control)
            self._control.open()
            self.control_url = f"http://{self._host}:{self._control.port}/_control"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        listeners = [server.listener for server in self._servers.values()] + ([self._control] if self._control else [])
        for listener in listeners:
            await listener.close()
        self._servers.clear()

    async def _answer_control(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request) -> None:
        status, answer = self._controlled(request)
        body = json.dumps(answer).encode()
        writer.write(head(status, "application/json", len(body)) + body)
        await writer.drain()

    def _controlled(self, request: Request) -> tuple[int, dict[str, object]]:
        server = self._servers.get(request.path.removeprefix("/_control/"))
        if server is None:
            return 404, {"error": f"no such source; there are: {', '.join(self._servers)}"}
        source = server.source
        if request.method == "POST":
            try:
                asked = json.loads(request.body)
                source.inject(asked["fault"], asked.get("amount"))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                return 400, {"error": f'expected {{"fault": name or null, "amount": number}}: {error}'}
        return 200, {
            "fault": source.fault,
            "amount": source.amount,
            "requests": source.requests,
            "open_connections": server.listener.open_connections,
        }


def _asked_range(request: Request, length: int) -> tuple[int, int]:
    """What a Range header (RFC 9110 14.1.2; `a-b` or `a-`) asks for: the first byte, and one beyond the last."""
    asked = request.headers.get("range", "")
    first, dash, last = asked.removeprefix("bytes=").partition("-")
    if not (asked.startswith("bytes=") and dash and first.isdecimal() and int(first) < length):
        return 0, length
    return int(first), min(int(last) + 1, length) if last.isdecimal() else length
