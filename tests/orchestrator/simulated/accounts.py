"""The providers' side: they count who is connected, and know nothing of ledgers. Rule: never more than a provider allows."""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from orchestrator.core.model import HOLDING, Source

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
        self._agents: list[tuple[Agent, set[str]]] = []  # with whom it may be connected, where an edit leaves that open
        self._moved: dict[str, tuple[float, str]] = {}  # by source: when, and from whom
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

    def delete(self, name: str) -> None:
        """And its sources."""
        provider_id = self.ids[name]
        for source in tuple(self._world.tables.catalogue._sources.values()):
            if source.provider_id == provider_id:
                self.forget(source)
        self._world.run(self._world.tables.providers.delete(provider_id))
        self._limits[provider_id].append((self._world.now, None))

    def move(self, source: Source, name: str | None) -> None:
        """To another account, or to nobody's. Whose connections its containers have is then a matter of opinion."""
        to = "" if name is None else self.ids[name]
        self._world.run(self._world.tables.catalogue.update_source(source.id, provider_id=to))
        self._moved[source.id] = (self._world.now, source.provider_id or "")
        self._doubt(source, to)

    def forget(self, source: Source) -> None:
        """It is deleted: an orchestrator that is started afterwards cannot know whose connection its containers have."""
        self._doubt(source, "")

    def connected(self, name: str) -> int:
        """Containers that run, and probes. What the engine has lost sight of, nobody can know of."""
        provider_id = self.ids[name]
        containers = sum(each.container_state in HOLDING for each, own in self._agents if own == {provider_id})
        return containers + self._probes[provider_id]

    def connected_at_most(self, name: str) -> int:
        """With those that may be somebody else's."""
        provider_id = self.ids[name]
        containers = sum(each.container_state in HOLDING for each, own in self._agents if provider_id in own)
        return containers + self._probes[provider_id]

    def look(self) -> None:
        self._lately.append(Counter({own: self.connected(name) for name, own in self.ids.items()}))

    # --- who connects -------------------------------------------------------------------------------------------------

    def opened(self, agent: Agent) -> None:
        source = next((each for each in self._world.tables.catalogue._sources.values() if each.url == agent.source.url), None)
        if source is None:
            return
        own = {source.provider_id or ""}
        moved_at, before = self._moved.get(source.id, (0.0, ""))
        if self._world.now - moved_at < _KNOWN_AFTER_S:
            own.add(before)
        self._agents.append((agent, own))
        if source.provider_id is not None:
            self._judge(source.provider_id)

    def switched(self, agent: Agent) -> None:
        """It has closed what it had, and opened another input."""
        self._agents = [(each, own) for each, own in self._agents if each is not agent]
        self.opened(agent)

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

    def _doubt(self, source: Source, provider_id: str) -> None:
        for agent, own in self._agents:
            if self._world.source_at(source.url) is agent.source:
                own.add(provider_id)

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
        if lately:  # what is opened before the new limit is known may be kept, too
            self._before[provider_id] = max(self._before[provider_id], connected)
