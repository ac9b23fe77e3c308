"""The watch page in a real browser: it plays, tells what happens, beats, and asks nobody but us and the origin; everybody can
use it.

Its strict policy forbids `eval`, and so Playwright's `wait_for_function`: conditions are awaited with `eventually`.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, Response, expect

from api.app import create_app
from lab import default_ffmpeg
from lab.chromium import EXECUTABLE, chromium
from orchestrator.app.settings import Settings
from orchestrator.core.model import Desired, EventType
from tests.api.stage import KEY, Stage, calling
from tests.api.test_events import Served
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.tables import FakeTables
from tests.support import eventually, require

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

AXE = Path(__file__).parents[2] / "api/web/node_modules/axe-core/axe.min.js"


class Origin(SimpleHTTPRequestHandler):
    """One recording under every session's address, as a bucket would serve it."""

    def do_GET(self) -> None:
        self.path = re.sub(r"^/hls/playlists/[^/]+/", "/", self.path)
        super().do_GET()

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def origin_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("origin")
    subprocess.run(
        [default_ffmpeg(), "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=12",
         "-f", "lavfi", "-i", "sine=frequency=440:duration=12", "-c:v", "libx264", "-preset", "ultrafast", "-g", "50",
         "-c:a", "aac", "-f", "hls", "-hls_time", "2", "-hls_list_size", "0", "index.m3u8"],
        cwd=directory, check=True,
    )  # fmt: skip
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Origin, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hls"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    require("Chromium", EXECUTABLE, "neither chromium nor chromium-browser is on PATH")
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def served(tables: FakeTables, bus: FakeEventBus, store: FakeObjectStore, origin_url: str) -> AsyncIterator[Served]:
    app = create_app(Settings(admin_key=KEY, origin_url=origin_url), tables, bus, store, time.time)
    async with Served(app) as served:
        yield served


@pytest.fixture
async def stage(tables: FakeTables, bus: FakeEventBus, served: Served) -> AsyncIterator[Stage]:
    async with calling(served.app, Authorization=f"Bearer {KEY}") as admin:
        yield Stage(tables, bus, admin)


class Watched:
    """A page and what it was heard to say and ask for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        self.answers: list[Response] = []  # of the API, in JSON
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("response", self._read)

    def _read(self, response: Response) -> None:
        if "json" in response.headers.get("content-type", ""):
            self.answers.append(response)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.said.append(message.text)


async def test_the_page_plays_and_tells(
    browser: Browser, served: Served, stage: Stage, origin_url: str, tables: FakeTables
) -> None:
    channel = await stage.channel()
    page = await browser.new_page(viewport={"width": 1000, "height": 800})
    watched = Watched(page)
    here = f"http://127.0.0.1:{served.port}"
    await page.goto(f"{here}/watch/news")
    await eventually(lambda: page.locator("#said:text-is('Starting…')").count())
    session = await eventually(stage.only_session)
    renewed_at = (await tables.sessions.get(session.id)).renewed_at
    await stage.go_live(session.id)
    await eventually(lambda: page.evaluate("document.querySelector('video').currentTime > 1"), 20)
    assert await page.text_content("#channel") == "News"
    assert await page.title() == "News"
    await eventually(lambda: page.is_hidden("#message"))
    await eventually(lambda: page.locator("#phase:text-is('Live')").count())
    assert await page.is_hidden("#aside"), "there is no other channel"

    first, second = (source["id"] for source in channel["sources"])
    playing = await page.evaluate("window.__player.state.source")
    await stage.tell(session.id, EventType.STREAM_SWITCH, to=second, reason="provider Acme: all 2 connections are in use")

    async def switched() -> bool:
        return bool(await page.evaluate("window.__player.state.source") != playing)

    await eventually(switched)
    assert await page.is_hidden("#notice"), "a switch is nobody's news"
    await stage.tell(session.id, EventType.STREAM_UNAVAILABLE, slate=True, sources={})
    await eventually(lambda: page.is_visible("#notice"))
    assert await page.text_content("#phase") == "Slate"
    await stage.tell(session.id, EventType.STREAM_RECOVERED, to=second)
    await eventually(lambda: page.is_hidden("#notice"))

    health = await page.evaluate("window.__player.health()")
    assert health["longest_frozen_ms"] < 1000 and health["buffer_s"] > 0
    assert await page.evaluate("document.querySelector('video').videoWidth === 320")
    assert re.fullmatch(r"\d+\.\d s", await page.text_content("#buffer") or "")
    async with page.expect_response(re.compile("heartbeat$"), timeout=15_000) as beat:
        pass
    response: Response = await beat.value
    assert response.status == 204
    assert (await tables.sessions.get(session.id)).renewed_at > renewed_at

    assert all(url.startswith((here, origin_url, "blob:")) for url in watched.asked), watched.asked
    answered = "\n".join([await answer.text() for answer in watched.answers])
    assert playing and playing in answered, "what the viewer can read in the network tab"
    for private in (first, second, "Acme", "one.test", "two.test"):
        assert private not in answered + await page.content(), private
    assert watched.said == []
    await page.goto("about:blank")

    async def given_up() -> bool:
        return (await tables.sessions.get(session.id)).session.desired is Desired.STOP

    await eventually(given_up, what="the end of what nobody watches any more")


async def test_the_page_says_why_it_cannot_play(browser: Browser, served: Served, stage: Stage) -> None:
    channel = await stage.channel()
    page = await browser.new_page()
    await page.goto(f"http://127.0.0.1:{served.port}/watch/news")
    session = await eventually(stage.only_session)
    await stage.end(session.id, "no_healthy_source", {channel["sources"][0]["id"]: "404 Not Found"})
    await page.wait_for_selector("#act:visible")
    assert await page.text_content("#said") == "No source of this channel works"
    assert await page.text_content("#reasons") == "It refuses to be played."
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request))
    await page.click("#act")
    await eventually(lambda: any(request.url.endswith("/watch/news/session") for request in requests))


@pytest.mark.parametrize("gone", ["disabled", "deleted"])
async def test_a_channel_that_is_switched_off_ends_with_a_sentence(
    browser: Browser, served: Served, stage: Stage, gone: str
) -> None:
    """Not with a still picture once what is buffered has been shown, which is 12 s here."""
    await stage.channel()
    page = await browser.new_page()
    await page.goto(f"http://127.0.0.1:{served.port}/watch/news")
    session = await eventually(stage.only_session)
    await stage.go_live(session.id)
    await eventually(lambda: page.evaluate("document.querySelector('video').currentTime > 1"), 20)
    await stage.remove("news", deleted=gone == "deleted")
    off_at = time.monotonic()
    await stage.end(session.id, "channel_disabled")
    title = {"disabled": "Not on air", "deleted": "No such channel"}[gone]
    await page.wait_for_selector(f"#said:text-is('{title}')", timeout=5000)
    assert time.monotonic() - off_at < 5.0
    assert await page.evaluate("document.querySelector('video').buffered.length") == 0, "the picture has been taken away"
    assert await page.is_hidden("#controls"), "nothing says Live"
    assert await page.get_attribute("#phase", "data-phase") == "off"
    if gone == "disabled":
        assert "The channel is switched off." in (await page.text_content("#detail") or "")
        await page.wait_for_selector("#act:visible")
        await stage.remove("news", back=True)
        # Not page.click, which waits for the button to be visible: the page may have tried again by itself meanwhile
        await page.evaluate("document.querySelector('#act').click()")
        again = await eventually(lambda: _newest(stage, session.id))
        assert again is not None
        await stage.go_live(again)
        await eventually(lambda: page.evaluate("document.querySelector('video').currentTime > 1"), 20)
        assert await page.is_hidden("#message")


async def _newest(stage: Stage, but: str) -> str | None:
    return next((row.session.id for row in await stage.sessions() if row.session.id != but), None)


async def test_a_phones_first_tap_shows_the_controls_and_they_are_in_sight(
    browser: Browser, served: Served, stage: Stage
) -> None:
    await stage.channel()
    await stage.channel(slug="sport", name="Sport")
    context = await browser.new_context(
        viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, device_scale_factor=1
    )
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{served.port}/watch/news")
    session = await eventually(stage.only_session)
    await stage.go_live(session.id)
    await eventually(lambda: page.evaluate("document.querySelector('video').currentTime > 1"), 20)
    await eventually(lambda: page.locator("#screen.idle").count(), 10, what="that the controls go")
    paused = "document.querySelector('video').paused"
    box = await page.locator("#play").bounding_box()
    assert box is not None
    await page.touchscreen.tap(box["x"] + 5, box["y"] + 5)  # where the invisible button is
    assert (await page.locator("#screen.idle").count(), await page.evaluate(paused)) == (0, False)
    await page.tap("#play")
    assert await page.evaluate(paused)
    await page.tap("#play")
    await eventually(lambda: page.locator("#screen.idle").count(), 10, what="that the controls go, though one was tapped")
    for width, height in ((740, 360), (844, 390), (1180, 500)):
        await page.set_viewport_size({"width": width, "height": height})
        controls = await page.locator("#controls").bounding_box()
        assert controls is not None and controls["y"] + controls["height"] <= height, (width, height)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await context.close()


async def test_the_playing_channel_is_in_sight_and_the_picture_stays(browser: Browser, served: Served, stage: Stage) -> None:
    """Where the list has a place of its own it is moved to the channel's row; on a phone nothing moves."""
    for number in range(1, 31):
        await stage.channel(slug=f"c-{number}", name=f"Channel {number}", number=number)
    for (width, height), moves in (((1280, 800), True), ((844, 390), False), ((390, 844), False)):
        page = await browser.new_page(viewport={"width": width, "height": height})
        await page.goto(f"http://127.0.0.1:{served.port}/watch/c-28")
        await page.wait_for_selector("#channels [aria-current]")
        seen = await page.evaluate("[scrollY, document.querySelector('#channels').scrollTop > 0]")
        assert seen == [0, moves], (width, height)
        if moves:
            await expect(page.locator("#channels [aria-current]")).to_be_in_viewport(ratio=1)
        await page.close()


async def test_the_list_of_channels_is_for_fingers_and_keys(browser: Browser, served: Served, stage: Stage) -> None:
    for number in range(1, 31):
        group = "Sport" if number > 20 else "News"
        await stage.channel(slug=f"c-{number}", name=f"{group} {number}", number=number, group=group)
    page = await browser.new_page(viewport={"width": 1000, "height": 700})
    watched = Watched(page)
    here = f"http://127.0.0.1:{served.port}"
    await page.goto(f"{here}/")
    await page.click("a[href=watch]")
    await page.wait_for_selector("#said:text-is('30 channels')")
    assert await page.locator("h2").all_text_contents() == ["News", "Sport"]
    focused = "document.activeElement.textContent"
    await page.keyboard.press("/")
    await page.keyboard.press("ArrowDown")
    assert "News 1" in await page.evaluate(focused)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowDown")
    assert "News 5" in await page.evaluate(focused), "there are three columns"
    await page.keyboard.type("25")  # as by a remote control
    await page.wait_for_selector("#said:text-is('1 of 30 channels')")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{here}/watch/c-25")
    await page.go_back()
    await page.wait_for_selector("#said:text-is('1 of 30 channels')")
    await page.fill("#search", "")
    await page.select_option("#groups", "Sport")
    await page.wait_for_selector("#said:text-is('10 of 30 channels')")
    assert page.url == f"{here}/watch?group=Sport"
    assert watched.said == []


async def test_channels_are_found_and_changed_by_keyboard(browser: Browser, served: Served, stage: Stage) -> None:
    for number, slug in enumerate(("news", "sport", "cafe"), 1):
        await stage.channel(slug=slug, name={"cafe": "Café Télé"}.get(slug, slug.title()), number=number, group="Group")
    page = await browser.new_page()
    await page.goto(f"http://127.0.0.1:{served.port}/watch/news")
    await page.wait_for_selector("#channels a[aria-current]:has-text('News')")
    await page.keyboard.press("ArrowDown")
    await page.wait_for_url("**/watch/sport")
    assert await page.text_content("#channel") == "Sport"
    await page.keyboard.press("/")
    await page.keyboard.type("tele ca")
    assert await page.locator("#channels a").count() == 1
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/watch/cafe")
    await page.keyboard.press("Escape")
    await eventually(lambda: _count(page, 3))
    await page.go_back()
    await page.wait_for_url("**/watch/sport")
    await eventually(lambda: page.locator("#channels a[aria-current]:has-text('Sport')").count())
    await page.keyboard.press("?")
    assert await page.is_visible("#help")


async def _count(page: Page, count: int) -> bool:
    return await page.locator("#channels a").count() == count


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everybody_can_use_it(browser: Browser, served: Served, stage: Stage, scheme: Any) -> None:
    """No violation that axe finds, playing and refused, and with the list of keys open; nothing is cut off at 320 px."""
    for number, slug in enumerate(("news", "sport"), 1):
        await stage.channel(slug=slug, name=slug.title(), number=number, group="Information")
    page = await browser.new_page(color_scheme=scheme, viewport={"width": 320, "height": 640})
    await page.add_init_script(path=AXE)
    await page.goto(f"http://127.0.0.1:{served.port}/watch/news")
    session = await eventually(stage.only_session)
    await page.wait_for_selector("#channels a[aria-current]")
    found = {"starting": await _violations(page)}
    await stage.go_live(session.id)
    await eventually(lambda: page.is_hidden("#message"), 20)
    found["playing"] = await _violations(page)
    await stage.tell(session.id, EventType.STREAM_UNAVAILABLE, slate=True, sources={})
    await page.wait_for_selector("#notice:visible")
    found["slate"] = await _violations(page)
    assert await page.evaluate("document.documentElement.scrollWidth <= 320")
    await page.keyboard.press("?")
    found["keys"] = await _violations(page)
    await page.goto(f"http://127.0.0.1:{served.port}/watch/nowhere")
    await page.wait_for_selector("#said:text('No such channel')")
    found["refused"] = await _violations(page)
    for name, path in (("home", ""), ("list", "watch"), ("404", "none"), ("nothing", "watch?q=nothing+like+it")):
        await page.goto(f"http://127.0.0.1:{served.port}/{path}")
        await page.wait_for_selector("h1")
        if name == "list":
            await page.wait_for_selector("#list a")
        found[name] = await _violations(page)
        assert await page.evaluate("document.documentElement.scrollWidth <= 320"), name
    assert found == {state: [] for state in found}


async def _violations(page: Page) -> list[str]:
    report = await page.evaluate("axe.run()")
    return [f"{each['id']}: {json.dumps([node['html'] for node in each['nodes']])}" for each in report["violations"]]
