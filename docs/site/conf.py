"""The documentation as a web site: `make docs` builds every Markdown page of the checkout into build/docs.

Sphinx with Furo and MyST: all three are maintained, and a strict build (`--fail-on-warning`) checks each link and each anchor.
The source directory is the checkout itself, so a link reads the same here and where the repository is browsed. A link to a file
that is no page (compose.yaml) becomes a download.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sphinx.application import Sphinx

project = "hls-failover"
copyright = "the hls-failover contributors, Apache-2.0"
extensions = ["myst_parser", "sphinx_copybutton", "sphinxcontrib.mermaid"]

root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "infra/terraform/**.md"]
exclude_patterns = ["**/node_modules", "**/.*", "build", "var", "tests", "CODE_OF_CONDUCT.md"]

myst_heading_anchors = 4  # the anchors that repository hosts give headings, too
myst_fence_as_directive = ["mermaid"]
suppress_warnings = ["misc.highlighting_failure"]  # JSON examples with an ellipsis

html_theme = "furo"
html_title = "hls-failover"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"footer_icons": []}
copybutton_exclude = ".linenos, .gp, .go"

# The order of the pages. The page of this name gets the list as its navigation; the text itself stays free of it.
NAVIGATION = {
    "README": {
        "Use": ["docs/deploy", "docs/deploy-aws", "docs/operate", "docs/cdn", "docs/player"],
        "Understand": ["docs/architecture", "docs/states", "docs/glossary", "docs/benchmarks", "docs/decisions/README"],
        "Take part": ["CONTRIBUTING", "CHANGELOG"],
    },
    "docs/decisions/README": {"": sorted(f"docs/decisions/{page.stem}" for page in Path("docs/decisions").glob("0*.md"))},
    "docs/deploy-aws": {"": ["infra/terraform/README"]},
    "infra/terraform/README": {
        "": sorted(str(page.with_suffix("")) for page in Path("infra/terraform").glob("*/*/README.md")),
    },
}


def add_navigation(_: Sphinx, page: str, source: list[str]) -> None:
    for caption, pages in NAVIGATION.get(page, {}).items():
        option = f":caption: {caption}\n" if caption else ""
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n{option}\n" + "\n".join(f"/{each}" for each in pages) + "\n```\n"


def add_start_page(app: Sphinx, failure: Exception | None) -> None:
    """A web server looks for index.html."""
    if failure is None:
        shutil.copy(Path(app.outdir, "README.html"), Path(app.outdir, "index.html"))


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_navigation)
    app.connect("build-finished", add_start_page)
