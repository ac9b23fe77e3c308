"""Runs a whole deployment on one machine: embedded servers where the settings name none, the migrated database, and the API
and the orchestrator as supervised child processes.

API and orchestrator are separate processes so that one can crash and restart without the other. An embedded store ends with
the deployment, so the sessions' containers are stopped too; their rows stay, and the next start in the same data directory
continues these sessions.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from failover import data_directory
from failover.embedded.server_process import ServerProcess, answers
from failover.embedded.servers import EmbeddedServers
from orchestrator.app.runtime import open_runtime
from orchestrator.app.settings import Settings, derived, environ_of, replaced
from orchestrator.errors import FailoverError
from orchestrator.migrations import upgrade
from orchestrator.ports import ContainerRuntime

log = logging.getLogger(__name__)


class LocalDeployment:
    """An async context manager. While it is open, `settings` are complete and `runtime` names the container runtime in use.

    `port` is the API's. None: the settings' port if it is free, else a free port that the kernel chooses. Raises FailoverError
    where a given port is taken or a server does not start, BadSetting for settings that cannot be used.
    """

    def __init__(self, settings: Settings, data_dir: Path, *, port: int | None = None) -> None:
        self.settings = settings
        self.runtime = ""
        self.api: ServerProcess
        self.orchestrator: ServerProcess
        self._data_dir = data_dir.absolute()
        self._port = port
        self._exits = contextlib.AsyncExitStack()

    @property
    def api_url(self) -> str:
        return self.settings.public_url or f"http://{self.settings.host}:{self.settings.port}"

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    async def _open(self) -> None:
        own_store = self.settings.s3_endpoint is None
        settings = await self._exits.enter_async_context(EmbeddedServers(self.settings, self._data_dir))
        settings = derived(replaced(settings, port=self._choose_port(settings)))
        if settings.deployment == Settings().deployment:
            # Each data directory is a deployment of its own, so that two of them on one engine do not share containers.
            digest = hashlib.sha256(os.fsencode(self._data_dir)).hexdigest()[:8]
            settings = replaced(settings, deployment=f"failover-{digest}")
        runtime = await open_runtime(settings)
        self._exits.push_async_callback(runtime.close)
        self.runtime = runtime.kind
        settings = replaced(settings, runtime=runtime.kind)
        if own_store:
            self._exits.push_async_callback(_stop_containers, runtime)
        assert settings.database_url is not None
        await asyncio.to_thread(upgrade, settings.database_url)
        self.settings = settings
        data_directory.save(settings, self._data_dir)
        self.api = self._process("api", lambda: answers(settings.port, b"GET /healthz HTTP/1.0\r\n\r\n", b" 200 "))
        self.orchestrator = self._process("orchestrator", _at_once)
        for process in (self.api, self.orchestrator):
            self._exits.push_async_callback(process.stop)
        await asyncio.gather(self.api.start(), self.orchestrator.start())
        for process in (self.api, self.orchestrator):
            await self._exits.enter_async_context(process.kept())

    def _process(self, name: str, ready: Callable[[], Awaitable[bool]]) -> ServerProcess:
        environ = {variable: value for variable, value in os.environ.items() if not variable.startswith("FAILOVER_")}
        return ServerProcess(
            f"the {name}",
            [sys.executable, "-m", "failover", name],
            directory=self._data_dir,
            log_file=self._data_dir / "logs" / f"{name}.log",
            ready=ready,
            environ={**environ, **environ_of(self.settings)},
            stop_limit_s=8.0,
        )

    def _choose_port(self, settings: Settings) -> int:
        if self._port is not None:
            if not _is_free(settings.host, self._port):
                raise FailoverError(f"port {self._port} of {settings.host} is taken: choose another with --port")
            return self._port
        if _is_free(settings.host, settings.port) and self._claims(settings.port):
            return settings.port
        with socket.socket() as probe:
            probe.bind((settings.host, 0))
            return int(probe.getsockname()[1])

    def _claims(self, port: int) -> bool:
        """Reserve the port among deployments that start now: False where another one has it. The API binds the port only
        seconds later. The reservation is an abstract Unix socket (unix(7)), which ends with this process."""
        claim = socket.socket(socket.AF_UNIX)
        self._exits.callback(claim.close)
        try:
            claim.bind(f"\0hls-failover-port-{port}")
        except OSError:
            return False
        return True


async def _at_once() -> bool:
    return True


async def _stop_containers(runtime: ContainerRuntime) -> None:
    with contextlib.suppress(FailoverError):
        containers = await runtime.containers()
        await asyncio.gather(*(runtime.stop(each.session_id, each.attempt, 1.0) for each in containers))


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
