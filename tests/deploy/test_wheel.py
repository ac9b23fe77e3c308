"""The wheel: what is in it, and that the command works from it, without the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory)],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory into which the wheel was installed, alone."""
    target = tmp_path_factory.mktemp("installed")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--target",
        str(target),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True, text=True)
    return target


def run(installed: Path, directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The installed command. `-S` keeps the checkout out, which the development's environment adds by a .pth file; the
    dependencies are still found there."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FAILOVER_")}
    environ |= {"PYTHONPATH": os.pathsep.join((str(installed), sysconfig.get_path("purelib"))), "COLUMNS": "200"}
    command = [sys.executable, "-S", str(installed / "bin" / "failover"), *words]
    return subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, timeout=60)


def test_it_holds_the_product_and_no_lab(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        names = files.namelist()
    packages = {name.partition("/")[0] for name in names}
    metadata = {package for package in packages if package.endswith(".dist-info")}
    assert len(metadata) == 1
    assert packages - metadata == {"api", "failover", "orchestrator", "transcoder"}
    pages = [name for name in names if name.startswith("api/web/")]
    assert {Path(page).suffix for page in pages} >= {".html", ".js", ".css"}, "the pages are built"
    assert all(page.startswith("api/web/dist/") for page in pages)


@pytest.mark.parametrize("words", ["--help", "serve --help", "sessions stop --help"])
def test_help_works_from_it(installed: Path, tmp_path: Path, words: str) -> None:
    done = run(installed, tmp_path, *words.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: failover")


def test_it_says_its_version(wheel: Path, installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert wheel.name.startswith(f"hls_failover-{done.stdout.strip()}-")


def test_the_modules_of_every_command_are_in_it(installed: Path, tmp_path: Path) -> None:
    """Each gets as far as to miss its settings or its server, and imports all on the way."""
    (tmp_path / "file").touch()
    for words, code, said in (
        ("serve --data-dir file/d", 1, "the data directory"),
        ("secrets file/d", 1, "the secrets cannot be written"),
        ("migrate", 1, "no stack known"),
        ("sessions list", 1, "no stack known"),
        ("doctor", 1, "no stack known"),
        ("sources probe file:///x", 1, "only http, https"),
    ):
        done = run(installed, tmp_path, *words.split())
        assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", ["demo", "demo --once http://a.test/live.m3u8"])
def test_the_demo_says_what_it_needs(installed: Path, tmp_path: Path, words: str) -> None:
    done = run(installed, tmp_path, *words.split())
    assert done.returncode == 1
    assert done.stdout == ""
    assert (
        done.stderr == "failover: the demo needs a checkout of the repository, which holds its sources: run `make demo` there\n"
    )


def version_of(tree: Path) -> str:
    command = [sys.executable, "-m", "hatchling", "version"]
    return subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True).stdout.strip()


def test_the_version_is_the_tags(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    def git(*words: str) -> None:
        own = ["-c", "user.name=tests", "-c", "user.email=tests@example.test", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *own, *words], cwd=tmp_path, check=True, capture_output=True)

    assert re.fullmatch(r"\d+\.\d+\.\d+\.dev0", version_of(tmp_path)), "without git"
    git("init", "--initial-branch=main")
    git("add", "pyproject.toml")
    git("commit", "--message=one")
    git("tag", "v1.2.0")
    assert version_of(tmp_path) == "1.2.0"
    git("commit", "--allow-empty", "--message=two")
    assert re.fullmatch(r"1\.2\.1\.dev1\+g[0-9a-f]+", version_of(tmp_path))


@pytest.mark.parametrize(
    ("argument", "version"), [("1.2.0", "1.2.0"), ("v1.2.0", "1.2.0"), ("latest", None), ("unknown", None), ("", None)]
)
def test_an_image_has_the_version_that_it_is_built_with(tmp_path: Path, argument: str, version: str | None) -> None:
    """The step of the Dockerfile, in a shell; None: the fallback."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (step,) = re.findall(r"^RUN (version=\$\(.*\)) \\$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    script = f'{step} && printf %s "$version"'
    environ = {"PATH": os.environ["PATH"], "VERSION": argument}
    done = subprocess.run(["sh", "-ec", script], cwd=tmp_path, env=environ, check=True, capture_output=True, text=True)
    assert done.stdout == (version or version_of(tmp_path))
