"""A channel of ordinary sources, from its probes to decoded frames: several muxed variants, video alone behind them, and before
them one that cannot be decoded."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import Lab, LabFault, Recipe, default_ffmpeg
from lab.viewer import Viewer
from tests.e2e.stage import Stage
from tests.transcoder.ordinary import HLS, Page, serving
from tests.transcoder.rig import counted, run

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

RECIPES = {
    "low": Recipe(segment_s=1.0, width=160, height=90, bitrate_bps=100_000),
    "high": Recipe(segment_s=1.0, width=320, height=180, bitrate_bps=300_000),
    "mute": Recipe(segment_s=1.0, width=320, height=180, bitrate_bps=300_000, audio=None),
}


async def test_variants_then_video_alone_play_on_one_playlist(stage: Stage, tmp_path: Path) -> None:
    async with Lab(names=tuple(RECIPES), recipes=RECIPES) as lab:
        variants = "".join(
            f"#EXT-X-STREAM-INF:BANDWIDTH={bps}\n{lab[name].hls_url}\n" for name, bps in (("low", 200_000), ("high", 500_000))
        )
        made = tmp_path / "av1.mp4"
        picture = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25", "-t", "0.4", "-c:v", "libsvtav1", "-preset", "12")
        await run(default_ffmpeg(), "-v", "error", *picture, "-movflags", "+faststart", str(made))
        pages = {"/index.m3u8": Page(f"#EXTM3U\n{variants}".encode(), HLS), "/av1.mp4": Page(made.read_bytes(), "video/mp4")}
        async with serving(pages) as address:
            channel = await stage.channel(f"{address}/av1.mp4", f"{address}/index.m3u8", lab["mute"].hls_url)
            undecodable, several, mute = await stage.sources(channel)
            assert (undecodable["status"], undecodable["last_failure_reason"]) == (
                "problematic",
                "this FFmpeg cannot decode AV1",
            )
            assert (several["status"], mute["status"]) == ("healthy", "healthy")
            async with stage.watch(channel) as watched:
                assert watched.granted["source_id"] == several["id"]
                await watched.plays(4)
                lab["low"].fault = lab["high"].fault = LabFault.REFUSE
                await watched.is_told("stream.switch")
                await watched.plays_from(2, 4)
                await stage.stop(watched.id)
                playlist = await _ended(watched.viewer)
                first, *_ = await watched.rows()
                assert first["end_reason"] == "source unreachable"
                seen = await counted(watched.granted["playlist_url"])
            assert seen.frames == pytest.approx(25 * playlist, rel=0.05)
            assert seen.sound_s == pytest.approx(playlist, rel=0.1), "silence goes on where the sound has been"


async def _ended(viewer: Viewer) -> float:
    """How long the playlist is that has ended."""
    await viewer.look()
    assert viewer.playlist is not None
    return viewer.playlist.duration_s
