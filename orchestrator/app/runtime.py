"""Which runtime runs the sessions: containers where an engine answers; else child processes, for trying and developing."""

from __future__ import annotations

import logging

from orchestrator.app.settings import Settings
from orchestrator.errors import EngineUnavailable, ImageMissing
from orchestrator.ports import ContainerRuntime

log = logging.getLogger(__name__)


async def open_runtime(settings: Settings) -> ContainerRuntime:
    """As `FAILOVER_RUNTIME` says; where it says nothing, what works. Never fails: a missing engine may come back."""
    from orchestrator.adapters.docker.runtime import DockerRuntime
    from orchestrator.adapters.process.runtime import ProcessRuntime

    if settings.runtime == "process":
        return ProcessRuntime(settings)
    docker = DockerRuntime(settings)
    if settings.runtime == "docker":
        return docker
    try:
        await docker.check()
    except (EngineUnavailable, ImageMissing) as error:
        await docker.close()
        log.warning("no container runtime (%s): sessions run as child processes; for trying and developing only", error)
        return ProcessRuntime(settings)
    return docker
