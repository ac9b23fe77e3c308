"""A source whose segments differ in length: never late by its own playlist, so never stalled."""

from __future__ import annotations

from lab import Lab, Recipe
from tests.support import eventually
from tests.transcoder.rig import Agent, NewSession
from transcoder.ending import Ending


async def test_patience_is_never_below_what_the_playlist_declares(session: NewSession) -> None:
    recipe = Recipe(width=320, height=180, bitrate_bps=200_000, segment_s=1.0, pattern=(1, 1, 1, 1, 5))
    async with Lab(names=("a",), recipe=recipe) as lab:
        s = session()
        async with Agent(s.job(lab["a"].hls_url, target_duration_s=5, cadence_s=5.0)) as agent:
            first_s = (await s.until(segments=1))[0].program_date_time

            async def twice_round() -> bool:
                playlist = await s.look()
                return playlist is not None and (playlist.end_s or 0.0) > first_s + 22

            await eventually(twice_round, 30, 0.1, "two rounds of the pattern")
            assert await agent.end() == Ending.BY_REQUEST, "after three short ones the long one is no silence"
        assert s.broken == []
        assert await s.plays() == ""
