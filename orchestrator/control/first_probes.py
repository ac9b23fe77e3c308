"""Sources that nobody has probed or played yet (new, imported, edited) are probed once in the background, a few at a time.

Law: they come after everything else. A provider that somebody waits for is passed over; a first look whose connection is needed
is cut off, says nothing, and is made again later. What fails its first look is problematic, and recovery's from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from orchestrator.control.connection_inventory import Census
from orchestrator.control.connection_ledger import Connections
from orchestrator.control.interpreter import Interpreter
from orchestrator.core.model import Source, SourceStatus
from orchestrator.core.source.first_probes import next_looks
from orchestrator.errors import EngineUnavailable, Temporary
from orchestrator.ports import Probes

log = logging.getLogger(__name__)

AGAIN_S: Final = 3600.0  # a look that gave no verdict is not made again sooner
CUT_OFF_S: Final = 30.0  # nor one that made room
_ROWS = 500  # in one look


class FirstLooks:
    """`tell` is called with each source whose probe has news."""

    def __init__(
        self,
        probes: Probes,
        interpreter: Interpreter,
        *,
        connections: Connections,
        census: Census,
        tell: Callable[[Source], None],
        may_act: Callable[[], Awaitable[None]],
        now: Callable[[], float],
    ) -> None:
        self._probes = probes
        self._interpreter = interpreter
        self._connections = connections
        self._census = census
        self._tell = tell
        self._may_act = may_act
        self._now = now
        self._under_way: dict[str, Source] = {}
        # By source: the address that was looked at, and until when it is left
        self._not_before: dict[str, tuple[str, float]] = {}
        self._looking = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def look(self) -> None:
        """Begin what can be begun now; each that ends makes the next look. Raises DatabaseUnavailable, NotLeading."""
        async with self._looking:
            now = self._now()
            self._not_before = {each: left for each, left in self._not_before.items() if left[1] > now}
            unseen = await self._due(_ROWS + len(self._not_before) + len(self._under_way))
            if not unseen:
                return
            await self._may_act()
            limited = {each.provider_id for each in unseen if each.provider_id is not None}
            if limited:
                await self._count()
            spare = self._connections.spare()
            asked = await self._probes.asked()
            spare |= {each.provider_id: 0 for each in asked if each.provider_id in spare}
            wanted = {each.id for each in asked}
            full = {provider for provider, left in spare.items() if left < 1}
            if not full.isdisjoint(limited):  # others may stand behind a long list of theirs
                unseen = await self._due(_ROWS, but_of=full)
            free = (each for each in unseen if each.id not in wanted)
            running = self._interpreter.probes_under_way
            for source in next_looks(free, self._under_way.values(), probes=running, spare=spare):
                self._begin(source)

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _due(self, limit: int, but_of: Collection[str] = ()) -> tuple[Source, ...]:
        busy = frozenset(self._under_way)  # what ends while rows are read may still stand in them
        unseen = await self._probes.unseen(limit, but_of=but_of)
        left = {each: address for each, (address, _) in self._not_before.items()}
        return tuple(each for each in unseen if each.id not in busy and left.get(each.id) != each.address)

    async def _count(self) -> None:
        """Limits as they are now. While the engine is silent, limited providers' sources wait."""
        with contextlib.suppress(EngineUnavailable):
            await self._census.take()
        await self._census.limits()

    def _begin(self, source: Source) -> None:
        probe = self._interpreter.begin_first_look(source)
        if probe is None:
            return
        self._under_way[source.id] = source
        task = asyncio.create_task(self._follow(source, probe), name="first look")
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def _follow(self, source: Source, probe: asyncio.Task[Source | None]) -> None:
        try:
            probed = await asyncio.shield(probe)
        finally:
            del self._under_way[source.id]
        if probed is None:  # it made room, or could not be written
            self._not_before[source.id] = (source.address, self._now() + CUT_OFF_S)
            return
        if probed.status is SourceStatus.UNKNOWN and probed.address == source.address:
            self._not_before[source.id] = (source.address, self._now() + AGAIN_S)
        self._tell(probed)
        with contextlib.suppress(Temporary):  # the job comes back to it
            await self.look()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a first look failed", exc_info=error)
