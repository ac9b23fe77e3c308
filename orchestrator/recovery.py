"""Failed sources come back: what is problematic is probed again, and marked `recovered` when it works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from orchestrator.core.model import Source, SourceStatus
from orchestrator.interpreter import Interpreter
from orchestrator.ports import Catalogue


class Recovery:
    """`healed` is called with the channel of each source that works again."""

    def __init__(self, catalogue: Catalogue, interpreter: Interpreter, healed: Callable[[str], None]) -> None:
        self._catalogue = catalogue
        self._interpreter = interpreter
        self._healed = healed

    async def sweep(self) -> tuple[Source, ...]:
        """Probe every problematic source; returns those that work again. Raises DatabaseUnavailable."""
        problematic = await self._catalogue.problematic_sources()
        await asyncio.gather(*(self._interpreter.probe(source) for source in problematic))
        still = {source.id for source in await self._catalogue.problematic_sources()}
        recovered = tuple(source for source in problematic if source.id not in still)
        for channel_id in {source.channel_id for source in recovered if source.status is not SourceStatus.DISABLED}:
            self._healed(channel_id)
        return recovered
