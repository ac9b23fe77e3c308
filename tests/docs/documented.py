"""The documentation as tests read it: its pages, their links, and their commands.

A block of shell commands carries a comment on the line before it, which says what tests do with it:

    <!-- run -->                     it is typed beside a running `failover serve` (test_commands.py)
    <!-- run: serve -->              it starts that service
    <!-- run: until "text" -->       it is typed, and ended by Ctrl-C once it has printed the text
    <!-- run by: tests/... -->       that test takes it from here, by `block` or `line`
    <!-- not run: why -->
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
SHELLS: Final = ("sh", "bash", "shell", "console")
_FENCE = re.compile(
    r"(?:^ *<!-- (?P<marker>(?:not )?run[^\n]*?) -->\n)?^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.M | re.S
)


class Fence(NamedTuple):
    """One block of code in a page. `marker`: what stands in the comment before it, or nothing."""

    page: Path
    line: int
    language: str
    text: str
    marker: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> Sequence[Path]:
    """Every Markdown page of the project, as a path in the checkout; the README first."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    found = [Path(each) for each in listed if (ROOT / each).exists() and not each.startswith(".github/")]
    return sorted(found, key=lambda page: (page != Path("README.md"), len(page.parts), page))


def text_of(page: Path) -> str:
    return (ROOT / page).read_text()


def fences(page: Path) -> Sequence[Fence]:
    text = text_of(page)
    return [
        Fence(
            page,
            text.count("\n", 0, each.start("language")) + 1,
            each["language"],
            re.sub(rf"^{each['indent']}", "", each["text"], flags=re.M),
            each["marker"] or "",
        )
        for each in _FENCE.finditer(text)
    ]


def shell_fences() -> Sequence[Fence]:
    return [fence for page in pages() for fence in fences(page) if fence.language in SHELLS]


def blocks(document: str) -> list[str]:
    """The shell commands of docs/`document`, block by block."""
    return [fence.text for fence in fences(Path("docs", document)) if fence.language in SHELLS]


def block(document: str, having: str) -> str:
    """The one block that has this text."""
    (found,) = (each for each in blocks(document) if having in each)
    return found


def line(document: str, having: str) -> str:
    """The one line of a block that has this text, without its comment."""
    (found,) = (each for text in blocks(document) for each in text.splitlines() if having in each)
    return without_comment(found)


def without_comment(command: str) -> str:
    return command.partition("  #")[0].rstrip()
