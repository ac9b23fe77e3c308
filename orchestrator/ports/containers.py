"""What runs attempts: an engine, or child processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from msgspec import Struct

from orchestrator.core.model import Container


class Launch(Struct, frozen=True, kw_only=True):
    """All that a runtime needs to run one attempt."""

    session_id: str
    attempt: int
    job: str  # the agent's job, JSON (docs/agent.md)
    gives_way: bool = False  # to every other attempt, where they compete for the machine


class ContainerEvent(Struct, frozen=True):
    """Something happened to this session's container: look at it."""

    session_id: str
    attempt: int


class EngineReport(Struct, frozen=True, kw_only=True):
    """What an engine says of itself and of the transcoder image."""

    clock_skew_s: float | None = None  # its clock ahead of ours; None: it is ours
    image_revision: str | None = None  # None: the image has no such label, or there is no image
    directory: str | None = None  # where it keeps images and containers, on its own machine


class ContainerRuntime(Protocol):
    """Runs attempts. The name of a container is `{deployment}-{session}-{attempt}`; its labels carry all three."""

    @property
    def kind(self) -> str:
        """As `FAILOVER_RUNTIME` names it."""

    async def start(self, launch: Launch) -> None:
        """Create and start; a no-op where it runs already. Raises EngineUnavailable, ImageMissing."""

    async def stop(self, session_id: str, attempt: int, grace_s: float) -> None:
        """SIGTERM, `grace_s` later SIGKILL, then remove; a no-op where there is none. Raises EngineUnavailable."""

    async def containers(self, session_id: str | None = None) -> tuple[Container, ...]:
        """This deployment's containers, of one session or of all, running or not. Raises EngineUnavailable."""

    def events(self) -> AsyncIterator[ContainerEvent]:
        """Follows starts, deaths, pauses and health changes until it breaks (EngineUnavailable) or is closed."""

    async def check(self) -> None:
        """Raises EngineUnavailable or ImageMissing where `start` could not work."""

    async def examine(self) -> EngineReport:
        """Raises EngineUnavailable, ImageMissing."""

    async def close(self) -> None: ...
