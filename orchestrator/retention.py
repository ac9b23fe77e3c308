"""Deletes what nobody can be asked to fetch any more, in bulk, and nothing earlier.

A segment that is listed, or that left the window less than `segment_retention_s` ago, stays: a player may hold an old playlist
(RFC 8216, 6.2.2). What exists is read from the store, not remembered, so a crash loses nothing.
"""

from __future__ import annotations

import logging
from collections import defaultdict

from orchestrator.core.model import Phase
from orchestrator.errors import NotFound
from orchestrator.ports import ObjectStore, Sessions
from orchestrator.settings import Settings

log = logging.getLogger(__name__)


class Retention:
    def __init__(self, store: ObjectStore, sessions: Sessions, settings: Settings) -> None:
        self._store = store
        self._sessions = sessions
        self._settings = settings

    async def sweep(self, now: float) -> int:
        """One pass; returns how many objects went. Raises StoreUnavailable, DatabaseUnavailable."""
        return await self._old_segments(now) + await self._ended_sessions(now)

    async def _old_segments(self, now: float) -> int:
        before = now - self._settings.window_s - self._settings.segment_retention_s
        old: dict[str, list[str]] = defaultdict(list)
        async for page in self._store.objects("segments/"):
            for item in page:
                if item.modified_at < before:
                    old[item.key.split("/")[1]].append(item.key)
        gone = 0
        for session_id, keys in old.items():
            found = await self._store.read_playlist(session_id)
            if found is None or found[0].ended:
                continue  # an ended session's objects go together
            listed = {segment.uri.removeprefix("../../") for segment in found[0].segments}
            unlisted = [key for key in keys if key not in listed]
            await self._store.delete(unlisted)
            gone += len(unlisted)
        return gone

    async def _ended_sessions(self, now: float) -> int:
        gone = 0
        for session_id in await self._store.playlists():
            try:
                session = (await self._sessions.get(session_id)).session
            except NotFound:
                continue  # not ours to judge here: the sweep for things without a row does
            if session.phase is not Phase.ENDED or (session.ended_at or now) + self._settings.ended_retention_s > now:
                continue
            # The playlist goes last: while it is there, an interrupted pass is taken up again.
            for prefix in (f"segments/{session_id}/", f"logs/{session_id}/", f"playlists/{session_id}/"):
                async for page in self._store.objects(prefix):
                    await self._store.delete([item.key for item in page])
                    gone += len(page)
        return gone
