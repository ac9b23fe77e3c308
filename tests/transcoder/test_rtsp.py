"""RTSP: TCP first, and UDP where the camera knows nothing else (RFC 2326: 461 Unsupported Transport)."""

from __future__ import annotations

import asyncio
import json
import re

from tests.transcoder.test_job import changed
from transcoder.ffmpeg.command_line import ffmpeg_argv
from transcoder.ffmpeg.stream_plan import USUAL, plan
from transcoder.job import parse

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\nc=IN IP4 127.0.0.1\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"
)


class Camera:
    """Answers until it is asked to play; `asked`: the Transport of each SETUP."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.played = asyncio.Event()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := (await reader.readuntil(b"\r\n\r\n")).decode():
                number = re.search(r"CSeq: (\d+)", request)
                assert number is not None
                writer.write(self._answer(request, number[1]).encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, request: str, number: str) -> str:
        head = f"\r\nCSeq: {number}\r\nSession: 1\r\n"
        match request.split(" ")[0]:
            case "DESCRIBE":
                return f"RTSP/1.0 200 OK{head}Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n\r\n{SDP}"
            case "SETUP":
                transport = request.partition("Transport: ")[2].partition("\r\n")[0]
                self.asked.append(transport)
                if "TCP" in transport:
                    return f"RTSP/1.0 461 Unsupported Transport{head}\r\n"
                return f"RTSP/1.0 200 OK{head}Transport: {transport};server_port=5000-5001\r\n\r\n"
            case "PLAY":
                self.played.set()
        return f"RTSP/1.0 200 OK{head}Public: DESCRIBE, SETUP, PLAY\r\n\r\n"


async def test_a_camera_that_knows_only_udp_is_asked_for_that(ffmpeg: str) -> None:
    camera = Camera()
    server = await asyncio.start_server(camera.talk, "127.0.0.1", 0)
    url = f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/live"
    job = parse(json.dumps(changed("source.url", url)))
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *ffmpeg_argv(ffmpeg, job, job.first, plan("copy", USUAL, None)), stdin=null, stdout=null, stderr=null
    )
    try:
        async with asyncio.timeout(20.0):
            await camera.played.wait()
    finally:
        process.kill()
        await process.wait()
        server.close()
    assert [each.partition(";")[0] for each in camera.asked] == ["RTP/AVP/TCP", "RTP/AVP/UDP"]
