"""Change detection: finds what has changed outside (containers, rows, channels) and wakes the sessions that it concerns.

Law: nothing depends on a message. Every event and every nudge has a poll beside it that finds the same change later: a lost
nudge is found in the rows (law 1), a lost event of the engine in the list of containers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from orchestrator.control.connection_inventory import ConnectionInventory
from orchestrator.control.connection_ledger import ConnectionLedger
from orchestrator.control.session_work import SessionWork
from orchestrator.control.wake_ups import WakeUps
from orchestrator.core.catalogue import failover_channels
from orchestrator.core.model import Container, Observation, Unknown
from orchestrator.errors import EngineUnavailable
from orchestrator.ports import ContainerRuntime, Tables

_RETRY_S = 1.0


class ChangeDetection:
    """`works`: the sessions that this process works on, by id, as the supervisor knows them."""

    def __init__(
        self,
        works: Mapping[str, SessionWork],
        *,
        tables: Tables,
        runtime: ContainerRuntime,
        ledger: ConnectionLedger,
        inventory: ConnectionInventory,
        wake_ups: WakeUps,
    ) -> None:
        self._works = works
        self._tables = tables
        self._runtime = runtime
        self._ledger = ledger
        self._inventory = inventory
        self._wake_ups = wake_ups

    async def poll_rows(self) -> None:
        """Wakes sessions whose version has changed, and those whose row is no longer among the ones that have not ended. Raises
        DatabaseUnavailable."""
        versions = await self._tables.sessions.versions()
        for session_id, version in versions.items():
            known = self._works.get(session_id)
            if known is None or known.session is None or known.session.version != version:
                self._wake_ups.wake(session_id)
        for session_id in self._works:
            if session_id not in versions:
                self._wake_ups.has_ended(session_id)

    async def poll_channels(self) -> None:
        """Wakes sessions whose channel, sources (their own and those of failover channels), or order of sources was edited; and
        reads the providers' limits. Raises DatabaseUnavailable."""
        await self._inventory.limits()
        observed = {
            session_id: (work.session.channel_id, work.observation)
            for session_id, work in self._works.items()
            if work.session is not None and work.observation is not None
        }
        signatures = await self._tables.catalogue.lineups({channel_id for channel_id, _ in observed.values()})
        for session_id, (channel_id, observation) in observed.items():
            if signatures.get(channel_id) != _signature(observation):
                self._wake_ups.wake(session_id)

    async def poll_containers(self) -> tuple[Container, ...]:
        """Wakes sessions whose containers are not as they were last observed.

        Returns the containers of sessions that this process does not work on. Raises EngineUnavailable, DatabaseUnavailable.
        """
        await self._inventory.take()  # also where there is no session: the ledger must know what is in use
        by_session: dict[str, list[Container]] = {}
        for container in await self._runtime.containers():
            by_session.setdefault(container.session_id, []).append(container)
        for session_id in self._ledger.sessions:
            if session_id not in self._works:
                self._ledger.observed(session_id, by_session.get(session_id, ()))
        for session_id, work in self._works.items():
            seen = tuple(by_session.pop(session_id, ()))
            if work.observation is not None and _differs(work.observation, seen):
                self._wake_ups.wake(session_id)
        return tuple(container for containers in by_session.values() for container in containers)

    async def follow_containers(self) -> None:
        """Wakes sessions by the engine's events, until the event stream breaks. Raises EngineUnavailable."""
        async for event in self._runtime.events():
            self._wake_ups.glance(event.session_id)

    async def follow_silence(self) -> None:
        """Each time that the engine has not answered an observation: asks until it answers, once for all sessions, and wakes
        those whose containers are not as they were last known."""
        while True:
            await self._wake_ups.engine_silence()
            while True:
                await asyncio.sleep(_RETRY_S)
                with contextlib.suppress(EngineUnavailable):
                    await self.poll_containers()
                    break


def _differs(known: Observation, seen: tuple[Container, ...]) -> bool:
    if isinstance(known.containers, Unknown):
        return True
    return {(c.attempt, c.state, c.healthy) for c in known.containers} != {(c.attempt, c.state, c.healthy) for c in seen}


def _signature(seen: Observation) -> failover_channels.Signature | None:
    """As `Catalogue.lineups` returns it."""
    return failover_channels.signature(seen.channel_policy, seen.sources) if seen.channel_enabled else None
