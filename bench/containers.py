"""Attempts as the machine sees them: to kill one, and to read what one costs. As the stack's runtime runs them."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import docker
from docker.errors import DockerException

from bench.timeline import moment
from orchestrator.adapters.process.attempt_directory import AttemptDirectory
from orchestrator.app.settings import Settings

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


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
        members = {pid: name for pid, name, group in _processes() if group == started.pid}
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


def _processes() -> list[tuple[int, str, int]]:
    """(pid, name, process group) of every process: proc(5), stat."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = path.read_text()
        except OSError:  # it has ended meanwhile
            continue
        name = stat[stat.index("(") + 1 : stat.rindex(")")]
        found.append((int(path.parent.name), name, int(stat.rpartition(")")[2].split()[2])))
    return found


def _of_process(pid: int) -> tuple[int, float]:
    """(anonymous memory in bytes, CPU seconds) of one process."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0, 0.0
    kilobytes = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:")), 0)
    user, system = stat.rpartition(")")[2].split()[11:13]
    return kilobytes * 1024, (int(user) + int(system)) / _TICKS_PER_S
