"""What the container runtimes of the contract run on, and the means to do to a container what befalls containers."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import docker
from docker.errors import APIError
from docker.utils import kwargs_from_env

from orchestrator.adapters.docker.runtime import DockerRuntime
from orchestrator.adapters.process.attempt_directory import AttemptDirectory
from orchestrator.adapters.process.runtime import ProcessRuntime
from orchestrator.app.settings import Settings
from orchestrator.ports import ContainerRuntime, Launch
from tests.fakes.runtime import FakeEngine, FakeRuntime

# The stand-in for the agent runs its job as a shell script. "ready": the signal will be heard as it says.
RUN = "trap 'kill $!; exit 0' TERM; echo ready; sleep 600 & wait"
IGNORE_TERM = "trap '' TERM; echo ready; while :; do sleep 600; done"
STANDIN = f"hls-failover-standin:{os.getpid()}"  # of this test session alone
_STANDIN_DOCKERFILE = b"""
ARG IMAGE
FROM $IMAGE
HEALTHCHECK --interval=1s --retries=1 CMD ["/usr/bin/test", "-e", "/tmp/healthy"]
ENTRYPOINT ["/usr/bin/tini", "--", "/bin/sh", "-c", "eval \\"$TRANSCODER_JOB\\""]
"""


class Engine(Protocol):
    """One engine under test."""

    def runtime(self, deployment: str = "") -> ContainerRuntime:
        """A runtime of its own, as a second orchestrator would have; the deployment's name is made the test's own."""

    def kill(self, session_id: str, attempt: int) -> None:
        """SIGKILL to the agent."""

    def pause(self, session_id: str, attempt: int) -> None: ...

    def unpause(self, session_id: str, attempt: int) -> None: ...

    def log(self, session_id: str, attempt: int) -> str:
        """What the agent has said."""


class FakeEngines:
    def __init__(self) -> None:
        self._engine = FakeEngine()

    def runtime(self, deployment: str = "") -> ContainerRuntime:
        return _Scripted(f"test{deployment}", self._engine)

    def kill(self, session_id: str, attempt: int) -> None:
        FakeRuntime("test", self._engine).die(session_id, attempt, 137)

    def pause(self, session_id: str, attempt: int) -> None:
        FakeRuntime("test", self._engine).pause(session_id, attempt)

    def unpause(self, session_id: str, attempt: int) -> None:
        FakeRuntime("test", self._engine).unpause(session_id, attempt)

    def log(self, session_id: str, attempt: int) -> str:
        return "ready"


class _Scripted(FakeRuntime):
    """Obeys the stand-in's scripts as far as the contract uses them."""

    async def start(self, launch: Launch) -> None:
        code = re.search(r"exit (\d+)$", launch.job)
        if code:
            self.will_exit(launch.session_id, launch.attempt, int(code[1]))
        self.deaf = self.deaf or launch.job == IGNORE_TERM
        await super().start(launch)


class Processes:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def runtime(self, deployment: str = "") -> ProcessRuntime:
        agent = ("/bin/sh", "-c", 'eval "$TRANSCODER_JOB"')
        return ProcessRuntime(Settings(deployment=f"test{deployment}"), directory=self.directory, agent=agent)

    def attempt(self, session_id: str, attempt: int) -> AttemptDirectory:
        return AttemptDirectory(self.directory / "test" / f"{session_id}-{attempt}")

    def kill(self, session_id: str, attempt: int) -> None:
        self._signal(session_id, attempt, signal.SIGKILL)

    def pause(self, session_id: str, attempt: int) -> None:
        self._signal(session_id, attempt, signal.SIGSTOP)

    def unpause(self, session_id: str, attempt: int) -> None:
        self._signal(session_id, attempt, signal.SIGCONT)

    def log(self, session_id: str, attempt: int) -> str:
        return (self.attempt(session_id, attempt).path / "log").read_text()

    def _signal(self, session_id: str, attempt: int, number: signal.Signals) -> None:
        agent = self.attempt(session_id, attempt).agent()
        assert agent is not None
        os.kill(agent.pid, number)

    def close(self) -> None:
        for path in self.directory.glob("*/*-*"):
            AttemptDirectory(path).kill()


class Containers:
    """The real engine, with an image that runs scripts. Deployments' names are this test's own."""

    def __init__(self, client: docker.APIClient) -> None:
        self.client = client
        self.deployment = f"test{uuid.uuid4().hex[:8]}"

    def settings(self, deployment: str = "", image: str = STANDIN) -> Settings:
        return Settings(deployment=f"{self.deployment}{deployment}", transcoder_image=image, docker_pool=2)

    def runtime(self, deployment: str = "") -> DockerRuntime:
        return DockerRuntime(self.settings(deployment))

    def name(self, session_id: str, attempt: int) -> str:
        return f"{self.deployment}-{session_id}-{attempt}"

    def kill(self, session_id: str, attempt: int) -> None:
        self.client.kill(self.name(session_id, attempt), "SIGKILL")

    def pause(self, session_id: str, attempt: int) -> None:
        self.client.pause(self.name(session_id, attempt))

    def unpause(self, session_id: str, attempt: int) -> None:
        self.client.unpause(self.name(session_id, attempt))

    def log(self, session_id: str, attempt: int) -> str:
        return self.client.logs(self.name(session_id, attempt)).decode()

    def close(self) -> None:
        for each in self.client.containers(all=True, filters={"name": self.deployment}):
            with contextlib.suppress(APIError):
                self.client.remove_container(each["Id"], force=True)


@contextlib.contextmanager
def standin_image(client: docker.APIClient, image: str) -> Iterator[None]:
    log = client.build(fileobj=io.BytesIO(_STANDIN_DOCKERFILE), tag=STANDIN, buildargs={"IMAGE": image}, rm=True, decode=True)
    for line in log:
        assert "error" not in line, line["error"]
    yield
    client.remove_image(STANDIN, force=True)


@contextlib.contextmanager
def docker_client() -> Iterator[docker.APIClient]:
    client = docker.APIClient(**kwargs_from_env(), version="auto", timeout=20)
    try:
        yield client
    finally:
        client.close()
