"""The documentation's commands, so that tests run what people will type."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENTS = Path(__file__).parents[2] / "docs"


def blocks(document: str) -> list[str]:
    """The shell commands of docs/`document`, block by block."""
    return re.findall(r"^```sh\n(.*?)^```$", (DOCUMENTS / document).read_text(), re.MULTILINE | re.DOTALL)


def block(document: str, having: str) -> str:
    """The one block that has this text."""
    (found,) = (each for each in blocks(document) if having in each)
    return found


def line(document: str, having: str) -> str:
    """The one line of a block that has this text, without its comment."""
    (found,) = (each for text in blocks(document) for each in text.splitlines() if having in each)
    return found.partition("  #")[0].rstrip()
