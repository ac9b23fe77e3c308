"""The documentation as a web site: it builds strictly, with every page in its navigation and without a dead link."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.documented import ROOT, pages


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_site_builds_strictly_with_every_page(tmp_path: Path) -> None:
    sphinx = Path(sys.executable).with_name("sphinx-build")
    command: list[str | Path] = [sphinx, "--quiet", "--fail-on-warning", "--keep-going", "-c", "docs/site", ".", tmp_path]
    build = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert build.returncode == 0, build.stdout + build.stderr
    assert (tmp_path / "index.html").read_text() == (tmp_path / "README.html").read_text()
    missing = [page for page in pages() if not (tmp_path / page.with_suffix(".html")).exists()]
    assert missing == [Path("CODE_OF_CONDUCT.md")]
