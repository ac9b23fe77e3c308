"""What is known of a session, put together from everything that can be asked: engine, store, rows, connections, renewals.

Law: what does not answer is `Unknown`, never `Absent` (law 3). Nothing is decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from msgspec.structs import replace

from orchestrator.control.connection_inventory import Census
from orchestrator.control.connection_ledger import Connections
from orchestrator.control.lease_renewals import Renewals
from orchestrator.control.playlist_poller import Sweep
from orchestrator.core.model import Absent, Container, Desired, Observation, Playlist, Session, Unknown
from orchestrator.errors import EngineUnavailable, NotFound
from orchestrator.ports import Catalogue, ContainerRuntime, LineUp, SessionRow

Refused = Callable[[str, tuple[Container, ...]], tuple[Container, ...]]
"""A session's containers, and those that the engine would not start."""


class Observer:
    """`engine_is_silent` is called whenever the engine does not answer."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        runtime: ContainerRuntime,
        sweep: Sweep,
        connections: Connections,
        census: Census,
        renewals: Renewals,
        with_refused: Refused,
    ) -> None:
        self._catalogue = catalogue
        self._runtime = runtime
        self._sweep = sweep
        self._connections = connections
        self._census = census
        self._renewals = renewals
        self._with_refused = with_refused
        self.engine_is_silent: Callable[[], None] = lambda: None

    async def observe(self, row: SessionRow) -> Observation:
        """Raises DatabaseUnavailable."""
        session = row.session
        containers, lineup, playlist = await asyncio.gather(
            self._containers(session.id), self._lineup(session.channel_id), self._playlist(session)
        )
        seen = Observation(channel_enabled=False, containers=containers, playlist=playlist)
        if lineup is not None:
            channel = lineup.channel
            seen = replace(
                seen,
                channel_enabled=channel.enabled,
                channel_policy=channel.policy,
                last_good=channel.active_source_id,
                sources=lineup.sources,
            )
        await self._census.know(seen.sources)
        if not isinstance(containers, Unknown):
            self._connections.observed(session.id, containers, session.attempts, seen.sources)
        return replace(self._with_connections(session.id, seen), renewed=self._renewals.of(session.id, row.renewed_at))

    async def glance(self, session: Session, seen: Observation, *, doubtful: bool) -> Observation:
        """What was observed, with what the engine says now, and with what has been learnt since without asking anybody.
        `doubtful`: the playlist has been silent for as long as the sweep knows; whether it is, the store is asked."""
        if doubtful:
            await self._sweep.look_again_at(session.id)
        containers = await self._containers(session.id)
        if not isinstance(containers, Unknown):
            self._connections.observed(session.id, containers, session.attempts, seen.sources)
        playlist = self._sweep.playlist(session.id)
        renewed = self._renewals.of(session.id)
        return self._with_connections(session.id, replace(seen, containers=containers, playlist=playlist, renewed=renewed))

    def remembered(self, session_id: str, seen: Observation) -> Observation:
        """What was observed, with what has been learnt since without asking anybody."""
        playlist = self._sweep.playlist(session_id)
        if not isinstance(playlist, Unknown):
            playlist = replace(playlist, at=inf)  # as if nothing had changed since somebody looked
        known = replace(seen, playlist=playlist, renewed=self._renewals.of(session_id))
        return self._with_connections(session_id, known)

    def _with_connections(self, session_id: str, seen: Observation) -> Observation:
        return replace(
            seen,
            full=self._connections.full(session_id, seen.sources),
            awaited=self._connections.awaited(session_id),
            handed_on=self._connections.handed_on(session_id, seen.sources),
        )

    async def _lineup(self, channel_id: str) -> LineUp | None:
        """None: the channel has been deleted."""
        try:
            return await self._catalogue.lineup(channel_id)
        except NotFound:
            return None

    async def _playlist(self, session: Session) -> Playlist | Absent | Unknown:
        if session.desired is Desired.STOP or not self._sweep.follows(session.id):
            await self._sweep.look_at(session.id)
        return self._sweep.playlist(session.id)

    async def _containers(self, session_id: str) -> tuple[Container, ...] | Unknown:
        try:
            await self._census.take()
            seen = await self._runtime.containers(session_id)
        except EngineUnavailable as error:
            self.engine_is_silent()
            return Unknown(str(error))
        return self._with_refused(session_id, seen)
