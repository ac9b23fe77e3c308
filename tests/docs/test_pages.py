"""What the pages say of the project is so: links, paths, settings, commands, routes and quoted messages."""

from __future__ import annotations

import os
import re
import subprocess
import time
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from unittest import mock
from urllib.parse import unquote

import pytest

from api.app import create_app
from failover.__main__ import main
from orchestrator.app.settings import Settings, unknown
from tests.docs.documented import ROOT, SHELLS, fences, pages, text_of
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.tables import FakeTables

PAGES = pages()
# A record of decisions, and the list of changes, may name what is gone
OF_TODAY = [page for page in PAGES if page.parent.name != "decisions" and page.name != "CHANGELOG.md"]
LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\((?!https?:|mailto:)([^)\s]+)\)")
each_page = pytest.mark.parametrize("page", PAGES, ids=str)
each_page_of_today = pytest.mark.parametrize("page", OF_TODAY, ids=str)


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```$", "", text_of(page), flags=re.M | re.S)


@cache
def anchors(page: Path) -> set[str]:
    """As repository hosts make them of headings: lower case, without punctuation, spaces as hyphens."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in plain}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for link in LINK.findall(prose(page)):
        path, _, anchor = unquote(link).partition("#")
        target = (ROOT / page.parent / path).resolve() if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target.relative_to(ROOT))):
            wrong.append(link)
    assert wrong == []


@each_page_of_today
def test_the_paths_that_a_page_names_are_there(page: Path) -> None:
    directories = "orchestrator|transcoder-image|api|failover|lab|infra|tests|docs|bench"
    named = re.findall(rf"`((?:{directories})/[\w./-]*)`", prose(page))
    named += re.findall(r"`(compose[\w.]*\.yaml|pyproject\.toml|\.env\.example|requirements[\w-]*\.lock)`", prose(page))
    bases = [ROOT, ROOT / page.parent, ROOT / "infra/terraform"]
    assert [each for each in named if not any((base / each).exists() for base in bases)] == []


@each_page_of_today
def test_the_settings_that_a_page_names_are_settings(page: Path) -> None:
    named = set(re.findall(r"\bFAILOVER_[A-Z0-9_]*[A-Z0-9]\b", text_of(page))) - {"FAILOVER_TEST_REQUIRE"}
    assert unknown(dict.fromkeys(named, "")) == ()


@cache
def help_of(words: tuple[str, ...]) -> str:
    printed = StringIO()
    with mock.patch.dict(os.environ, COLUMNS="300"), redirect_stdout(printed), pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    return printed.getvalue() if ended.value.code == 0 else ""


GROUPS = ("sessions", "sources")


def test_the_commands_and_options_that_the_pages_name_exist() -> None:
    named: dict[tuple[str, ...], set[str]] = {}
    for page in OF_TODAY:
        lines = re.findall(r"`(failover [^`]+)`", prose(page).replace("\n", " "))
        lines += [line for fence in fences(page) if fence.language in SHELLS for line in fence.text.splitlines()]
        for line in lines:
            for typed in re.findall(r"(?:^|[\s/])failover ((?:[a-z]+\b ?)[^|<`#]*)", line):
                words = typed.split()
                command = tuple(words[:2] if words[0] in GROUPS else words[:1])
                named.setdefault(command, set()).update(re.findall(r"(?<!\S)--[a-z-]+", typed.partition(" -- ")[0]))
    assert len(named) > 12
    wrong = [
        (" ".join(command), option)
        for command, options in named.items()
        for option in ("", *sorted(options))
        if not help_of(command) or not re.search(rf"{re.escape(option)}(?![\w-])" if option else "", help_of(command))
    ]
    assert wrong == []


BESIDE = ("/watch/", "/v1/sessions/{id}/ws")  # a prefix; and a WebSocket, which an OpenAPI document cannot describe


def test_the_routes_that_the_pages_name_exist() -> None:
    app = create_app(Settings(admin_key="k"), FakeTables(), FakeEventBus(), FakeObjectStore(), time.time)
    paths = [re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(path)) for path in app.openapi_schema.to_schema()["paths"]]
    route = re.compile("|".join(paths))
    written = re.compile(r"`(?:(?:GET|POST|PUT|PATCH|DELETE|`, `)+ )?(/(?:v1|watch|stream|console/log)/[^`\s?]*)[^`]*`")
    named = {(str(page), path.rstrip("`")) for page in OF_TODAY for path in written.findall(prose(page))}
    assert len(named) > 20
    assert [(page, path) for page, path in sorted(named) if not route.fullmatch(path) and path not in BESIDE] == []


# What a page quotes of the product, and a piece of code that says it
QUOTED = {
    "docs/operate.md": ["Another orchestrator acts on this database", "second-orchestrator", "rolled"],
    "docs/deploy.md": ["nothing is wrong"],
    "docs/sources.md": ["connections are in use", "cannot decode", "not probed", "We'll be right back", "failback", "bad job"],
    "docs/player.md": ["This browser cannot play", "urn:hls-failover:problem:"],
    "docs/console.md": ["All is well", "Reconnecting", "Switch to next", "Delete channel", "Add source", "Add channels"],
    "docs/sessions.md": ["channel_disabled", "no_healthy_source"],
}


@cache
def sources() -> str:
    command = ["git", "ls-files", "api", "failover", "orchestrator", "transcoder-image"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return "\n".join((ROOT / each).read_text() for each in listed if each.endswith((".py", ".ts", ".tsx")))


@pytest.mark.parametrize(("page", "message"), [(page, each) for page, said in QUOTED.items() for each in said])
def test_a_message_that_a_page_quotes_is_what_the_product_says(page: str, message: str) -> None:
    assert message in " ".join(text_of(Path(page)).split())
    assert message.lower() in sources().lower()


def test_the_page_on_the_architecture_is_short() -> None:
    assert len(text_of(Path("docs/architecture.md")).split()) <= 1500


def test_the_glossary_is_in_order_and_explains_each_word_once() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\*", text_of(Path("docs/glossary.md")), re.M)
    assert len(words) > 60
    assert words == sorted(set(words), key=str.lower)


def test_every_record_of_a_decision_is_listed_with_its_title() -> None:
    listed = text_of(Path("docs/decisions/README.md"))
    for record in sorted((ROOT / "docs/decisions").glob("0*.md")):
        number, title = record.read_text().splitlines()[0].removeprefix("# ").split(" ", 1)
        assert f"| [{number}]({record.name}) | {title} |" in listed
