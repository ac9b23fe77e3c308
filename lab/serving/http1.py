"""The part of HTTP/1.1 (RFC 9112) that the lab's servers need, on asyncio streams, so that a fault can hit any byte."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from lab.serving.source import Request

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Request], Awaitable[None]]


def head(status: int, content_type: str, length: int | None, **more: str) -> bytes:
    """A response's head. `length` None: the body ends with the connection."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Type: {content_type}"]
    lines += ["Connection: close"] if length is None else [f"Content-Length: {length}"]
    lines += ["Cache-Control: no-store", "Access-Control-Allow-Origin: *"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request; None where the client has closed the connection or does not speak HTTP."""
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        start, *fields = text.split("\r\n")[:-2]
        method, path, _version = start.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
        return None
    return Request(method, path.partition("?")[0], headers, body)


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection by a TCP reset: with SO_LINGER of 0 s, close() sends RST instead of FIN."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Listener:
    """One port of an HTTP server that can stop listening and start again at once, and keeps its port meanwhile.

    A second socket is bound to the port and never listens: connections are refused, and no other process can take the port.
    """

    def __init__(self, host: str, port: int, answer: Answer) -> None:
        self._answer = answer
        self._placeholder = bound(host, port)
        self._host, self.port = self._placeholder.getsockname()[:2]
        self._listening: socket.socket | None = None
        self._conversations: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._accepting: set[asyncio.Task[object]] = set()

    @property
    def open_connections(self) -> int:
        """The number of connected clients."""
        return len(self._conversations)

    def open(self) -> None:
        """Listen."""
        if self._listening is None:
            self._listening = bound(self._host, self.port)
            self._listening.listen(512)
            asyncio.get_running_loop().add_reader(self._listening, self._accept, self._listening)

    def refuse(self) -> None:
        """Stop listening. Open connections stay open."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None

    def reset_all(self) -> None:
        """Reset every open connection."""
        for writer in self._conversations.values():
            reset(writer)

    async def close(self) -> None:
        """End everything and release the port."""
        self.refuse()
        self._placeholder.close()
        self.reset_all()
        ending = [*self._accepting, *self._conversations]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def _accept(self, listening: socket.socket) -> None:
        try:
            connection, _ = listening.accept()
        except (BlockingIOError, ConnectionError):
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader, self._converse)
        task: asyncio.Task[object] = loop.create_task(_attach(loop, protocol, connection))
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._conversations[task] = writer
        try:
            while not writer.is_closing() and (request := await read_request(reader)):
                await self._answer(reader, writer, request)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, a fault has reset the connection, or the lab ends
        finally:
            del self._conversations[task]
            writer.close()


async def _attach(loop: asyncio.AbstractEventLoop, protocol: asyncio.StreamReaderProtocol, connection: socket.socket) -> None:
    with contextlib.suppress(ConnectionError):
        await loop.connect_accepted_socket(lambda: protocol, connection)


def bound(host: str, port: int) -> socket.socket:
    """A socket on that port that does not listen yet. Raises OSError where another socket listens there.

    With SO_REUSEADDR on both sockets, Linux allows a second bind to a port on which no socket listens.
    """
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    raw.setblocking(False)
    try:
        raw.bind((host, port))
    except OSError:
        raw.close()
        raise
    return raw
