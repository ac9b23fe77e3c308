"""Serves live sources over HTTP, each on a port of its own, so that one can fail while the others work."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.media.loop import Recipe, default_cache_dir, default_ffmpeg, make
from lab.media.mpegts import TICKS_PER_S, WRAP_TICKS
from lab.serving.faulty_answer import FaultyAnswer
from lab.serving.http1 import Listener, head
from lab.serving.source import LabFault, LabSource, Request


class SourceServer:
    """One source on one port. Raises OSError where the port is taken."""

    def __init__(self, source: LabSource, host: str, port: int) -> None:
        self.source = source
        self._listener = Listener(host, port, self._answer)
        source.base_url = f"http://{host}:{self._listener.port}"
        source.on_fault = self._apply
        self._apply()

    @property
    def open_connections(self) -> int:
        """The number of clients that are connected to the source."""
        return self._listener.open_connections

    async def close(self) -> None:
        """Stop serving."""
        self.source.on_fault = lambda: None
        await self._listener.close()

    def _apply(self) -> None:
        """Apply the fault to the port and to open connections; `FaultyAnswer` applies it to answers."""
        if self.source.fault is LabFault.REFUSE:
            self._listener.refuse()
        else:
            self._listener.open()
        if self.source.fault in (LabFault.REFUSE, LabFault.RESET):
            self._listener.reset_all()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request) -> None:
        self.source.requests += 1
        self.source.last_request = request
        await FaultyAnswer(self.source, reader, writer, request).answer()


class Lab:
    """Live sources on loopback, in step with each other and with the wall clock.

    Each name gets its own picture, hue, letter and tone, in order. `recipe` describes the media of all sources, `recipes` those
    of single sources; `segment_s` and `bitrate_bps` replace these fields of `recipe`. `port` 0: the kernel chooses; otherwise
    sources take `port`, `port + 1`, ... and the control endpoint the next one. `wrap_after_s`: the 33-bit timestamps wrap so
    long after the start; by default where Unix time modulo 26.5 h does. `only`: serve this one source, with the look that it
    has among all `names`.
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
        only: str | None = None,
    ) -> None:
        recipe = recipe or Recipe()
        if segment_s is not None:
            recipe = replace(recipe, segment_s=segment_s)
        if bitrate_bps is not None:
            recipe = replace(recipe, bitrate_bps=bitrate_bps)
        own = recipes or {}
        self._recipes = {
            name: replace(own.get(name, recipe), picture=number) for number, name in enumerate(names) if only in (None, name)
        }
        self._cache_dir = cache_dir or default_cache_dir()
        self._ffmpeg = ffmpeg or default_ffmpeg()
        self._host, self._port = host, port
        self._with_control = control
        self._wrap_after_s = wrap_after_s
        self._servers: dict[str, SourceServer] = {}
        self._open = AsyncExitStack()
        self.control_url: str | None = None

    def __getitem__(self, name: str) -> LabSource:
        return self._servers[name].source

    def open_connections(self, name: str) -> int:
        """The number of clients that are connected to this source."""
        return self._servers[name].open_connections

    @property
    def sources(self) -> list[LabSource]:
        """All sources, in the order of `names`."""
        return [server.source for server in self._servers.values()]

    async def __aenter__(self) -> Self:
        later_s = 0.0
        if self._wrap_after_s is not None:
            later_s = WRAP_TICKS / TICKS_PER_S - self._wrap_after_s - time.time()
        async with AsyncExitStack() as opening:
            for number, (name, recipe) in enumerate(self._recipes.items()):
                loop = await asyncio.to_thread(make, recipe, self._cache_dir, self._ffmpeg)
                server = SourceServer(LabSource(name, loop, later_s=later_s), self._host, self._port and self._port + number)
                opening.push_async_callback(server.close)
                self._servers[name] = server
            if self._with_control:
                control = Listener(self._host, self._port and self._port + len(self._recipes), self._answer_control)
                opening.push_async_callback(control.close)
                control.open()
                self.control_url = f"http://{self._host}:{control.port}/_control"
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

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
                return 400, {"error": f'expected {{"fault": a name or null, "amount": a number}}: {error}'}
        return 200, {
            "fault": source.fault,
            "amount": source.amount,
            "requests": source.requests,
            "open_connections": server.open_connections,
        }
