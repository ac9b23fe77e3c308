"""What a person meets who opens an address in a browser: the start page, the list of channels, and pages in place of problem
documents."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from litestar import Litestar
from msgspec.structs import replace

from api.http import problem_page
from api.http.problem_document import Problem
from orchestrator.core.presentation.viewer_reason import ViewerReason
from tests.api.conftest import SETTINGS
from tests.api.stage import Stage, calling, rewire
from tests.api.test_bad_input import assert_problem
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.tables import FakeTables

BROWSERS = (  # as they come: Chromium, Firefox, Safari
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
)
PROGRAMS = ("", "*/*", "application/json", "application/json, text/plain, */*", "text/html;q=0.5, application/json",
            "text/html;q=0, */*", "text/event-stream", "text/html;q=, application/problem+json")  # fmt: skip


WORDS = (Path(problem_page.__file__).parents[1] / "web/src/watch/words.ts").read_text()


@pytest.fixture
async def person(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(app, Accept=BROWSERS[0]) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "links"), [("/", ("watch", "console", "schema", "readyz", "playlist.m3u")), ("/watch", ("playlist.m3u", "./"))]
)
async def test_a_page_leads_on_and_asks_nobody_but_us(client: httpx.AsyncClient, path: str, links: tuple[str, ...]) -> None:
    page = await client.get(path)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy and "unsafe" not in policy
    assert "//" not in page.text.replace("<!doctype html>", "")
    assert set(links) <= set(re.findall(r'href="([^"]+)"', page.text))
    for address in (*links, *re.findall(r'(?:href|src)="(assets/[^"]+)"', page.text)):
        assert (await client.get(f"/{address.removeprefix('./')}")).status_code == 200, address


async def test_the_list_has_one_address(client: httpx.AsyncClient) -> None:
    """Its links are relative: with a slash at its end they would lead elsewhere."""
    answer = await client.get("/watch/")
    assert (answer.status_code, answer.headers["location"]) == (308, "../watch")


@pytest.mark.parametrize("accept", BROWSERS)
async def test_a_person_gets_a_page_for_what_is_not_there(client: httpx.AsyncClient, accept: str) -> None:
    answer = await client.get("/nowhere", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is nothing at this address" in answer.text and "{" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["vary"] == "Accept"
    (style,) = re.findall(r'href="(/assets/[^"]+\.css)"', answer.text)
    assert (await client.get(style)).status_code == 200


@pytest.mark.parametrize("accept", PROGRAMS)
async def test_a_program_gets_the_document(client: httpx.AsyncClient, accept: str) -> None:
    assert_problem(await client.get("/nowhere", headers={"Accept": accept}), 404)


async def test_each_refusal_has_words_of_its_own(
    person: httpx.AsyncClient, stage: Stage, tables: FakeTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.channel(enabled=False)

    async def broken() -> None:
        raise RuntimeError("<secret>")

    monkeypatch.setattr(tables.sessions, "check", broken)
    for path, status, words in (
        ("/v1/channels", 401, "Log in"),
        ("/watch/news/session", 405, "This address is for programs"),
        ("/watch/news.m3u8", 409, "The channel is disabled."),
        ("/watch/none/logo", 404, "There is nothing at this address"),
        ("/readyz", 500, "Something went wrong on our side"),
    ):
        answer = await person.get(path)
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (status, "text/html"), path
        assert words in answer.text and "secret" not in answer.text, path


@pytest.mark.parametrize("reason", ViewerReason)
async def test_a_viewer_reads_of_sources_what_the_watch_page_says(reason: ViewerReason) -> None:
    """A class alone is a program's word."""
    problem = Problem(type="urn:x", title="No source works", status=503, sources={"x-1": reason.value, "x-2": reason.value})
    page = problem_page.render(problem, "").decode()
    said = re.findall(r"<li>(.+?) \(2 sources\)</li>", page)
    assert [f'  {reason.value}: "{each}",' for each in said] == re.findall(rf'^  {reason.value}: ".+",$', WORDS, re.MULTILINE)


async def test_what_is_sent_is_answered_by_a_document(person: httpx.AsyncClient) -> None:
    """A form's or a script's POST, whatever it would like to be told in."""
    assert_problem(await person.post("/watch/nowhere/session"), 404)


async def test_nothing_that_was_asked_for_gets_into_the_page(person: httpx.AsyncClient) -> None:
    for path in ("/watch/<script>/logo", "/v1/sessions/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/{base}{title}"):
        assert "<script" not in (await person.get(path)).text


async def test_the_page_finds_its_style_behind_an_address_of_its_own(app: Litestar, person: httpx.AsyncClient) -> None:
    rewire(
        app, replace(SETTINGS, public_url="https://tv.test/api/"), FakeTables(), FakeEventBus(), FakeObjectStore(), time.time
    )
    page = (await person.get("/nowhere")).text
    assert 'href="/api/assets/home.css"' in page and 'href="/api/watch"' in page and 'href="/api/"' in page
