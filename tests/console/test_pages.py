"""The console's pages in front of a mock server: no state has a violation that axe finds, a thousand channels are no burden."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from lab.chromium import EXECUTABLE, chromium
from tests.console.axe import violations
from tests.console.fixture import Fixture, stamp
from tests.console.mock import DIST, TROUBLE, Mock
from tests.console.pictures import SHOTS, Shot, dressed, stood
from tests.support import require

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.browser, pytest.mark.timeout(120)]

EVENTS = 50
EVERY_S = 0.1  # each is drawn for itself
FRAME_S = 0.016
_LIMIT_BY_THE_CLOCK = """
AbortSignal.timeout = (ms) => {
  const limit = new AbortController();
  setTimeout(() => limit.abort(), ms);
  return limit.signal;
};
"""  # the browser's own keeps a clock that no test can turn


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    require("Chromium", EXECUTABLE, "neither chromium nor chromium-browser is on PATH")
    require("the console's pages", DIST.joinpath("console.js").exists(), "`make setup` builds them")
    async with chromium() as browser:
        yield browser


@pytest.mark.parametrize("shot", SHOTS, ids=[shot.name for shot in SHOTS])
async def test_no_state_has_a_violation(browser: Browser, shot: Shot) -> None:
    async with stood(browser, shot, channels=60, sessions=40) as page:
        for scheme, width in (("dark", 1280), ("light", 390)):
            await page.set_viewport_size({"width": width, "height": 800})
            await dressed(page, scheme)
            assert await violations(page) == [], f"{scheme}, {width}"
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"wider than {width}"


async def test_keys_lead_through_the_lists(browser: Browser) -> None:
    async with stood(browser, SHOTS[0]) as page:
        await page.keyboard.press("j")
        first = page.locator(".channels .line > a").first
        await expect(first).to_be_focused()
        for _ in range(40):
            await page.keyboard.press("j")
        assert await page.evaluate("document.activeElement.matches('.channels .line > a')"), "far below what was drawn first"
        assert await page.evaluate("document.querySelector('.channels .scroll').scrollTop") > 1000
        name = await page.evaluate("document.activeElement.querySelector('.name').textContent")
        left = await page.evaluate_handle("document.querySelector('.channels .scroll')")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_contain_text(name)
        await left.evaluate("list => list.dispatchEvent(new Event('scroll'))")  # on a busy machine it comes only now
        await page.keyboard.press("Escape")
        await expect(page.locator(".headline h1")).to_be_visible()
        assert await page.evaluate("document.querySelector('.channels .scroll').scrollTop") > 1000, "where it was left"
        await page.keyboard.press("/")
        await expect(page.locator("#search")).to_be_focused()
        await page.keyboard.type("no such thing")
        await expect(page.get_by_text("No channel is like this.")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(first).to_be_visible()
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_be_hidden()


async def test_a_form_is_filled_in_by_keyboard_and_a_refusal_stands_beside_its_field(browser: Browser) -> None:
    mock = Mock(Fixture(time.time(), 20, 10))
    channel = next(each for each in mock.fixture.channels if each["enabled"])
    path = f"/v1/channels/{channel['id']}"
    with mock.running():
        page = await browser.new_page()
        await page.goto(f"{mock.url}/console/channels/{channel['id']}")
        edit = page.get_by_role("button", name=f"Edit {channel['name']}", exact=True)
        dialog, name = page.get_by_role("dialog"), page.get_by_label("Name", exact=True)
        await edit.focus()
        await page.keyboard.press("Enter")
        await expect(name).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
        await expect(edit).to_be_focused()

        await page.keyboard.press("Enter")
        await expect(name).to_be_focused()
        number = page.get_by_label("Number")
        await page.keyboard.press("Tab")
        await page.keyboard.type("seven")
        await page.keyboard.press("Enter")
        await expect(number).to_be_focused()
        await expect(number).to_have_accessible_description("This must be a number.")
        mock.refusals["PATCH", path] = {
            "status": 422, "title": "Invalid input", "field": "policy.failback_stable_s",
            "detail": "policy.failback_stable_s: Expected `float` >= 1.0",
        }  # fmt: skip
        await number.fill("7")
        await page.keyboard.press("Enter")
        stable = page.get_by_label("Return to a source after it was healthy for")
        await expect(stable).to_be_focused()
        await expect(stable).to_have_accessible_description("1 at least.")
        await expect(number).to_have_attribute("aria-invalid", "false")
        mock.refusals["PATCH", path] = {"status": 503, "title": "The database does not answer"}
        await page.keyboard.press("Enter")
        await expect(dialog.get_by_role("alert")).to_have_text("The database does not answer.")
        mock.refusals.clear()
        await page.keyboard.press("Enter")
        await expect(dialog).to_be_hidden()
        await expect(edit).to_be_focused()
        assert mock.asked[-1] == ("PATCH", path, {"number": 7}), "only what was changed is sent"
        await page.close()


async def test_what_is_deleted_is_named_first_and_the_focus_goes_on(browser: Browser) -> None:
    mock = Mock(Fixture(time.time(), 20, 20))
    channel = next(each for each in mock.fixture.channels if each["sharing"] == "viewer" and each["enabled"])
    watching = [each for each in mock.fixture.sessions if each["channel_id"] == channel["id"]]
    mock.fixture.channels[-1]["failovers"] = [channel["id"]]
    source = channel["sources"][-1]
    with mock.running():
        page = await browser.new_page()
        await page.goto(f"{mock.url}/console/channels/{channel['id']}")
        await page.get_by_role("button", name=f"Edit {source['label']}").click()
        await page.get_by_role("button", name="Delete source").click()
        await page.get_by_role("button", name="Delete", exact=True).click()
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(page.get_by_role("button", name="Add source")).to_be_focused()
        await expect(page.get_by_text(source["label"])).to_have_count(0)

        await page.get_by_role("button", name="Delete channel").click()
        question = page.get_by_role("dialog")
        await expect(question).to_contain_text(f"Its {len(channel['sources'])} sources and its settings are deleted.")
        await expect(question).to_contain_text(watching[0]["viewer"])
        await expect(question).to_contain_text(f"{mock.fixture.channels[-1]['name']} fails over to it")
        await page.keyboard.press("Enter")  # the focus is on "Cancel"
        assert ("DELETE", f"/v1/channels/{channel['id']}", None) not in mock.asked
        await page.get_by_role("button", name="Delete channel").click()
        await question.get_by_role("button", name="Delete").click()
        await expect(page.locator(".headline h1")).to_be_visible()
        await expect(page.locator(f"a.channel[href$='/{channel['id']}']")).to_have_count(0)
        assert mock.asked[-1][:2] == ("DELETE", f"/v1/channels/{channel['id']}")
        await page.close()


async def test_the_play_address_is_copied(browser: Browser) -> None:
    mock = Mock(Fixture(time.time(), 5, 2))
    channel = mock.fixture.channels[0]
    with mock.running():
        context = await browser.new_context(permissions=["clipboard-read", "clipboard-write"])
        page = await context.new_page()
        await page.goto(f"{mock.url}/console/channels/{channel['id']}")
        for button, end in (("Copy the address for VLC", ".m3u8"), ("Copy the address for browsers", "")):
            await page.get_by_role("button", name=button).click()
            await expect(page.get_by_role("button", name=button)).to_have_text("Copied")
            copied = await page.evaluate("navigator.clipboard.readText()")
            assert copied == f"https://tv.example.com/watch/{channel['slug']}{end}"
        # Without https the browser has no clipboard; the button works nevertheless
        await page.evaluate("delete Navigator.prototype.clipboard")
        await page.get_by_role("button", name="Copy the address for VLC").click()
        await expect(page.get_by_role("button", name="Copy the address for VLC")).to_have_text("Copied")
        await context.close()


async def test_an_event_among_a_thousand_channels_costs_about_a_frame(browser: Browser) -> None:
    mock = Mock(Fixture(time.time(), 1000, 500, trouble=TROUBLE))
    with mock.running():
        page = await browser.new_page(viewport={"width": 1920, "height": 1080})
        await page.goto(f"{mock.url}/console")
        await page.locator(".channel").first.wait_for()
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
        assert await page.locator(".channel, .session").count() < 80, "only what is in sight is drawn"
        cdp = await page.context.new_cdp_session(page)
        await cdp.send("Performance.enable", {"timeDomain": "threadTicks"})

        async def busy_s(what: str = "TaskDuration") -> float:
            metrics = {each["name"]: each["value"] for each in (await cdp.send("Performance.getMetrics"))["metrics"]}
            return float(metrics[what])

        # What clock, posters and overviews cost is there without events, too.
        await asyncio.sleep(2)
        before = await busy_s()
        await asyncio.sleep(EVENTS * EVERY_S)
        idle_s = await busy_s() - before
        scripts_s = await busy_s("ScriptDuration")
        chosen = random.Random(3)
        before = await busy_s()
        for _ in range(EVENTS):
            mock.emit(mock.switch(chosen.choice(mock.fixture.sessions)))
            await asyncio.sleep(EVERY_S)
        event_s = (await busy_s() - before - idle_s) / EVENTS
        script_s = (await busy_s("ScriptDuration") - scripts_s) / EVENTS
        await page.keyboard.press("/")
        before = await busy_s()
        await page.keyboard.type("arena", delay=60)
        await expect(page.locator(".channel .name").first).to_contain_text("Arena")
        key_s = (await busy_s() - before) / len("arena")
        await page.close()
    print(
        f"the main thread: {event_s * 1000:.1f} ms for an event (scripts {script_s * 1000:.1f}), "
        f"{key_s * 1000:.1f} ms for a key in the search, "
        f"{idle_s / EVENTS / EVERY_S:.1%} of its time for everything else; the overview: {mock.overview_bytes / 1e6:.2f} MB"
    )
    assert script_s < FRAME_S
    assert event_s < 2 * FRAME_S, "on a machine that does something else, too"
    assert key_s < 4 * FRAME_S


async def test_what_is_lost_is_said_and_comes_back(browser: Browser) -> None:
    mock = Mock(Fixture(time.time(), 20, 10))
    with mock.running():
        page = await browser.new_page()
        await page.goto(f"{mock.url}/console")
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
        mock.down = True
        mock.hang_up()
        await expect(page.get_by_text("No answer")).to_be_visible(timeout=15_000)
        await expect(page.locator(".headline h1")).to_have_text("The server does not answer")
        await expect(page).to_have_title("The server does not answer")
        mock.down = False
        mock.emit(mock.switch(mock.fixture.sessions[0]))
        await expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=15_000)
        await expect(page.locator(".tile.backup .n")).to_have_text("1")
        await page.close()


async def test_a_server_that_hangs_is_not_called_live(browser: Browser) -> None:
    """It answers nothing and refuses nothing; afterwards the console looks again by itself, whatever became of its question."""
    mock = Mock(fixture := Fixture(time.time(), 20, 10))
    with mock.running():
        page = await browser.new_page()
        await page.clock.install()
        await page.add_init_script(_LIMIT_BY_THE_CLOCK)
        await page.goto(f"{mock.url}/console")
        live = page.get_by_text("Live", exact=True)
        await expect(live).to_be_visible()
        async with page.expect_request("**/v1/overview"):
            mock.delay_s = 3600.0
        await page.clock.fast_forward(13_000)
        await expect(page.locator(".bar").get_by_text("No answer")).to_be_visible()
        await expect(live).to_be_hidden()
        mock.delay_s = 0.0
        fixture.draining_since = stamp(time.time())
        await page.clock.fast_forward(30_000)
        await expect(page.get_by_role("heading", name="No new session starts")).to_be_visible(timeout=15_000)
        await expect(live).to_be_visible()
        await page.close()


async def test_all_is_well_only_where_the_deployment_is(browser: Browser) -> None:
    mock = Mock(fixture := Fixture(time.time(), 20, 10))
    with mock.running():
        page = await browser.new_page()
        await page.goto(f"{mock.url}/console")
        headline, bar = page.locator(".headline h1"), page.locator(".bar")
        await expect(headline).to_have_text("All is well")
        fixture.providers[1]["connections_in_use"] = 12
        await expect(headline).to_have_text("Northlink has no connection left", timeout=15_000)
        await expect(bar).to_contain_text("Northlink full")
        fixture.orchestrated = False
        await expect(headline).to_have_text("No orchestrator runs", timeout=15_000)
        await expect(page).to_have_title("No orchestrator runs")
        await page.get_by_role("link", name="System").click()
        await expect(bar).to_contain_text("No orchestrator")
        await expect(page.locator(".policy")).to_contain_text("none runs, the last one was seen 15 min ago")
        await expect(page.locator(".policy")).to_contain_text("wait for an orchestrator")
        await page.close()


async def test_a_long_error_squeezes_no_row(browser: Browser) -> None:
    async with stood(browser, next(shot for shot in SHOTS if shot.name == "channel-long"), channels=60, sessions=40) as page:
        for width in (1920, 1280, 1000, 800, 390):
            await page.set_viewport_size({"width": width, "height": 900})
            title = await page.locator(".source.failing .title").first.bounding_box()
            failed = await page.locator(".outcome.failed").bounding_box()
            assert title is not None and title["width"] >= min(250, 0.55 * width), width
            assert failed is not None and failed["height"] < 160, width
