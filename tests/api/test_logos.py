"""Channels' logos through the API: pictures alone, bounded, asked for once in a while."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest
from litestar import Litestar

from api.watch import logos
from api.watch.logos import Logos
from orchestrator.errors import InvalidInput, NotFound
from tests.api.stage import Stage
from tests.api.test_bad_input import assert_problem

PNG = b"\x89PNG\r\n\x1a\n" + b"picture"


class Web:
    """What there is to be had, and what was asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        await self.open.wait()
        if url not in self.pages:
            raise InvalidInput("url", "the server answered 404 Not Found")
        return self.pages[url]


@pytest.fixture
def web() -> Web:
    return Web()


async def test_a_logo_is_passed_on(app: Litestar, client: httpx.AsyncClient, stage: Stage, web: Web) -> None:
    app.state.logos = Logos(web, time.time)
    web.pages["http://logo.test/a.png?key=hidden"] = PNG
    await stage.channel(logo="http://logo.test/a.png?key=hidden")
    await stage.channel(slug="plain", name="Plain")
    await stage.channel(slug="dark", name="Dark", logo="http://logo.test/a.png", enabled=False)
    answer = await client.get("/watch/news/logo")
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "image/png", PNG)
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert answer.headers["x-content-type-options"] == "nosniff"
    for channel in ("plain", "dark", "nowhere"):
        assert_problem(await client.get(f"/watch/{channel}/logo"), 404)
    assert web.asked == ["http://logo.test/a.png?key=hidden"]


@pytest.mark.parametrize(
    "content",
    [b"", b"<svg onload=alert(1)>", b"<html>", b'{"secret": 1}', b"RIFF\0\0\0\0WAVE", PNG + b"\0" * logos.BYTES],
    ids=["nothing", "svg", "html", "json", "wave", "large"],
)
async def test_what_is_no_picture_is_nobodys_to_see(web: Web, content: bytes) -> None:
    web.pages["http://inside.test/"] = content
    with pytest.raises(NotFound):
        await Logos(web, time.time).get("http://inside.test/")


@pytest.mark.parametrize(
    ("start", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\1\2\3\4WEBPVP8 ", "image/webp"),
    ],
)
def test_a_picture_is_known_by_what_it_is(start: bytes, media_type: str) -> None:
    assert logos.media_type_of(start) == media_type


async def test_it_is_fetched_once_in_a_while(web: Web) -> None:
    now = 0.0
    kept = Logos(web, lambda: now)
    web.pages["http://logo.test/"] = PNG
    web.open.clear()
    waiting = [asyncio.create_task(kept.get("http://logo.test/")) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # who asked first leaves first
    web.open.set()
    assert [(await each).content for each in waiting[1:]] == [PNG] * 19
    now = logos.MAX_AGE_S - 1
    await kept.get("http://logo.test/")
    assert len(web.asked) == 1
    now = logos.MAX_AGE_S
    await kept.get("http://logo.test/")
    assert len(web.asked) == 2


async def test_what_cannot_be_had_is_asked_for_again_later(web: Web) -> None:
    now = 0.0
    kept = Logos(web, lambda: now)

    async def misses(at: float) -> int:
        nonlocal now
        now = at
        with pytest.raises(NotFound):
            await kept.get("http://logo.test/")
        return len(web.asked)

    assert [await misses(at) for at in (0.0, 1.0, logos.MISS_MAX_AGE_S - 1, logos.MISS_MAX_AGE_S)] == [1, 1, 1, 2]


async def test_only_so_many_are_kept(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logos, "_CACHED", 2)
    kept = Logos(web, lambda: 0.0)
    for name in "abcab":
        web.pages[f"http://{name}.test/"] = PNG
        await kept.get(f"http://{name}.test/")
    assert len(web.asked) == 5


async def test_what_nobody_has_thought_of_is_a_miss_like_any_other(caplog: pytest.LogCaptureFixture) -> None:
    async def download(url: str) -> bytes:
        raise RuntimeError("what nobody has thought of")

    now = 0.0
    kept = Logos(download, lambda: now)
    for _ in range(2):
        with pytest.raises(NotFound):
            await kept.get("http://logo.test/a.png")
    assert len(caplog.records) == 1, "it is kept for a while"
