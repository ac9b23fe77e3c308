"""The console in pictures: each page and state, dark and light, on a wall, a laptop and a phone."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, Page

from tests.console.axe import AXE
from tests.console.fixture import Fixture
from tests.console.mock import TROUBLE, Mock, posters

SIZES: Final = {"wall": (1920, 1080), "laptop": (1280, 800), "phone": (390, 844)}
Prepare = Callable[[Mock, Page], Awaitable[Any]]


@dataclasses.dataclass(frozen=True)
class Shot:
    """One page in one state. `path` may name the fixture's parts: {channel} and {session} are in trouble."""

    name: str
    path: str = "/console"
    prepare: Prepare | None = None
    trouble: bool = True
    channels: int = 1000
    whole: bool = False  # the page to its end, not only what is in sight


async def _log_out(mock: Mock, page: Page) -> None:
    mock.logged_in = False
    await page.reload()
    await page.get_by_label("Admin key").fill("no such key")
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_text("not the admin key").wait_for()


async def _lose(mock: Mock, page: Page) -> None:
    mock.down = True
    mock.hang_up()
    await page.get_by_text("The server does not answer").first.wait_for(timeout=30_000)


async def _without_orchestrator(mock: Mock, page: Page) -> None:
    mock.fixture.orchestrated = False
    await page.get_by_role("heading", name="No orchestrator runs").wait_for(timeout=30_000)


async def _full(mock: Mock, page: Page) -> None:
    mock.fixture.providers[1]["connections_in_use"] = 12
    await page.get_by_role("heading", name="Northlink has no connection left").wait_for(timeout=30_000)


async def _long(mock: Mock, page: Page) -> None:
    """What went wrong is told at length."""
    words = "the source answers 503 Service Unavailable to each of the last 12 requests, and its certificate ends in 2 days; "
    source = mock.fixture.channels[_in_trouble(mock)]["sources"][0]
    source["last_failure_reason"] = words * 3
    mock.refusals["POST", f"/v1/sources/{source['id']}/probe"] = {
        "status": 503,
        "title": "It cannot be probed",
        "detail": words,
    }
    await page.reload()
    await page.get_by_role("button", name=f"Probe {source['label']}").click()
    await page.locator(".outcome.failed").wait_for()


async def _search(_: Mock, page: Page) -> None:
    await page.keyboard.press("/")
    await page.keyboard.type("sport arena")


async def _nothing(_: Mock, page: Page) -> None:
    await page.keyboard.press("/")
    await page.keyboard.type("no such channel")


async def _help(_: Mock, page: Page) -> None:
    await page.keyboard.press("?")


async def _confirm(_: Mock, page: Page) -> None:
    await page.get_by_role("button", name="Stop").click()


async def _act(mock: Mock, page: Page) -> None:
    source = mock.fixture.channels[_in_trouble(mock)]["sources"][1]
    await page.get_by_role("button", name=f"Probe {source['label']}").click()
    await page.locator(".outcome.done").wait_for()
    mock.refusals["PATCH", f"/v1/sources/{source['id']}"] = {"status": 503, "title": "The database does not answer"}
    await page.get_by_role("button", name=f"Disable {source['label']}").click()
    await page.locator(".outcome.failed").wait_for()


async def _import(_: Mock, page: Page) -> None:
    await page.get_by_label("Provider", exact=True).fill("Acme TV")
    await page.get_by_label("text", exact=True).check()
    await page.get_by_label("Playlist", exact=True).fill("#EXTM3U\n#EXTINF:-1,News\nhttp://provider.example/1.ts")
    await page.get_by_role("button", name="Show what would change").click()
    await page.get_by_role("button", name="Apply").wait_for()


async def _drain(mock: Mock, page: Page) -> None:
    await page.get_by_role("button", name="Drain").click()
    await page.get_by_role("dialog").get_by_role("button", name="Drain").click()
    await page.get_by_role("button", name="Take new sessions again").wait_for()


async def _failovers(_: Mock, page: Page) -> None:
    await page.get_by_label("Add a failover channel").fill("arena")
    await page.get_by_label("Channels found").get_by_role("button").first.click()
    await page.get_by_label("Add a failover channel").fill("news")


async def _edit(mock: Mock, page: Page) -> None:
    channel = mock.fixture.channels[_in_trouble(mock)]
    mock.refusals["PATCH", f"/v1/channels/{channel['id']}"] = {
        "status": 422, "title": "Invalid input", "field": "policy.failback_stable_s",
        "detail": "policy.failback_stable_s: Expected `float` <= 86400.0",
    }  # fmt: skip
    await page.get_by_role("button", name=f"Edit {channel['name']}", exact=True).click()
    await page.get_by_label("Return to a source after it was healthy for").fill("1000000")
    await page.get_by_role("button", name="Save").click()
    await page.get_by_text("86,400 at most").wait_for()


async def _delete(_: Mock, page: Page) -> None:
    await page.get_by_role("button", name="Delete channel").click()


async def _add_source(mock: Mock, page: Page) -> None:
    channel = mock.fixture.channels[_in_trouble(mock)]
    mock.refusals["POST", f"/v1/channels/{channel['id']}/sources"] = {
        "status": 422, "title": "Invalid input", "field": "url",
        "detail": "url: the scheme must be one of http, https", "code": "scheme", "allowed": ["http", "https"],
    }  # fmt: skip
    await page.get_by_role("button", name="Add source").click()
    await page.get_by_label("Address", exact=True).fill("ftp://provider.example/1.ts")
    await page.get_by_role("button", name="Add", exact=True).click()
    await page.get_by_text("The address must begin with").wait_for()


async def _edit_source(mock: Mock, page: Page) -> None:
    source = mock.fixture.channels[_in_trouble(mock)]["sources"][0]
    await page.get_by_role("button", name=f"Edit {source['label']}").click()
    await page.get_by_role("button", name="Save").wait_for()


async def _delete_source(mock: Mock, page: Page) -> None:
    await _edit_source(mock, page)
    await page.get_by_role("button", name="Delete source").click()


async def _edit_provider(mock: Mock, page: Page) -> None:
    mock.refusals["PATCH", "/v1/providers/p-acme"] = {"status": 409, "title": "Already exists"}
    await page.get_by_role("button", name="Edit Acme TV").click()
    await page.get_by_label("Name", exact=True).fill("Orbit")
    await page.get_by_role("button", name="Save").click()
    await page.get_by_text("already in use").wait_for()


async def _add_refused(mock: Mock, page: Page) -> None:
    mock.refusals["POST", "/v1/channels"] = {
        "status": 422, "title": "Invalid input", "field": "sources[1].url", "detail": "sources[1].url: the host is missing",
        "code": "no-host",
    }  # fmt: skip
    await page.get_by_label("Name", exact=True).fill("News")
    await page.get_by_label("Sources: one address per line").fill("http://a.example/1.ts\nhttp:///1.ts")
    await page.get_by_role("button", name="Add channel").click()
    await page.get_by_text("has no host").wait_for()


SHOTS: Final = (
    Shot("overview"),
    Shot("overview-well", trouble=False),
    Shot("overview-without-orchestrator", prepare=_without_orchestrator),
    Shot("overview-full", trouble=False, prepare=_full),
    Shot("overview-search", prepare=_search),
    Shot("overview-nothing", prepare=_nothing),
    Shot("overview-lost", prepare=_lose),
    Shot("sessions", "/console/sessions"),
    Shot("channel", "/console/channels/{channel}", whole=True),
    Shot("channel-actions", "/console/channels/{channel}", prepare=_act),
    Shot("channel-long", "/console/channels/{channel}", prepare=_long),
    Shot("channel-failovers", "/console/channels/{channel}", prepare=_failovers, whole=True),
    Shot("channel-edit", "/console/channels/{channel}", prepare=_edit),
    Shot("channel-delete", "/console/channels/{channel}", prepare=_delete),
    Shot("source-add", "/console/channels/{channel}", prepare=_add_source),
    Shot("source-edit", "/console/channels/{channel}", prepare=_edit_source),
    Shot("source-delete", "/console/channels/{channel}", prepare=_delete_source),
    Shot("provider-edit", "/console/system", prepare=_edit_provider),
    Shot("add-refused", "/console/add", prepare=_add_refused),
    Shot("session", "/console/sessions/{session}", whole=True),
    Shot("session-stop", "/console/sessions/{session}", prepare=_confirm),
    Shot("add", "/console/add"),
    Shot("add-preview", "/console/add", prepare=_import, whole=True),
    Shot("system", "/console/system", whole=True),
    Shot("system-draining", "/console/system", prepare=_drain),
    Shot("help", prepare=_help),
    Shot("login", prepare=_log_out),
    Shot("no-channels", channels=0),
    Shot("nowhere", "/console/channels/c-none"),
)


def _in_trouble(mock: Mock) -> int:
    """The first channel that plays from its backup."""
    return next(
        index
        for index, channel in enumerate(mock.fixture.channels)
        if channel["sources"][0]["status"] == "problematic" and channel["sources"][1]["in_use"]
    )


def _path(mock: Mock, shot: Shot) -> str:
    if "{" not in shot.path:
        return shot.path
    channel = mock.fixture.channels[_in_trouble(mock)]
    session = next(each for each in mock.fixture.sessions if each["channel_id"] == channel["id"])
    return shot.path.format(channel=channel["id"], session=session["id"])


@contextlib.asynccontextmanager
async def stood(browser: Browser, shot: Shot, channels: int = 1000, sessions: int = 500) -> AsyncIterator[Page]:
    """The page of a shot, in its state."""
    some = shot.channels > 0
    trouble = TROUBLE if shot.trouble else {}
    fixture = Fixture(time.time(), channels if some else 0, sessions if some else 0, trouble=trouble)
    with Mock(fixture).running() as mock:
        page = await browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        await page.add_init_script(path=AXE)
        await page.goto(mock.url + _path(mock, shot))
        await page.locator("h1").first.wait_for()
        await page.get_by_text("Loading").first.wait_for(state="detached")
        if shot.prepare is not None:
            await shot.prepare(mock, page)
        yield page
        await page.close()


async def dressed(page: Page, scheme: str) -> None:
    await page.evaluate(f"document.documentElement.dataset.theme = '{scheme}'")


async def take(browser: Browser, out: Path, only: str = "") -> int:
    """Every shot whose name has `only` in it, as {name}-{size}-{scheme}.png; how many."""
    posters()
    taken = 0
    for shot in SHOTS:
        if only not in shot.name:
            continue
        async with stood(browser, shot) as page:
            for size, (width, height) in SIZES.items():
                await page.set_viewport_size({"width": width, "height": height})
                for scheme in ("dark", "light"):
                    await dressed(page, scheme)
                    await page.wait_for_timeout(300)  # the pictures in the picture
                    await page.screenshot(path=out / f"console-{shot.name}-{size}-{scheme}.png", full_page=shot.whole)
                    taken += 1
    return taken
