"""Container runtime on a Docker engine: starts, stops, lists and follows this deployment's containers.

Rule: every operation is idempotent. A container is found again by its name, so a call whose reply was lost can be repeated.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.types import LogConfig

from orchestrator.adapters.docker.containers import read_containers
from orchestrator.adapters.docker.engine import LABEL, DockerEngine
from orchestrator.adapters.docker.event_feed import EngineEventFeed
from orchestrator.app.settings import Settings
from orchestrator.core.model import Container
from orchestrator.errors import EngineUnavailable
from orchestrator.ports import ContainerEvent, EngineReport, Launch
from transcoder import bucket

_CPU_SHARES = 1024  # the engine's own default
_CPU_SHARES_WHERE_IT_GIVES_WAY = 64
_REVISION_LABEL = f"{LABEL}.revision"
_CONTRACT_LABEL = f"{LABEL}.contract"
_FIRST_CONTRACT = 1  # that of an image without the label


class DockerRuntime:
    """`ports.ContainerRuntime` on the engine that DOCKER_HOST names, or the one at the usual socket."""

    kind = "docker"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = DockerEngine(settings.docker_pool, settings.transcoder_image)

    async def start(self, launch: Launch) -> None:
        await self._engine.call(lambda client: self._start(client, launch))

    async def stop(self, session_id: str, attempt: int, grace_s: float) -> None:
        name = self._name(session_id, attempt)
        deadline = time.monotonic() + grace_s
        pause_s = 0.02
        # No thread is held while it waits, so that stops that take long do not delay starts.
        running = await self._engine.call(lambda client: _terminate(client, name))
        while running and time.monotonic() < deadline:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.2)
            running = await self._engine.call(lambda client: _is_running(client, name))
        await self._engine.call(lambda client: _remove(client, name))

    async def containers(self, session_id: str | None = None) -> tuple[Container, ...]:
        labels = [f"{LABEL}.deployment={self._settings.deployment}"]
        if session_id is not None:
            labels.append(f"{LABEL}.session={session_id}")
        return await self._engine.call(lambda client: read_containers(client, labels, closely=session_id is not None))

    def events(self) -> AsyncIterator[ContainerEvent]:
        # Events from this moment on, not from when the engine has answered: none is lost in between.
        return self._events(since=time.time())

    async def check(self) -> None:
        image = self._settings.transcoder_image

        def check(client: docker.APIClient) -> None:
            client.ping()
            client.inspect_image(image)  # type: ignore[no-untyped-call]

        await self._engine.call(check)

    async def contract(self) -> int:
        """Read from the image's label each time: a tag is moved to another image while the orchestrator runs."""
        image = self._settings.transcoder_image

        def contract(client: docker.APIClient) -> int:
            labels = client.inspect_image(image)["Config"]["Labels"] or {}  # type: ignore[no-untyped-call]
            return max(_FIRST_CONTRACT, bucket.natural(str(labels.get(_CONTRACT_LABEL, ""))))

        return await self._engine.call(contract)

    async def examine(self) -> EngineReport:
        image = self._settings.transcoder_image

        def examine(client: docker.APIClient) -> EngineReport:
            asked_at = time.time()
            info = client.info()
            skew_s = datetime.fromisoformat(info["SystemTime"]).timestamp() - (asked_at + time.time()) / 2
            labels = client.inspect_image(image)["Config"]["Labels"] or {}  # type: ignore[no-untyped-call]
            return EngineReport(
                clock_skew_s=skew_s, image_revision=labels.get(_REVISION_LABEL), directory=info.get("DockerRootDir")
            )

        return await self._engine.call(examine)

    async def close(self) -> None:
        await self._engine.close()

    # --- one container ------------------------------------------------------------------------------------------------

    def _name(self, session_id: str, attempt: int) -> str:
        return f"{self._settings.deployment}-{session_id}-{attempt}"

    def _start(self, client: docker.APIClient, launch: Launch) -> None:
        name = self._name(launch.session_id, launch.attempt)
        try:
            client.create_container(
                self._settings.transcoder_image,
                name=name,
                environment={"TRANSCODER_JOB": launch.job},
                labels={
                    f"{LABEL}.deployment": self._settings.deployment,
                    f"{LABEL}.session": launch.session_id,
                    f"{LABEL}.attempt": str(launch.attempt),
                },
                host_config=self._host_config(client, launch),
            )
        except APIError as error:
            if error.status_code != 409:
                raise
            # It was created before: the reply was lost, or the orchestrator was restarted. An attempt that has ended is not
            # started again, because a segment's key is written once.
            if client.inspect_container(name)["State"]["Status"] != "created":
                return
        client.start(name)

    def _host_config(self, client: docker.APIClient, launch: Launch) -> dict[str, Any]:
        settings = self._settings
        return client.create_host_config(
            network_mode=settings.docker_network,
            # A decoder that has been taken over by what it decodes can write nothing and gain no privilege.
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            tmpfs={"/tmp": "rw,noexec,nosuid,nodev,size=16m,mode=1777"},  # noqa: S108 - the container's
            # No shared memory: nothing uses it, and one mount less starts faster.
            ipc_mode="none",
            mem_limit=f"{settings.container_memory_mb}m",
            memswap_limit=f"{settings.container_memory_mb}m",
            nano_cpus=int(settings.container_cpus * 1e9),
            # Shares count only where containers compete for the CPU.
            cpu_shares=_CPU_SHARES_WHERE_IT_GIVES_WAY if launch.gives_way else _CPU_SHARES,
            pids_limit=256,
            # The agent uploads its log itself; this copy is for containers that could not.
            log_config=LogConfig(type="local", config={"max-size": "1m", "max-file": "1", "compress": "false"}),
            # Restarting is the orchestrator's decision.
            restart_policy={"Name": "no"},
        )

    # --- events -------------------------------------------------------------------------------------------------------

    async def _events(self, since: float) -> AsyncIterator[ContainerEvent]:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[ContainerEvent | EngineUnavailable] = asyncio.Queue()
        feed = EngineEventFeed(self._settings.deployment, since, lambda item: loop.call_soon_threadsafe(queue.put_nowait, item))
        feed.start()
        try:
            while True:
                item = await queue.get()
                if isinstance(item, EngineUnavailable):
                    raise item
                yield item
        finally:
            feed.close()


def _terminate(client: docker.APIClient, name: str) -> bool:
    """Whether there is something to wait for. A paused container receives no signal."""
    try:
        client.kill(name, "SIGTERM")
    except APIError as error:
        if error.status_code in (404, 409):  # gone; or not running, or paused
            return False
        raise
    return True


def _is_running(client: docker.APIClient, name: str) -> bool:
    try:
        return bool(client.inspect_container(name)["State"]["Running"])
    except NotFound:
        return False


def _remove(client: docker.APIClient, name: str) -> None:
    try:
        client.remove_container(name, force=True, v=True)
    except APIError as error:
        if error.status_code not in (404, 409):  # gone, or going
            raise
