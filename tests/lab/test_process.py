"""A lab in a child process is controlled from its parent and never outlives it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from lab import LabFault, LabProcess
from tests.support import eventually_sync


def status(url: str) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=5)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_it_serves_and_obeys() -> None:
    with LabProcess(2, segment_s=1.0) as lab:
        assert [source.name for source in lab.sources] == ["a", "b"]
        assert status(lab["a"].hls_url) == 200
        lab["a"].fault = LabFault.HTTP_404
        assert lab["a"].fault is LabFault.HTTP_404
        assert (status(lab["a"].hls_url), status(lab["b"].hls_url)) == (404, 200)
        lab["a"].fault = None
        assert lab["a"].fault is None
        assert lab["a"].requests == 2
        with pytest.raises(ValueError, match="a trickle is"):
            lab["a"].inject(LabFault.TRICKLE, 0)
        url = lab["a"].hls_url
    with pytest.raises(ConnectionRefusedError):
        status(url)


def test_a_second_start_is_quick() -> None:
    with LabProcess(2, segment_s=1.0):
        pass
    started = time.monotonic()
    with LabProcess(2, segment_s=1.0):
        assert time.monotonic() - started < 1.0


def test_a_lab_that_cannot_start_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="exit code 1"), LabProcess(1, cache_dir=tmp_path, ffmpeg="/no/such/ffmpeg"):
        pass
    assert "/no/such/ffmpeg" in capfd.readouterr().err


def test_it_ends_when_who_started_it_is_killed() -> None:
    script = "import time; from lab import LabProcess; lab = LabProcess(1, segment_s=1.0).__enter__()\n"
    script += "print(lab._process.pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()

    def gone() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    eventually_sync(gone, 5.0, what="the lab's end")


def test_the_command_prints_its_addresses_and_ends_on_a_signal() -> None:
    command = [sys.executable, "-m", "lab", "--port", "0", "--sources", "2", "--bitrate", "1.5M", "--control"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        a, b, control = (json.loads(process.stdout.readline()) for _ in range(3))
        assert (a["name"], b["name"]) == ("a", "b")
        assert status(a["hls_url"]) == status(b["multivariant_url"]) == status(f"{control['control_url']}/a") == 200
        process.terminate()
        assert process.wait(5) == 0
