"""Failed sources come back: what is problematic is probed again, and marked `recovered` when it works. And what live sessions
would return to is probed often enough to be known to be stable; what nobody waits for is left in peace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from orchestrator.control.interpreter import Interpreter
from orchestrator.core.model import Source, SourceStatus
from orchestrator.core.source.reprobe_interval import is_due
from orchestrator.ports import Catalogue

_PROBES_AT_ONCE = 8  # a hung source holds its place for seconds; new sessions' probes must not queue behind all of them


class Recovery:
    """`awaited` gives the sources that sessions wait for, by id, each with how long it has to be stable; `tell` is called with
    each source whose probe has news."""

    def __init__(
        self,
        catalogue: Catalogue,
        interpreter: Interpreter,
        *,
        interval_s: float,
        awaited: Callable[[], Mapping[str, tuple[Source, float]]],
        tell: Callable[[Source], None],
        now: Callable[[], float],
    ) -> None:
        self._catalogue = catalogue
        self._interpreter = interpreter
        self._interval_s = interval_s
        self._awaited = awaited
        self._tell = tell
        self._now = now
        self._asked_at: dict[str, float] = {}  # of the sources that are waited for

    async def sweep(self) -> tuple[Source, ...]:
        """Probe the problematic sources; returns those that work again. Raises DatabaseUnavailable."""
        problematic, now = await self._catalogue.problematic_sources(), self._now()
        probed = await self._probe(each for each in problematic if is_due(each, now, self._interval_s))
        return tuple(source for source in probed if source.status is SourceStatus.RECOVERED)

    async def look_after(self) -> None:
        """Probe the sources that are waited for, each twice in the time for which it has to be stable; one that has just failed
        is left alone for as long."""
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
                probed = await self._interpreter.probe(source)
            if probed is not None:
                self._tell(probed)
            return probed

        probed = await asyncio.gather(*map(probe, sources))
        return [source for source in probed if source is not None]
