"""`make screenshots`: a picture of every state of every page, light and dark, on a desk and on a phone, in build/screenshots.

The real pages in a real browser, in front of the API on fakes: each state is brought about, not painted. A page's states are a
function that is listed in `PAGES`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, NamedTuple

from playwright.async_api import Page, Route

from api.app import create_app
from lab import default_ffmpeg
from lab.chromium import chromium
from orchestrator.app.settings import Settings
from orchestrator.core.model import EventType
from tests.api.stage import KEY, Stage, calling
from tests.api.test_events import Served
from tests.console import pictures as console
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.tables import FakeTables
from tests.support import eventually

DIRECTORY: Final = Path("build/screenshots")
SCHEMES: Final = ("light", "dark")
SIZES: Final = {"desk": (1360, 860), "phone": (360, 740), "landscape": (740, 360)}


class Studio(NamedTuple):
    """Where a picture is taken."""

    page: Page
    url: str  # of the API
    stage: Stage
    shoot: Callable[[str], Awaitable[None]]


class _Recording(SimpleHTTPRequestHandler):
    """One recording under every session's address."""

    def do_GET(self) -> None:
        self.path = re.sub(r"^/hls/playlists/[^/]+/", "/", self.path)
        super().do_GET()

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def log_message(self, *_: object) -> None: ...


async def watch(studio: Studio) -> None:
    """The watch page."""
    page, stage, shoot = studio.page, studio.stage, studio.shoot
    names = (
        "News",
        "Sport One",
        "Sport Two",
        "Cinema",
        "Kids & Co",
        "Музыка",
        "Documentary",
        "A channel with a name that is long",
    )
    for number, name in enumerate(names, 1):
        group = "Sport" if "Sport" in name else "Entertainment" if number > 3 else "Information"
        logo = "http://logo.test/" if number in (1, 4) else None
        await stage.channel(slug=f"channel-{number}", name=name, number=number, group=group, logo=logo)

    async def opened(slug: str = "channel-1") -> None:
        await page.goto(f"{studio.url}/watch/{slug}")
        await page.wait_for_selector("#channels a")

    async def answered(status: int, **problem: Any) -> None:
        async def answer(route: Route) -> None:
            body = json.dumps({"status": status, **problem})
            await route.fulfill(status=status, body=body, content_type="application/problem+json")

        await page.route("**/session", answer)
        await opened("channel-2")
        await page.wait_for_selector("#act:visible, #said:text('No such channel')")
        await page.unroute("**/session")

    await opened()
    await shoot("starting")
    (session,) = [row.session for row in await stage.sessions() if row.session.phase != "ended"]
    await stage.go_live(session.id)
    await eventually(lambda: page.is_hidden("#message"), 20)
    await eventually(lambda: page.evaluate("document.querySelector('video').currentTime > 2"), 20)
    await shoot("playing")
    await page.keyboard.press("?")
    await shoot("keys")
    await page.keyboard.press("Escape")
    await page.fill("#search", "sport")
    await shoot("search")
    await page.fill("#search", "nothing like it")
    await shoot("search-nothing")
    await page.fill("#search", "")
    await stage.tell(session.id, EventType.STREAM_UNAVAILABLE, slate=True, sources={})
    await page.wait_for_selector("#notice:visible")
    await shoot("slate")
    await page.keyboard.press("Escape")
    await stage.tell(session.id, EventType.STREAM_RECOVERED)
    await page.context.set_offline(True)
    await page.wait_for_selector("#notice:visible")
    await shoot("offline")
    await page.context.set_offline(False)
    await page.locator("#search").blur()
    await page.keyboard.press("k")
    await shoot("paused")
    await page.keyboard.press("k")
    await stage.end(session.id, "stopped")
    await page.wait_for_selector("#notice:visible")
    await shoot("reconnecting")
    await page.goto("about:blank")

    await answered(503, title="No source of the channel works", sources={
        "x-1": "404 Not Found", "x-2": "404 Not Found", "x-3": "no answer within 5 s"})  # fmt: skip
    await shoot("no-source")
    await answered(429, title="The viewer has too many sessions", limit="max_sessions_per_viewer")
    await shoot("too-many-screens")
    await answered(503, title="No room for one more session", limit="max_sessions")
    await shoot("no-room")
    await answered(503, title="No room for one more session", limit="draining")
    await shoot("draining")
    not_playable = "urn:hls-failover:problem:not-playable"
    await answered(409, type=not_playable, title="The channel cannot be played", detail="the channel is disabled")
    await shoot("disabled")
    await page.route("**/session", lambda route: route.abort())
    await opened("channel-2")
    await page.wait_for_selector("#act:visible")
    await shoot("server-away")
    await page.unroute("**/session")
    await opened("nowhere")
    await page.wait_for_selector("#said:text('No such channel')")
    await shoot("no-such-channel")


async def front(studio: Studio) -> None:
    """The start page, and the pages that say why there is no other."""
    page, stage, shoot = studio.page, studio.stage, studio.shoot
    await page.goto(studio.url)
    await page.wait_for_selector("#health[data-well]")
    await shoot("home")
    down = {"title": "Not ready", "status": 503, "parts": {"database": "The database does not answer", "store": "no answer"}}
    await page.route("**/readyz", lambda route: route.fulfill(status=503, body=json.dumps(down)))
    await page.reload()
    await page.wait_for_selector("#health[data-well='false']")
    await shoot("home-not-ready")
    await page.unroute("**/readyz")
    for name, path in (("404", "nowhere"), ("401", "v1/channels"), ("405", "watch/news/session")):
        await page.goto(f"{studio.url}/{path}")
        await shoot(name)
    channel = await stage.channel()
    asked = asyncio.ensure_future(page.goto(f"{studio.url}/watch/news.m3u8"))
    session = await eventually(stage.only_session)
    await stage.end(session.id, "no_healthy_source", {source["id"]: "404 Not Found" for source in channel["sources"]})
    await asked
    await shoot("503")


async def channels(studio: Studio) -> None:
    """The list of all channels: none, a few, and six hundred."""
    page, stage, shoot = studio.page, studio.stage, studio.shoot
    await page.goto(f"{studio.url}/watch")
    await page.wait_for_selector("#said:text('no channel yet')")
    await shoot("none")
    for number, name in enumerate(("News", "Sport One", "A channel with a name that is long enough for two lines"), 1):
        await stage.channel(slug=f"few-{number}", name=name, logo="http://logo.test/" if number == 1 else None)
    await page.reload()
    await page.wait_for_selector("#list a")
    await shoot("few")
    groups = ("Information", "Sport", "Films", "Children", "Music and culture", "Documentary")
    for number in range(1, 601):
        group = groups[number * len(groups) // 601]
        logo = "http://logo.test/" if number % 7 == 0 else None
        await stage.channel(slug=f"channel-{number}", name=f"{group} {number}", number=number, group=group, logo=logo)
    await page.reload()
    await page.wait_for_selector("#list a")
    await page.wait_for_timeout(500)  # logos
    await shoot("many")
    await page.fill("#search", "sport 12")
    await shoot("search")
    await page.keyboard.press("ArrowDown")
    await shoot("focus")
    await page.fill("#search", "nothing like it")
    await shoot("nothing")
    await page.route("**/channels.json", lambda route: route.abort())
    await page.reload()
    await page.wait_for_selector("#again:visible")
    await shoot("no-answer")


PAGES: Final[dict[str, Callable[[Studio], Awaitable[None]]]] = {"watch": watch, "front": front, "channels": channels}


async def _take(name: str, scheme: Any, size: str, browser: Any, origin_url: str) -> int:
    tables = FakeTables()
    app = create_app(
        Settings(admin_key=KEY, origin_url=origin_url), tables, bus := FakeEventBus(), FakeObjectStore(),
        time.time, logo=_logo,
    )  # fmt: skip
    width, height = SIZES[size]
    taken = 0
    async with Served(app) as served, calling(app, Authorization=f"Bearer {KEY}") as admin:
        context = await browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": height}, has_touch=size != "desk",
            is_mobile=size != "desk", device_scale_factor=1,
        )  # fmt: skip

        async def shoot(state: str) -> None:
            nonlocal taken
            taken += 1
            await page.screenshot(path=DIRECTORY / f"{name}-{state}-{size}-{scheme}.png")

        page = await context.new_page()
        await PAGES[name](Studio(page, f"http://127.0.0.1:{served.port}", Stage(tables, bus, admin), shoot))
        await context.close()
    return taken


async def _logo(url: str) -> bytes:
    """Sixteen by sixteen, of one colour."""

    def part(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + b"\x0e\x8f\x7a" * 16 for _ in range(16))
    header = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


@contextlib.contextmanager
def _recording() -> Iterator[str]:
    """A picture that moves, and where it is played from."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            [default_ffmpeg(), "-loglevel", "error", "-f", "lavfi", "-i", "mandelbrot=size=1280x720:rate=25,trim=duration=40",
             "-f", "lavfi", "-i", "sine=frequency=440:duration=40", "-c:v", "libx264", "-preset", "ultrafast", "-g", "50",
             "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "hls", "-hls_time", "2", "-hls_list_size", "0", "index.m3u8"],
            cwd=directory, check=True,
        )  # fmt: skip
        server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Recording, directory=directory))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hls"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


async def _main(names: list[str]) -> int:
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    taken = 0
    with _recording() as origin_url:
        async with chromium() as browser:
            for name in names or (*PAGES, "console"):
                if name.startswith("console"):  # console-add: that page alone
                    taken += await console.take(browser, DIRECTORY, name.removeprefix("console").removeprefix("-"))
                    continue
                for scheme in SCHEMES:
                    for size in SIZES:
                        taken += await _take(name, scheme, size, browser, origin_url)
    print(f"{taken} pictures in {DIRECTORY}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(sys.argv[1:])))
