"""Who may read the agent's process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import os, subprocess, sys
from ctypes import CDLL
from transcoder.own_process import forbid_reading

libc = CDLL(None)
if os.getuid() == 0:
    os.setuid(65534)  # root may read everything
    libc.prctl(4, 1, 0, 0, 0)

def child_reads():
    command = ["/bin/cat", f"/proc/{os.getpid()}/environ"]
    return subprocess.run(command, capture_output=True, env={}).returncode == 0

before = child_reads()
forbid_reading()
print(before, child_reads(), libc.prctl(3, 0, 0, 0, 0))
"""


def test_a_child_cannot_read_the_environment_in_which_the_job_is() -> None:
    home = Path(__file__).parents[2] / "transcoder-image"
    command = [sys.executable, "-c", _SCRIPT]
    done = subprocess.run(command, env={"PYTHONPATH": str(home)}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "0"]
