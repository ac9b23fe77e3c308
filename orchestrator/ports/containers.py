"""Container runtime: what runs attempts, as containers or as child processes."""

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
    gives_way: bool = False  # it gets less CPU than other attempts where they compete for it


class ContainerEvent(Struct, frozen=True):
    """Something has happened to this attempt's container."""

    session_id: str
    attempt: int


class EngineReport(Struct, frozen=True, kw_only=True):
    """What the engine reports about itself and about the transcoder image."""

    clock_skew_s: float | None = None  # how far its clock is ahead of ours; None: it is the same clock
    image_revision: str | None = None  # None: the image has no such label, or there is no image
    directory: str | None = None  # where the engine stores images and containers, on its own machine


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
        """Yields starts, deaths, pauses and health changes, until the stream breaks (EngineUnavailable) or is closed."""

    async def check(self) -> None:
        """Raises EngineUnavailable or ImageMissing where `start` would fail."""

    async def contract(self) -> int:
        """The version of the contract (`transcoder.job.CONTRACT`) that the agent understands which `start` would run now.
        Raises EngineUnavailable, ImageMissing."""

    async def examine(self) -> EngineReport:
        """Raises EngineUnavailable, ImageMissing."""

    async def close(self) -> None: ...
