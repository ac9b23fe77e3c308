"""Container runtime without containers: runs the same agent as child processes, for development only.

Rule: an attempt does not depend on the process that started it. Its whole state is a directory (attempt_directory.py), which a
restarted orchestrator finds. Linux only: processes that are not its children are followed by pidfd.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import transcoder
from orchestrator.adapters.ffmpeg import binaries
from orchestrator.adapters.process.attempt_directory import AttemptDirectory
from orchestrator.app.settings import Settings
from orchestrator.core.model import Container, ContainerState
from orchestrator.errors import EngineUnavailable
from orchestrator.ports import ContainerEvent, EngineReport, Launch
from transcoder.job import CONTRACT

_LOOK_S = 0.25  # between polls for what makes no file descriptor readable, such as a pause
_POLL_S = 0.005
_KILLED_S = 2.0
_INHERITED = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # the only variables of the orchestrator's environment that the agent gets


class ProcessRuntime:
    """`ports.ContainerRuntime`. `agent`: the command that is run; `directory`: where the attempts' state is kept."""

    kind = "process"

    def __init__(self, settings: Settings, *, directory: Path | None = None, agent: Sequence[str] | None = None) -> None:
        self._settings = settings
        self._base = directory or Path(tempfile.gettempdir()) / f"hls-failover-{os.getuid()}"
        self._directory = self._base / settings.deployment
        self._agent = tuple(agent or (sys.executable, "-S", "-s", "-P", "-m", "transcoder"))
        self._wakes: set[asyncio.Event] = set()

    async def start(self, launch: Launch) -> None:
        attempt = AttemptDirectory(self._directory / f"{launch.session_id}-{launch.attempt}")
        try:
            self._make_directory()
            attempt.path.mkdir(exist_ok=True)
            if attempt.started() is None:
                agent = ("nice", "-n", "10", *self._agent) if launch.gives_way else self._agent
                attempt.spawn(agent, self._environment(launch, attempt.path))
                await _until(lambda: attempt.started() is not None, _KILLED_S)
        except OSError as error:
            raise EngineUnavailable(f"cannot start a process: {error}") from error
        self._wake()

    async def stop(self, session_id: str, attempt: int, grace_s: float) -> None:
        found = AttemptDirectory(self._directory / f"{session_id}-{attempt}")
        if not found.path.is_dir():
            return
        if found.state() is ContainerState.RUNNING:  # a paused process handles no signal
            found.terminate()
            await _until(lambda: not found.runs(), grace_s)
        found.kill()
        await _until(lambda: not found.runs(), _KILLED_S)
        shutil.rmtree(found.path, ignore_errors=True)
        for each in (self._directory, self._base):  # empty directories are deleted, too
            with contextlib.suppress(OSError):
                each.rmdir()
        self._wake()

    async def containers(self, session_id: str | None = None) -> tuple[Container, ...]:
        found = (each.container() for each in self._attempts() if session_id in (None, each.session_id))
        return tuple(container for container in found if container is not None)

    def events(self) -> AsyncIterator[ContainerEvent]:
        return self._events(self._look())

    async def check(self) -> None:
        if not sys.platform.startswith("linux"):
            raise EngineUnavailable("the process runtime needs Linux")
        binaries.find("ffmpeg", self._settings)
        try:
            self._make_directory()
        except OSError as error:
            raise EngineUnavailable(f"no directory for processes: {error}") from error

    async def contract(self) -> int:
        """The agent is this installation's."""
        return CONTRACT

    async def examine(self) -> EngineReport:
        """The engine is this machine, and the agent is this installation's."""
        await self.check()
        return EngineReport(directory=str(self._base))

    async def close(self) -> None:
        """Attempts that run go on."""

    def _environment(self, launch: Launch, path: Path) -> dict[str, str]:
        return {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(Path(transcoder.__path__[0]).parent),
            "TRANSCODER_JOB": launch.job,
            "TRANSCODER_FFMPEG": binaries.find("ffmpeg", self._settings),
            "TRANSCODER_HEALTH_FILE": str(path / "healthy"),
            **{name: os.environ[name] for name in _INHERITED if name in os.environ},
        }

    def _make_directory(self) -> None:
        """Creates the directory, readable by this user only: a job contains signed addresses, and the directory for temporary
        files is shared by all users."""
        self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._base.stat().st_uid != os.getuid():
            raise PermissionError(f"{self._base} belongs to another user")
        self._directory.mkdir(exist_ok=True)

    def _attempts(self) -> list[AttemptDirectory]:
        try:
            # Directories with other names are not ours, and are ignored
            paths = [path for path in self._directory.iterdir() if path.name.rpartition("-")[2].isdecimal()]
            return [AttemptDirectory(path) for path in paths]
        except FileNotFoundError:
            return []

    # --- events -------------------------------------------------------------------------------------------------------

    def _look(self) -> dict[Path, ContainerState]:
        return {each.path: each.state() for each in self._attempts()}

    def _wake(self) -> None:
        for wake in self._wakes:
            wake.set()

    async def _events(self, known: dict[Path, ContainerState]) -> AsyncIterator[ContainerEvent]:
        loop = asyncio.get_running_loop()
        wake = asyncio.Event()
        watched: dict[Path, int] = {}

        def ended(pidfd: int) -> None:
            loop.remove_reader(pidfd)  # it would stay readable
            wake.set()

        def unwatch(path: Path) -> None:
            loop.remove_reader(watched[path])
            os.close(watched.pop(path))

        self._wakes.add(wake)
        try:
            while True:
                seen = self._look()
                for path in [path for path in watched if seen.get(path) is not ContainerState.RUNNING]:
                    unwatch(path)
                for path in [path for path in seen if seen[path] is ContainerState.RUNNING and path not in watched]:
                    pidfd = AttemptDirectory(path).pidfd()
                    if pidfd is not None:
                        watched[path] = pidfd
                        loop.add_reader(pidfd, ended, pidfd)
                changed = [path for path in {**known, **seen} if known.get(path) is not seen.get(path)]
                known = seen
                for path in changed:
                    yield ContainerEvent(AttemptDirectory(path).session_id, AttemptDirectory(path).number)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):  # asyncio.wait_for of Python 3.11 may lose a cancellation
                        await wake.wait()
                wake.clear()
        finally:
            self._wakes.discard(wake)
            for path in tuple(watched):
                unwatch(path)


async def _until(condition: Callable[[], bool], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        await asyncio.sleep(_POLL_S)
