"""The providers' side: they count who is connected, and know nothing of ledgers. Law: never more than a provider allows."""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from orchestrator.core.model import HOLDING

if TYPE_CHECKING:
    from tests.orchestrator.simulated.agent import Agent
    from tests.orchestrator.simulated.world import World

_KNOWN_AFTER_S = 3.0  # a changed limit is read from its row within


class Accounts:
    """`most` is the most connections that a provider has seen at once."""

    def __init__(self, world: World) -> None:
        self.ids: dict[str, str] = {}
        self.most: Counter[str] = Counter()
        self._world = world
        self._agents: list[tuple[Agent, str]] = []
        self._probes: Counter[str] = Counter()
        self._limits: dict[str, list[tuple[float, int | None]]] = {}
        self._before: Counter[str] = Counter()  # connections when the limit was last changed: they may be kept
        # At the last looks: while a connection is handed on, for a moment nobody has it
        self._lately: deque[Counter[str]] = deque([Counter()], maxlen=8)

    def open(self, name: str, limit: int | None) -> None:
        self.ids[name] = self._world.run(self._world.tables.providers.add(name, limit)).id
        self._limits[self.ids[name]] = [(0.0, limit)]

    def allow(self, name: str, limit: int | None) -> None:
        provider_id = self.ids[name]
        row = self._world.tables.providers.rows[provider_id]
        self._world.run(self._world.tables.providers.update(replace(row, max_connections=limit)))
        self._limits[provider_id].append((self._world.now, limit))
        self._before[provider_id] = max(self.connected(name), *(each[provider_id] for each in self._lately))

    def connected(self, name: str) -> int:
        """Containers that run, and probes. What the engine has lost sight of, nobody can know of."""
        provider_id = self.ids[name]
        containers = sum(each.container_state in HOLDING for each, own in self._agents if own == provider_id)
        return containers + self._probes[provider_id]

    def look(self) -> None:
        self._lately.append(Counter({own: self.connected(name) for name, own in self.ids.items()}))

    # --- who connects -------------------------------------------------------------------------------------------------

    def opened(self, agent: Agent) -> None:
        source = next((each for each in self._world.tables.catalogue._sources.values() if each.url == agent.source.url), None)
        if source is not None and source.provider_id is not None:
            self._agents.append((agent, source.provider_id))
            self._judge(source.provider_id)

    @contextlib.contextmanager
    def probe(self, provider_id: str | None) -> Iterator[None]:
        if provider_id is None:
            yield
            return
        self._probes[provider_id] += 1
        self._judge(provider_id)
        try:
            yield
        finally:
            self._probes[provider_id] -= 1

    def _judge(self, provider_id: str) -> None:
        name = next(name for name, own in self.ids.items() if own == provider_id)
        connected = self.connected(name)
        self.most[name] = max(self.most[name], connected)
        changes = self._limits[provider_id]
        since = self._world.now - _KNOWN_AFTER_S
        lately = [limit for at, limit in changes if at >= since]
        before = [limit for at, limit in changes if at < since][-1:]
        allowed = [*before, *lately, self._before[provider_id]]
        if None not in allowed and connected > max(each for each in allowed if each is not None):
            self._world.laws.break_(f"{connected} connections to {name}, which allows {allowed}")
