"""The limits of a node: as set, or, where a limit is not set, the CPUs and the memory of this machine. Read once, at the start
of the process that admits sessions."""

from __future__ import annotations

import os
from contextlib import suppress

import psutil

from orchestrator.app.settings import Settings
from orchestrator.core.session.limits import Limits


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


def memory_mb() -> float | None:
    """The machine's whole memory in MiB; None where the system does not tell."""
    with suppress(OSError):
        return float(psutil.virtual_memory().total) / (1 << 20)
    return None
