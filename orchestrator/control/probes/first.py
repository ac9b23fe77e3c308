"""First probes: sources that have never been probed or played (new, imported, edited) are probed once, in the background.

Rule: first probes come after everything else. Only a few run at once; providers for which a session or a request waits are left
out; and a first probe is cancelled when its connection is needed, which says nothing about its source, and is made again later.
A source that fails its first probe is problematic, and re-probed like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from orchestrator.app.task_group import TaskGroup
from orchestrator.control.connection_inventory import ConnectionInventory
from orchestrator.control.connection_ledger import ConnectionLedger
from orchestrator.control.probes.scheduler import ProbeScheduler
from orchestrator.core.model import Source, SourceStatus
from orchestrator.core.source.first_probes import next_first_probes
from orchestrator.errors import EngineUnavailable, Temporary
from orchestrator.ports import Probes

log = logging.getLogger(__name__)

AGAIN_S: Final = 3600.0  # a probe without a verdict is not repeated sooner
CANCELLED_S: Final = 30.0  # nor one that was cancelled
_ROWS = 500  # are read at once


class FirstProbes:
    """`tell` is called with each source that has been probed."""

    def __init__(
        self,
        probes: Probes,
        scheduler: ProbeScheduler,
        *,
        ledger: ConnectionLedger,
        inventory: ConnectionInventory,
        tasks: TaskGroup,
        tell: Callable[[Source], None],
        may_act: Callable[[], Awaitable[None]],
        now: Callable[[], float],
    ) -> None:
        self._probes = probes
        self._scheduler = scheduler
        self._ledger = ledger
        self._inventory = inventory
        self._tasks = tasks
        self._tell = tell
        self._may_act = may_act
        self._now = now
        self._under_way: dict[str, Source] = {}
        # By source: the address that was probed, and until when it is not probed again
        self._not_before: dict[str, tuple[str, float]] = {}
        self._looking = asyncio.Lock()

    async def look(self) -> None:
        """Starts the first probes that can be started now; each that ends looks for the next ones. Raises DatabaseUnavailable,
        NotLeading."""
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
            spare = self._ledger.spare()
            asked = await self._probes.asked()
            spare |= {each.provider_id: 0 for each in asked if each.provider_id in spare}
            wanted = {each.id for each in asked}
            full = {provider for provider, left in spare.items() if left < 1}
            if not full.isdisjoint(limited):  # a long list of theirs may have kept other sources out of what was read
                unseen = await self._due(_ROWS, but_of=full)
            free = (each for each in unseen if each.id not in wanted)
            running = self._scheduler.running
            for source in next_first_probes(free, self._under_way.values(), probes=running, spare=spare):
                self._begin(source)

    async def _due(self, limit: int, but_of: Collection[str] = ()) -> tuple[Source, ...]:
        busy = frozenset(self._under_way)  # a source whose probe ends while rows are read may still be in what was read
        unseen = await self._probes.unseen(limit, but_of=but_of)
        left = {each: address for each, (address, _) in self._not_before.items()}
        return tuple(each for each in unseen if each.id not in busy and left.get(each.id) != each.address)

    async def _count(self) -> None:
        """Reads the limits and counts what is in use. While the engine does not answer, sources of limited providers wait."""
        with contextlib.suppress(EngineUnavailable):
            await self._inventory.take()
        await self._inventory.limits()

    def _begin(self, source: Source) -> None:
        probe = self._scheduler.start_preemptible(source)
        if probe is None:
            return
        self._under_way[source.id] = source
        self._tasks.start(self._follow(source, probe), f"first probe of {source.id}")

    async def _follow(self, source: Source, probe: asyncio.Task[Source | None]) -> None:
        try:
            probed = await asyncio.shield(probe)
        finally:
            del self._under_way[source.id]
        if probed is None:  # it was cancelled, or could not be written
            self._not_before[source.id] = (source.address, self._now() + CANCELLED_S)
            return
        if probed.status is SourceStatus.UNKNOWN and probed.address == source.address:
            self._not_before[source.id] = (source.address, self._now() + AGAIN_S)
        self._tell(probed)
        with contextlib.suppress(Temporary):  # the periodic job comes back to it
            await self.look()
