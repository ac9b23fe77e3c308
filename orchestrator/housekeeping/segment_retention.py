"""Deletes what nobody can be asked to fetch any more, in bulk, and nothing earlier.

A segment goes when it has been out of the window for so long that no player can hold a playlist that lists it (RFC 8216,
6.2.2). What exists is read from the store; what is remembered is only since when a segment has been out, so a crash does no
more than put things off. A session's playlists, segments and logs go together, some time after it has ended.

What a container wrote for one session never keeps the others' turn from coming.
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Awaitable

from orchestrator.app.settings import Settings
from orchestrator.core.model import Phase
from orchestrator.errors import CorruptPlaylist, NotFound, StoreUnavailable
from orchestrator.ports import ObjectStore, Sessions
from transcoder.media_playlist import MediaPlaylist

log = logging.getLogger(__name__)

_PREFIXES = ("segments/", "logs/", "playlists/")  # the playlists last: while they are there, an interrupted pass is taken up

_REFUSALS = 3  # sessions one after the other whose objects the store does not give: it is the store

Place = tuple[int, int]
"""Of a segment in its session: attempt and number. Listed ones go up."""


class Retention:
    def __init__(self, store: ObjectStore, sessions: Sessions, settings: Settings) -> None:
        self._store = store
        self._sessions = sessions
        self._settings = settings
        self._firsts: dict[str, deque[tuple[float, Place]]] = {}  # session -> (seen at, the first place that was listed)

    async def sweep(self, now: float) -> int:
        """One pass; returns how many objects went. Raises StoreUnavailable, DatabaseUnavailable."""
        segments: dict[str, list[str]] = defaultdict(list)
        newest: dict[str, float] = {}
        for prefix in _PREFIXES:
            async for page in self._store.objects(prefix):
                for item in page:
                    session_id = item.key.split("/")[1]
                    newest[session_id] = max(item.modified_at, newest.get(session_id, 0.0))
                    if prefix == "segments/":
                        segments[session_id].append(item.key)
        unended = {session.id for session in await self._sessions.unended()}
        gone, refused = 0, 0

        async def turn(session_id: str, work: Awaitable[int]) -> None:
            nonlocal gone, refused
            try:
                gone += await work
                refused = 0
            except StoreUnavailable as error:
                refused += 1
                if refused >= _REFUSALS:
                    raise
                log.warning("%s: retention: %s", session_id, error)
            except Exception:
                log.exception("%s: retention", session_id)

        for session_id in unended & segments.keys():
            await turn(session_id, self._left_the_window(session_id, segments[session_id], now))
        for session_id in newest.keys() - unended:
            if newest[session_id] <= now - self._settings.ended_retention_s and await self._is_over(session_id, now):
                await turn(session_id, self._whole_session(session_id))
        self._firsts = {session_id: firsts for session_id, firsts in self._firsts.items() if session_id in unended}
        return gone

    async def _left_the_window(self, session_id: str, keys: list[str], now: float) -> int:
        try:
            found = await self._store.read_playlist(session_id)
        except CorruptPlaylist:
            return 0  # what it listed nobody knows; its own end takes it all, and the others' turn comes now
        if found is None or not found[0].segments:
            return 0
        playlist = found[0]
        firsts = self._firsts.setdefault(session_id, deque())
        firsts.append((now, _place(playlist.segments[0].uri)))
        long_ago = now - self._kept_s(playlist)
        while len(firsts) > 1 and firsts[1][0] <= long_ago:
            firsts.popleft()
        seen_at, first = firsts[0]
        out = [key for key in keys if _place(key) < first] if seen_at <= long_ago else []
        if out:
            await self._store.delete(out)
        return len(out)

    def _kept_s(self, playlist: MediaPlaylist) -> float:
        """How long a segment stays after it has left: as long as the longest playlist that listed it, and its own length."""
        window_s = max(self._settings.window_s, 3.0 * playlist.target_duration_s)
        return max(self._settings.segment_retention_s, window_s + playlist.target_duration_s)

    async def _is_over(self, session_id: str, now: float) -> bool:
        try:
            session = (await self._sessions.get(session_id)).session
        except NotFound:
            return True  # of nobody, and nobody has written for long
        return session.phase is Phase.ENDED and (session.ended_at or 0.0) <= now - self._settings.ended_retention_s

    async def _whole_session(self, session_id: str) -> int:
        gone = 0
        for prefix in _PREFIXES:
            async for page in self._store.objects(f"{prefix}{session_id}/"):
                await self._store.delete([item.key for item in page])
                gone += len(page)
        log.info("%s: %s objects of an ended session deleted", session_id, gone)
        return gone


def _place(key: str) -> Place:
    """Of a segment's key, or of the URI that lists it: `…segments/{session}/{attempt}/{variant}/{n}.ts`. A container may write
    what it likes below its attempt: what has no number comes before all that has."""
    parts = key.partition("segments/")[2].split("/")
    numbers = (parts[1] if len(parts) > 1 else "", parts[-1].partition(".")[0])
    attempt, number = (int(each) if each.isascii() and each.isdecimal() and len(each) < 19 else -1 for each in numbers)
    return attempt, number
