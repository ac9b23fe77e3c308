"""Chooses the runtime for sessions: containers where an engine answers; else child processes, for development only."""

from __future__ import annotations

import logging

from orchestrator.app.settings import Settings
from orchestrator.errors import EngineUnavailable, ImageMissing
from orchestrator.ports import ContainerRuntime

log = logging.getLogger(__name__)


async def open_runtime(settings: Settings) -> ContainerRuntime:
    """The runtime that `FAILOVER_RUNTIME` names, or, where it is not set, the one that works. Does not fail where the engine
    does not answer, because it may answer later."""
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
        log.warning("no container runtime (%s): sessions run as child processes, which is for development only", error)
        return ProcessRuntime(settings)
    return docker
