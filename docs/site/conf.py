"""The documentation as a web site: `make docs` builds every Markdown page of the checkout into build/docs.

Sphinx with Furo and MyST: all three are maintained, and a strict build (`--fail-on-warning`) checks each link and each anchor.
The source directory is the checkout itself, so a link reads the same here and where the repository is browsed. A link to a file
that is no page (compose.yaml) becomes a download.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]

project = "hls-failover"
copyright = "the hls-failover contributors, Apache-2.0"
extensions = ["myst_parser", "sphinx_copybutton", "sphinxcontrib.mermaid"]

root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "infra/terraform/**.md"]
exclude_patterns = ["**/node_modules", "**/.*", "build", "var", "tests", "CODE_OF_CONDUCT.md"]

myst_heading_anchors = 4  # the anchors that repository hosts give headings, too
myst_fence_as_directive = ["mermaid"]  # drawn in the reader's browser, by mermaid from a CDN; without it the text is shown
suppress_warnings = ["misc.highlighting_failure"]  # JSON examples with an ellipsis

html_theme = "furo"
html_title = "hls-failover"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"footer_icons": []}
copybutton_exclude = ".linenos, .gp, .go"


def _pages(pattern: str) -> list[str]:
    return sorted(str(page.relative_to(ROOT).with_suffix("")) for page in ROOT.glob(pattern))


USE = ("deploy", "deploy-aws", "sources", "sessions", "console", "operate", "cdn", "player", "http-api")
UNDERSTAND = ("architecture", "agent", "states", "glossary", "benchmarks", "decisions/README")
# What is below a page in the navigation, in order. It is added here, so that the pages themselves need no directive.
NAVIGATION = {
    "README": {
        "Use": [f"docs/{page}" for page in USE],
        "Understand": [f"docs/{page}" for page in UNDERSTAND],
        "Take part": ["CONTRIBUTING", "CHANGELOG"],
    },
    "docs/decisions/README": {"": _pages("docs/decisions/0*.md")},
    "docs/deploy-aws": {"": ["infra/terraform/README"]},
    "infra/terraform/README": {"": _pages("infra/terraform/*/*/README.md")},
}


def add_navigation(_: Sphinx, page: str, source: list[str]) -> None:
    for caption, below in NAVIGATION.get(page, {}).items():
        option = f":caption: {caption}\n" if caption else ""
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n{option}\n" + "\n".join(f"/{each}" for each in below) + "\n```\n"


def add_routes(_: Sphinx, page: str, source: list[str]) -> None:
    if page == "docs/http-api":
        program = [sys.executable, ROOT / "docs/site/routes.py"]
        environ = os.environ | {"PYTHONPATH": str(ROOT)}
        source[0] += "\n" + subprocess.run(program, cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout


def add_start_page(app: Sphinx, failure: Exception | None) -> None:
    """A web server looks for index.html."""
    if failure is None:
        shutil.copy(Path(app.outdir, "README.html"), Path(app.outdir, "index.html"))


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_navigation)
    app.connect("source-read", add_routes)
    app.connect("build-finished", add_start_page)
