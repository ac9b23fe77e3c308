"""Re-probing: problematic sources are probed again from time to time, and marked `recovered` once they work.

Sources that live sessions would fail back to are probed more often, so that it is known how long they have been stable. All
others are probed no more often than core/source/reprobe_interval.py says: a probe takes a connection at the provider.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from orchestrator.control.probes.scheduler import ProbeScheduler
from orchestrator.core.model import Source, SourceStatus
from orchestrator.core.source.reprobe_interval import is_due
from orchestrator.ports import Catalogue

_PROBES_AT_ONCE = 8  # a source that hangs takes seconds, and probes for new sessions must not queue behind many of those


class Reprobing:
    """`awaited` returns the sources that sessions would fail back to, by id, each with the time in seconds for which it has to
    be stable. `tell` is called with each source that has been probed."""

    def __init__(
        self,
        catalogue: Catalogue,
        scheduler: ProbeScheduler,
        *,
        interval_s: float,
        awaited: Callable[[], Mapping[str, tuple[Source, float]]],
        tell: Callable[[Source], None],
        now: Callable[[], float],
    ) -> None:
        self._catalogue = catalogue
        self._scheduler = scheduler
        self._interval_s = interval_s
        self._awaited = awaited
        self._tell = tell
        self._now = now
        self._asked_at: dict[str, float] = {}  # by source that is awaited

    async def probe_problematic(self) -> tuple[Source, ...]:
        """Probes the problematic sources that are due; returns those that work again. Raises DatabaseUnavailable."""
        problematic, now = await self._catalogue.problematic_sources(), self._now()
        probed = await self._probe(each for each in problematic if is_due(each, now, self._interval_s))
        return tuple(source for source in probed if source.status is SourceStatus.RECOVERED)

    async def probe_awaited(self) -> None:
        """Probes each awaited source twice in the time for which it has to be stable. One that has just failed is not probed
        sooner either."""
        awaited, now = self._awaited(), self._now()
        self._asked_at = {source_id: at for source_id, at in self._asked_at.items() if source_id in awaited}
        due = []
        for source_id, (source, stable_s) in awaited.items():
            seen_at = max(self._asked_at.get(source_id, 0.0), source.last_checked_at or 0.0, source.last_failed_at or 0.0)
            if now - seen_at >= min(self._interval_s, stable_s / 2):
                self._asked_at[source_id] = now
                due.append(source)
        await self._probe(due)

    async def _probe(self, sources: Iterable[Source]) -> list[Source]:
        few = asyncio.Semaphore(_PROBES_AT_ONCE)

        async def probe(source: Source) -> Source | None:
            async with few:
                probed = await self._scheduler.probe(source)
            if probed is not None:
                self._tell(probed)
            return probed

        probed = await asyncio.gather(*map(probe, sources))
        return [source for source in probed if source is not None]
