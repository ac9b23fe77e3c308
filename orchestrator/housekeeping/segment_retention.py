"""Segment retention: deletes objects from the store, in bulk, once no player can ask for them any more.

Rule: a segment is deleted only after it has been out of the playlist's window for so long that no player can hold a playlist
that lists it (RFC 8216, 6.2.2). A session's playlists, segments and logs are deleted together, some time after it has ended.

Which objects exist is read from the store in each pass. Only the time since when a segment has been out of the window is
kept in memory, so a restart delays deletions and has no other effect. A playlist that cannot be read does not stop the
deletions of other sessions.
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Awaitable

from orchestrator.app.settings import Settings
from orchestrator.core.model import Phase
from orchestrator.errors import CorruptPlaylist, NotFound, StoreUnavailable
from orchestrator.ports import ObjectStore, Sessions
from transcoder import bucket
from transcoder.publish.media_playlist import MediaPlaylist

log = logging.getLogger(__name__)

_REFUSALS = 3  # so many sessions in a row whose objects cannot be read: the store itself is at fault

Position = tuple[int, int]
"""A segment's position in its session: attempt and number. In a playlist positions ascend."""


class SegmentRetention:
    def __init__(self, store: ObjectStore, sessions: Sessions, settings: Settings) -> None:
        self._store = store
        self._sessions = sessions
        self._settings = settings
        self._firsts: dict[str, deque[tuple[float, Position]]] = {}  # session -> (seen at, the first position that was listed)

    async def delete_unlisted(self, now: float) -> int:
        """One pass; returns how many objects were deleted. Raises StoreUnavailable, DatabaseUnavailable."""
        segments: dict[str, list[str]] = defaultdict(list)
        newest: dict[str, float] = {}
        for prefix in bucket.PREFIXES:
            async for page in self._store.objects(prefix):
                for item in page:
                    session_id = bucket.session_of(item.key)
                    newest[session_id] = max(item.modified_at, newest.get(session_id, 0.0))
                    if prefix == bucket.SEGMENTS:
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
            return 0  # which segments it lists is not known; they are deleted when the session has ended
        if found is None or not found[0].segments:
            return 0
        playlist = found[0]
        firsts = self._firsts.setdefault(session_id, deque())
        firsts.append((now, bucket.segment_position(playlist.segments[0].uri)))
        long_ago = now - self._kept_s(playlist)
        while len(firsts) > 1 and firsts[1][0] <= long_ago:
            firsts.popleft()
        seen_at, first = firsts[0]
        out = [key for key in keys if bucket.segment_position(key) < first] if seen_at <= long_ago else []
        if out:
            await self._store.delete(out)
        return len(out)

    def _kept_s(self, playlist: MediaPlaylist) -> float:
        """How long a segment is kept after it has left the window: the duration of the longest playlist that listed it, plus
        its own (RFC 8216, 6.2.2)."""
        window_s = max(self._settings.window_s, 3.0 * playlist.target_duration_s)
        return max(self._settings.segment_retention_s, window_s + playlist.target_duration_s)

    async def _is_over(self, session_id: str, now: float) -> bool:
        try:
            session = (await self._sessions.get(session_id)).session
        except NotFound:
            return True  # there is no such session, and nothing has been written for it for long
        return session.phase is Phase.ENDED and (session.ended_at or 0.0) <= now - self._settings.ended_retention_s

    async def _whole_session(self, session_id: str) -> int:
        gone = await self._delete_below(bucket.session_reports_prefix(session_id))
        for prefix in bucket.PREFIXES:
            gone += await self._delete_below(bucket.session_prefix(prefix, session_id))
        log.info("%s: %s objects of an ended session deleted", session_id, gone)
        return gone

    async def _delete_below(self, prefix: str) -> int:
        gone = 0
        async for page in self._store.objects(prefix):
            await self._store.delete([item.key for item in page])
            gone += len(page)
        return gone
