"""Every shell command of the documentation is run as it is written, or its page says why not."""

from __future__ import annotations

import ast
import contextlib
import functools
import http.server
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import LabProcess
from tests.docs import documented
from tests.docs.documented import ROOT, Fence
from tests.support import eventually_sync, free_port

FENCES = documented.shell_fences()
MARKERS = r'run|run: serve|run: until "[^"]+"|run by: [\w/.]+|not run: .{10,}'


def marked(marker: str) -> list[Fence]:
    return [fence for fence in FENCES if re.fullmatch(marker, fence.marker)]


def test_every_block_of_commands_says_what_tests_do_with_it() -> None:
    assert len(FENCES) > 30
    unmarked = [fence.place for fence in FENCES if not re.fullmatch(MARKERS, fence.marker)]
    assert unmarked == [], "put a comment on the line before the block: tests/docs/documented.py names them"
    (serve,) = marked("run: serve")
    assert serve.page == Path("README.md")


def _taken(test: Path) -> set[str]:
    """The commands that a test takes from the pages: what each `documented.block`, `line` and `blocks` in it gives."""
    taken: set[str] = set()
    for node in ast.walk(ast.parse(test.read_text())):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="documented"), attr="block" | "line" | "blocks" as name), args=args
            ):
                given = [each.value for each in args if isinstance(each, ast.Constant)]
                found = getattr(documented, name)(*given)
                lines = found if isinstance(found, list) else [found]
                taken |= {documented.without_comment(line) for text in lines for line in text.splitlines()}
    return taken


@pytest.mark.parametrize("fence", marked("run by: .*"), ids=lambda fence: fence.place)
def test_a_test_that_a_page_names_takes_the_commands_from_it(fence: Fence) -> None:
    test = ROOT / fence.marker.removeprefix("run by: ")
    modules = [test, *test.parent.glob("composed.py")]
    taken = set().union(*(_taken(each) for each in modules))
    assert {documented.without_comment(line) for line in fence.text.splitlines()} & taken, f"{test} does not run {fence.place}"


class Typist:
    """Types commands in a directory that looks like a checkout beside which `failover serve` runs."""

    def __init__(self, directory: Path, lab: LabProcess, port: int, files: str) -> None:
        self.directory = directory
        (directory / ".venv").symlink_to(Path(sys.prefix))
        # An answer of 4xx or 5xx is a command that has failed
        (directory / ".curlrc").write_text("fail-with-body\nnoproxy = *\n")
        a, b = lab["a"], lab["b"]
        entry = '#EXTINF:-1 tvg-id="{0}" group-title="News",{0}\n{1}\n'
        (directory / "list.m3u").write_text("#EXTM3U\n" + entry.format("One", a.hls_url) + entry.format("Two", b.ts_url))
        self._hosts = {
            "http://provider-a/news.m3u8": a.hls_url,
            "http://provider-a/live.m3u8": a.hls_url,
            "http://provider-b/news.ts": b.ts_url,
            "http://provider-b/live.ts": b.ts_url,
            "http://acme.example/get.php?username=me": f"{files}/list.m3u",
            "localhost:8080": f"127.0.0.1:{port}",
        }
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("FAILOVER_", "http", "HTTP"))},
            "FAILOVER_RUNTIME": "process",  # no engine is needed to see that a command is right
            "FAILOVER_PORT": str(port),
            "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
            "CURL_HOME": str(directory),
            "COLUMNS": "200",
        }

    def run(self, fence: Fence) -> str:
        """What it has printed; fails where any command of it does."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self._as_typed(fence)],
            cwd=self.directory, env=self.environ, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{fence.place} exits with {done.returncode}\n{fence.text}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, f"{fence.place}\n{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def running(self, fence: Fence, until: str, directory: Path | None = None) -> Iterator[None]:
        """It runs in the foreground of a shell of its own; Ctrl-C ends it."""
        said = self.directory / f"{fence.line}.said"
        with said.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {self._as_typed(fence)}"],
                cwd=directory or self.directory, env=self.environ, stdout=output, stderr=subprocess.STDOUT,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip
        try:

            def printed() -> bool:
                assert process.poll() is None or until in said.read_text(), said.read_text()
                return until in said.read_text()

            eventually_sync(printed, 40, what=f"{until!r} of {fence.place}")
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=20)
            finally:
                process.kill()
                process.wait()
        assert "Traceback" not in said.read_text(), said.read_text()

    def _as_typed(self, fence: Fence) -> str:
        text = fence.text.strip()
        for written, real in self._hosts.items():
            text = text.replace(written, real)
        return text


@contextlib.contextmanager
def _file_server(directory: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...


@pytest.mark.stack
@pytest.mark.timeout(180)
def test_the_commands_run_as_they_are_written(tmp_path: Path) -> None:
    """On one stack, in the order of the pages: those of the README first, which make the channel that the others change."""
    directory = tmp_path / "checkout"
    directory.mkdir()
    (serve,) = marked("run: serve")
    printed: dict[str, str] = {}
    with LabProcess(sources=2) as lab, _file_server(directory) as files:
        typist = Typist(directory, lab, free_port(), files)
        with typist.running(serve, until="Ctrl-C ends it"):
            settings = msgspec.json.decode((directory / "var/settings.json").read_bytes())
            typist.environ["KEY"] = settings["FAILOVER_ADMIN_KEY"]
            for fence in marked("run"):
                started = time.monotonic()
                printed[fence.place] = typist.run(fence)
                print(f"{fence.place}  {time.monotonic() - started:.1f} s\n{printed[fence.place][-2000:]}")
    assert len(printed) >= 12
    everything = "".join(printed.values())
    assert '"phase":"live"' in everything, "the README's session plays"
    assert "nothing is wrong" in everything, "the doctor finds no fault in what the README starts"


@pytest.mark.stack
@pytest.mark.timeout(120)
@pytest.mark.parametrize("fence", marked("run: until .*"), ids=lambda fence: fence.place)
def test_a_command_that_runs_on_says_what_the_page_says(fence: Fence, tmp_path: Path) -> None:
    directory = tmp_path / "checkout"
    directory.mkdir()
    with LabProcess(sources=2) as lab, _file_server(directory) as files:
        typist = Typist(directory, lab, free_port(), files)
        with typist.running(fence, until=fence.marker.split('"')[1]):
            pass
