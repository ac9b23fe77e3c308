"""Ordinary sources that a lab of live segments does not have: bytes sent in real time, and pages that name other playlists."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

HLS = "application/vnd.apple.mpegurl"
_TS_PACKET = 188
_AUDIO_PID = 0x101  # FFmpeg's second elementary PID


class Page(NamedTuple):
    """One answer: all at once, or (`lasts_s`) as slowly as a live source sends it, from `from_s` on; then it ends."""

    body: bytes
    kind: str
    lasts_s: float = 0.0
    from_s: float = 0.0
    silent_s: float = 0.0  # of an MPEG-TS: so long no packet of the audio comes, though it is announced


@asynccontextmanager
async def serving(pages: Mapping[str, Page]) -> AsyncIterator[str]:
    """The server's address; paths are looked up without their query."""
    conversations: set[asyncio.Task[None]] = set()

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode().partition("?")[0]
        page = pages.get(path)
        try:
            if page is None:
                writer.write(b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            else:
                writer.write(f"HTTP/1.0 200 OK\r\nContent-Type: {page.kind}\r\n\r\n".encode())
                await _send(writer, page)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(reply(reader, writer))
        conversations.add(task)
        task.add_done_callback(conversations.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in conversations:
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)


async def _send(writer: asyncio.StreamWriter, page: Page) -> None:
    if not page.lasts_s:
        writer.write(page.body)
        return
    rate = len(page.body) / page.lasts_s  # bytes a second: what is sent is made at a constant rate, or nearly
    start = int(page.from_s * rate) // _TS_PACKET * _TS_PACKET
    step = max(1, int(rate * 0.04) // _TS_PACKET) * _TS_PACKET
    wanted: Callable[[bytes], bytes] = _without_audio if page.silent_s else bytes
    began_s = time.monotonic()
    for at in range(start, len(page.body), step):
        due_s = (at - start) / rate
        await asyncio.sleep(max(0.0, began_s + due_s - time.monotonic()))
        part = page.body[at : at + step]
        writer.write(wanted(part) if due_s < page.silent_s else part)
        await writer.drain()


def _without_audio(packets: bytes) -> bytes:
    each = (packets[at : at + _TS_PACKET] for at in range(0, len(packets), _TS_PACKET))
    return b"".join(packet for packet in each if (packet[1] & 0x1F) << 8 | packet[2] != _AUDIO_PID)
