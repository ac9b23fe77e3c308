"""A container engine in memory: does as told, and fails as told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec

from orchestrator.core.model import Container, ContainerState
from orchestrator.errors import EngineUnavailable, ImageMissing
from orchestrator.ports import ContainerEvent, EngineReport, Launch
from transcoder.job import CONTRACT


class FakeEngine:
    """What runtimes share that talk to the same engine: all deployments' containers, and who listens."""

    def __init__(self) -> None:
        self.containers: dict[tuple[str, str, int], Container] = {}  # deployment, session, attempt
        self.listeners: dict[asyncio.Queue[ContainerEvent | None], str] = {}

    def change(self, key: tuple[str, str, int], container: Container | None) -> None:
        if container is None:
            del self.containers[key]
        else:
            self.containers[key] = container
        for queue, deployment in self.listeners.items():
            if deployment == key[0]:
                queue.put_nowait(ContainerEvent(key[1], key[2]))


class FakeRuntime:
    """`ports.ContainerRuntime`. Switches: `unavailable` (nothing answers), `refusing` (starts fail, with these words),
    `image_missing`, `deaf` (SIGTERM is ignored), `agents_contract`. What happened: `launches`, `stops`."""

    kind = "fake"

    def __init__(self, deployment: str = "test", engine: FakeEngine | None = None) -> None:
        self.deployment = deployment
        self.engine = engine or FakeEngine()
        self.unavailable = False
        self.refusing = ""
        self.image_missing = False
        self.deaf = False
        self.report = EngineReport()
        self.agents_contract = CONTRACT
        self.launches: list[Launch] = []
        self.stops: list[tuple[str, int, float]] = []
        self._exits: dict[tuple[str, int], int] = {}

    # --- the port -----------------------------------------------------------------------------------------------------

    async def start(self, launch: Launch) -> None:
        self._answer()
        if self.image_missing:
            raise ImageMissing("the engine has no such image")
        if self.refusing:
            raise EngineUnavailable(self.refusing)
        key = (self.deployment, launch.session_id, launch.attempt)
        if key in self.engine.containers:
            return
        self.launches.append(launch)
        container = Container(
            id="-".join(map(str, key)),
            session_id=launch.session_id,
            attempt=launch.attempt,
            state=ContainerState.RUNNING,
            created_at=time.time(),
        )
        self.engine.change(key, container)
        code = self._exits.pop((launch.session_id, launch.attempt), None)
        if code is not None:
            self.die(launch.session_id, launch.attempt, code)

    async def stop(self, session_id: str, attempt: int, grace_s: float) -> None:
        self._answer()
        self.stops.append((session_id, attempt, grace_s))
        key = (self.deployment, session_id, attempt)
        found = self.engine.containers.get(key)
        if found is None:
            return
        if self.deaf and found.state is ContainerState.RUNNING:
            await asyncio.sleep(grace_s)
        self.engine.change(key, None)

    async def containers(self, session_id: str | None = None) -> tuple[Container, ...]:
        self._answer()
        return tuple(
            container
            for (deployment, session, _), container in self.engine.containers.items()
            if deployment == self.deployment and session_id in (None, session)
        )

    def events(self) -> AsyncIterator[ContainerEvent]:
        queue: asyncio.Queue[ContainerEvent | None] = asyncio.Queue()
        self.engine.listeners[queue] = self.deployment
        return self._events(queue)

    async def _events(self, queue: asyncio.Queue[ContainerEvent | None]) -> AsyncIterator[ContainerEvent]:
        try:
            self._answer()
            while True:
                event = await queue.get()
                if event is None:
                    raise EngineUnavailable("the event stream has ended")
                yield event
        finally:
            del self.engine.listeners[queue]

    async def check(self) -> None:
        self._answer()
        if self.image_missing:
            raise ImageMissing("the engine has no such image")

    async def contract(self) -> int:
        await self.check()
        return self.agents_contract

    async def examine(self) -> EngineReport:
        await self.check()
        return self.report

    async def close(self) -> None:
        pass

    def _answer(self) -> None:
        if self.unavailable:
            raise EngineUnavailable("no engine answers")

    # --- what happens -------------------------------------------------------------------------------------------------

    def die(self, session_id: str, attempt: int, exit_code: int, *, oom_killed: bool = False) -> None:
        self._change(session_id, attempt, state=ContainerState.EXITED, exit_code=exit_code, oom_killed=oom_killed, healthy=None)

    def will_exit(self, session_id: str, attempt: int, exit_code: int) -> None:
        """As soon as it is started."""
        self._exits[session_id, attempt] = exit_code

    def pause(self, session_id: str, attempt: int) -> None:
        self._change(session_id, attempt, state=ContainerState.PAUSED)

    def unpause(self, session_id: str, attempt: int) -> None:
        self._change(session_id, attempt, state=ContainerState.RUNNING)

    def set_health(self, session_id: str, attempt: int, healthy: bool | None) -> None:
        self._change(session_id, attempt, healthy=healthy)

    def vanish(self, session_id: str, attempt: int) -> None:
        """Removed by somebody else."""
        self.engine.change((self.deployment, session_id, attempt), None)

    def break_events(self) -> None:
        for queue in self.engine.listeners:
            queue.put_nowait(None)

    def running(self, session_id: str) -> list[int]:
        """The numbers of the attempts that run."""
        return sorted(
            attempt
            for (deployment, session, attempt), container in self.engine.containers.items()
            if (deployment, session) == (self.deployment, session_id) and container.state is ContainerState.RUNNING
        )

    def _change(self, session_id: str, attempt: int, **changes: object) -> None:
        key = (self.deployment, session_id, attempt)
        self.engine.change(key, msgspec.structs.replace(self.engine.containers[key], **changes))
