"""The player in a real browser and the real stack: what fails behind the address is not seen, what is seen mends itself.

Several viewers at once, each in a browser of its own: what befalls one befalls none of the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from lab import Lab, LabFault
from lab.chromium import longest_ms, look, shown_s, stills
from lab.gate import Gate, GateState
from tests.e2e.attempts import Attempt
from tests.e2e.conftest import NAMES, SMALL
from tests.e2e.site import served
from tests.e2e.stage import Stage
from tests.servers import RedisServer, Seaweed
from tests.support import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

STILL_MS = 250  # longer, and a viewer would call it a stall
OFF_S = 5.0  # from the operator's request to the sentence on the page
AWAY_S = 20.0
SEGMENT_S = 2.0
DOCS = Path(__file__).parents[2] / "docs/player.md"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(names=NAMES, recipe=replace(SMALL, segment_s=SEGMENT_S)) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    seaweed: Seaweed, redis_server: RedisServer, runtime: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """Segments and the stall limit as the product has them by default: a viewer's buffer is what it would be. What has
    failed is probed again soon."""
    settings = {"segment_s": SEGMENT_S, "stall_limit_s": 3.0, "reprobe_interval_s": 2.0}
    async with Stage.open(
        tmp_path_factory.mktemp("stack", numbered=True), seaweed, redis_server, runtime=runtime, **settings
    ) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(stage: Stage) -> AsyncIterator[Gate]:
    """The network between browsers and the API; the store's is another."""
    async with Gate(stage.stack.api_url.removeprefix("http://")) as gate:
        yield gate


class Viewer:
    """A tab on the watch page."""

    def __init__(self, page: Page, stage: Stage) -> None:
        self.page = page
        self.stage = stage

    @property
    async def state(self) -> Any:
        return await self.page.evaluate("window.__player.state")

    async def session_id(self) -> str:
        return str((await self.state)["session"]["id"])

    async def is_in(self, timeout_s: float = 30.0, **wanted: Any) -> None:
        """Awaits that the player's state has these members."""

        async def there() -> bool:
            state = await self.state
            assert {name: state[name] for name in wanted} == wanted
            return True

        await eventually(there, timeout_s, every_s=0.1, what=f"{wanted} of {self.page.url}")

    async def told(self, kind: str, timeout_s: float = 60.0) -> Any:
        """Awaits an event of this type; a session's events are what the API says they are."""
        session_id = await self.session_id()

        async def found() -> Any:
            history = await self.stage.client.call("GET", f"/v1/sessions/{session_id}/history")
            return next((event for event in history["events"] if event["type"] == kind), None)

        return await eventually(found, timeout_s, every_s=0.2, what=f"{kind} of {session_id}, {self.page.url}")

    async def goes_on(self, by_s: float, timeout_s: float = 40.0) -> None:
        """Awaits that so much more is shown."""
        wanted_s = await shown_s(self.page) + by_s

        async def shown() -> bool:
            now_s = await shown_s(self.page)
            assert now_s > wanted_s, f"{now_s - wanted_s:.1f} s to go, and {await self.state}"
            return True

        await eventually(shown, timeout_s, every_s=0.2, what=f"{by_s} s more of {self.page.url}")


@contextlib.asynccontextmanager
async def watching(browser: Browser, stage: Stage, gate: Gate, channel: Any) -> AsyncIterator[Viewer]:
    """A viewer who sees a picture, with a full buffer."""
    context = await browser.new_context(viewport={"width": 800, "height": 600})
    try:
        yield await tab(context, stage, gate, channel)
    finally:
        await context.close()


async def tab(context: Any, stage: Stage, gate: Gate, channel: Any) -> Viewer:
    page = await context.new_page()
    await look(page)
    await page.goto(f"http://{gate.address}/watch/{channel['slug']}")
    viewer = Viewer(page, stage)
    await viewer.goes_on(4.0)
    return viewer


async def test_what_fails_behind_the_address_is_not_seen(browser: Browser, stage: Stage, lab: Lab, gate: Gate) -> None:
    """A source is gone, a source stands still, a container is killed; then the API is away from all of them."""
    channels = [await stage.channel(lab[one].hls_url, lab[two].hls_url) for one, two in ("ab", "cd", "ef")]
    async with contextlib.AsyncExitStack() as tabs:
        viewers = [await tabs.enter_async_context(watching(browser, stage, gate, channel)) for channel in channels]
        refused, frozen, killed = viewers
        before = [await viewer.session_id() for viewer in viewers]
        since = time.time()

        lab["a"].fault, lab["c"].fault = LabFault.REFUSE, LabFault.FROZEN
        await asyncio.to_thread(stage.attempts.kill, Attempt(before[2], 1))
        await asyncio.gather(*(viewer.told("stream.switch") for viewer in viewers))
        lab["a"].fault = lab["c"].fault = None

        # Longer than what was buffered before the faults: that they were not seen is seen meanwhile.
        await gate.set(GateState.SHUT)
        began = time.monotonic()
        await asyncio.gather(*(viewer.is_in(reachable=False, phase="playing") for viewer in viewers))
        assert await killed.page.is_visible("#notice")
        await asyncio.sleep(max(0.0, AWAY_S - (time.monotonic() - began)))  # that long is what is tested
        await gate.set(GateState.OPEN)
        await asyncio.gather(*(viewer.is_in(reachable=True) for viewer in viewers))
        await asyncio.gather(*(viewer.goes_on(2.0) for viewer in viewers))

        seen = {
            name: longest_ms(await stills(viewer.page, since))
            for name, viewer in (("refused", refused), ("frozen", frozen), ("killed", killed))
        }
        print(f"longest stills: {seen}")
        assert {name: still for name, still in seen.items() if still > STILL_MS} == {}
        assert [await viewer.session_id() for viewer in viewers] == before
        await refused.is_in(stream="live")
        assert str((await refused.state)["source"]).startswith("source-"), "a viewer is not told which source it is"


async def test_a_channel_that_is_switched_off_ends_for_its_viewers(
    browser: Browser, stage: Stage, lab: Lab, gate: Gate
) -> None:
    """Within five seconds and with a sentence, for who hears the events; and the playlist ends for who does not."""
    channel = await stage.channel(lab["a"].hls_url)
    async with watching(browser, stage, gate, channel) as viewer:
        off_at = time.monotonic()
        await stage.client.call("PATCH", f"/v1/channels/{channel['id']}", {"enabled": False})
        await viewer.page.wait_for_selector("#said:text-is('Not on air')", timeout=OFF_S * 1000)
        print(f"a channel switched off is told after {time.monotonic() - off_at:.2f} s")
        assert await viewer.page.is_visible("#detail:has-text('The channel is switched off.')")


async def test_what_is_seen_mends_itself(browser: Browser, stage: Stage, lab: Lab, gate: Gate) -> None:
    """All sources are down, with the slate and without; the session is taken away. Nobody presses anything."""
    with_slate = await stage.channel(lab["a"].hls_url, lab["b"].hls_url)
    without = await stage.channel(lab["c"].hls_url, lab["d"].hls_url)
    stopped = await stage.channel(lab["e"].hls_url)
    await stage.client.call("PATCH", f"/v1/channels/{without['id']}", {"policy": {"slate": False}})
    async with (
        watching(browser, stage, gate, with_slate) as slate,
        watching(browser, stage, gate, without) as dark,
        watching(browser, stage, gate, stopped) as lost,
    ):
        ids = [await viewer.session_id() for viewer in (slate, dark, lost)]
        for name in "abcd":
            lab[name].fault = LabFault.REFUSE
        await stage.client.call("DELETE", f"/v1/sessions/{ids[2]}")
        await asyncio.gather(slate.is_in(stream="slate"), dark.is_in(stream="unavailable"))
        assert await slate.page.is_visible("#notice")
        await slate.goes_on(6.0)

        async def another() -> bool:
            state = await lost.state
            return bool(state["phase"] == "playing" and state["session"]["id"] != ids[2])

        await eventually(another, 30, what="another session")
        await lost.goes_on(4.0)
        await eventually(lambda: dark.page.is_visible("#message"), 40, what="that the picture stands is said")
        for name in "abcd":
            lab[name].fault = None
        await asyncio.gather(*(viewer.is_in(60, stream="live", stuck=False) for viewer in (slate, dark)))
        await asyncio.gather(slate.goes_on(4.0), dark.goes_on(4.0))
        await eventually(lambda: slate.page.is_hidden("#notice"))
        assert [await slate.session_id(), await dark.session_id()] == ids[:2]
        stood = longest_ms(await stills(dark.page))
        print(f"longest stills: with the slate {longest_ms(await stills(slate.page)):.0f} ms, without {stood:.0f} ms")
        assert stood > STILL_MS, "who measures stills sees one where nothing comes"


async def test_a_browser_without_hevc_says_so_and_plays_it_where_the_channel_has_it_transcoded(
    browser: Browser, stage: Stage, gate: Gate
) -> None:
    """Chromium as Debian builds it has no HEVC decoder. The second session decodes frames of the same source."""
    async with Lab(names=("a",), recipe=replace(SMALL, segment_s=SEGMENT_S, video="hevc")) as hevc:
        channel = await stage.channel(hevc["a"].hls_url)
        address = f"http://{gate.address}/watch/{channel['slug']}"
        page = await browser.new_page(viewport={"width": 800, "height": 600})
        await page.goto(address)
        assert not await page.evaluate("MediaSource.isTypeSupported('video/mp4; codecs=\"hvc1.1.6.L63.90\"')")
        await eventually(lambda: page.locator("#said:text-is('This browser cannot play HEVC (H.265)')").count(), 30)
        assert "VLC" in (await page.text_content("#detail") or "")
        state = await page.evaluate("window.__player.state")
        assert re.fullmatch(r"hvc1\.1\.6\.L\d+\.90,mp4a\.40\.2", state["refusal"]["codecs"])

        async def given_up() -> bool:
            sessions = await stage.client.call("GET", "/v1/sessions")
            mine = [session["phase"] for session in sessions if session["channel"]["id"] == channel["id"]]
            return mine == ["ended"]

        await eventually(given_up, 30, every_s=0.2, what="the end of a session that nobody here can play")
        await stage.client.call("PATCH", f"/v1/channels/{channel['id']}", {"policy": {"hevc": "h264"}})
        await look(page)
        await page.goto(address)
        await Viewer(page, stage).goes_on(4.0)
        await page.close()


async def test_two_tabs_are_one_viewer_and_the_last_one_ends_it(browser: Browser, stage: Stage, lab: Lab, gate: Gate) -> None:
    channel = await stage.channel(lab["g"].hls_url)
    async with watching(browser, stage, gate, channel) as first:
        second = await tab(first.page.context, stage, gate, channel)
        session_id = await first.session_id()
        assert await second.session_id() == session_id
        await first.page.goto("about:blank")
        since = time.time()
        await second.goes_on(3.0)
        view = await stage.client.call("GET", f"/v1/sessions/{session_id}")
        assert (view["phase"], view["desired"]) == ("live", "run")
        assert longest_ms(await stills(second.page, since)) <= STILL_MS
        await second.page.goto("about:blank")

        async def ended() -> Any:
            return (await stage.client.call("GET", f"/v1/sessions/{session_id}"))["end_reason"]

        assert await eventually(ended, what="the session's end") == "stopped"
        await stage.runs(session_id)


async def test_the_page_of_the_documentation_plays_on_another_site(
    browser: Browser, stage: Stage, lab: Lab, gate: Gate, tmp_path: Path
) -> None:
    channel = await stage.channel(lab["h"].hls_url)
    source = re.findall(r"^```html\n(.*?)^```", DOCS.read_text(), re.DOTALL | re.MULTILINE)
    (page_text,) = source
    assert page_text.count("https://tv.example.com") == page_text.count('"news"') == 1
    page_text = page_text.replace("https://tv.example.com", f"http://{gate.address}").replace('"news"', f'"{channel["slug"]}"')
    (tmp_path / "index.html").write_text(page_text)
    with served(tmp_path) as address:
        page = await browser.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        await look(page)
        await page.goto(f"{address}/")
        await eventually(lambda: shown_s(page), 40, what="a picture")
        (session,) = [
            each
            for each in await stage.client.call("GET", "/v1/sessions")
            if each["channel"]["slug"] == channel["slug"] and each["phase"] != "ended"
        ]
        assert session["viewer"].startswith("page-")
        assert [text for text in said if "favicon" not in text and "404" not in text] == []
        await page.goto("about:blank")
        await stage.runs(session["id"])
