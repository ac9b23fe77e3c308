"""Failed sources come back: what is problematic is probed again, and marked `recovered` when it works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from orchestrator.core.model import Source, SourceStatus
from orchestrator.interpreter import Interpreter
from orchestrator.ports import Catalogue

_PROBES_AT_ONCE = 8  # a hung source holds its place for seconds; new sessions' probes must not queue behind all of them


class Recovery:
    """`healed` is called with the channel of each source that works again."""

    def __init__(self, catalogue: Catalogue, interpreter: Interpreter, healed: Callable[[str], None]) -> None:
        self._catalogue = catalogue
        self._interpreter = interpreter
        self._healed = healed

    async def sweep(self) -> tuple[Source, ...]:
        """Probe every problematic source; returns those that work again. Raises DatabaseUnavailable."""
        few = asyncio.Semaphore(_PROBES_AT_ONCE)

        async def probe(source: Source) -> Source | None:
            async with few:
                return await self._interpreter.probe(source)

        probed = await asyncio.gather(*map(probe, await self._catalogue.problematic_sources()))
        recovered = tuple(source for source in probed if source and source.status is SourceStatus.RECOVERED)
        for channel_id in {source.channel_id for source in recovered}:
            self._healed(channel_id)
        return recovered
