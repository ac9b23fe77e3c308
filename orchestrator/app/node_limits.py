"""The limits of a node: as set, or, where a limit is not set, the CPUs and the memory of this machine. Read once, at the start
of the process that admits sessions."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from orchestrator.app.settings import Settings
from orchestrator.core.session.limits import Limits

_MEMINFO = Path("/proc/meminfo")  # proc(5)


def node_limits(settings: Settings) -> Limits:
    """The limits from the settings, completed by what the machine has."""
    return Limits(
        max_sessions=settings.max_sessions,
        max_sessions_per_viewer=settings.max_sessions_per_viewer,
        max_sessions_per_channel=settings.max_sessions_per_channel,
        node_cpus=os.cpu_count() if settings.node_cpus is None else settings.node_cpus,
        node_memory_mb=memory_mb() if settings.node_memory_mb is None else settings.node_memory_mb,
        lease_s=settings.idle_timeout_s,
    )


def memory_mb(meminfo: Path = _MEMINFO) -> float | None:
    """The machine's whole memory in MiB; None where the system does not tell."""
    with suppress(OSError):
        found = re.search(r"^MemTotal:\s*(\d+) kB$", meminfo.read_text(), re.MULTILINE)
        return None if found is None else int(found[1]) / 1024
    return None
