"""Process identity: a string by which another process on the same machine can tell whether this one is still running.

Rule: `has_ended` is true only where that is certain. A process that cannot be seen from here (on another machine, in another
container, without /proc) may be running.
"""

from __future__ import annotations

import os
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ENDED = frozenset("ZX")  # proc(5), stat: a zombie, dead


def own_process() -> str:
    """Boot id of the machine, PID namespace, PID and start time; "" where the system does not provide them."""
    try:
        _, started = _stat(os.getpid())
        return f"{_surroundings()} {os.getpid()} {started}"
    except (OSError, ValueError, IndexError):
        return ""


def has_ended(process: str) -> bool:
    """Whether that process has certainly ended. The number of a PID namespace is reused only after all of its processes have
    ended, so an equal number means the same namespace."""
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
    """State and start time in ticks since boot (proc_pid_stat(5)): fields 3 and 22, counted after the name, which may contain
    anything. Not psutil: its start times are in Unix time, and so change when the system's clock is set."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], fields[19]
