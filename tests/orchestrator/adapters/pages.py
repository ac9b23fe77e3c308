"""A server that answers each path with bytes of the test's choice, and keeps what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

Answer = bytes | Callable[[], bytes]


class Pages:
    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = answers
        self.url = ""
        self.asked: list[str] = []  # whole requests, headers included

    async def reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(request)
        path = request.split(" ")[1].partition("?")[0]
        answer = self._answers.get(path, page(b"", status="404 Not Found"))
        writer.write(answer if isinstance(answer, bytes) else answer())
        try:
            await writer.drain()
        except ConnectionError:
            pass
        writer.close()


def page(body: bytes | str, kind: str = "application/vnd.apple.mpegurl", status: str = "200 OK", *headers: str) -> bytes:
    body = body.encode() if isinstance(body, str) else body
    head = (f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close", *headers)
    return "\r\n".join((*head, "", "")).encode() + body


@asynccontextmanager
async def serving(answers: Mapping[str, Answer]) -> AsyncIterator[Pages]:
    pages = Pages(answers)
    server = await asyncio.start_server(pages.reply, "127.0.0.1", 0)
    pages.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield pages
    finally:
        server.close()
