"""Where segments begin: with a keyframe, wherever the source has one, whatever has been cut before."""

from __future__ import annotations

import asyncio
import urllib.request
from typing import Any
from urllib.parse import urljoin

import pytest

from lab import Lab, Recipe
from tests.transcoder.rig import Agent, NewSession, Session
from transcoder.ending import Ending


def begins_with_keyframe(media: bytes) -> bool:
    """Whether the first frame of FFmpeg's video PID has the random_access_indicator (ISO/IEC 13818-1, 2.4.3.4)."""
    for at in range(0, len(media), 188):
        if media[at + 1] & 0x40 and (media[at + 1] & 0x1F) << 8 | media[at + 2] == 0x100:
            return bool(media[at + 3] & 0x20 and media[at + 4] and media[at + 5] & 0x40)
    return False


async def keyframes(s: Session, attempt: int) -> list[bool]:
    """Of each listed segment of an attempt, whether it begins with a keyframe."""

    def fetched() -> list[bytes]:
        found = []
        for segment in s.of(attempt):
            with urllib.request.urlopen(urljoin(s.url, segment.uri), timeout=5) as response:
                found.append(response.read())
        return found

    return [begins_with_keyframe(media) for media in await asyncio.to_thread(fetched)]


@pytest.mark.parametrize("pattern", [(1,), (1, 2, 1, 1, 2)])
async def test_after_a_swap_cuts_fall_back_onto_keyframes(session: NewSession, pattern: tuple[int, ...]) -> None:
    recipe = Recipe(width=320, height=180, bitrate_bps=200_000, segment_s=2.0, pattern=pattern)
    async with Lab(names=("a", "b"), recipe=recipe) as lab:
        s = session()
        common: dict[str, Any] = {"target_duration_s": 4, "cadence_s": 2.0 * max(pattern)}
        async with Agent(s.job(lab["a"].hls_url, **common)) as first:
            await s.until(segments=2)
            first.process.kill()
            await first.wait()
        async with Agent(s.job(lab["b"].hls_url, attempt=2, **common)) as second:
            await s.until(segments=7, attempt=2, timeout_s=40)
            assert await second.end() == Ending.BY_REQUEST
        await s.look()
        begin = await keyframes(s, 2)
        assert begin.count(False) <= 1, "only behind the cut that has to be in time"
        assert s.broken == []
        assert await s.plays() == ""


async def test_a_target_duration_fits_keyframes_ten_seconds_apart(session: NewSession) -> None:
    recipe = Recipe(width=320, height=180, bitrate_bps=200_000, segment_s=10.0)
    async with Lab(names=("a",), recipe=recipe) as lab:
        s = session()
        async with Agent(s.job(lab["a"].ts_url, target_duration_s=3)) as agent:
            await s.until(segments=2, timeout_s=40)
            assert await agent.end() == Ending.BY_REQUEST
        await s.look()
        assert s.playlist.target_duration_s == 10
        assert all(await keyframes(s, 1))
        assert [segment.duration_s for segment in s.of(1)][:2] == pytest.approx([10.0, 10.0])
        assert s.broken == []
        async with Agent(s.job(lab["a"].ts_url, attempt=2, target_duration_s=3)) as agent:
            await s.until(segments=1, attempt=2)
            assert await agent.end() == Ending.BY_REQUEST
        assert s.playlist.target_duration_s == 10, "it never changes, whatever a later job says"
        assert s.broken == []
        assert await s.plays() == ""
