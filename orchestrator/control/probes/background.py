"""Background probing: what first probes and requested probes have in common. Each begins its probes by itself; here they are
prepared, followed to their end, and their results are told.

Rule: no probe begins before this process is known to lead and the connections of limited providers have been counted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable

from msgspec import Struct

from orchestrator.app.task_group import TaskGroup
from orchestrator.control.connection_inventory import ConnectionInventory
from orchestrator.control.connection_ledger import ConnectionLedger
from orchestrator.control.probes.scheduler import ProbeScheduler
from orchestrator.core.model import Source
from orchestrator.errors import EngineUnavailable
from orchestrator.ports import Probes


class BackgroundProbing(Struct, frozen=True, kw_only=True):
    """`tell` is called with each source that has been probed."""

    rows: Probes
    scheduler: ProbeScheduler
    ledger: ConnectionLedger
    inventory: ConnectionInventory
    tasks: TaskGroup
    tell: Callable[[Source], None]
    may_act: Callable[[], Awaitable[None]]
    now: Callable[[], float]

    async def prepare(self, sources: Iterable[Source]) -> None:
        """Before probes of these sources begin: confirms the leadership, reads the limits, which may have been edited just now,
        and counts what is in use. While the engine does not answer, sources of limited providers wait. Raises
        DatabaseUnavailable, NotLeading."""
        await self.may_act()
        if any(each.provider_id is not None for each in sources):
            with contextlib.suppress(EngineUnavailable):
                await self.inventory.take()
            await self.inventory.limits()

    def follow(
        self,
        source: Source,
        probe: asyncio.Task[Source | None],
        under_way: dict[str, Source],
        then: Callable[[Source, Source | None], Awaitable[None]],
        *,
        name: str,
    ) -> None:
        """Keeps the source in `under_way`, by its id, until its probe has ended; tells the result and calls `then` with the
        source as it was and as it is. None: the probe was cancelled, or its result could not be written."""
        under_way[source.id] = source
        self.tasks.start(self._follow(source, probe, under_way, then), f"{name} of {source.id}")

    async def _follow(
        self,
        source: Source,
        probe: asyncio.Task[Source | None],
        under_way: dict[str, Source],
        then: Callable[[Source, Source | None], Awaitable[None]],
    ) -> None:
        try:
            probed = await asyncio.shield(probe)
        finally:
            del under_way[source.id]
        if probed is not None:
            self.tell(probed)
        await then(source, probed)
