"""Wake-ups: a coalescing queue of the sessions that are to be looked at. Whatever sees a change puts the session's id in; the
supervisor, and only it, takes them out.

It is created before the parts of the control loop and given to them, so that none of them needs to know the supervisor. A
session stands in it once, however often it is woken before it is taken: the queue is no longer than there are sessions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from msgspec import Struct


class Woken(Struct, frozen=True, kw_only=True):
    """What has been woken since the last time."""

    sessions: Mapping[str, bool]  # by id: whether their rows may have changed; else only container or playlist have
    engine_is_silent: bool  # something could not be observed because the engine did not answer


class WakeUps:
    def __init__(self) -> None:
        self._sessions: dict[str, bool] = {}
        self._engine_is_silent = False
        self._changed = asyncio.Event()

    def wake(self, session_id: str) -> None:
        """Look at this session, rows included."""
        self._sessions[session_id] = True
        self._changed.set()

    def glance(self, session_id: str) -> None:
        """Look at this session's container and playlist, and at its rows only if something would follow from these."""
        self._sessions.setdefault(session_id, False)
        self._changed.set()

    def engine_is_silent(self) -> None:
        """The engine did not answer: wait for it, then look at what could not be observed."""
        self._engine_is_silent = True
        self._changed.set()

    async def take(self) -> Woken:
        """Waits until there is something, and takes all of it."""
        await self._changed.wait()
        self._changed.clear()
        woken = Woken(sessions=self._sessions, engine_is_silent=self._engine_is_silent)
        self._sessions, self._engine_is_silent = {}, False
        return woken
