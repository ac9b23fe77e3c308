"""Connection inventory: fills the connection ledger with what ran before this process, and with the providers' limits.

Law: nothing is started on a limited provider before the running containers have been counted. Until then it is unknown how many
connections are in use, which is not the same as none (law 3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from orchestrator.control.connection_ledger import ConnectionLedger
from orchestrator.core.model import HOLDING, Source
from orchestrator.ports import ContainerRuntime, Providers


class ConnectionInventory:
    def __init__(self, ledger: ConnectionLedger, providers: Providers, runtime: ContainerRuntime) -> None:
        self._ledger = ledger
        self._providers = providers
        self._runtime = runtime
        self._counting = asyncio.Lock()

    async def take(self) -> None:
        """Counts the running containers, once in a process's life. Raises EngineUnavailable, DatabaseUnavailable."""
        async with self._counting:  # single-flight: the others wait for the same answer
            if self._ledger.known:
                return
            seen = await self._runtime.containers()
            running = [(each.session_id, each.attempt) for each in seen if each.state in HOLDING]
            holders = await self._providers.of_attempts(running) if running else {}
            self._ledger.limit(await self._providers.all())
            self._ledger.count(holders)

    async def limits(self) -> None:
        """Reads the providers' limits as the rows have them now. Raises DatabaseUnavailable."""
        self._ledger.limit(await self._providers.all())

    async def know(self, sources: Iterable[Source]) -> None:
        """Reads the limits again where one of these sources has a provider that is not known yet. Raises
        DatabaseUnavailable."""
        if not self._ledger.knows(sources):
            await self.limits()
