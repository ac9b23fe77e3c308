"""The watch page in a real browser: it plays, tells what happens, beats, and asks nobody but us and the origin.

Its strict policy forbids `eval`, and so Playwright's `wait_for_function`: conditions are awaited with `eventually`.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, Response, async_playwright

from api.app import create_app
from lab import default_ffmpeg
from orchestrator.core.model import EventType
from orchestrator.settings import Settings
from tests.api.stage import KEY, Stage, calling
from tests.api.test_events import Served
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.prober import FakeProber
from tests.fakes.tables import FakeTables
from tests.support import eventually, require

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip


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
    require("Chromium", CHROMIUM, "neither chromium nor chromium-browser is on PATH")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def served(
    tables: FakeTables, bus: FakeEventBus, store: FakeObjectStore, prober: FakeProber, origin_url: str
) -> AsyncIterator[Served]:
    app = create_app(Settings(admin_key=KEY, origin_url=origin_url), tables, bus, store, prober, time.time)
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
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.said.append(message.text)


async def test_the_page_plays_and_tells(
    browser: Browser, served: Served, stage: Stage, origin_url: str, tables: FakeTables, tmp_path: Path
) -> None:
    channel = await stage.channel()
    page = await browser.new_page(viewport={"width": 1000, "height": 800})
    watched = Watched(page)
    here = f"http://127.0.0.1:{served.port}"
    await page.goto(f"{here}/watch/news")
    assert await page.text_content("#said") == "Starting…"
    session = await eventually(stage.only_session)
    renewed_at = (await tables.sessions.get(session.id)).renewed_at
    await stage.go_live(session.id)
    await eventually(lambda: page.evaluate("window.__player.video.currentTime > 1"), 20)
    assert await page.text_content("#channel") == "News"
    assert await page.title() == "News"
    assert await page.is_hidden("#message")
    assert await page.text_content("#phase") == "live"
    assert await page.text_content("#source") == channel["sources"][0]["id"]

    second = channel["sources"][1]["id"]
    await stage.tell(session.id, EventType.STREAM_SWITCH, to=second, reason="source stalled", gap_ms=12)
    await eventually(lambda: page.locator(f"#source:text-is('{second}')").count())
    assert "stream.switch  ·  source stalled  ·  gap 12 ms" in (await page.text_content("#events") or "")

    stats = await page.evaluate("window.__player.stats")
    assert set(stats) == {"rebuffer_ms", "longest_freeze_ms", "errors"}
    assert stats["errors"] == [] and stats["longest_freeze_ms"] < 1000
    assert await page.evaluate("window.__player.hls !== null && window.__player.video.videoWidth === 320")
    assert re.fullmatch(r"\d+\.\d s", await page.text_content("#buffer") or "")
    async with page.expect_response(re.compile("heartbeat$"), timeout=15_000) as beat:
        pass
    response: Response = await beat.value
    assert response.status == 204
    assert (await tables.sessions.get(session.id)).renewed_at > renewed_at

    assert all(url.startswith((here, origin_url, "blob:")) for url in watched.asked), watched.asked
    assert watched.said == []
    await page.screenshot(path=tmp_path / "page.png")
    await page.reload()
    await eventually(lambda: page.evaluate("window.__player.video.currentTime > 0"), 20)
    assert (await stage.only_session()).id == session.id


async def test_the_page_says_why_it_cannot_play(browser: Browser, served: Served, stage: Stage) -> None:
    channel = await stage.channel()
    page = await browser.new_page()
    await page.goto(f"http://127.0.0.1:{served.port}/watch/news")
    session = await eventually(stage.only_session)
    await stage.end(session.id, "no_healthy_source", {channel["sources"][0]["id"]: "404 Not Found"})
    await page.wait_for_selector("#again:visible")
    assert await page.text_content("#said") == "No source of the channel works"
    assert await page.text_content("#reasons") == "404 Not Found"
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request))
    await page.click("#again")
    await eventually(lambda: any(request.url.endswith("/watch/news/session") for request in requests))
