"""Everything, on one machine: embedded servers where the settings name none, the migrated database, and the API and the
orchestrator as child processes, so that each can die without the other and come back.

Where the store is embedded it ends with the stack, so the sessions' containers are stopped too; their rows stay, and the next
start in the same data directory takes them up again.
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

from failover import data_dir as stacks
from failover.embedded import Embedded
from failover.server_process import ServerProcess, answers
from orchestrator.app.runtime import open_runtime
from orchestrator.app.settings import Settings, derived, environ_of, replaced
from orchestrator.errors import FailoverError
from orchestrator.migrations import upgrade
from orchestrator.ports import ContainerRuntime

log = logging.getLogger(__name__)


class Stack:
    """`settings` are complete while it is open. `port` None: the settings' where it is free, else any that is."""

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
        settings = await self._exits.enter_async_context(Embedded(self.settings, self._data_dir))
        settings = derived(replaced(settings, port=self._choose_port(settings)))
        if settings.deployment == Settings().deployment:
            # Two data directories on one engine must not take each other's containers for their own.
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
        stacks.save(settings, self._data_dir)
        self.api = self._part("api", lambda: answers(settings.port, b"GET /healthz HTTP/1.0\r\n\r\n", b" 200 "))
        self.orchestrator = self._part("orchestrator", _at_once)
        for part in (self.api, self.orchestrator):
            self._exits.push_async_callback(part.stop)
        await asyncio.gather(self.api.start(), self.orchestrator.start())
        for part in (self.api, self.orchestrator):
            keeping = asyncio.create_task(part.keep(), name=f"keep-{part.name}")
            self._exits.push_async_callback(_cancelled, keeping)

    def _part(self, name: str, ready: Callable[[], Awaitable[bool]]) -> ServerProcess:
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
        """Keeps other stacks that start now from the port: our API takes it only seconds later, and until then theirs would
        answer for it. An abstract socket (unix(7)) goes with its process."""
        claim = socket.socket(socket.AF_UNIX)
        self._exits.callback(claim.close)
        try:
            claim.bind(f"\0hls-failover-port-{port}")
        except OSError:
            return False
        return True


async def _at_once() -> bool:
    return True


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


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
