"""Which process this is, in a word by which another one on the same machine can see whether it still runs.

Law: `has_ended` is true only where it is certain. What cannot be seen from here (another machine, another container, no /proc)
may run.
"""

from __future__ import annotations

import os
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ENDED = frozenset("ZX")  # proc(5), stat: a zombie, dead


def own_process() -> str:
    """Machine's boot, PID namespace, PID and start time; "": this system does not say."""
    try:
        _, started = _stat(os.getpid())
        return f"{_surroundings()} {os.getpid()} {started}"
    except (OSError, ValueError, IndexError):
        return ""


def has_ended(process: str) -> bool:
    """A namespace's number is given again only once all of its processes have ended, so an equal one cannot mislead."""
    try:
        surroundings, pid, started = process.rsplit(" ", 2)
        if surroundings != _surroundings():
            return False
        os.kill(int(pid), 0)
        state, started_now = _stat(int(pid))
    except ProcessLookupError:
        return True
    except (OSError, ValueError, IndexError):
        return False
    return state in _ENDED or started_now != started


def _surroundings() -> str:
    return f"{_BOOT_ID.read_text().strip()} {os.readlink('/proc/self/ns/pid')}"


def _stat(pid: int) -> tuple[str, str]:
    """State and start time: fields 3 and 22, counted behind the name, which may hold anything."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], fields[19]
