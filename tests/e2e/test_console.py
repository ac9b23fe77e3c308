"""The operator's console in a real browser against the whole product: what it shows becomes true by itself, and what it does
happens. No page is loaded twice; none has a violation that axe finds."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from api.console.source_label import label_of
from lab import Lab, LabFault
from lab.chromium import EXECUTABLE, chromium
from tests.console.axe import AXE, violations
from tests.e2e.stage import Stage
from tests.servers import RedisServer, Seaweed
from tests.support import eventually, require

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.browser, pytest.mark.timeout(120)]

SLOW_MS = 20_000.0


class Console:
    """A browser's tab with the console in it, and what it had to say."""

    def __init__(self, page: Page, stage: Stage) -> None:
        self.page = page
        self.stage = stage
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if "Content Security Policy" in said.text else None)

    async def go(self, path: str) -> None:
        """Within the page, as a link does."""
        await self.page.evaluate(
            "path => { const a = document.createElement('a'); a.href = path; document.body.append(a); a.click(); a.remove(); }",
            path,
        )

    def button(self, name: str | re.Pattern[str]) -> Locator:
        return self.page.get_by_role("button", name=name)

    async def done(self, words: str) -> None:
        await expect(self.page.locator(".outcome.done").filter(has_text=words).first).to_be_visible(timeout=SLOW_MS)

    async def get(self, path: str) -> Any:
        return await self.stage.client.call("GET", path)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    seaweed: Seaweed, redis_server: RedisServer, runtime: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """As everybody's, but new sources are probed in the background."""
    data_dir = tmp_path_factory.mktemp("console")
    async with Stage.open(data_dir, seaweed, redis_server, runtime=runtime, first_probe_interval_s=1.0) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console(stage: Stage) -> AsyncIterator[Console]:
    """Logged in, after a wrong key."""
    require("Chromium", EXECUTABLE, "neither chromium nor chromium-browser is on PATH")
    async with chromium() as browser:
        context = await browser.new_context(viewport={"width": 1440, "height": 900})
        page = await context.new_page()
        page.set_default_timeout(SLOW_MS)
        expect.set_options(timeout=SLOW_MS)
        await page.add_init_script(path=AXE)
        console = Console(page, stage)
        await page.goto(f"{stage.stack.api_url}/console")
        key = page.get_by_label("Admin key")
        await key.fill("another key")
        await console.button("Log in").click()
        await expect(page.get_by_role("alert")).to_have_text("This is not the admin key.")
        assert await violations(page) == []
        assert stage.settings.admin_key is not None
        await key.fill(stage.settings.admin_key)
        await console.button("Log in").click()
        await expect(page.get_by_role("heading", name="No channels yet")).to_be_visible()
        await page.evaluate("globalThis.sameDocument = true")
        yield console
        assert await page.evaluate("globalThis.sameDocument"), "the page was loaded again"
        assert console.errors == []


async def test_channels_come_in_by_form_and_by_import(console: Console, lab: Lab) -> None:
    page = console.page
    assert await violations(page) == []
    await page.get_by_role("link", name="Import a playlist, or add a channel").click()
    await page.get_by_label("Name", exact=True).fill("By hand")
    await page.get_by_label("Sources: one address per line").fill(f"{lab['a'].hls_url}\n{lab['b'].hls_url}\n{lab['c'].hls_url}")
    await console.button("Add channel").click()
    await expect(page.get_by_role("heading", name="By hand")).to_be_visible()
    await expect(page.locator(".sources > li")).to_have_count(3)

    await page.get_by_role("link", name="Add channels").click()
    await page.get_by_label("Provider", exact=True).fill("Acme TV")
    await page.get_by_label("text", exact=True).check()
    await page.get_by_label("Playlist", exact=True).fill(f"#EXTM3U\n#EXTINF:-1,Imported\n{lab['d'].hls_url}\n")
    await console.button("Show what would change").click()
    await expect(page.get_by_role("heading", name="This would change")).to_be_visible()
    assert [each["name"] for each in (await console.get("/v1/channels"))["items"]] == ["By hand"]
    assert await violations(page) == []
    await console.button("Apply").click()
    await expect(page.get_by_role("heading", name="This was changed")).to_be_visible()
    assert {each["name"] for each in (await console.get("/v1/channels"))["items"]} == {"By hand", "Imported"}
    await page.get_by_role("navigation").get_by_role("link", name="Overview").click()
    await expect(page.get_by_role("link", name=re.compile("Imported"))).to_be_visible()
    await expect(page.locator(".lamp.unknown")).to_have_count(0)  # all are known, and nobody has asked
    assert {each["status"] for each in (await console.get("/v1/channels/imported"))["sources"]} == {"healthy"}
    await page.go_back()
    await expect(page.get_by_role("heading", name="Add channels")).to_be_visible()


async def test_a_channel_is_put_in_order(console: Console) -> None:
    page = console.page
    await console.go("/console")
    await page.keyboard.press("/")
    await page.keyboard.type("hand")
    await page.keyboard.press("Escape")
    await page.get_by_role("link", name=re.compile("By hand")).click()
    rows = page.locator(".sources > li")
    before = (await console.get("/v1/channels/by-hand"))["sources"]

    await rows.nth(1).get_by_role("button", name="Probe").click()
    await console.done("works")
    assert (await console.get(f"/v1/sources/{before[1]['id']}"))["status"] == "healthy"
    await rows.nth(2).get_by_role("button", name="Disable").click()
    await console.done("Disabled")
    assert (await console.get(f"/v1/sources/{before[2]['id']}"))["status"] == "disabled"
    assert await violations(page) == []
    await rows.nth(2).get_by_role("button", name="Enable").click()
    await console.done("Enabled")

    async def order() -> list[str]:
        return [source["id"] for source in (await console.get("/v1/channels/by-hand"))["sources"]]

    ids = await order()
    await rows.nth(0).get_by_role("button", name="Move").focus()
    await page.keyboard.press("ArrowDown")
    await console.done("Order saved")
    assert await order() == [ids[1], ids[0], ids[2]]
    await expect(rows.nth(1)).to_contain_text(label_of(before[0]["url"]))  # what is dragged is what the page shows
    await rows.nth(1).get_by_role("button", name="Move").hover()
    await page.mouse.down()
    target = await rows.nth(0).bounding_box()
    assert target is not None
    # Released beside the list: the row has long moved away beneath the pointer
    await page.mouse.move(target["x"] + 20, target["y"] + 3, steps=4)
    await page.mouse.move(target["x"] - 5, target["y"] - 5)
    await page.mouse.up()

    async def as_before() -> bool:
        return await order() == ids

    await eventually(as_before, what="the order to be as it was")

    await page.get_by_label("Add a failover channel").fill("impor")
    await page.get_by_label("Channels found").get_by_role("button", name="Imported").click()
    await console.done("Imported added")
    assert [each["slug"] for each in (await console.get("/v1/channels/by-hand/failovers"))["channels"]] == ["imported"]
    await console.button("Remove Imported").click()
    await console.done("Imported removed")
    assert (await console.get("/v1/channels/by-hand/failovers"))["channels"] == []

    await console.go("/console/channels/imported")
    await console.button("Disable channel").click()
    await page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    await console.button("Enable channel").click()
    await expect(console.button("Disable channel")).to_be_visible()

    async def enabled() -> bool:
        return bool((await console.get("/v1/channels/imported"))["enabled"])

    await eventually(enabled, what="the API to have what the page shows before the answer")


async def test_a_channel_and_a_provider_are_administered(console: Console, lab: Lab) -> None:
    """Each refusal is the API's own, and stands beside its field."""
    page = console.page
    dialog = page.get_by_role("dialog")

    async def refused(label: str, words: str) -> None:
        await expect(dialog.get_by_label(label, exact=True)).to_be_focused()
        await expect(dialog.get_by_label(label, exact=True)).to_have_accessible_description(re.compile(re.escape(words)))

    await page.get_by_role("link", name="System").click()
    await console.button("Add provider").click()
    await dialog.get_by_label("Name", exact=True).fill("Beta TV")
    limit = dialog.get_by_label("Connections at the same time")
    await limit.fill("0")
    await page.keyboard.press("Enter")
    await refused("Connections at the same time", "1 at least.")
    await limit.fill("2")
    await page.keyboard.press("Enter")
    await expect(dialog).to_have_count(0)
    await expect(console.button("Add provider")).to_be_focused()
    row = page.get_by_role("row", name=re.compile("Beta TV"))
    await expect(row).to_contain_text("0 of 2 in use")
    await row.get_by_role("button", name="Edit").click()
    await dialog.get_by_label("Name", exact=True).fill("Acme TV")
    await console.button("Save").click()
    await refused("Name", "This is already in use.")
    assert await violations(page) == []
    await page.keyboard.press("Escape")
    beta = next(each for each in await console.get("/v1/providers") if each["name"] == "Beta TV")

    await page.get_by_role("link", name="Add channels").click()
    await page.get_by_label("Name", exact=True).fill("Passing")
    await page.get_by_label("Sources: one address per line").fill(f"{lab['e'].hls_url}\nftp://x.test/")
    await console.button("Add channel").click()
    await expect(page.get_by_label("Sources: one address per line")).to_have_accessible_description(
        re.compile("Address 2: the address must begin with")
    )
    await page.get_by_label("Sources: one address per line").fill(lab["e"].hls_url)
    await console.button("Add channel").click()
    await expect(page.get_by_role("heading", name="Passing")).to_be_visible()

    await page.get_by_role("button", name="Edit Passing", exact=True).click()
    await dialog.get_by_label("Name", exact=True).fill("")
    await console.button("Save").click()
    await refused("Name", "This cannot be empty.")
    for label, text in (("Name", "Renamed"), ("Number", "17"), ("Group", "Tests"), ("Logo", "http://logo.test/1.png")):
        await dialog.get_by_label(label, exact=True).fill(text)
    hevc = dialog.get_by_label("HEVC sources")
    await expect(hevc).to_have_accessible_description(re.compile("costs about a core and 220 MB a session"))
    await hevc.select_option(label="transcoded to H.264")
    await dialog.get_by_label("Sessions").select_option(label="one for all viewers")
    await dialog.get_by_label("After a failure").select_option(label="stay with what plays")
    await dialog.get_by_label("Show the slate when no source works").uncheck()
    assert await violations(page) == []
    await console.button("Save").click()
    await expect(page.get_by_role("heading", name="Renamed")).to_be_visible()
    await expect(page.get_by_text("as the source sends it, but HEVC transcoded to H.264")).to_be_visible()
    saved = await console.get("/v1/channels/passing")
    assert [saved[each] for each in ("name", "number", "group", "logo")] == ["Renamed", 17, "Tests", "http://logo.test/1.png"]
    changed = {"hevc": "h264", "sharing": "channel", "failback": "never", "slate": False}
    assert {each: saved["policy"][each] for each in changed} == changed

    await console.button("Add source").click()
    await dialog.get_by_label("Address", exact=True).fill("http:///live.ts")
    await console.button(re.compile("^Add$")).click()
    await refused("Address", "The address has no host.")
    await dialog.get_by_label("Address", exact=True).fill(lab["f"].hls_url)
    await dialog.get_by_label("Provider", exact=True).select_option(label="Beta TV")
    await dialog.get_by_label("Request headers").fill("Referer: http://r.test/\nX-Two: 2")
    await console.button(re.compile("^Add$")).click()
    await expect(page.locator(".sources > li")).to_have_count(2)
    await page.locator(".sources > li").nth(1).get_by_role("button", name="Edit").click()
    await expect(dialog.get_by_label("Request headers")).to_have_value("Referer: http://r.test/\nX-Two: 2")
    await dialog.get_by_label("Address", exact=True).fill(lab["g"].hls_url)
    await dialog.get_by_label("User agent").fill("VLC/3.0")
    await console.button("Save").click()
    await expect(page.locator(".sources > li").nth(1)).to_contain_text(label_of(lab["g"].hls_url))
    added = (await console.get("/v1/channels/passing"))["sources"][1]
    assert [added[each] for each in ("url", "user_agent", "provider_id")] == [lab["g"].hls_url, "VLC/3.0", beta["id"]]
    await expect(page.locator(".sources > li").nth(1)).to_contain_text("works")  # probed, though nobody pressed "Probe"

    await page.locator(".sources > li").nth(0).get_by_role("button", name="Edit").click()
    await console.button("Delete source").click()
    await dialog.last.get_by_role("button", name="Delete", exact=True).click()
    await expect(page.locator(".sources > li")).to_have_count(1)
    await expect(console.button("Add source")).to_be_focused()

    await page.get_by_role("link", name="System").click()
    await page.get_by_role("row", name=re.compile("Beta TV")).get_by_role("button", name="Edit").click()
    await console.button("Delete provider").click()
    await expect(dialog.last).to_contain_text("Its 1 source in 1 channel")
    await dialog.last.get_by_role("button", name="Delete", exact=True).click()
    await expect(page.get_by_role("row", name=re.compile("Beta TV"))).to_have_count(0)
    await console.go(f"/console/channels/{saved['id']}")
    await expect(page.get_by_text("It has no source. Nothing can play.")).to_be_visible()
    await console.button("Delete channel").click()
    await expect(dialog).to_contain_text("Nobody is watching.")
    await dialog.get_by_role("button", name="Delete").click()
    await expect(page.locator(".headline h1")).to_be_visible()  # it is done
    await expect(page.get_by_role("link", name=re.compile("Renamed"))).to_have_count(0)
    assert "passing" not in {each["slug"] for each in (await console.get("/v1/channels"))["items"]}


async def test_a_session_is_seen_live_and_ruled(console: Console, stage: Stage, lab: Lab) -> None:
    page = console.page
    a = lab["a"]
    channel = await console.get("/v1/channels/by-hand")
    sources = channel["sources"]
    assert sources[0]["url"] == a.hls_url
    await console.go("/console")
    async with stage.watch(channel) as watched:
        row = page.locator(".session").filter(has_text="By hand")
        await expect(row).to_contain_text("On air")
        await expect(row.locator("img")).to_be_visible()
        assert await violations(page) == []

        a.fault = LabFault.REFUSE
        await expect(row).to_contain_text("On backup")
        await expect(page.get_by_role("heading", name="1 channel is on backup")).to_be_visible()
        await expect(page.locator(".recent li.backup").first).to_contain_text("By hand")

        await row.click()
        await expect(page).to_have_url(re.compile(f"/console/sessions/{watched.id}$"))
        await expect(page.locator(".story .attempt")).to_have_count(2)
        await expect(page.get_by_label("Log of attempt 2")).to_contain_text(re.compile("first|listed|segment|FFmpeg"))
        assert await violations(page) == []
        a.fault = None
        await stage.client.call("POST", f"/v1/sources/{sources[0]['id']}/probe")
        await page.locator(".target").nth(2).get_by_role("button", name="Switch").click()
        await console.done("Switch asked for")
        await expect(page.locator(".target").nth(2)).to_contain_text("plays")
        await expect(page.locator(".story .attempt")).to_have_count(3)
        await console.button("Switch to next").click()
        await expect(page.locator(".story .attempt")).to_have_count(4)

        await console.button("Stop").click()
        assert await violations(page) == []
        await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        assert (await watched.view())["desired"] == "run"
        await console.button("Stop").click()
        await page.get_by_role("dialog").get_by_role("button", name="Stop").click()
        await expect(page.locator(".badge")).to_have_text("Ended")


async def test_the_deployment_is_drained(console: Console) -> None:
    page = console.page
    await page.get_by_role("link", name="System").click()
    await expect(page.locator(".findings li, .nothing.well").first).to_be_visible()
    await console.button("Drain").click()
    await page.get_by_role("dialog").get_by_role("button", name="Drain").click()
    await expect(page.get_by_role("link", name="Draining")).to_be_visible()
    assert (await console.get("/v1/drain"))["draining_since"] is not None
    assert await violations(page) == []
    await console.button("Take new sessions again").click()
    await expect(page.get_by_role("link", name="Draining")).to_be_hidden()
    assert (await console.get("/v1/drain"))["draining_since"] is None


async def test_a_deep_link_opens_its_page_and_a_logout_closes_all(console: Console) -> None:
    channel = await console.get("/v1/channels/by-hand")
    page = await console.page.context.new_page()
    await page.goto(f"{console.stage.stack.api_url}/console/channels/{channel['id']}")
    await expect(page.get_by_role("heading", name="By hand")).to_be_visible()
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_label("Admin key")).to_be_visible()
    await page.close()
    await expect(console.page.get_by_label("Admin key")).to_be_visible()
