"""Answers one HTTP request to a source, with the fault that the source has at each moment.

Rule: a fault takes effect at once, also in the middle of an answer.
"""

from __future__ import annotations

import asyncio
import os

from lab.media.loop import FPS
from lab.serving.http1 import head, reset
from lab.serving.source import LabFault, LabSource, Request

_PLAYLIST = "application/vnd.apple.mpegurl"
_TS = "video/mp2t"
_PAGE = b"<!doctype html><title>Account suspended</title><h1>Account suspended</h1>\n"
_STATUS = {LabFault.HTTP_403: 403, LabFault.HTTP_404: 404, LabFault.HTTP_500: 500}
# With these faults an open .ts ends, as a new request for it would.
_ENDS_TS = {*_STATUS, LabFault.HTML, LabFault.EMPTY_PLAYLIST, LabFault.END}
_TICK_S = 1 / FPS
_KEPT_FRAMES = 2 * FPS  # a live sender buffers no more for a client that reads too slowly


class FaultyAnswer:
    """One request to one source, and the connection on which it is answered."""

    def __init__(self, source: LabSource, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request) -> None:
        self._source = source
        self._reader = reader
        self._writer = writer
        self._request = request

    async def answer(self) -> None:
        """Answer, or fail as the fault says. Raises ConnectionError where the client has gone."""
        source, path = self._source, self._request.path
        while source.fault is LabFault.HANG and not self._reader.at_eof():
            await _tick()
        match source.fault:
            case LabFault.RESET:
                reset(self._writer)
                return
            case LabFault.HTTP_403 | LabFault.HTTP_404 | LabFault.HTTP_500:
                await self._send(b"no\n", "text/plain", _STATUS[source.fault])
                return
            case LabFault.HTML:
                await self._send(_PAGE, "text/html; charset=utf-8")
                return
        if self._request.method not in ("GET", "HEAD"):
            await self._send(b"GET or HEAD\n", "text/plain", 405)
            return
        folder, _, name = path.rpartition("/")
        if path == f"/{source.name}.ts":
            await self._send_endless()
        elif path == f"/{source.name}.mp4":
            await self._send_media(source.loop.mp4.read_bytes(), "video/mp4")
        elif folder == f"/{source.name}" and name.endswith(".ts"):
            await self._send_segment(name.removesuffix(".ts"))
        elif folder == f"/{source.name}" and (playlist := source.playlist(name)):
            await self._send(playlist.encode(), _PLAYLIST)
        else:
            await self._send(b"no such thing\n", "text/plain", 404)

    async def _send_segment(self, number: str) -> None:
        segment = self._source.segment(int(number)) if number.isdecimal() else None
        if segment is None:
            await self._send(b"not here\n", "text/plain", 404)
        elif self._source.fault is LabFault.SEGMENT_FAILS_ONCE:
            self._source.fault = None
            await self._send(b"once\n", "text/plain", 500)
        else:
            await self._send_media(segment, _TS)

    async def _send_media(self, body: bytes, content_type: str) -> None:
        if self._source.fault is LabFault.GARBAGE:
            body = os.urandom(len(body))
        if self._source.fault is LabFault.CUT:
            self._writer.write(head(200, content_type, len(body)))
            await self._write_half_and_reset(body)
            return
        first, beyond = asked_range(self._request, len(body))
        if beyond - first == len(body):
            await self._send(body, content_type, Accept_Ranges="bytes")
        else:
            where = f"bytes {first}-{beyond - 1}/{len(body)}"
            await self._send(body[first:beyond], content_type, 206, Content_Range=where)

    async def _send_endless(self) -> None:
        """Send the .ts in real time, one video frame every 1/25 s, beginning with the programme's newest keyframe."""
        source = self._source
        self._writer.write(head(200, _TS, None))
        segment_frames, gop_frames = source.loop.recipe.segment_frames, source.loop.recipe.gop_frames
        opened = round(source.clock_s() * FPS)
        sent = opened // gop_frames * gop_frames
        behind = opened - sent
        live = self._request.method == "GET"
        while live and not self._reader.at_eof() and source.fault not in _ENDS_TS:
            due = round(source.clock_s() * FPS) - behind + 1
            if due - sent > _KEPT_FRAMES and source.fault is not LabFault.TRICKLE:
                sent = max(sent, due // gop_frames * gop_frames)
            for at in range(sent, due):
                frame = source.frame(*divmod(at, segment_frames))
                match source.fault:
                    case LabFault.CUT | LabFault.SEGMENT_FAILS_ONCE:
                        if source.fault is LabFault.SEGMENT_FAILS_ONCE:
                            source.fault = None
                        await self._write_half_and_reset(frame)
                        return
                    case LabFault.GARBAGE:
                        frame = os.urandom(len(frame))
                await self._write(frame)
                sent = at + 1
            await _tick()
        self._writer.close()

    async def _send(self, body: bytes, content_type: str, status: int = 200, **more: str) -> None:
        self._writer.write(head(status, content_type, len(body), **more))
        if self._request.method != "HEAD":
            await self._write(body)

    async def _write(self, body: bytes) -> None:
        """Write the body: at once, or at the rate that the fault allows while the source hangs or trickles."""
        sent = 0
        while sent < len(body) and not self._reader.at_eof():
            match self._source.fault:
                case LabFault.HANG:
                    await _tick()
                case LabFault.TRICKLE:
                    piece = max(1, int(self._source.amount * _TICK_S))
                    self._writer.write(body[sent : sent + piece])
                    sent += piece
                    await _tick()
                case _:
                    self._writer.write(body[sent:])
                    sent = len(body)
            await self._writer.drain()

    async def _write_half_and_reset(self, body: bytes) -> None:
        self._writer.write(body[: len(body) // 2])
        await asyncio.sleep(_TICK_S)  # so that the first half arrives before the reset
        reset(self._writer)


async def _tick() -> None:
    """Sleep until the next multiple of 1/25 s, which is the same for all connections, so that one wake-up serves them all."""
    await asyncio.sleep(_TICK_S - asyncio.get_running_loop().time() % _TICK_S)


def asked_range(request: Request, length: int) -> tuple[int, int]:
    """The byte range that a Range header requests (RFC 9110, 14.1.2; `a-b` or `a-`): first byte, and the one after the last."""
    asked = request.headers.get("range", "")
    first, dash, last = asked.removeprefix("bytes=").partition("-")
    if not (asked.startswith("bytes=") and dash and first.isdecimal() and int(first) < length):
        return 0, length
    return int(first), min(int(last) + 1, length) if last.isdecimal() else length
