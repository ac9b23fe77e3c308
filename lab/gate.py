"""A TCP proxy for fault injection: open, it forwards; shut, connections are refused; dumb, nothing is answered.

The server behind it keeps running and keeps its data, so its clients see an outage of a store, a Redis or a database.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from enum import StrEnum
from types import TracebackType
from typing import Self


class GateState(StrEnum):
    OPEN = "open"
    SHUT = "shut"  # connections are refused, and those that were open have been reset
    DUMB = "dumb"  # connections are accepted, and nothing is answered


class Gate:
    """Forwards 127.0.0.1:`port` to `behind` ("host:port"). An async context manager."""

    def __init__(self, behind: str) -> None:
        host, _, port = behind.rpartition(":")
        self._behind = (host, int(port))
        self._server: asyncio.Server | None = None
        self._state = GateState.OPEN
        self._forwarding: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def set(self, state: GateState) -> None:
        """Change the state at once, for open connections too."""
        if state is self._state:
            return
        self._state = state
        await self._close()
        if state is not GateState.SHUT:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in tuple(self._forwarding):
            task.cancel()
        await asyncio.gather(*self._forwarding, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._forwarding.add(task)
        try:
            if self._state is GateState.DUMB:
                await asyncio.Event().wait()
            there_reader, there_writer = await asyncio.open_connection(*self._behind)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pump(reader, there_writer))
                    group.create_task(_pump(there_reader, writer))
            finally:
                there_writer.transport.abort()
        except* OSError:
            pass
        except* asyncio.CancelledError:
            pass  # the gate was shut
        finally:
            self._forwarding.discard(task)
            writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
