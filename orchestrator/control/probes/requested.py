"""Requested probes: makes the probes that people ask for through the API and the command line.

Rule: only the orchestrator probes, because only it counts the providers' connections. Requests are read from rows (law 1): a
nudge makes this happen at once, and a periodic job finds requests whose nudge was lost. A request waits for other probes, which
end soon. Where sessions hold all connections it waits for a moment, and is then refused, which says nothing about the source.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from orchestrator.app.settings import Settings
from orchestrator.control.probes.background import BackgroundProbing
from orchestrator.core.model import Source
from orchestrator.errors import BusUnavailable, Temporary
from orchestrator.ports import EventBus

log = logging.getLogger(__name__)

PATIENCE_S: Final = 2.0  # so long a request waits for a connection that sessions hold
_AT_ONCE = 8  # a source that hangs takes seconds, and probes for new sessions must not queue behind many of those
_SLOW_S = 25.0  # a playlist that must be seen to advance may take so long, and another probe may come first


def answer_limit_s(settings: Settings) -> float:
    """So long a client waits for the answer while an orchestrator is running; longer means a long queue before it."""
    return settings.probe_timeout_s + _SLOW_S


class RequestedProbes:
    def __init__(self, probing: BackgroundProbing, *, bus: EventBus) -> None:
        self._probing = probing
        self._bus = bus
        self._under_way: dict[str, Source] = {}
        self._full_since: dict[str, float] = {}  # by source: since when sessions have held all connections of its provider
        self._looking = asyncio.Lock()

    def wake(self) -> None:
        """Looks for requests now, in the background."""
        self._probing.tasks.start(self._look_quietly(), "requested probes")

    async def look(self) -> None:
        """Starts the requested probes that can be started now. Raises DatabaseUnavailable, NotLeading."""
        async with self._looking:
            busy = frozenset(self._under_way)  # a probe that ends while rows are read may still be requested in what was read
            asked = [each for each in await self._probing.rows.asked() if each.id not in busy]
            self._full_since = {each.id: self._full_since[each.id] for each in asked if each.id in self._full_since}
            if not asked:
                return
            await self._probing.prepare(asked)
            now = self._probing.now()
            refused = False
            for source in asked:
                why = self._probing.ledger.refuses_probe(source)
                if why is None:
                    self._begin(source)
                elif now - self._full_since.setdefault(source.id, now) >= PATIENCE_S:
                    await self._probing.rows.refuse(source.id, why)
                    del self._full_since[source.id]  # another request for it waits anew
                    refused = True
            if refused:
                await self._say()

    def _begin(self, source: Source) -> None:
        self._full_since.pop(source.id, None)
        if len(self._under_way) >= _AT_ONCE:
            return
        probe = self._probing.scheduler.start(source)
        if probe is not None:
            self._probing.follow(source, probe, self._under_way, self._ended, name="requested probe")

    async def _ended(self, source: Source, probed: Source | None) -> None:
        if probed is not None:  # else the periodic job comes back to it
            self.wake()
            await self._say()

    async def _say(self) -> None:
        """Best effort: clients that wait read the row (law 1)."""
        try:
            await self._bus.changed()
        except BusUnavailable as error:
            log.info("clients are not notified of an answered probe: %s", error)

    async def _look_quietly(self) -> None:
        try:
            await self.look()
        except Temporary as error:
            log.warning("requested probes: %s", error)
