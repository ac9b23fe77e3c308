"""Starts an agent as a child process and keeps its pid, exit code and log in a directory. There, any process of the deployment
finds what was started:

started   the line of /proc/PID/stat of the attempt's first process: its pid, and its start time, since a pid may be reused
agent     the agent's pid
exit      the agent's exit code
log       the agent's standard output and error, at least their end
healthy   touched by the agent each time that a segment has been stored
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from orchestrator.adapters.refused_job import refused_field
from orchestrator.core.model import Container, ContainerState
from transcoder.ending import Ending

# The first process of an attempt outlives the orchestrator and keeps the agent's exit code. `set -C`: of two that start, one
# runs.
_KEEPER = """
cd "$0" || exit
read -r stat </proc/$$/stat
set -C
printf '%s\\n' "$stat" >started || exit
"$@" &
printf '%s\\n' $! >agent
wait $!
printf '%s\\n' $? >exit
"""

_LOG_LIMIT = 1 << 20
_REFUSAL_BYTES = 4096  # at the end of the log, where the agent says why it refused its job
_FILE_LIMIT = 4096  # of what is read; a line of /proc/PID/stat has some hundred characters
_SILENT_S = 120.0  # so long without a stored segment is unhealthy, as in the image's HEALTHCHECK


class _Process(NamedTuple):
    """A line of /proc/PID/stat: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html

    Not psutil: its start times are in Unix time, and so change when the system's clock is set; and the keeper, a shell, writes
    the same line."""

    pid: int
    state: str
    group: int
    started: str  # ticks since boot


class AttemptDirectory:
    """One attempt's directory, `{session}-{attempt}`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.session_id, _, number = path.name.rpartition("-")
        self.number = int(number)

    def spawn(self, agent: Sequence[str], environment: dict[str, str]) -> None:
        # Not by subprocess, whose objects must be waited for: these processes are to outlive this one
        os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", _KEEPER, str(self.path), *agent],
            environment,
            setsid=True,  # a signal to the orchestrator's process group, such as Ctrl-C, must not reach them
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGXFSZ],
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.path / "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()),
            ],
        )

    def started(self) -> _Process | None:
        return _parse(self._read("started"))

    def keeper(self) -> _Process | None:
        """The first process, if it is running."""
        started = self.started()
        if started is None:
            return None
        now = _process(started.pid)
        if now is None or now.started != started.started:
            return None
        if now.state == "Z":
            _reap(now.pid)
            return None
        return now

    def runs(self) -> bool:
        return self.keeper() is not None

    def agent(self) -> _Process | None:
        keeper, pid = self.keeper(), self._read("agent")
        process = _process(int(pid)) if keeper and pid.endswith("\n") and pid.strip().isdecimal() and len(pid) < 12 else None
        return process if process and keeper and process.group == keeper.pid else None

    def state(self) -> ContainerState:
        if self.started() is None:
            return ContainerState.CREATED
        if not self.runs():
            return ContainerState.EXITED
        agent = self.agent()
        return ContainerState.PAUSED if agent is not None and agent.state in "Tt" else ContainerState.RUNNING

    def container(self) -> Container | None:
        try:
            created_at = self.path.stat().st_ctime
            state = self.state()
            healthy = self._healthy()
            log = self.path / "log"
            if log.exists() and log.stat().st_size > _LOG_LIMIT:
                os.truncate(log, 0)  # it is open for appending, so what is written next begins at 0
        except FileNotFoundError:
            return None  # removed meanwhile
        exit_code = self._exit_code() if state is ContainerState.EXITED else None
        return Container(
            id=str(self.path),
            session_id=self.session_id,
            attempt=self.number,
            state=state,
            exit_code=exit_code,
            healthy=healthy,
            created_at=created_at,
            detail=refused_field(self._end_of_log()) if exit_code == Ending.BAD_JOB else "",
        )

    def pidfd(self) -> int | None:
        """A pidfd of the first process, readable when it ends; None: it has ended."""
        keeper = self.keeper()
        try:
            return None if keeper is None else os.pidfd_open(keeper.pid)
        except ProcessLookupError:
            return None

    def terminate(self) -> None:
        agent = self.agent()
        if agent is not None:
            _signal(agent.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kills the whole process group, including what a killed agent has left running."""
        started = self.started()
        if started is None:
            return
        leader = _process(started.pid)
        # The kernel does not reuse the group's number as long as any process of it exists.
        if leader is None or leader.started == started.started:
            _signal(-started.pid, signal.SIGKILL)

    def _exit_code(self) -> int:
        code = self._read("exit").strip()
        if not (code.isascii() and code.isdecimal() and len(code) <= 3):
            return 128 + signal.SIGKILL  # the first process was killed before it could write the code
        return int(code)

    def _end_of_log(self) -> str:
        try:
            with (self.path / "log").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _REFUSAL_BYTES))
                return log.read(_REFUSAL_BYTES).decode(errors="replace")
        except FileNotFoundError:
            return ""

    def _healthy(self) -> bool | None:
        try:
            return time.time() - (self.path / "healthy").stat().st_mtime < _SILENT_S
        except FileNotFoundError:
            return None

    def _read(self, name: str) -> str:
        try:
            with (self.path / name).open(errors="replace") as file:
                return file.read(_FILE_LIMIT)
        except FileNotFoundError:
            return ""


def _inheritable() -> list[int]:
    """File descriptors that this process has inherited and would pass on: a reader of their other end would wait until the
    attempt ends."""
    inheritable = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile
            if int(name) > 2 and os.get_inheritable(int(name)):
                inheritable.append(int(name))
    return inheritable


def _process(pid: int) -> _Process | None:
    try:
        return _parse(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def _parse(stat: str) -> _Process | None:
    if not stat.endswith("\n"):
        return None  # half written
    fields = stat.rpartition(")")[2].split()
    return _Process(int(stat.split(maxsplit=1)[0]), state=fields[0], group=int(fields[2]), started=fields[19])


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass  # it was started by an earlier orchestrator
