"""What a client receives, down to the socket: from a source without a fault, and with each fault, on open connections too."""

from __future__ import annotations

import asyncio
import json
import time
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from lab import MARKS_FILTER, Lab, LabFault, LabSource, default_ffmpeg, marks, rtmp_source
from lab.media.loop import FPS
from lab.media.mpegts import WRAP_TICKS, frame_starts
from tests.lab.conftest import ffmpeg, ffprobe
from tests.support import eventually


class Answer(NamedTuple):
    """What came until the end: `ended` is how ("eof", "reset", or "open" where nothing ended it in time)."""

    status: int | None
    headers: dict[str, str]
    body: bytes
    ended: str


class Client:
    """A bare HTTP client that sees how connections end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader, self._writer, self._host = reader, writer, host

    @classmethod
    async def to(cls, url: str) -> Client:
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        return cls(reader, writer, parts.netloc)

    async def ask(self, url: str, method: str = "GET", body: str = "", header: str = "Accept: */*") -> None:
        lines = [f"{method} {urlsplit(url).path} HTTP/1.1", f"Host: {self._host}", f"Content-Length: {len(body)}", header]
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        await self._writer.drain()

    async def answer(self, for_s: float = 1.0) -> Answer:
        """Reads one answer; to the end of the connection where it gives no length, at most `for_s` long."""
        status, headers, body = None, {}, bytearray()
        try:
            async with asyncio.timeout(for_s):
                first, *fields = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
                status = int(first.split(" ")[1])
                headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
                length = int(headers.get("content-length", 1 << 40))
                while len(body) < length:
                    piece = await self._reader.read(min(65_536, length - len(body)))
                    if not piece:
                        return Answer(status, headers, bytes(body), "eof")
                    body += piece
        except TimeoutError:
            pass
        except asyncio.IncompleteReadError:
            return Answer(status, headers, bytes(body), "eof")
        except ConnectionResetError:
            return Answer(status, headers, bytes(body), "reset")
        return Answer(status, headers, bytes(body), "open")

    async def rest(self, for_s: float) -> Answer:
        """What else comes in that time, on a connection whose head was read."""
        body = bytearray()
        ended = "open"
        try:
            async with asyncio.timeout(for_s):
                while piece := await self._reader.read(65_536):
                    body += piece
                ended = "eof"
        except TimeoutError:
            pass
        except ConnectionResetError:
            ended = "reset"
        return Answer(None, {}, bytes(body), ended)

    def close(self) -> None:
        self._writer.close()


async def get(url: str, for_s: float = 1.0, method: str = "GET", body: str = "", header: str = "Accept: */*") -> Answer:
    client = await Client.to(url)
    try:
        await client.ask(url, method, body, header)
        return await client.answer(for_s)
    finally:
        client.close()


async def newest_segment(source: LabSource) -> str:
    playlist = (await get(source.hls_url)).body.decode().split()
    return f"{source.hls_url.rpartition('/')[0]}/{playlist[-1]}"


# -- a source that is well


@pytest.mark.parametrize("address", ["hls_url", "multivariant_url", "ts_url", "vod_url", "mp4_url"])
async def test_ffmpeg_plays_each_address(lab: Lab, address: str) -> None:
    """The right source's frames, each after the one before."""
    url = getattr(lab["b"], address)
    decode = ("-vf", MARKS_FILTER, "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
    seen = marks(await ffmpeg("-analyzeduration", "500000", "-t", "2", "-i", url, *decode))
    assert len(seen) >= 2 * FPS - 2
    assert {mark.picture for mark in seen} == {1}
    loop_frames = lab["b"].loop.recipe.loop_s * FPS
    assert all((after.frame - before.frame) % loop_frames == 1 for before, after in pairwise(seen))


@pytest.mark.parametrize("address", ["hls_url", "ts_url", "mp4_url"])
async def test_it_has_video_and_audio(lab: Lab, address: str) -> None:
    rows = await ffprobe("-analyzeduration", "500000", "-show_entries", "stream=codec_name", getattr(lab["a"], address))
    assert {name for row in rows for name in row} == {"h264", "aac"}


async def test_the_endless_ts_comes_in_real_time(lab: Lab) -> None:
    segment_bytes = lab["a"].loop.bandwidth_bps / 8 * lab["a"].segment_s
    answer = await get(lab["a"].ts_url, for_s=1.5)
    assert answer.ended == "open"
    assert answer.body[0] == 0x47
    assert segment_bytes < len(answer.body) < 2 * segment_bytes


async def test_the_wrap_comes_when_asked_for() -> None:
    async with Lab(names=("a",), segment_s=1.0, wrap_after_s=1.0) as lab:
        body = (await get(lab["a"].ts_url, for_s=2.2)).body
    stamps = [ticks for _, ticks in frame_starts(body[: len(body) // 188 * 188], 0x100)]
    assert [after - before for before, after in pairwise(stamps) if before > after] == [90_000 // FPS - WRAP_TICKS]


async def test_a_range_of_the_file(lab: Lab) -> None:
    whole = (await get(lab["a"].mp4_url)).body
    part = await get(lab["a"].mp4_url, header="Range: bytes=100-199")
    assert (part.status, part.body) == (206, whole[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert (await get(lab["a"].mp4_url, header="Range: bytes=0-")).status == 200


async def test_requests_are_counted_and_the_last_one_kept(lab: Lab) -> None:
    await get(lab["a"].hls_url, header="User-Agent: test/1")
    await get(f"{lab['a'].base_url}/nowhere")
    assert lab["a"].requests == 2
    await get(lab["a"].hls_url, header="Referer: http://example.org/")
    assert lab["a"].last_request is not None
    assert lab["a"].last_request.headers["referer"] == "http://example.org/"
    assert lab["b"].requests == 0


@pytest.mark.parametrize("path", ["/", "/nowhere", "/a/no.m3u8", "/a/x.ts", "/a/1.ts", "/a/99999999999.ts", "/b/media.m3u8"])
async def test_what_is_not_there_is_404(lab: Lab, path: str) -> None:
    assert (await get(lab["a"].base_url + path)).status == 404


async def test_rubbish_from_a_client_ends_its_connection(lab: Lab) -> None:
    assert (await get(lab["a"].hls_url, method="rubbish in", header="")).ended == "eof"


# -- with a fault


@pytest.mark.parametrize("fault", [LabFault.HTTP_403, LabFault.HTTP_404, LabFault.HTTP_500])
async def test_a_status(lab: Lab, fault: LabFault) -> None:
    segment = await newest_segment(lab["a"])
    lab["a"].fault = fault
    for url in (lab["a"].hls_url, lab["a"].multivariant_url, segment, lab["a"].ts_url, lab["a"].vod_url):
        assert (await get(url)).status == int(fault.removeprefix("http_"))
    assert (await get(lab["b"].hls_url)).status == 200


async def test_html(lab: Lab) -> None:
    lab["a"].fault = LabFault.HTML
    for url in (lab["a"].hls_url, lab["a"].ts_url):
        answer = await get(url)
        assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert b"<html" in answer.body or b"<!doctype html" in answer.body


async def test_refuse_and_back_on_the_same_port(lab: Lab) -> None:
    for _ in range(3):
        lab["a"].fault = LabFault.REFUSE
        with pytest.raises(ConnectionRefusedError):
            await Client.to(lab["a"].hls_url)
        assert (await get(lab["b"].hls_url)).status == 200
        lab["a"].fault = None
        assert (await get(lab["a"].hls_url)).status == 200


async def test_reset(lab: Lab) -> None:
    lab["a"].fault = LabFault.RESET
    assert await get(lab["a"].hls_url) == Answer(None, {}, b"", "reset")


async def test_hang_until_healed(lab: Lab) -> None:
    lab["a"].fault = LabFault.HANG
    client = await Client.to(lab["a"].hls_url)
    await client.ask(lab["a"].hls_url)
    assert await client.answer(0.4) == Answer(None, {}, b"", "open")
    lab["a"].fault = None
    assert (await client.answer()).status == 200
    client.close()


async def test_trickle(lab: Lab) -> None:
    segment = await newest_segment(lab["a"])
    lab["a"].inject(LabFault.TRICKLE, 10_000)
    answer = await get(segment, for_s=1.0)
    assert answer.ended == "open"
    assert 6_000 < len(answer.body) < 12_000


async def test_garbage_media_behind_a_good_playlist(lab: Lab) -> None:
    segment = await newest_segment(lab["a"])
    good = (await get(segment)).body
    lab["a"].fault = LabFault.GARBAGE
    bad = (await get(segment)).body
    assert len(bad) == len(good)
    assert bad[::188].count(0x47) < len(bad) // 188 // 4
    assert (await get(lab["a"].hls_url)).body.startswith(b"#EXTM3U")


async def test_cut(lab: Lab) -> None:
    segment = await newest_segment(lab["a"])
    good = (await get(segment)).body
    lab["a"].fault = LabFault.CUT
    answer = await get(segment)
    assert (answer.status, answer.ended) == (200, "reset")
    assert answer.body == good[: len(answer.body)]
    assert 0 < len(answer.body) < len(good)
    assert (await get(lab["a"].hls_url)).status == 200


async def test_one_segment_fails_once(lab: Lab) -> None:
    segment = await newest_segment(lab["a"])
    lab["a"].inject(LabFault.SEGMENT_FAILS_ONCE)
    assert (await get(lab["a"].hls_url)).status == 200
    assert (await get(segment)).status == 500
    assert lab["a"].fault is None
    assert (await get(segment)).status == 200


async def test_frozen_and_late_playlists(lab: Lab) -> None:
    async def newest() -> int:
        return int((await get(lab["a"].hls_url)).body.decode().split()[-1].removesuffix(".ts"))

    lab["a"].fault = LabFault.FROZEN
    held = await newest()
    await eventually(lambda: time.time() > held + 3.5, what="more than one segment's time")
    assert await newest() == held
    lab["a"].inject(LabFault.LATE, 1.0)
    before_s = time.time()
    assert int(before_s - 1) - 1 <= await newest() <= int(time.time() - 1) - 1


# -- with a fault that comes while the endless .ts is open


ENDS = {
    LabFault.REFUSE: "reset",
    LabFault.RESET: "reset",
    LabFault.CUT: "reset",
    LabFault.SEGMENT_FAILS_ONCE: "reset",
    LabFault.END: "eof",
    LabFault.HTTP_403: "eof",
    LabFault.HTTP_404: "eof",
    LabFault.HTTP_500: "eof",
    LabFault.HTML: "eof",
    LabFault.EMPTY_PLAYLIST: "eof",
    LabFault.HANG: "open",
    LabFault.FROZEN: "open",
    LabFault.LATE: "open",
    LabFault.TRICKLE: "open",
    LabFault.GARBAGE: "open",
    LabFault.TIMESTAMP_JUMP: "open",
    LabFault.AUDIO_STOPS: "open",
    LabFault.AUDIO_LEAVES: "open",
    LabFault.AUDIO_FOR_VIDEO: "open",
}


@pytest.mark.parametrize("fault", list(LabFault))
async def test_an_open_ts_suffers_at_once(lab: Lab, fault: LabFault) -> None:
    client = await Client.to(lab["a"].ts_url)
    await client.ask(lab["a"].ts_url)
    assert (await client.answer(0.2)).body[0] == 0x47

    lab["a"].fault = fault
    rest = await client.rest(0.6)
    client.close()
    assert rest.ended == ENDS[fault]
    usual = lab["a"].loop.bandwidth_bps / 8 * 0.6
    match fault:
        case LabFault.HANG | LabFault.FROZEN | LabFault.LATE:
            assert len(rest.body) < usual / 4
        case LabFault.TRICKLE:
            assert len(rest.body) < 16_000
        case LabFault.GARBAGE:
            assert len(rest.body) > usual / 3
            assert rest.body[::188].count(0x47) < len(rest.body) // 188 // 4
        case LabFault.TIMESTAMP_JUMP:
            assert len(rest.body) > usual / 3
        case LabFault.AUDIO_STOPS | LabFault.AUDIO_LEAVES:
            assert (VIDEO in pids(rest.body)) and (AUDIO not in pids(rest.body))
        case LabFault.AUDIO_FOR_VIDEO:
            assert VIDEO in pids(rest.body), "on which the sound comes"
            assert len(rest.body) < usual / 3, "the picture is most of it"


VIDEO, AUDIO = 0x100, 0x101


def pids(packets: bytes) -> set[int]:
    """Of the second half: what was on its way when the fault began has been sent."""
    starts = range(len(packets) // 188 // 2 * 188, len(packets) - 187, 188)
    return {(packets[at + 1] & 0x1F) << 8 | packets[at + 2] for at in starts}


async def test_a_stalled_ts_goes_on_from_a_keyframe_when_healed(lab: Lab) -> None:
    client = await Client.to(lab["a"].ts_url)
    await client.ask(lab["a"].ts_url)
    await client.answer(0.2)
    lab["a"].fault = LabFault.FROZEN
    await client.rest(2.3)
    lab["a"].fault = None
    rest = await client.rest(0.5)
    client.close()
    assert rest.body[:1] == b"\x47"
    assert rest.body[1] & 0x1F == 0
    assert len(rest.body) < lab["a"].loop.bandwidth_bps / 8 * 2.5


async def test_a_client_that_leaves_is_let_go(lab: Lab) -> None:
    url = f"{lab.control_url}/a"
    for fault in (None, LabFault.HANG, LabFault.TRICKLE):
        lab["a"].fault = fault
        await get(lab["a"].ts_url, for_s=0.1)

        async def nobody() -> bool:
            return bool(json.loads((await get(url)).body)["open_connections"] == 0)

        await eventually(nobody, 3.0, what="no open connection")


# -- the control endpoint, and RTMP


async def test_the_control_endpoint(lab: Lab) -> None:
    url = f"{lab.control_url}/a"
    answer = await get(url, method="POST", body='{"fault": "trickle", "amount": 5000}')
    assert answer.status == 200
    assert (lab["a"].fault, lab["a"].amount) == (LabFault.TRICKLE, 5000)
    assert (await get(url, method="POST", body='{"fault": null}')).status == 200
    assert lab["a"].fault is None


@pytest.mark.parametrize("body", ["", "rubbish", "[]", "{}", '{"fault": "x"}', '{"fault": "late", "amount": "soon"}'])
async def test_the_control_endpoint_refuses(lab: Lab, body: str) -> None:
    answer = await get(f"{lab.control_url}/a", method="POST", body=body)
    assert answer.status == 400
    assert "error" in json.loads(answer.body)
    assert lab["a"].fault is None
    assert (await get(f"{lab.control_url}/nobody")).status == 404


async def test_a_port_that_is_taken_leaves_nothing_open(lab: Lab) -> None:
    taken = urlsplit(lab["a"].base_url).port
    assert taken is not None
    with pytest.raises(OSError, match="in use"):
        async with Lab(names=("a", "b"), segment_s=1.0, port=taken):
            pass


async def test_rtmp_serves_one_client_after_another(lab: Lab) -> None:
    async with rtmp_source(lab["a"].loop, default_ffmpeg()) as url:
        for _ in range(2):

            async def plays() -> bool:
                rows = await ffprobe("-show_entries", "stream=codec_name", url)
                return sorted(name for row in rows for name in row) == ["aac", "h264"]

            await eventually(plays)


async def test_one_alone_is_what_it_is_among_all(lab: Lab) -> None:
    """In a process of its own for each source, they are in step and told apart as in one."""
    async with Lab(segment_s=1.0, only="b") as alone:
        assert [source.name for source in alone.sources] == ["b"]
        number = alone["b"].newest()
        segment = alone["b"].segment(number)
        assert segment is not None
        assert lab["b"].segment(number) == segment != lab["a"].segment(number)
