"""The running attempts of a deployment as the machine sees them: containers or process groups, their agents, their FFmpegs.

What befalls them here, befalls them from outside: signals to processes by their ids, the engine's own commands.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import docker
from docker.errors import APIError, NotFound
from docker.utils import kwargs_from_env

_JOB = "TRANSCODER_JOB"
_HEALTH_FILE = "TRANSCODER_HEALTH_FILE"


class Attempt(NamedTuple):
    session_id: str
    number: int


class Attempts(Protocol):
    """One deployment's."""

    def all(self) -> list[Attempt]:
        """Running or not: what is left over counts."""

    def of(self, session_id: str) -> list[Attempt]: ...

    def kill(self, attempt: Attempt) -> None:
        """All of it at once."""

    def pause(self, attempt: Attempt) -> None: ...

    def unpause(self, attempt: Attempt) -> None: ...

    def exit_code(self, attempt: Attempt) -> int | None:
        """None while it runs, or where there is none."""

    def remove_all(self) -> None: ...


def attempts_of(runtime: str, deployment: str) -> Attempts:
    return Containers(deployment) if runtime == "docker" else Processes(deployment)


def agent_pid(attempt: Attempt) -> int:
    """The agent's process, in a container or not. LookupError where it does not run."""
    for pid, found in _agents():
        if found == attempt:
            return pid
    raise LookupError(f"no agent of {attempt}")


def ffmpeg_pid(attempt: Attempt) -> int:
    """The agent's FFmpeg. LookupError where it does not run."""
    agent = agent_pid(attempt)
    for child in Path(f"/proc/{agent}/task/{agent}/children").read_text().split():
        if Path(f"/proc/{child}/comm").read_text().startswith("ffmpeg"):
            return int(child)
    raise LookupError(f"no FFmpeg of {attempt}")


class Containers:
    """On the Docker engine."""

    def __init__(self, deployment: str) -> None:
        self._deployment = deployment

    def all(self) -> list[Attempt]:
        return self._listed(f"hls-failover.deployment={self._deployment}")

    def of(self, session_id: str) -> list[Attempt]:
        return self._listed(f"hls-failover.deployment={self._deployment}", f"hls-failover.session={session_id}")

    def kill(self, attempt: Attempt) -> None:
        with _engine() as engine:
            engine.kill(self._name(attempt))

    def pause(self, attempt: Attempt) -> None:
        with _engine() as engine:
            engine.pause(self._name(attempt))

    def unpause(self, attempt: Attempt) -> None:
        with _engine() as engine:
            engine.unpause(self._name(attempt))

    def exit_code(self, attempt: Attempt) -> int | None:
        with _engine() as engine, contextlib.suppress(NotFound):
            state = engine.inspect_container(self._name(attempt))["State"]
            return None if state["Running"] else int(state["ExitCode"])
        return None

    def remove_all(self) -> None:
        with _engine() as engine:
            for attempt in self.all():
                with contextlib.suppress(APIError):
                    engine.remove_container(self._name(attempt), force=True)

    def _name(self, attempt: Attempt) -> str:
        return f"{self._deployment}-{attempt.session_id}-{attempt.number}"

    def _listed(self, *labels: str) -> list[Attempt]:
        with _engine() as engine:
            found = engine.containers(all=True, filters={"label": list(labels)})
        return [Attempt(each["Labels"]["hls-failover.session"], int(each["Labels"]["hls-failover.attempt"])) for each in found]


class Processes:
    """Child processes, each attempt in a process group of its own; found by their agents."""

    def __init__(self, deployment: str) -> None:
        self._deployment = deployment

    def all(self) -> list[Attempt]:
        return [attempt for _, attempt in _agents(f"/{self._deployment}/")]

    def of(self, session_id: str) -> list[Attempt]:
        return [attempt for attempt in self.all() if attempt.session_id == session_id]

    def kill(self, attempt: Attempt) -> None:
        os.killpg(os.getpgid(agent_pid(attempt)), signal.SIGKILL)

    def pause(self, attempt: Attempt) -> None:
        os.kill(agent_pid(attempt), signal.SIGSTOP)

    def unpause(self, attempt: Attempt) -> None:
        os.kill(agent_pid(attempt), signal.SIGCONT)

    def exit_code(self, attempt: Attempt) -> int | None:
        raise NotImplementedError

    def remove_all(self) -> None:
        for attempt in self.all():
            with contextlib.suppress(LookupError, ProcessLookupError):
                self.kill(attempt)


@contextlib.contextmanager
def _engine() -> Iterator[docker.APIClient]:
    with contextlib.closing(docker.APIClient(**kwargs_from_env(), version="auto", timeout=20)) as client:
        yield client


def _agents(directory: str = "") -> list[tuple[int, Attempt]]:
    """Every agent that runs on this machine, by its job; `directory`: those alone whose health file lies there."""
    found = []
    for path in Path("/proc").iterdir():
        if not path.name.isdecimal():
            continue
        try:
            name = (path / "comm").read_text()
            pairs = (each.partition("=") for each in (path / "environ").read_text().split("\0"))
        except (OSError, ValueError):
            continue  # it has ended meanwhile, or is somebody else's
        variables = {variable: value for variable, _, value in pairs}
        if not name.startswith("python") or _JOB not in variables:
            continue  # its container's init and its keeper have the same environment
        if directory in variables.get(_HEALTH_FILE, ""):
            job = json.loads(variables[_JOB])
            found.append((int(path.name), Attempt(job["session"], job["attempt"])))
    return found
