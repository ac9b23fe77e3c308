"""Reads what the count of connections starts from: the providers' limits, and the containers that ran before this process.

Law: before these are counted nothing is started (law 3: whose connections are in use is unknown, not none).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from orchestrator.control.connection_ledger import Connections
from orchestrator.core.model import HOLDING, Source
from orchestrator.ports import ContainerRuntime, Providers


class Census:
    def __init__(self, connections: Connections, providers: Providers, runtime: ContainerRuntime) -> None:
        self._connections = connections
        self._providers = providers
        self._runtime = runtime
        self._counting = asyncio.Lock()

    async def take(self) -> None:
        """Once in a process. Raises EngineUnavailable, DatabaseUnavailable."""
        async with self._counting:  # one asks for all
            if self._connections.known:
                return
            seen = await self._runtime.containers()
            running = [(each.session_id, each.attempt) for each in seen if each.state in HOLDING]
            holders = await self._providers.of_attempts(running) if running else {}
            self._connections.limit(await self._providers.all())
            self._connections.count(holders)

    async def limits(self) -> None:
        """As the rows have them now. Raises DatabaseUnavailable."""
        self._connections.limit(await self._providers.all())

    async def know(self, sources: Iterable[Source]) -> None:
        """The limits of these sources' providers, where one is new. Raises DatabaseUnavailable."""
        if not self._connections.knows(sources):
            await self.limits()
