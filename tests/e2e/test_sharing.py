"""Two hundred viewers of a shared channel, one container: it lives while any of them watches, and ends when none does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from lab import Lab
from tests.e2e.attempts import Attempt
from tests.e2e.stage import Stage
from tests.servers import RedisServer, Seaweed
from tests.support import eventually
from transcoder.publish.media_playlist import MediaPlaylist
from transcoder.publish.multivariant_playlist import MultivariantPlaylist

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

VIEWERS = 200
AT_ONCE = 20
IDLE_S = 24.0  # longer than a busy machine takes to answer all of them once


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    seaweed: Seaweed, redis_server: RedisServer, runtime: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    directory = tmp_path_factory.mktemp("stack", numbered=True)
    async with Stage.open(directory, seaweed, redis_server, runtime=runtime, idle_timeout_s=IDLE_S) as opened:
        yield opened


class Crowd:
    """Viewers, a few at a time."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def call(self, method: str, path: str, session: Any) -> httpx.Response:
        async with self._turn:
            return await self.stage.http.request(method, path, headers={"Authorization": f"Bearer {session['token']}"})

    async def ask(self, channel: Any, viewer: str) -> Any:
        async with self._turn:
            path = f"/v1/channels/{channel['id']}/sessions"
            return await self.stage.client.call("POST", path, {"viewer": viewer}, {"Prefer": "wait=20"})


async def a_shared_channel(stage: Stage, lab: Lab) -> Any:
    channel = await stage.channel(lab["a"].hls_url, lab["b"].hls_url)
    return await stage.client.call("PATCH", f"/v1/channels/{channel['id']}", {"policy": {"sharing": "channel"}})


@pytest.mark.alone
async def test_two_hundred_viewers_cost_one_container(stage: Stage, lab: Lab) -> None:
    channel = await a_shared_channel(stage, lab)
    crowd = Crowd(stage)
    granted = await asyncio.gather(*(crowd.ask(channel, f"viewer-{n}") for n in range(VIEWERS)))
    assert {session["phase"] for session in granted} == {"live"}
    assert len({session["id"] for session in granted}) == 1
    assert len({session["token"] for session in granted}) == VIEWERS
    path = f"/v1/sessions/{granted[0]['id']}"
    assert (await stage.client.call("GET", path))["viewers"] == VIEWERS
    assert await asyncio.to_thread(stage.attempts.all) == [Attempt(granted[0]["id"], 1)]

    # Each plays through the API with its own token, past the end of the lease that it was given.
    async def play(session: Any) -> None:
        index = await crowd.call("GET", f"{path}/index.m3u8", session)
        (variant,) = MultivariantPlaylist.parse(index.text).variants
        assert variant.uri.endswith(f"?token={session['token']}")
        seen = -1
        for _ in range(4):
            playlist = MediaPlaylist.parse((await crowd.call("GET", f"{path}/main.m3u8", session)).text)
            assert playlist.media_sequence + len(playlist.segments) > seen, "it goes on"
            seen = playlist.media_sequence + len(playlist.segments)
            await asyncio.sleep(IDLE_S / 3)

    await asyncio.gather(*map(play, granted))
    assert (await stage.client.call("GET", path))["viewers"] == VIEWERS
    assert await asyncio.to_thread(stage.attempts.all) == [Attempt(granted[0]["id"], 1)]

    # All but one leave, and it plays on for the one who stays; then it leaves as well.
    stays = granted[-1]
    left = await asyncio.gather(*(crowd.call("DELETE", path, session) for session in granted[:-1]))
    assert {answer.status_code for answer in left} == {202}
    view = (await crowd.call("GET", path, stays)).json()
    assert (view["viewers"], view["phase"], view["desired"]) == (1, "live", "run")
    assert (await crowd.call("DELETE", path, stays)).json()["desired"] == "stop"
    await stage.runs(granted[0]["id"])

    async def ended() -> bool:
        return bool((await stage.client.call("GET", path))["end_reason"] == "stopped")

    await eventually(ended, what="the end")


async def test_what_nobody_watches_any_more_ends_by_itself(stage: Stage, lab: Lab) -> None:
    channel = await a_shared_channel(stage, lab)
    crowd = Crowd(stage)
    granted = await asyncio.gather(*(crowd.ask(channel, f"viewer-{n}") for n in range(5)))
    path = f"/v1/sessions/{granted[0]['id']}"

    async def view() -> Any:
        return await stage.client.call("GET", path)

    await eventually(lambda: _ended(stage, path), timeout_s=IDLE_S + 15.0, every_s=0.5, what="the end of what is idle")
    assert (await view())["end_reason"] == "idle"
    await stage.runs(granted[0]["id"])
    text = (await crowd.call("GET", f"{path}/main.m3u8", granted[0])).text
    assert MediaPlaylist.parse(text).ended
    log = await stage.http.get(f"{path}/attempts/1/log")
    assert log.status_code == 200
    history = await crowd.call("GET", f"{path}/history", granted[0])
    last = history.json()["events"][-1]
    assert (last["type"], last["reason"]) == ("session.ended", "idle")


async def _ended(stage: Stage, path: str) -> bool:
    return bool((await stage.client.call("GET", path))["phase"] == "ended")
