"""Probes that a person has asked for. Law: they are made here, where providers' connections are counted, and nowhere else.

What is asked for is read from rows (law 1): a nudge makes the look come now, the job finds what a nudge has lost, and what was
asked while nobody was there. A probe waits its turn behind other probes, which end; behind sessions it waits a moment, and is
then refused, which says nothing about its source.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from orchestrator.app.settings import Settings
from orchestrator.control.connection_inventory import Census
from orchestrator.control.connection_ledger import Connections
from orchestrator.control.interpreter import Interpreter
from orchestrator.core.model import Source
from orchestrator.errors import BusUnavailable, EngineUnavailable, Temporary
from orchestrator.ports import EventBus, Probes

log = logging.getLogger(__name__)

PATIENCE_S: Final = 2.0  # for a connection that sessions hold
_AT_ONCE = 8  # a hung source holds its place for seconds; new sessions' probes must not queue behind all of them
_SLOW_S = 25.0  # a playlist that must be seen to advance may take so long, and there may be one probe in the way


def answer_limit_s(settings: Settings) -> float:
    """Who has waited so long for a probe that an orchestrator knows of is far behind in its queue."""
    return settings.probe_timeout_s + _SLOW_S


class AskedProbes:
    """`tell` is called with each source whose probe has news."""

    def __init__(
        self,
        probes: Probes,
        interpreter: Interpreter,
        *,
        connections: Connections,
        census: Census,
        bus: EventBus,
        tell: Callable[[Source], None],
        may_act: Callable[[], Awaitable[None]],
        now: Callable[[], float],
    ) -> None:
        self._probes = probes
        self._interpreter = interpreter
        self._connections = connections
        self._census = census
        self._bus = bus
        self._tell = tell
        self._may_act = may_act
        self._now = now
        self._under_way: set[str] = set()
        self._full_since: dict[str, float] = {}  # of the sources whose provider's connections are all held by sessions
        self._looking = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Look now."""
        self._spawn(self._look_quietly())

    async def look(self) -> None:
        """Begin what can be begun now; the rest waits for the next look. Raises DatabaseUnavailable, NotLeading."""
        async with self._looking:
            busy = frozenset(self._under_way)  # what ends while rows are read may still stand in them
            asked = [each for each in await self._probes.asked() if each.id not in busy]
            self._full_since = {each.id: self._full_since[each.id] for each in asked if each.id in self._full_since}
            if not asked:
                return
            await self._may_act()
            if any(each.provider_id is not None for each in asked):
                await self._count()
            refused = False
            for source in asked:
                why = self._connections.refuses_probe(source)
                if why is None:
                    self._begin(source)
                elif self._now() - self._full_since.setdefault(source.id, self._now()) >= PATIENCE_S:
                    await self._probes.refuse(source.id, why)
                    del self._full_since[source.id]  # who asks again waits again
                    refused = True
            if refused:
                await self._say()

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _count(self) -> None:
        """A limit may just have been edited, by whoever asks. While the engine is silent, limited providers' sources wait."""
        with contextlib.suppress(EngineUnavailable):
            await self._census.take()
        await self._census.limits()

    def _begin(self, source: Source) -> None:
        self._full_since.pop(source.id, None)
        if len(self._under_way) >= _AT_ONCE:
            return
        probe = self._interpreter.begin_probe(source)
        if probe is not None:
            self._under_way.add(source.id)
            self._spawn(self._follow(source.id, probe))

    async def _follow(self, source_id: str, probe: asyncio.Task[Source | None]) -> None:
        try:
            probed = await asyncio.shield(probe)
        finally:
            self._under_way.discard(source_id)
        if probed is not None:  # else it was cut off, or could not be written: the job comes back to it
            self._tell(probed)
            self.wake()
            await self._say()

    async def _say(self) -> None:
        """Best effort: who waits reads the row (law 1)."""
        try:
            await self._bus.changed()
        except BusUnavailable as error:
            log.info("an answered probe is not told: %s", error)

    async def _look_quietly(self) -> None:
        try:
            await self.look()
        except Temporary as error:
            log.warning("asked probes: %s", error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="asked probes")
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("asked probes failed", exc_info=error)
