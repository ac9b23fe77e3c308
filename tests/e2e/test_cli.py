"""The `failover` command as somebody uses it: in a shell, with keys, signals and mistakes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from lab import LabFault, LabProcess
from lab.viewer import Viewer
from tests.e2e.attempts import attempts_of
from tests.support import eventually_sync, free_port

pytestmark = [pytest.mark.timeout(120), pytest.mark.slow]

FAILOVER = Path(sys.executable).with_name("failover")


class Said(NamedTuple):
    """How a command has ended."""

    code: int
    out: str
    err: str


class Shell:
    """A directory to be in, and an environment without any of our settings but those given."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.directory = directory
        environ = {name: value for name, value in os.environ.items() if not name.startswith("FAILOVER_")}
        self.environ = environ | settings | {"COLUMNS": "200", "PYTHONUNBUFFERED": "1"}

    def run(self, *words: str, timeout_s: float = 30) -> Said:
        done = subprocess.run(
            [FAILOVER, *words], cwd=self.directory, env=self.environ, capture_output=True, text=True, timeout=timeout_s
        )
        assert "Traceback" not in done.stdout + done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str) -> Running:
        return Running(self, *words)


class Running:
    """A command in the background; Ctrl-C ends it."""

    def __init__(self, shell: Shell, *words: str) -> None:
        self._log = shell.directory / f"{words[0]}.said"
        with self._log.open("wb") as said:
            self.process = subprocess.Popen(
                [FAILOVER, *words], cwd=shell.directory, env=shell.environ, stdout=said, stderr=subprocess.STDOUT,
                # A shell's background jobs ignore Ctrl-C, and so would their children
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip

    @property
    def said(self) -> str:
        return self._log.read_text()

    def says(self, pattern: str, timeout_s: float = 30) -> str:
        """Awaits what matches, and returns its first group."""

        def found() -> re.Match[str] | None:
            assert self.process.poll() is None, self.said
            return re.search(pattern, self.said)

        match = eventually_sync(found, timeout_s, what=f"{pattern!r} in what it says")
        assert match is not None
        return match[1]

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=30)
        assert "Traceback" not in self.said
        return code

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # killed, it would leave its containers
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=20)
            self.process.kill()
            self.process.wait()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture(scope="module")
def lab() -> Iterator[LabProcess]:
    with LabProcess(sources=2, segment_s=1.0) as running:
        yield running


MISTAKES: tuple[tuple[str, dict[str, str], int, str], ...] = (
    ("", {}, 2, "the following arguments are required: COMMAND"),
    ("frobnicate", {}, 2, "invalid choice: 'frobnicate'"),
    ("sessions list", {}, 1, "no stack known: set FAILOVER_DATABASE_URL, or name the --data-dir"),
    ("sessions show", {}, 2, "the following arguments are required: SESSION"),
    ("sessions roll", {}, 1, "no stack known"),
    ("sessions roll --at-once 0", {}, 2, "argument --at-once: must be 1 or more"),
    ("sessions roll --at-once few", {}, 2, "argument --at-once: invalid"),
    ("drain", {}, 2, "the following arguments are required"),
    ("drain sideways", {}, 2, "invalid choice: 'sideways'"),
    ("doctor", {}, 1, "no stack known"),
    ("doctor", {"FAILOVER_DATABASE_URL": "sqlite:////nowhere/x.db"}, 1, "FAILOVER_REDIS_URL: must be set"),
    ("serve", {"FAILOVER_COLOUR": "red"}, 1, "FAILOVER_COLOUR: no such setting"),
    ("serve --port 0.5", {}, 2, "argument --port: invalid int value"),
    ("serve --data-dir /dev/null/d", {}, 1, "the data directory /dev/null/d cannot be used: Not a directory"),
    ("sessions list --data-dir /dev/null/d", {}, 1, "no stack known"),
    ("serve --port 65536", {}, 2, "argument --port: must be from 0 (any free port) to 65535"),
    ("sessions stop", {}, 2, "give either SESSION or --all"),
    ("sessions stop s-1 --all", {}, 2, "give either SESSION or --all"),
    ("import x", {}, 2, "the following arguments are required: --provider"),
    ("play http://a.test/x --profile h265", {}, 2, "argument --profile: invalid choice: 'h265' (choose from copy, h264)"),
    ("doctor --jsno", {}, 2, "unrecognized arguments: --jsno. Did you mean --json?"),
    ("migrate now", {}, 2, "unrecognized arguments: now"),
    ("sessions logs s-1 --attempt", {}, 2, "argument --attempt: expected one argument"),
    ("api", {"FAILOVER_DATABASE_URL": "sqlite+aiosqlite:///x.db"}, 1, "FAILOVER_REDIS_URL: must be set"),
    ("migrate", {"FAILOVER_DATABASE_URL": "sqlite+aiosqlite:////nowhere/x.db"}, 1, "unable to open database file"),
    ("play file:///etc/passwd", {}, 1, "sources[0].url: the scheme must be one of http, https"),
    ("play http://127.0.0.1:1/x.m3u8", {}, 1, "connection refused"),
    ("sources probe http://127.0.0.1:1/x.m3u8", {}, 1, "does not work: connection refused"),
    ("sources probe file:///etc/passwd", {}, 1, "does not work: only http, https"),
)


@pytest.mark.parametrize(
    ("words", "settings", "code", "said"),
    [
        # `play` starts the embedded servers before it finds the mistake
        pytest.param(*each, id=f"{each[0]}-{each[3]}", marks=[pytest.mark.stack] if each[0].startswith("play") else [])
        for each in MISTAKES
    ],
)
def test_a_mistake_is_answered_in_words(shell: Shell, words: str, settings: dict[str, str], code: int, said: str) -> None:
    shell.environ |= settings
    done = shell.run(*words.split())
    assert done.code == code
    assert said in done.out + done.err
    assert len(done.err.splitlines()) < 12


@pytest.mark.stack
def test_a_stack_is_served_and_steered(shell: Shell, lab: LabProcess) -> None:
    port = free_port()
    with shell.start("serve", "--data-dir", "d", "--port", str(port)) as serving:
        runtime = serving.says(r"runtime +(\w+)")
        for page in ("console", "watch"):
            assert f"http://127.0.0.1:{port}/{page}\n" in serving.said
        # Twice in one place is a mistake, and a port is one server's.
        twice = shell.run("serve", "--data-dir", "d", "--port", str(free_port()))
        assert (twice.code, "in use" in twice.err) == (1, True)
        taken = shell.run("serve", "--data-dir", "other", "--port", str(port))
        assert (taken.code, f"port {port}" in taken.err) == (1, True)

        here = ("--data-dir", "d")
        assert "no session" in shell.run("sessions", "list", *here).out
        saved = json.loads((shell.directory / "d/settings.json").read_text())
        headers = {"Authorization": f"Bearer {saved['FAILOVER_ADMIN_KEY']}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30, trust_env=False) as http:
            sources = [{"url": lab[name].hls_url} for name in ("a", "b")]
            channel = http.post("/v1/channels", json={"slug": "news", "name": "News", "sources": sources}).json()
            prefer = {"Prefer": "wait=20"}
            session = http.post("/v1/channels/news/sessions", json={}, headers=prefer).json()
            assert session["phase"] == "live"

            def view() -> Any:
                http.post(f"/v1/sessions/{session['id']}/heartbeat")  # somebody watches meanwhile
                return http.get(f"/v1/sessions/{session['id']}").json()

            listed = shell.run("sessions", "list", *here)
            assert (listed.code, session["id"] in listed.out, "live" in listed.out) == (0, True, True)
            nobody = shell.run("sessions", "show", "s-nobody", *here)
            assert (nobody.code, "s-nobody" in nobody.err) == (1, True)

            a, b = (source["id"] for source in channel["sources"])
            switched = shell.run("sessions", "switch", session["id"], "--source", b, *here)
            assert (switched.code, f"plays {b}, attempt 2" in switched.out) == (0, True), switched
            unknown = shell.run("sessions", "switch", session["id"], "--source", "x-nobody", *here)
            assert (unknown.code, "not a source of the session's channel" in unknown.err) == (1, True)
            eventually_sync(lambda: (view()["source_id"], view()["phase"]) == (b, "live"), 15)
            shown = shell.run("sessions", "show", session["id"], *here)
            assert "stream.switch" in shown.out
            assert "reason=operator" in shown.out
            log = shell.run("sessions", "logs", session["id"], "--attempt", "1", *here)
            assert log.code == 0
            assert re.search(r"by request \(0\)|fenced \(21\)", log.out), log.out
            so_far = eventually_sync(lambda: shell.run("sessions", "logs", session["id"], *here).out, 15)
            assert "attempt 2: copy" in so_far, "the one that runs says what it does"

            assert "no source is problematic" in shell.run("sources", "recover", *here).out
            lab["b"].fault = LabFault.HTTP_404
            eventually_sync(lambda: view()["source_id"] == a, 15)
            again = shell.run("sources", "recover", *here)
            assert f"{b}  still problematic" in again.out
            assert "404" in again.out
            lab["b"].fault = None
            assert f"{b}  recovered" in shell.run("sources", "recover", *here).out

            assert shell.run("sessions", "stop", session["id"], *here).code == 0
            eventually_sync(lambda: view()["phase"] == "ended", 15)
            assert session["id"] not in shell.run("sessions", "list", *here).out
            assert session["id"] in shell.run("sessions", "list", "--all", *here).out

            # Another one plays when Ctrl-C comes.
            http.post("/v1/channels/news/sessions", json={}, headers=prefer)
        assert serving.interrupt() == 0
    _nothing_is_left_of(shell.directory / "d", runtime, saved["FAILOVER_DEPLOYMENT"])


def test_probe_tells_what_a_source_sends(shell: Shell, lab: LabProcess) -> None:
    done = shell.run("sources", "probe", lab["a"].hls_url)
    assert done.code == 0
    assert "works: video h264 640x360, audio aac 2 ch" in done.out


@pytest.mark.stack
def test_play_prints_an_address_that_plays(shell: Shell, lab: LabProcess) -> None:
    with shell.start("play", lab["a"].hls_url, lab["b"].ts_url, "--data-dir", "d") as playing:
        url = playing.says(r"playlist +(\S+)")
        viewer = Viewer(url)
        try:
            asyncio.run(asyncio.wait_for(_sees(viewer, 3), 20))
            lab["a"].fault = LabFault.REFUSE
            asyncio.run(asyncio.wait_for(_sees(viewer, 6), 20))
        finally:
            viewer.close()
            lab["a"].fault = None
        assert viewer.faults == []
        assert len(viewer.swaps) == 1
        playing.says(r"(stream\.switch)")
        saved = json.loads((shell.directory / "d/settings.json").read_text())
        assert playing.interrupt() in (0, 130)
    _nothing_is_left_of(shell.directory / "d", saved["FAILOVER_RUNTIME"], saved["FAILOVER_DEPLOYMENT"])


@pytest.mark.stack
def test_the_demo_keeps_its_promise_with_each_runtime(runtime: str, tmp_path: Path) -> None:
    """At the same time: they must not know of each other."""
    kinds = dict.fromkeys((runtime, "process"))
    with contextlib.ExitStack() as stack:
        started = time.monotonic()
        demos = {}
        for kind in kinds:
            directory = tmp_path / kind
            directory.mkdir()
            shell = Shell(directory, FAILOVER_RUNTIME=kind)
            demos[kind] = stack.enter_context(shell.start("demo", "--once", "--data-dir", "d"))
        for kind, demo in demos.items():
            code = demo.process.wait(timeout=90)
            print(f"--- {kind}: {time.monotonic() - started:.1f} s\n{demo.said}")
            assert code == 0, demo.said
            assert "continuous" in demo.said
            assert re.search(rf"runtime +{kind}", demo.said)
            saved = json.loads((tmp_path / kind / "d/settings.json").read_text())
            _nothing_is_left_of(tmp_path / kind / "d", kind, saved["FAILOVER_DEPLOYMENT"])


async def _sees(viewer: Viewer, listings: int) -> None:
    wanted = len(viewer.listings) + listings
    while len(viewer.listings) < wanted:
        await viewer.look()
        await asyncio.sleep(0.05)


def _nothing_is_left_of(data_dir: Path, runtime: str, deployment: str) -> None:
    """No container, and no process that works in the data directory."""
    eventually_sync(lambda: not attempts_of(runtime, deployment).all(), 5, what=f"the end of {deployment}'s attempts")
    eventually_sync(lambda: not list(_processes_in(data_dir)), 5, what=f"the end of the processes in {data_dir}")


def _processes_in(directory: Path) -> Iterator[str]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it has ended, or is another user's
            if Path(process.cwd()).is_relative_to(directory):
                yield f"{process.pid} {process.cmdline()}"
