"""Observer: puts together what is known of a session from engine, store, rows, connection ledger and lease renewals.

Law: what does not answer is `Unknown`, never `Absent` (law 3). Nothing is decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from msgspec.structs import replace

from orchestrator.control.connection_inventory import ConnectionInventory
from orchestrator.control.connection_ledger import ConnectionLedger
from orchestrator.control.lease_renewals import LeaseRenewals
from orchestrator.control.playlist_poller import PlaylistPoller
from orchestrator.core.model import Absent, Container, Desired, Observation, Playlist, Session, Unknown
from orchestrator.errors import EngineUnavailable, NotFound
from orchestrator.ports import Catalogue, ContainerRuntime, LineUp, SessionRow

Refused = Callable[[str, tuple[Container, ...]], tuple[Container, ...]]
"""Adds to a session's observed containers those that the engine has refused to start."""


class Observer:
    """`engine_is_silent` is called each time that the engine does not answer."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        runtime: ContainerRuntime,
        poller: PlaylistPoller,
        ledger: ConnectionLedger,
        inventory: ConnectionInventory,
        renewals: LeaseRenewals,
        with_refused: Refused,
        engine_is_silent: Callable[[], None],
    ) -> None:
        self._catalogue = catalogue
        self._runtime = runtime
        self._poller = poller
        self._ledger = ledger
        self._inventory = inventory
        self._renewals = renewals
        self._with_refused = with_refused
        self._engine_is_silent = engine_is_silent

    async def observe(self, row: SessionRow) -> Observation:
        """Asks engine and rows, and reads the playlist where it is not known. Raises DatabaseUnavailable."""
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
        await self._inventory.know(seen.sources)
        if not isinstance(containers, Unknown):
            self._ledger.observed(session.id, containers, session.attempts, seen.sources)
        return replace(self._with_connections(session.id, seen), renewed=self._renewals.of(session.id, row.renewed_at))

    async def glance(self, session: Session, seen: Observation, *, doubtful: bool) -> Observation:
        """What was observed, with the containers as they are now, and with what is known by now without asking. `doubtful`: a
        timer would act on what is known, so the store is asked once more whether the playlist has changed."""
        if doubtful:
            await self._poller.look_again_at(session.id)
        containers = await self._containers(session.id)
        if not isinstance(containers, Unknown):
            self._ledger.observed(session.id, containers, session.attempts, seen.sources)
        playlist = self._poller.playlist(session.id)
        renewed = self._renewals.of(session.id)
        return self._with_connections(session.id, replace(seen, containers=containers, playlist=playlist, renewed=renewed))

    def remembered(self, session_id: str, seen: Observation) -> Observation:
        """What was observed, with what is known by now without asking."""
        playlist = self._poller.playlist(session_id)
        if not isinstance(playlist, Unknown):
            playlist = replace(playlist, at=inf)  # as if the store had been read now, and had not changed
        known = replace(seen, playlist=playlist, renewed=self._renewals.of(session_id))
        return self._with_connections(session_id, known)

    def _with_connections(self, session_id: str, seen: Observation) -> Observation:
        return replace(
            seen,
            full=self._ledger.full(session_id, seen.sources),
            awaited=self._ledger.awaited(session_id),
            handed_on=self._ledger.handed_on(session_id, seen.sources),
        )

    async def _lineup(self, channel_id: str) -> LineUp | None:
        """None: the channel has been deleted."""
        try:
            return await self._catalogue.lineup(channel_id)
        except NotFound:
            return None

    async def _playlist(self, session: Session) -> Playlist | Absent | Unknown:
        if session.desired is Desired.STOP or not self._poller.follows(session.id):
            await self._poller.look_at(session.id)
        return self._poller.playlist(session.id)

    async def _containers(self, session_id: str) -> tuple[Container, ...] | Unknown:
        try:
            await self._inventory.take()
            seen = await self._runtime.containers(session_id)
        except EngineUnavailable as error:
            self._engine_is_silent()
            return Unknown(str(error))
        return self._with_refused(session_id, seen)
