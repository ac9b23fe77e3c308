"""Attempts as the machine sees them: to kill one, and to read what one costs. As the stack's runtime runs them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import docker
import psutil
from docker.errors import DockerException

from bench.moments import moment
from orchestrator.adapters.process.attempt_directory import AttemptDirectory
from orchestrator.app.settings import Settings


class Usage(NamedTuple):
    """At one moment: memory without page cache, CPU time since the start, and what of it is FFmpeg's."""

    at: float
    memory_bytes: int
    cpu_s: float
    ffmpeg_bytes: int
    ffmpeg_cpu_s: float


class Containers(Protocol):
    async def kill(self, session_id: str, attempt: int) -> None:
        """SIGKILL to all of it, at once."""

    async def moments(self, session_id: str, attempt: int) -> dict[str, float]:
        """ "created", "started": by the engine's own word, where it has one."""

    async def usage(self, session_id: str, attempt: int) -> Usage: ...

    def close(self) -> None: ...


class DockerContainers:
    def __init__(self, settings: Settings) -> None:
        self._deployment = settings.deployment
        self._client = docker.APIClient(version="auto", timeout=30)

    async def kill(self, session_id: str, attempt: int) -> None:
        await asyncio.to_thread(self._client.kill, self._name(session_id, attempt), "SIGKILL")

    async def moments(self, session_id: str, attempt: int) -> dict[str, float]:
        try:
            seen = await asyncio.to_thread(self._client.inspect_container, self._name(session_id, attempt))
        except DockerException:
            return {}
        return {"created": moment(seen["Created"]), "started": moment(seen["State"]["StartedAt"])}

    async def usage(self, session_id: str, attempt: int) -> Usage:
        return await asyncio.to_thread(self._usage, self._name(session_id, attempt))

    def close(self) -> None:
        self._client.close()

    def _usage(self, name: str) -> Usage:
        stats: dict[str, Any] = self._client.stats(name, stream=False, one_shot=True)
        memory = stats["memory_stats"]
        # cgroup v1 calls the page cache `total_cache`, v2 `file`; in both it is part of the usage.
        cache = memory["stats"].get("total_cache", memory["stats"].get("file", 0))
        top = self._client.top(name, ps_args="-o pid,comm")
        pids = [int(line[0]) for line in top["Processes"] if line[1] == "ffmpeg"]
        used = [_of_process(pid) for pid in pids]
        return Usage(
            at=time.monotonic(),
            memory_bytes=memory["usage"] - cache,
            cpu_s=stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
            ffmpeg_bytes=sum(memory for memory, _ in used),
            ffmpeg_cpu_s=sum(cpu for _, cpu in used),
        )

    def _name(self, session_id: str, attempt: int) -> str:
        return f"{self._deployment}-{session_id}-{attempt}"


class ProcessContainers:
    def __init__(self, settings: Settings) -> None:
        self._home = Path(tempfile.gettempdir()) / f"hls-failover-{os.getuid()}" / settings.deployment

    async def kill(self, session_id: str, attempt: int) -> None:
        self._directory(session_id, attempt).kill()

    async def moments(self, session_id: str, attempt: int) -> dict[str, float]:
        return {}

    async def usage(self, session_id: str, attempt: int) -> Usage:
        started = self._directory(session_id, attempt).started()
        assert started is not None
        # Of the attempt's process group: its keeper, the agent, FFmpeg.
        members = _group(started.pid)
        used = {pid: _of_process(pid) for pid in members}
        ffmpeg = [used[pid] for pid, name in members.items() if name.startswith("ffmpeg")]
        return Usage(
            at=time.monotonic(),
            memory_bytes=sum(memory for memory, _ in used.values()),
            cpu_s=sum(cpu for _, cpu in used.values()),
            ffmpeg_bytes=sum(memory for memory, _ in ffmpeg),
            ffmpeg_cpu_s=sum(cpu for _, cpu in ffmpeg),
        )

    def close(self) -> None:
        """There is nothing to close."""

    def _directory(self, session_id: str, attempt: int) -> AttemptDirectory:
        return AttemptDirectory(self._home / f"{session_id}-{attempt}")


def containers_of(settings: Settings) -> Containers:
    """Of a stack that runs with these settings."""
    return DockerContainers(settings) if settings.runtime == "docker" else ProcessContainers(settings)


def _group(number: int) -> dict[int, str]:
    """Every process of a process group: its name by its id."""
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):  # it has ended meanwhile
            if os.getpgid(process.pid) == number:
                found[process.pid] = process.name()
    return found


def _of_process(pid: int) -> tuple[int, float]:
    """(anonymous memory in bytes, CPU seconds) of one process; nothing where it has ended."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            memory, cpu = process.memory_info(), process.cpu_times()
    except psutil.NoSuchProcess:
        return 0, 0.0
    return memory.rss - memory.shared, cpu.user + cpu.system
