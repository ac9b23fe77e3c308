"""What the prober sees of ordinary sources is a job that the agent takes, and what it makes of that is decoded and counted."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from lab import Lab, Recipe
from orchestrator.adapters.ffmpeg.ffprobe import FfprobeProber
from orchestrator.app.settings import Settings
from orchestrator.control.job import expected
from orchestrator.core.model import Source
from tests.transcoder.ordinary import HLS, Page, serving
from tests.transcoder.rig import FFMPEG, Agent, NewSession, Session, counted, run
from transcoder.ending import Ending
from transcoder.media_playlist import Sending

PICTURE = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25")
TONE = ("-f", "lavfi", "-i", "sine=440:r=48000")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-sc_threshold", "0", "-x264-params", "nal-hrd=cbr")
RATE = ("-b:v", "200k", "-minrate", "200k", "-maxrate", "200k", "-bufsize", "200k")
TS = ("-f", "mpegts", "-muxrate", "500k")
LASTS_S = 18.0
MULTIVARIANT = "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n"


async def made(*options: str) -> bytes:
    """What FFmpeg makes of these options, on its standard output."""
    process = await asyncio.create_subprocess_exec(
        FFMPEG, "-v", "error", "-nostdin", *options, "pipe:1",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output


async def probed(url: str) -> dict[str, object] | None:
    """What the orchestrator's probe makes the job expect."""
    prober = FfprobeProber(Settings(probe_timeout_s=5.0))
    try:
        result = await prober.probe(Source(id="x", channel_id="c", url=url))
    finally:
        await prober.close()
    assert result.media is not None, result.reason
    return expected(result.media)


class Case(NamedTuple):
    url: str
    streams: list[tuple[str, int]]  # codec and channels (0: video) of what is listed
    after: Sending | None = None  # what the session has been sending
    segments: int = 3  # that are waited for
    cut_s: float | None = None  # so much of the sound has not been sent, and what comes first is a part of a frame


async def test_ordinary_sources_play_with_picture_and_sound(session: NewSession, tmp_path: Path) -> None:
    recipes = {
        "low": Recipe(width=160, height=90, bitrate_bps=100_000),
        "mid": Recipe(width=320, height=180, bitrate_bps=200_000),
        "high": Recipe(width=640, height=360, bitrate_bps=400_000),
        "mute": Recipe(width=320, height=180, bitrate_bps=200_000, audio=None),
    }
    both = await made(*PICTURE, *TONE, "-t", f"{LASTS_S}", *H264, *RATE, "-g", "50", "-c:a", "aac", "-ac", "2", *TS)
    long_gop = await made(*PICTURE, *TONE, "-t", f"{LASTS_S}", *H264, *RATE, "-g", "125", "-c:a", "aac", "-ac", "2", *TS)
    motion_jpeg = await made(*PICTURE, "-t", f"{LASTS_S}", "-c:v", "mjpeg", "-b:v", "800k", "-f", "mpjpeg")
    async with Lab(names=tuple(recipes), recipes=recipes) as lab:
        stream = "#EXT-X-STREAM-INF:BANDWIDTH={},RESOLUTION={}\n{}\n"
        low, mid, high = (
            stream.format(bps, size, lab[name].hls_url)
            for name, bps, size in (("low", 200_000, "160x90"), ("mid", 400_000, "320x180"), ("high", 700_000, "640x360"))
        )
        pages = {
            "/two.m3u8": Page((MULTIVARIANT + low + high).encode(), HLS),
            "/three.m3u8": Page((MULTIVARIANT + mid + high + low).encode(), HLS),
            "/live.mjpeg": Page(motion_jpeg, "multipart/x-mixed-replace; boundary=ffmpeg", LASTS_S),
            "/later": Page(both, "video/mp2t", LASTS_S, silent_s=1.0),
            "/much-later": Page(both, "video/mp2t", LASTS_S, silent_s=3.0),
            "/mid-gop.ts": Page(long_gop, "video/mp2t", LASTS_S, from_s=1.0),
        }
        async with serving(pages) as address:
            usual = [("aac", 2), ("h264", 0)]
            cases = {
                "two variants": Case(f"{address}/two.m3u8", usual),
                "three variants": Case(f"{address}/three.m3u8", usual),
                "video only": Case(lab["mute"].hls_url, [("h264", 0)]),
                "a video-only backup": Case(lab["mute"].ts_url, usual, after=Sending("h264", "aac", 2)),
                "MJPEG": Case(f"{address}/live.mjpeg", [("h264", 0)]),
                "audio after 1 s": Case(f"{address}/later", usual, cut_s=1.0),
                "audio after 3 s": Case(f"{address}/much-later", usual, cut_s=3.0),
                "a keyframe every 5 s": Case(f"{address}/mid-gop.ts", usual, segments=2, cut_s=0.0),
            }

            async def play(name: str) -> tuple[str, Session]:
                case, s = cases[name], session()
                expects = await probed(case.url)
                if case.after:
                    await s.has_been_sending(case.after)
                async with Agent(s.job(case.url, expected=expects)) as agent:
                    await s.until(segments=case.segments, timeout_s=30.0)
                    assert await agent.end() == Ending.BY_REQUEST, name
                await s.look()
                return name, s

            for group in (tuple(cases)[:4], tuple(cases)[4:]):
                for name, s in await asyncio.gather(*map(play, group)):
                    case = cases[name]
                    assert await s.streams() == case.streams, name
                    assert s.broken == [], name
                    complaints = await s.plays()
                    assert complaints == "" or case.cut_s is not None, name
                    lasts_s, seen = s.playlist.duration_s, await counted(s.url)
                    assert seen.frames == pytest.approx(25 * lasts_s, rel=0.1, abs=5), name
                    if len(case.streams) == 2:
                        assert lasts_s - (case.cut_s or 0.0) - 1.0 < seen.sound_s < lasts_s + 0.5, name


async def test_the_default_rendition_is_what_is_heard(session: NewSession, tmp_path: Path) -> None:
    """RFC 8216, 4.3.4.1: the first one listed is a commentary in mono."""
    audio = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="{}",DEFAULT={},AUTOSELECT=YES,URI="{}.m3u8"\n'
    index = audio.format("Commentary", "NO", "mono") + audio.format("Programme", "YES", "stereo")
    index = MULTIVARIANT + index + '#EXT-X-STREAM-INF:BANDWIDTH=400000,AUDIO="a"\nvideo.m3u8\n'
    pages = {"/index.m3u8": Page(index.encode(), HLS)}
    for name, options in {
        "mono": (*TONE, "-c:a", "aac", "-ac", "1"),
        "stereo": (*TONE, "-c:a", "aac", "-ac", "2"),
        "video": (*PICTURE, *H264, "-g", "50"),
    }.items():
        segments = (
            "-f",
            "hls",
            "-hls_time",
            "2",
            "-hls_list_size",
            "0",
            "-hls_segment_filename",
            str(tmp_path / f"{name}%d.ts"),
        )
        complaints = (await run(FFMPEG, "-v", "error", *options, "-t", "10", *segments, str(tmp_path / f"{name}.m3u8")))[1]
        assert complaints == ""
    for path in tmp_path.iterdir():
        pages[f"/{path.name}"] = Page(path.read_bytes(), HLS if path.suffix == ".m3u8" else "video/mp2t")
    async with serving(pages) as address:
        expects = await probed(f"{address}/index.m3u8")
        assert expects is not None
        assert (expects["audio"], expects["channels"]) == ("aac", 2)
        s = session()
        async with Agent(s.job(f"{address}/index.m3u8", expected=expects)) as agent:
            await s.until(segments=3)
            assert await agent.end() == Ending.BY_REQUEST
    await s.look()
    assert await s.streams() == [("aac", 2), ("h264", 0)]
    assert await s.plays() == ""
    seen = await counted(s.url)
    assert seen.sound_s == pytest.approx(s.playlist.duration_s, abs=0.5)


async def test_an_oddly_named_playlist_plays(session: NewSession) -> None:
    """No ending, a type that says nothing, segments that a script gives out."""
    lines = "".join(f"#EXTINF:2.0,\nsegment{n}.php?token=1\n" for n in range(6))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n{lines}#EXT-X-ENDLIST\n"
    pages = {"/live/1234": Page(playlist.encode(), "text/plain")}
    async with Lab(names=("a",), recipe=Recipe(width=320, height=180, bitrate_bps=200_000)) as lab:
        for n in range(6):
            pages[f"/live/segment{n}.php"] = Page(lab["a"].loop.segment(n), "application/octet-stream")
    async with serving(pages) as address:
        expects = await probed(f"{address}/live/1234")
        s = session()
        async with Agent(s.job(f"{address}/live/1234", expected=expects)) as agent:
            await s.until(segments=3)
            assert await agent.end() == Ending.BY_REQUEST
    await s.look()
    assert await s.plays() == ""
    assert await s.streams() == [("aac", 2), ("h264", 0)]
    assert (await counted(s.url)).frames == pytest.approx(25 * s.playlist.duration_s, abs=5)


@pytest.mark.parametrize("sent_before", [None, Sending("h264", "aac", 2)], ids=["first", "backup"])
async def test_av1_ends_at_once_and_by_name(session: NewSession, tmp_path: Path, sent_before: Sending | None) -> None:
    """In a source that was never probed: else it is not even tried."""
    encoder = ("-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1", "-g", "25", "-c:a", "aac")
    fragments = ("-f", "mp4", "-movflags", "frag_keyframe+empty_moov+default_base_moof")
    data = await made(*PICTURE, *TONE, "-t", "6", *encoder, *fragments)
    async with serving({"/av1": Page(data, "video/mp4", 6.0)}) as address:
        s = session()
        if sent_before:
            await s.has_been_sending(sent_before)
        began_s = time.monotonic()
        async with Agent(s.job(f"{address}/av1", expected=None)) as agent:
            assert await agent.wait() == Ending.SOURCE_UNDECODABLE
        took_s = time.monotonic() - began_s
    assert "this FFmpeg cannot decode AV1" in await s.log()
    assert took_s < 6.0, "not a stall"
    assert await s.look() is None, "nothing of it is listed"
