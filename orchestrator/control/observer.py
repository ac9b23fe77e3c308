"""Observer: puts together what is known of a session from engine, store, rows, connection ledger and lease renewals.

Law: what does not answer is `Unknown`, never `Absent` (law 3). Nothing is decided here. An attempt that has ended or fallen
silent may have reported why: its reports are read before it is observed so. Where the store does not tell what it has reported,
its playlist is `Unknown`, too, so that nothing is concluded from its silence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from msgspec.structs import replace

from orchestrator.control.connection_inventory import ConnectionInventory
from orchestrator.control.connection_ledger import ConnectionLedger
from orchestrator.control.inbox import Inbox
from orchestrator.control.input_switches import InputSwitches
from orchestrator.control.lease_renewals import LeaseRenewals
from orchestrator.control.playlist_poller import PlaylistPoller
from orchestrator.core.model import Absent, Container, ContainerState, Desired, Observation, Playlist, Session, Unknown
from orchestrator.errors import EngineUnavailable, NotFound
from orchestrator.ports import Catalogue, ContainerRuntime, LineUp, SessionRow

Refused = Callable[[str, tuple[Container, ...]], tuple[Container, ...]]
"""Adds to a session's observed containers those that the engine has refused to start."""


_UNREAD = Unknown("the inbox does not answer: what the attempt has reported is not known")


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
        inbox: Inbox,
        input_switches: InputSwitches,
        with_refused: Refused,
        engine_is_silent: Callable[[], None],
    ) -> None:
        self._catalogue = catalogue
        self._runtime = runtime
        self._poller = poller
        self._ledger = ledger
        self._inventory = inventory
        self._renewals = renewals
        self._inbox = inbox
        self._input_switches = input_switches
        self._with_refused = with_refused
        self._engine_is_silent = engine_is_silent

    async def observe(self, row: SessionRow) -> Observation:
        """Asks engine and rows, and reads the playlist where it is not known. Raises DatabaseUnavailable."""
        session = row.session
        self._inbox.follow(session)
        containers, lineup, playlist = await asyncio.gather(
            self._containers(session.id), self._lineup(session.channel_id), self._playlist(session)
        )
        if _has_stopped(session, containers) and not await self._inbox.look_at(session.id):
            playlist = _UNREAD
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
        return replace(self._with_what_is_known(session.id, seen), renewed=self._renewals.of(session.id, row.renewed_at))

    async def glance(self, session: Session, seen: Observation, *, doubtful: bool) -> Observation:
        """What was observed, with the containers as they are now, and with what is known by now without asking. `doubtful`: a
        timer would act on what is known, so the store is asked once more whether the playlist has changed, and what the attempt
        reports."""
        answered = True
        if doubtful:
            _, answered = await asyncio.gather(self._poller.look_again_at(session.id), self._inbox.look_at(session.id))
        containers = await self._containers(session.id)
        if not isinstance(containers, Unknown):
            self._ledger.observed(session.id, containers, session.attempts, seen.sources)
        playlist = self._poller.playlist(session.id) if answered else _UNREAD
        renewed = self._renewals.of(session.id)
        return self._with_what_is_known(session.id, replace(seen, containers=containers, playlist=playlist, renewed=renewed))

    def remembered(self, session_id: str, seen: Observation) -> Observation:
        """What was observed, with what is known by now without asking."""
        playlist = self._poller.playlist(session_id)
        if not isinstance(playlist, Unknown):
            playlist = replace(playlist, at=inf)  # as if the store had been read now, and had not changed
        known = replace(seen, playlist=playlist, renewed=self._renewals.of(session_id))
        return self._with_what_is_known(session_id, known)

    def _with_what_is_known(self, session_id: str, seen: Observation) -> Observation:
        return replace(
            seen,
            full=self._ledger.full(session_id, seen.sources),
            awaited=self._ledger.awaited(session_id),
            handed_on=self._ledger.handed_on(session_id, seen.sources),
            limited=self._ledger.limited(seen.sources),
            mail=self._inbox.mail(session_id),
            distrusted=self._inbox.distrusted(session_id),
            input_switches=self._input_switches.allowed,
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


def _has_stopped(session: Session, containers: tuple[Container, ...] | Unknown) -> bool:
    """Whether an attempt that posts reports is seen not to run."""
    if isinstance(containers, Unknown):
        return False
    running = {each.attempt for each in containers if each.state in (ContainerState.CREATED, ContainerState.RUNNING)}
    return any(each.granted and each.number not in running for each in session.attempts)
