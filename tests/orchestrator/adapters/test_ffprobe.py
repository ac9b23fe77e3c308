"""What ffprobe finds, and in which words it says why not."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from lab import Lab, LabFault, Recipe, default_ffmpeg, rtmp_source
from orchestrator.adapters.ffmpeg.codecs import missing_decoders
from orchestrator.adapters.ffmpeg.ffprobe import FfprobeProber
from orchestrator.adapters.ffmpeg.probe_output import media_in, read_output
from orchestrator.app.settings import Settings
from orchestrator.core.model import Media, Source
from orchestrator.errors import BadSetting, EngineUnavailable
from tests.orchestrator.adapters.pages import Answer, page
from tests.orchestrator.adapters.pages import serving as pages_of
from tests.support import eventually

TIMEOUT_S = 2.0


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[str]:
    """The address of a server that says this to everybody."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    seen: list[bytes] = []
    server = await asyncio.start_server(reply, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def http(body: str, kind: str = "application/vnd.apple.mpegurl", status: str = "200 OK") -> bytes:
    return f"HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.fixture
async def prober() -> AsyncIterator[FfprobeProber]:
    prober = FfprobeProber(Settings(probe_timeout_s=TIMEOUT_S))
    yield prober
    await prober.close()


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with Lab(names=("a", "b"), segment_s=1.0) as lab:
        yield lab


def source(url: str, **more: object) -> Source:
    return msgspec.convert({"id": "source", "channel_id": "channel", "url": url, **more}, Source)


async def reason(prober: FfprobeProber, url: str) -> str | None:
    result = await prober.probe(source(url))
    assert result.media is None
    return result.reason


@pytest.mark.parametrize(
    ("address", "cadence_s"),
    [("hls_url", 1.0), ("multivariant_url", 1.0), ("vod_url", 1.0), ("ts_url", None), ("mp4_url", None)],
)
async def test_every_kind_of_source(prober: FfprobeProber, lab: Lab, address: str, cadence_s: float | None) -> None:
    result = await prober.probe(source(getattr(lab["a"], address)))
    assert result.media is not None
    expected = Media(video="h264", audio="aac", channels=2, width=640, height=360, cadence_s=cadence_s)
    assert msgspec.structs.replace(result.media, bitrate_bps=None) == expected


async def test_an_rtmp_source(prober: FfprobeProber, lab: Lab) -> None:
    async with rtmp_source(lab["a"].loop, default_ffmpeg()) as url:
        result = await prober.probe(source(url))
    assert result.media is not None
    assert (result.media.video, result.media.audio) == ("h264", "aac")


async def test_other_media(prober: FfprobeProber) -> None:
    recipes = {"a": Recipe(video="hevc", audio="ac3", channels=6, width=320, height=180), "b": Recipe(audio=None)}
    async with Lab(names=("a", "b"), recipes=recipes) as lab:
        a = (await prober.probe(source(lab["a"].hls_url))).media
        b = (await prober.probe(source(lab["b"].hls_url))).media
    assert a is not None
    assert b is not None
    assert (a.video, a.audio, a.channels, a.width, a.height) == ("hevc", "ac3", 6, 320, 180)
    assert (b.video, b.audio, b.channels) == ("h264", None, None)


async def test_a_live_hls_source_is_probed_quickly(prober: FfprobeProber, lab: Lab) -> None:
    await prober.probe(source(lab["a"].hls_url))
    before = time.monotonic()
    for _ in range(5):
        assert (await prober.probe(source(lab["a"].hls_url))).media is not None
    assert (time.monotonic() - before) / 5 < 0.3  # 0.02 s where nobody else has work


@pytest.mark.parametrize(
    ("fault", "hls", "ts"),
    [
        (LabFault.REFUSE, "connection refused", "connection refused"),
        (LabFault.RESET, "connection reset", "connection reset"),
        (LabFault.HTTP_403, "403 Forbidden", "403 Forbidden"),
        (LabFault.HTTP_404, "404 Not Found", "404 Not Found"),
        (LabFault.HTTP_500, "500 Internal Server Error", "500 Internal Server Error"),
        (LabFault.HTML, "not media (text/html)", "not media (text/html)"),
        (LabFault.EMPTY_PLAYLIST, "empty playlist", "ends before any media"),
        (LabFault.HANG, "no answer within 2 s", "no media within 2 s"),
        (LabFault.GARBAGE, "no media within 2 s", "no media within 2 s"),
    ],
)
async def test_reasons(prober: FfprobeProber, lab: Lab, fault: LabFault, hls: str, ts: str) -> None:
    lab["a"].fault = fault
    reasons = await asyncio.gather(reason(prober, lab["a"].hls_url), reason(prober, lab["a"].ts_url))
    assert tuple(reasons) == (hls, ts)


async def test_a_source_of_another_name_is_hls_too(prober: FfprobeProber, lab: Lab) -> None:
    """A redirect hides that the address is a playlist's."""
    async with serving(f"HTTP/1.0 302 Found\r\nLocation: {lab['a'].hls_url}\r\nContent-Length: 0\r\n\r\n".encode()) as address:
        result = await prober.probe(source(f"{address}/live/user/1234"))
    assert result.media is not None
    assert result.media.cadence_s == 1.0


async def test_the_request_is_as_the_source_wants_it(prober: FfprobeProber, lab: Lab) -> None:
    asked = source(lab["a"].hls_url, user_agent="TV/1.0", headers={"Referer": "http://portal/", "X-Token": "t"})
    assert (await prober.probe(asked)).media is not None
    request = lab["a"].last_request
    assert request is not None
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert (headers["user-agent"], headers["referer"], headers["x-token"]) == ("TV/1.0", "http://portal/", "t")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "concat:/etc/passwd", "data:text/plain,x", "/etc/passwd", "http:/x"])
async def test_what_could_read_files_is_not_asked(prober: FfprobeProber, url: str) -> None:
    why = await reason(prober, url)
    assert why is not None
    assert "sources are let in" in why


@pytest.mark.parametrize("segment", ["file:///etc/passwd", "/etc/passwd", "data:video/mp2t,x", "concat:a|b"])
async def test_a_playlist_that_names_files_gets_nothing(prober: FfprobeProber, segment: str) -> None:
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{segment}\n#EXTINF:2,\n{segment}\n#EXT-X-ENDLIST\n"
    async with serving(http(playlist)) as address:
        why = await reason(prober, f"{address}/index.m3u8")
    assert why
    assert "root:" not in why


async def test_a_variant_that_names_files_is_not_read(prober: FfprobeProber) -> None:
    playlist = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nfile:///etc/passwd\n"
    async with serving(http(playlist)) as address:
        assert await reason(prober, f"{address}/index.m3u8")


async def test_no_reason_gives_away_a_password(prober: FfprobeProber) -> None:
    async with serving(http("nonsense", "video/mp2t")) as address:
        host = address.removeprefix("http://")
        for path in ("x.ts?token=s3cret", "x.m3u8?token=s3cret", "x.mp4?token=s3cret"):
            assert "s3cret" not in (await reason(prober, f"http://me:s3cret@{host}/{path}") or "")
    for url in ("srt://me:s3cret@127.0.0.1:1?pass=s3cret", "rtsp://me:s3cret@127.0.0.1:1/x", "http://me:s3cret@[::/x.ts"):
        assert "s3cret" not in (await reason(prober, url) or "")


async def test_an_endless_playlist_is_not_read_to_the_end(prober: FfprobeProber) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n#EXTM3U\n")
        try:
            while True:
                writer.write(b"#EXTINF:2,\nx.ts\n" * 1000)
                await writer.drain()
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    before = time.monotonic()
    assert await reason(prober, f"http://127.0.0.1:{port}/x.m3u8")
    assert time.monotonic() - before < TIMEOUT_S + 1.5
    server.close()


async def test_a_hung_provider_holds_up_nobody_else() -> None:
    """Thirty sources of one host that hangs; those of another are probed as if alone."""
    async with Lab(names=("works", "hung"), segment_s=1.0) as lab:
        lab["hung"].fault = LabFault.HANG
        prober = FfprobeProber(Settings(probe_timeout_s=3.0, probe_concurrency=4))
        hung = [asyncio.create_task(prober.probe(source(lab["hung"].hls_url))) for _ in range(30)]
        await asyncio.sleep(0.1)
        before = time.monotonic()
        results = await asyncio.gather(*(prober.probe(source(lab["works"].hls_url)) for _ in range(10)))
        assert all(result.media for result in results)
        assert time.monotonic() - before < 2.0
        assert not any(task.done() for task in hung)
        for task in hung:
            task.cancel()
        await asyncio.gather(*hung, return_exceptions=True)
        await prober.close()


async def test_no_process_is_left(prober: FfprobeProber, lab: Lab, tmp_path: Path) -> None:
    lab["a"].fault = LabFault.HANG
    marked = f"{lab['a'].hls_url}?{tmp_path.name}"

    def running() -> list[str]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = path.read_bytes()
            except OSError:
                continue
            if marked.encode() in command:
                found.append(path.parent.name)
        return found

    task = asyncio.create_task(prober.probe(source(marked)))
    await eventually(running)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not running()
    assert await reason(prober, marked) == "no answer within 2 s"
    assert not running()


async def test_a_missing_ffprobe_is_nobodys_source_fault(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="FAILOVER_FFPROBE"):
        FfprobeProber(Settings(ffprobe=str(tmp_path / "none")))
    program = tmp_path / "ffprobe"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    prober = FfprobeProber(Settings(ffprobe=str(program)))
    with pytest.raises(EngineUnavailable, match="ffprobe does not start"):
        await prober.probe(source("http://127.0.0.1:1/x.ts"))
    await prober.close()


async def test_a_source_that_has_failed_must_be_seen_to_advance(prober: FfprobeProber, lab: Lab) -> None:
    """A playlist that has frozen is as good as ever to look at: who does not know of a failure takes it for well."""
    lab["a"].fault = LabFault.FROZEN
    frozen = lab["a"].hls_url
    assert (await prober.probe(source(frozen))).media is not None
    failed = await prober.probe(source(frozen, status="problematic"))
    assert (failed.media, failed.reason) == (None, "its playlist does not advance")
    lab["a"].fault = None
    for address in (frozen, lab["a"].multivariant_url, lab["a"].ts_url, lab["b"].base_url + "/b/vod.m3u8"):
        assert (await prober.probe(source(address, status="problematic"))).media is not None, address


# --- what is refused by name, and what is no verdict ------------------------------------------------------------------

MEDIA_PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n{}#EXTINF:2,\na.ts\n#EXTINF:2,\nb.ts\n"
SKD = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery",KEYFORMATVERSIONS="1"\n'
WIDEVINE = '#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI="data:x",KEYFORMAT="urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"\n'
SAMPLE_AES = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="key"\n'
SESSION_KEY = '#EXTM3U\n#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.microsoft.playready"\n'
MPD = '<?xml version="1.0" encoding="utf-8"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic"></MPD>'


async def test_what_no_ffmpeg_plays_is_refused_by_its_name(prober: FfprobeProber, lab: Lab) -> None:
    segment = lab["a"].loop.segment(0)
    variant = "#EXT-X-STREAM-INF:BANDWIDTH=1\nplain.m3u8\n"
    answers: dict[str, Answer] = {
        "/a.ts": page(segment, "video/mp2t"),
        "/b.ts": page(segment, "video/mp2t"),
        "/plain.m3u8": page(MEDIA_PLAYLIST.format("")),
        "/none.m3u8": page(MEDIA_PLAYLIST.format("#EXT-X-KEY:METHOD=NONE\n")),
        "/fairplay.m3u8": page(MEDIA_PLAYLIST.format(SKD)),
        "/widevine.m3u8": page(MEDIA_PLAYLIST.format(WIDEVINE)),
        "/sample-aes.m3u8": page(MEDIA_PLAYLIST.format(SAMPLE_AES)),
        "/playready.m3u8": page(SESSION_KEY + variant),
        "/bom.m3u8": page(b"\xef\xbb\xbf" + MEDIA_PLAYLIST.format("").encode()),
        "/dash.m3u8": page(MPD, "text/xml"),
        "/dash.mpd": page(MPD, "application/dash+xml"),
        "/dash": page(MPD, "application/dash+xml"),
        "/gzip.m3u8": page(gzip.compress(MEDIA_PLAYLIST.format("").encode()), "x", "200 OK", "Content-Encoding: gzip"),
        "/gzip.ts": page(gzip.compress(segment), "video/mp2t", "200 OK", "Content-Encoding: gzip"),
        "/twice.m3u8": page(b"x", "x", "200 OK", "Content-Encoding: gzip, gzip"),
        **{f"/{code}.{kind}": page(b"", "x", f"{code} Whatever") for code in (458, 509, 403) for kind in ("ts", "m3u8")},
    }
    expected = {
        "/plain.m3u8": None,
        "/none.m3u8": None,
        "/fairplay.m3u8": "protected by FairPlay",
        "/widevine.m3u8": "protected by Widevine",
        "/playready.m3u8": "protected by PlayReady",
        "/sample-aes.m3u8": "encrypted by SAMPLE-AES",
        "/bom.m3u8": "a playlist that begins with a byte order mark, which HLS forbids (RFC 8216, 4.1)",
        "/dash.m3u8": "DASH (an MPD), not HLS",
        "/dash.mpd": "DASH (an MPD), not HLS",
        "/dash": "DASH (an MPD), not HLS",
        "/gzip.m3u8": "a compressed answer (gzip)",
        "/gzip.ts": "a compressed answer (gzip)",
        "/twice.m3u8": "a compressed answer (gzip, gzip)",
        "/458.ts": "HTTP status 458",
        "/458.m3u8": "HTTP status 458",
        "/509.ts": "HTTP status 509",
        "/509.m3u8": "HTTP status 509",
        "/403.ts": "403 Forbidden",
    }
    async with pages_of(answers) as pages:
        found = {path: (await prober.probe(source(pages.url + path))).reason for path in expected}
    assert found == expected


async def test_an_oddly_named_playlist_is_hls_all_the_same(prober: FfprobeProber, lab: Lab) -> None:
    """A type and an address that say nothing, and segments that a script gives out."""
    answers: dict[str, Answer] = {
        "/live/1234": page(MEDIA_PLAYLIST.format("").replace(".ts", ".php?n=1"), "text/plain"),
        "/live/a.php": page(lab["a"].loop.segment(0), "application/octet-stream"),
        "/live/b.php": page(lab["a"].loop.segment(1), "application/octet-stream"),
    }
    async with pages_of(answers) as pages:
        result = await prober.probe(source(f"{pages.url}/live/1234"))
    assert result.media is not None, result.reason
    assert (result.media.video, result.media.cadence_s) == ("h264", 2.0)


async def test_a_protocol_that_ffprobe_does_not_speak_is_no_verdict(prober: FfprobeProber) -> None:
    result = await prober.probe(source("srt://127.0.0.1:1"))
    if result.verdict:
        pytest.skip("this FFmpeg speaks SRT")
    assert (result.media, result.reason) == (None, "SRT: this FFmpeg does not speak the protocol")


@pytest.mark.parametrize(("moves", "signed"), [(False, False), (False, True), (True, True)])
async def test_a_long_playlist_counts_as_advancing_only_where_segments_are_added(
    prober: FfprobeProber, lab: Lab, moves: bool, signed: bool
) -> None:
    """600 KB, in pieces of any size; and a server that signs addresses anew for each request adds nothing by that."""
    asked = itertools.count()

    def playlist() -> bytes:
        now = next(asked)
        last = 9000 + (now if moves else 0)
        token = f"?token={now}" if signed else ""
        lines = "".join(f"#EXTINF:1.0,\n/media/segment/{n:06d}/x.ts{token}\n" for n in range(9000))
        tail = "".join(f"#EXTINF:1.0,\n/x{n}.ts{token}\n" for n in range(9000, last + 1))
        return page(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n{lines}{tail}")

    segments = {f"/x{n}.ts": page(lab["a"].loop.segment(0), "video/mp2t") for n in range(9000, 9100)}
    async with pages_of({"/x.m3u8": playlist, **segments}) as pages:
        result = await prober.probe(source(f"{pages.url}/x.m3u8", status="problematic"))
    assert result.reason == (None if moves else "its playlist does not advance")


@pytest.mark.slow
async def test_probes_do_not_share_cookies(prober: FfprobeProber) -> None:
    answer = page(MEDIA_PLAYLIST.format(""), "application/vnd.apple.mpegurl", "200 OK", "Set-Cookie: account=alice; Path=/")
    async with pages_of({"/alice.m3u8": answer, "/bob.m3u8": answer}) as pages:
        await prober.probe(source(f"{pages.url}/alice.m3u8"))
        await prober.probe(source(f"{pages.url}/bob.m3u8"))
    bobs = [asked for asked in pages.asked if asked.startswith("GET /bob.m3u8")]
    assert bobs
    assert not any("account" in asked for asked in bobs)


# --- what of several streams is taken, and what cannot be decoded ------------------------------------------------------


def test_the_best_variant_and_the_default_rendition_are_what_a_session_takes() -> None:
    def stream(kind: str, codec: str, bitrate: str | None = None, **more: object) -> dict[str, object]:
        tags = {} if bitrate is None else {"variant_bitrate": bitrate}
        return {"codec_type": kind, "codec_name": codec, "tags": tags, **more}

    muxed = [
        stream("video", "h264", "300000", width=320, height=180),
        stream("audio", "mp2", "300000", channels=2),
        stream("video", "h264", "1500000", width=0, height=0),
        stream("audio", "aac", "1500000", channels=0),
    ]
    taken = media_in(read_output(msgspec.json.encode({"streams": muxed, "format": {"format_name": "hls"}})))
    assert taken == Media(video="h264", audio="aac", bitrate_bps=1_500_000)
    renditions = [
        stream("video", "h264"),
        stream("audio", "mp2", channels=1),
        stream("audio", "aac", channels=2, disposition={"default": 1}),
    ]
    taken = media_in(read_output(msgspec.json.encode({"streams": renditions})))
    assert taken == Media(video="h264", audio="aac", channels=2)
    newer = [stream("video", "av1", "9000000"), stream("video", "h264", "300000")]
    assert media_in(read_output(msgspec.json.encode({"streams": newer}))) == Media(video="h264")


def test_decoders_that_are_missing_or_need_hardware() -> None:
    listed = """\
 D..... = Decoding supported
 -------
 DEV.LS av1                  Alliance for Open Media AV1 (encoders: libsvtav1)
 ..V.L. avs2                 AVS2-P2/IEEE1857.4
 DEV.L. vp9                  Google VP9 (decoders: vp9 libvpx-vp9) (encoders: libvpx-vp9)
 DEA.L. aac                  AAC (Advanced Audio Coding)
 ..A.L. ac4                  AC-4
"""
    assert missing_decoders(listed) == {"av1", "avs2", "ac4"}
    assert missing_decoders(listed.replace("(encoders: libsvtav1)", "(decoders: libdav1d av1)")) == {"avs2", "ac4"}


async def test_av1_fails_the_probe_where_ffmpeg_cannot_decode_it(prober: FfprobeProber, tmp_path: Path) -> None:
    made = tmp_path / "av1.mp4"
    picture = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25", "-t", "0.4")
    encoder = ("-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1", "-movflags", "+faststart")
    process = await asyncio.create_subprocess_exec(
        default_ffmpeg(), "-v", "error", *picture, *encoder, str(made), stderr=asyncio.subprocess.DEVNULL
    )
    if await process.wait():
        pytest.skip("this FFmpeg cannot make AV1")
    async with pages_of({"/av1.mp4": page(made.read_bytes(), "video/mp4")}) as pages:
        result = await prober.probe(source(f"{pages.url}/av1.mp4"))
    assert (result.media, result.reason) == (None, "this FFmpeg cannot decode AV1")
