"""Tells the orchestrator over the bus that a session's row has changed. A hint (law 1): without Redis the orchestrator
finds the row later, by its regular resync."""

from __future__ import annotations

import logging

from orchestrator.errors import BusUnavailable, Temporary
from orchestrator.ports import EventBus, Sessions

log = logging.getLogger(__name__)


class Nudges:
    def __init__(self, bus: EventBus, sessions: Sessions) -> None:
        self._bus = bus
        self._sessions = sessions

    async def session(self, session_id: str) -> None:
        try:
            await self._bus.nudge(session_id)
        except BusUnavailable as error:
            log.warning("session %s: no nudge (%s); the orchestrator's resync will find the row", session_id, error)

    async def sessions_of(self, channel_id: str) -> None:
        """After the channel was disabled or deleted: without a nudge its viewers would see a frozen picture until the
        resync."""
        try:
            sessions = await self._sessions.unended()
        except Temporary as error:
            log.info("channel %s: its sessions are not nudged: %s", channel_id, error)
            return
        for session in sessions:
            if session.channel_id == channel_id:
                await self.session(session.id)
