"""Starts or joins a session, and waits until it plays or is refused: every route that asks for a session uses this.

A request that is known to fail is refused before anything is stored.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import msgspec
from msgspec.structs import replace

from api.catalogue_lookup import CatalogueLookup
from api.changes.nudges import Nudges
from api.changes.server_stop import ServerStop
from api.changes.signals import Signals
from api.injection import Clock
from api.keys import ApiKeys, token_hash
from api.session.disclosure import Disclosure
from api.session.lease_renewal import LeaseRenewal
from orchestrator.core.model import Cause, Channel, EndReason, EventType, Phase, SourceStatus
from orchestrator.core.session.limits import Limits
from orchestrator.errors import NoHealthySource, Permanent, Temporary
from orchestrator.ports import SessionRow, Sessions

log = logging.getLogger(__name__)

# The bus usually says at once. The polls are for the messages that it loses; their interval grows, so that fifty waiting
# clients leave the orchestrator its core.
_FIRST_POLL_S: Final = 0.25
_SLOWEST_POLL_S: Final = 1.0
_PLAYABLE: Final = (Phase.LIVE, Phase.SWITCHING)


class NotPlayable(Permanent):
    """The channel is disabled, or has no source that may be played. Only the operator can change that."""

    status = 409
    title = "The channel cannot be played"


class SessionEnded(Permanent):
    """The session has ended, on request or with its channel."""

    status = 409
    title = "The session has ended"


class JoinedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A viewer's session on a channel."""

    channel: Channel
    row: SessionRow
    token: str
    is_new: bool


class SessionRequests:
    def __init__(
        self, lookup: CatalogueLookup, sessions: Sessions, keys: ApiKeys, nudges: Nudges, clock: Clock, limits: Limits
    ) -> None:
        self._lookup = lookup
        self._sessions = sessions
        self._keys = keys
        self._nudges = nudges
        self._clock = clock
        self._limits = limits

    async def join(self, channel: str, viewer: str) -> JoinedSession:
        """The viewer's running session on the channel, or the one that the channel's viewers share, or a new one. Raises
        NotFound, NotPlayable, LimitReached."""
        lineup = await self._lookup.lineup(channel)
        found = lineup.channel
        if not found.enabled:
            raise NotPlayable("the channel is disabled")
        if not lineup.sources:
            raise NotPlayable("the channel has no source")
        if all(source.status is SourceStatus.DISABLED for source in lineup.sources):
            raise NotPlayable("every source of the channel is disabled")
        token = self._keys.token(found.id, viewer)
        row, is_new = await self._sessions.request(
            found.id,
            viewer,
            token_hash(token),
            self._clock(),
            shared=found.policy.sharing == "channel",
            profile=found.policy.costs_as,
            limits=self._limits,
        )
        if is_new:
            await self._nudges.session(row.session.id)
        return JoinedSession(channel=found, row=row, token=token, is_new=is_new)


class StartWait:
    """Holds an answer until a session plays."""

    def __init__(
        self, sessions: Sessions, keys: ApiKeys, signals: Signals, leases: LeaseRenewal, server_stop: ServerStop
    ) -> None:
        self._sessions = sessions
        self._keys = keys
        self._signals = signals
        self._leases = leases
        self._server_stop = server_stop

    async def until_playing(self, row: SessionRow, limit_s: float) -> SessionRow:
        """The session's row once it plays, or as it is after `limit_s`. Raises NoHealthySource, SessionEnded."""
        session_id, lease = row.session.id, row.lease
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit_s
        poll_s = _FIRST_POLL_S
        async with self._signals.of_session(session_id) as signal, self._leases.renewed(row):
            while True:
                try:
                    row = replace(await self._sessions.get(session_id), lease=lease)
                except Temporary as error:
                    log.info("session %s: waiting goes on: %s", session_id, error)
                phase, left_s = row.session.phase, deadline - loop.time()
                if phase in _PLAYABLE or phase is Phase.ENDED or left_s <= 0 or self._server_stop.begun:
                    break
                await signal.wait(min(poll_s, left_s))
                poll_s = min(poll_s * 1.5, _SLOWEST_POLL_S)
        if row.session.phase is Phase.ENDED:
            raise await self._refusal(row)
        return row

    async def _refusal(self, row: SessionRow) -> Permanent:
        session = row.session
        if session.end_reason is not EndReason.NO_HEALTHY_SOURCE:
            return SessionEnded(session.end_reason or "it was stopped")
        reasons: dict[str, str] = {}
        causes: dict[str, Cause] = {}
        for event in await self._sessions.events(session.id):
            given = event.fields.get("sources")
            if event.type is EventType.SESSION_ENDED and isinstance(given, dict):
                reasons, causes = given, event.causes.sources
        to = Disclosure(self._keys, row)
        return NoHealthySource(to.labelled(reasons), to.labelled(causes))
