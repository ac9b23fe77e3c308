"""Sources whose sound ends while the picture goes on: left for a better one, or played with silence in its place."""

from __future__ import annotations

import asyncio
import json
import subprocess
import urllib.request
from pathlib import Path
from urllib.parse import urljoin

import pytest

from lab import Lab, LabFault, Recipe
from tests.support import eventually
from tests.transcoder.ordinary import Page, serving
from tests.transcoder.rig import FFPROBE, Agent, NewSession, Session
from tests.transcoder.test_ordinary_sources import H264, PICTURE, RATE, TONE, TS, made
from transcoder.ending import Ending
from transcoder.publish.multivariant_playlist import Sending

SMALL = Recipe(width=320, height=180, bitrate_bps=200_000)
AAC_S = 1024 / 48_000
USUAL = Sending("h264", "aac", 2)


def decoded(s: Session, attempt: int) -> dict[str, int]:
    """How many frames of sound and picture can be decoded of what an attempt has listed."""
    media = b""
    for segment in s.of(attempt):
        with urllib.request.urlopen(urljoin(s.url, segment.uri), timeout=5) as response:
            media += response.read()
    entries = ("-count_frames", "-show_entries", "stream=codec_type,nb_read_frames", "-of", "json", "pipe:0")
    done = subprocess.run([FFPROBE, "-v", "error", *entries], input=media, stdout=subprocess.PIPE, check=True, timeout=50)
    return {each["codec_type"]: int(each["nb_read_frames"]) for each in json.loads(done.stdout)["streams"]}


def listed_s(s: Session, attempt: int) -> float:
    return sum(segment.duration_s for segment in s.of(attempt))


@pytest.mark.parametrize("fault", [LabFault.AUDIO_STOPS, LabFault.AUDIO_LEAVES, LabFault.AUDIO_FOR_VIDEO])
async def test_a_source_whose_sound_or_picture_ends_is_left_and_taken_without_as_a_last_resort(
    session: NewSession, fault: LabFault
) -> None:
    async def case(lab: Lab, name: str, kind: str) -> None:
        s, source = session(), lab[name]
        url = getattr(source, kind)
        async with Agent(s.job(url)) as agent:
            await s.until(segments=3)
            source.fault = fault
            # FFmpeg may name what it finds in the place of a picture.
            named = {Ending.SOURCE_UNDECODABLE} if fault is LabFault.AUDIO_FOR_VIDEO else set()
            assert await agent.wait() in {Ending.SOURCE_STALLED, *named}, kind
            assert "no sound for" in agent.said or "silent for" in agent.said
        await s.look()
        frames = await asyncio.to_thread(decoded, s, 1)
        assert frames["audio"] * AAC_S > listed_s(s, 1) - 6.5, "the limit of 3 s, and whole segments"
        if fault is LabFault.AUDIO_STOPS:
            async with Agent(s.job(url, attempt=2)) as strict:
                assert await strict.wait() == Ending.SOURCE_STALLED
                assert "announced sound does not come" in strict.said
        if fault is not LabFault.AUDIO_FOR_VIDEO:
            async with Agent(s.job(url, attempt=3, last_resort=True)) as agent:
                await s.until(segments=3, attempt=3)
                assert await agent.end() == Ending.BY_REQUEST
            await s.look()
            frames = await asyncio.to_thread(decoded, s, 3)
            assert frames["audio"] * AAC_S == pytest.approx(listed_s(s, 3), abs=0.5)
            assert frames["video"] / 25 == pytest.approx(listed_s(s, 3), abs=0.2)
        assert s.broken == []
        if fault is not LabFault.AUDIO_FOR_VIDEO:  # what is no picture may spoil the one before
            assert await s.plays() == ""

    async with Lab(names=("a", "b"), recipe=SMALL) as lab:
        await asyncio.gather(case(lab, "a", "ts_url"), case(lab, "b", "hls_url"))


async def test_a_session_that_begins_without_the_announced_sound_has_silence_until_it_comes(
    session: NewSession, tmp_path: Path
) -> None:
    shortened = tmp_path / "agent.py"
    shortened.write_text(
        "import runpy, transcoder.source.missing_streams\n"
        "transcoder.source.missing_streams._LOOK_AGAIN_AFTER_S = 3.0\n"
        "runpy.run_module('transcoder', run_name='__main__')\n"
    )
    async with Lab(names=("a",), recipe=SMALL) as lab:
        s = session()
        lab["a"].fault = LabFault.AUDIO_STOPS
        async with Agent(s.job(lab["a"].hls_url, last_resort=True), str(shortened)) as agent:
            await s.until(segments=2)
            assert (await s.index()).sending == USUAL
            lab["a"].fault = None
            await eventually(lambda: "audio copy" in agent.said.partition("looking for it again")[2], 20)
            count = len(s.of(1))
            await s.until(segments=count + 3)
            assert await agent.end() == Ending.BY_REQUEST
        assert s.broken == []
        assert await s.plays() == ""


async def test_silence_stands_in_as_well_where_the_first_keyframe_is_late(session: NewSession) -> None:
    """FFmpeg counts how long it looks from the first keyframe on: 4 s, and the limit for the first media is 8 s."""
    media = await made(*PICTURE, *TONE, "-t", "24", *H264, *RATE, "-g", "125", "-c:a", "aac", "-ac", "2", *TS)
    async with serving({"/mid-gop.ts": Page(media, "video/mp2t", 24.0, from_s=1.0, silent_s=60.0)}) as address:
        s = session()
        async with Agent(s.job(f"{address}/mid-gop.ts", last_resort=True)) as agent:
            await s.until(segments=1, timeout_s=20)
            assert await agent.end() == Ending.BY_REQUEST
        await s.look()
        frames = await asyncio.to_thread(decoded, s, 1)
        assert frames["video"] / 25 == pytest.approx(listed_s(s, 1), abs=0.2)
        assert frames["audio"] * AAC_S == pytest.approx(listed_s(s, 1), abs=0.5)
        assert s.broken == []
        assert await s.plays() == ""
