"""Lease renewals: when each session was last renewed by its viewers, and since when renewals could be written at all.

Law: only time in which a viewer could have renewed counts towards idleness (law 3). That is time in which the database has
answered this process, and in which an API has written that it can write. After a break of either, every lease has its whole
time again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from orchestrator.core.model import Renewed, Unknown
from orchestrator.errors import Temporary
from orchestrator.ports import Sessions

log = logging.getLogger(__name__)

BREAK_S = 10.0  # so long without an answer of the database, or without an API's mark: renewals may be missing


class LeaseRenewals:
    def __init__(self, sessions: Sessions, now: Callable[[], float] = time.time) -> None:
        self._sessions = sessions
        self._now = now
        self._last_at: Mapping[str, float] = {}
        self._since: float | None = None
        self._looked_at = 0.0  # when the database last answered
        self._written_at: float | None = None
        # When the API's mark was last seen to change, by our clock: the API's may differ
        self._said_at: float | None = None

    async def look(self) -> None:
        """Reads all renewals. Raises DatabaseUnavailable."""
        try:
            found = await self._sessions.renewals()
        except Temporary:
            self._since = None
            raise
        now = self._now()
        first = not self._looked_at
        if found.written_at != self._written_at:
            self._said_at = self._said_at if first else now  # the first mark that is read may be old
            self._written_at = found.written_at
        if self._said_at is None or now - self._said_at > BREAK_S:
            if self._since is not None:
                log.warning("no API has reported that it can renew leases: until one does, no lease runs out")
            self._since = None
        elif self._since is None or now - self._looked_at > BREAK_S:
            self._since = now
        self._last_at, self._looked_at = found.last_at, now

    def of(self, session_id: str, last_at: float | None = None) -> Renewed | Unknown:
        """The session's latest renewal; `last_at`: as its row has it, where that has just been read."""
        last_at = self._last_at.get(session_id) if last_at is None else last_at
        if last_at is None or self._since is None or self._now() - self._looked_at > BREAK_S:
            return Unknown("renewals may be missing")
        return Renewed(last_at, self._since)
