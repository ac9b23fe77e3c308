"""Who watches, as the rows have it, and since when it could be written (law 3).

Nobody is idle for what could not be renewed: time counts only while the database has answered us, and while an API has said in
it that it can write. After a break, whatever its cause, every lease has its whole time again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from orchestrator.core.model import Renewed, Unknown
from orchestrator.errors import Temporary
from orchestrator.ports import Sessions

log = logging.getLogger(__name__)

BREAK_S = 10.0  # without an answer, or without an API's word, for so long: renewals may be missing


class Renewals:
    def __init__(self, sessions: Sessions, now: Callable[[], float] = time.time) -> None:
        self._sessions = sessions
        self._now = now
        self._last_at: Mapping[str, float] = {}
        self._since: float | None = None
        self._looked_at = 0.0  # with success
        self._written_at: float | None = None
        self._said_at: float | None = None  # when an API's word was seen to change: its clock is not ours

    async def look(self) -> None:
        """Read them all. Raises DatabaseUnavailable."""
        try:
            found = await self._sessions.renewals()
        except Temporary:
            self._since = None
            raise
        now = self._now()
        first = not self._looked_at
        if found.written_at != self._written_at:
            self._said_at = self._said_at if first else now  # the first one found may be old
            self._written_at = found.written_at
        if self._said_at is None or now - self._said_at > BREAK_S:
            if self._since is not None:
                log.warning("no API says that it renews leases: none runs out")
            self._since = None
        elif self._since is None or now - self._looked_at > BREAK_S:
            self._since = now
        self._last_at, self._looked_at = found.last_at, now

    def of(self, session_id: str, last_at: float | None = None) -> Renewed | Unknown:
        """Of a session; `last_at` where its row has just been read."""
        last_at = self._last_at.get(session_id) if last_at is None else last_at
        if last_at is None or self._since is None or self._now() - self._looked_at > BREAK_S:
            return Unknown("renewals may be missing")
        return Renewed(last_at, self._since)
