"""Wake-ups: a coalescing queue of the sessions that are to be looked at. Whatever sees a change puts the session's id in; the
supervisor, and only it, takes them out.

It is created before the parts of the control loop and given to them, so that none of them needs to know the supervisor. A
session is in the queue at most once, however often it is woken, so the queue is never longer than the number of sessions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from msgspec import Struct


class Woken(Struct, frozen=True, kw_only=True):
    """What has been put in since the last time."""

    sessions: Mapping[str, bool]  # by id: whether their rows may have changed; else only container or playlist have
    ended: Collection[str]  # ids of sessions that have ended and may be forgotten


class WakeUps:
    def __init__(self) -> None:
        self._sessions: dict[str, bool] = {}
        self._ended: set[str] = set()
        self._changed = asyncio.Event()
        self._engine_silent = asyncio.Event()

    def wake(self, session_id: str) -> None:
        """Look at this session, rows included."""
        self._sessions[session_id] = True
        self._changed.set()

    def glance(self, session_id: str) -> None:
        """Look at this session's container and playlist, and at its rows only if something would follow from these."""
        self._sessions.setdefault(session_id, False)
        self._changed.set()

    def has_ended(self, session_id: str) -> None:
        """This session needs no supervision any more."""
        self._ended.add(session_id)
        self._changed.set()

    async def take(self) -> Woken:
        """Waits until there is something, and takes all of it."""
        await self._changed.wait()
        self._changed.clear()
        woken = Woken(sessions=self._sessions, ended=self._ended)
        self._sessions, self._ended = {}, set()
        return woken

    def engine_is_silent(self) -> None:
        """The engine did not answer an observation."""
        self._engine_silent.set()

    async def engine_silence(self) -> None:
        """Waits until the engine did not answer. What was silent before this returns is one silence."""
        await self._engine_silent.wait()
        self._engine_silent.clear()
