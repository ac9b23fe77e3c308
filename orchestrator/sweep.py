"""Follows every session's media playlist in the store by one LIST a second; says which advanced, and since when one has not.

A store that does not answer makes every playlist `Unknown`, and when it answers again the silence is counted from then: time
in which nobody could look is nobody's stall (law 3). Single playlists are read only where more must be known: which attempt
listed last, and what the takeover skipped. While a session waits for an attempt's first segment the sweep hurries.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from orchestrator.core.model import Absent, Playlist, Unknown
from orchestrator.errors import StoreUnavailable
from orchestrator.ports import ObjectStore
from transcoder.media_playlist import MediaPlaylist, attempt_of

log = logging.getLogger(__name__)

_HURRY_S = 0.1  # between looks while somebody waits
_FEW = 8  # up to so many waiting sessions their playlists are read one by one; beyond, one LIST is cheaper
_READS_AT_ONCE = 8


class Sweep:
    """`woken` is called with the id of each session whose playlist shows a new attempt."""

    def __init__(self, store: ObjectStore, woken: Callable[[str], None], now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._woken = woken
        self._now = now
        self._seen: dict[str, Playlist] = {}
        self._etags: dict[str, str] = {}
        self._answering_since: float | None = None
        self._waiting: dict[str, int] = {}
        self._busy = asyncio.Lock()
        self._hurry: asyncio.Task[None] | None = None
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)

    def playlist(self, session_id: str) -> Playlist | Absent | Unknown:
        """What is known now, without looking."""
        if self._answering_since is None:
            return Unknown("the object store does not answer")
        return self._seen.get(session_id, Absent())

    def wait_for(self, session_id: str, attempt: int) -> None:
        """Hurry until this attempt has listed a segment."""
        self._waiting[session_id] = attempt
        if self._hurry is None or self._hurry.done():
            self._hurry = asyncio.create_task(self._hurry_while_awaited(), name="sweep-hurry")

    def no_longer_wait_for(self, session_id: str) -> None:
        self._waiting.pop(session_id, None)

    def forget(self, session_id: str) -> None:
        self._waiting.pop(session_id, None)
        self._seen.pop(session_id, None)
        self._etags.pop(session_id, None)

    async def look(self) -> None:
        """One LIST for all. Never raises for the store."""
        async with self._busy:
            await self._answered(self._list)

    async def look_at(self, session_id: str) -> None:
        """Read one session's playlist now."""

        async def read() -> None:
            await self._read(session_id)

        await self._answered(read)

    async def close(self) -> None:
        if self._hurry is not None:
            self._hurry.cancel()
            await asyncio.gather(self._hurry, return_exceptions=True)

    async def _answered(self, look: Callable[[], Awaitable[None]]) -> None:
        try:
            await look()
        except StoreUnavailable as error:
            if self._answering_since is not None:
                log.warning("store: %s", error)
            self._answering_since = None
            return
        if self._answering_since is None:
            now = self._answering_since = self._now()
            for session_id, playlist in self._seen.items():
                self._seen[session_id] = Playlist(playlist.attempt, now, playlist.gap_s, playlist.ended)

    async def _list(self) -> None:
        stamps = await self._store.playlists()
        now = self._now()
        changed = [session_id for session_id, stamp in stamps.items() if self._etags.get(session_id) != stamp.etag]
        to_read: list[str] = []
        for session_id in changed:
            playlist = self._seen.get(session_id)
            if playlist is None or session_id in self._waiting:
                to_read.append(session_id)
            else:
                self._etags[session_id] = stamps[session_id].etag
                self._seen[session_id] = Playlist(playlist.attempt, now, playlist.gap_s, playlist.ended)
        for session_id in self._seen.keys() - stamps.keys():
            self._seen.pop(session_id, None)
            self._etags.pop(session_id, None)
        await asyncio.gather(*(self._read(session_id) for session_id in to_read))

    async def _read(self, session_id: str) -> None:
        async with self._reads:
            found = await self._store.read_playlist(session_id)
        if found is None:
            self._seen.pop(session_id, None)
            return
        playlist, etag = found
        if self._etags.get(session_id) == etag:
            return
        before = self._seen.get(session_id)
        self._etags[session_id] = etag
        attempt = playlist.last_attempt
        new = before is None or before.attempt != attempt
        gap_s = takeover_gap_s(playlist, attempt) if new or before is None else before.gap_s
        self._seen[session_id] = Playlist(attempt, self._now(), gap_s, playlist.ended)
        if new or session_id in self._waiting:
            if attempt >= self._waiting.get(session_id, attempt + 1):
                self._waiting.pop(session_id, None)
            self._woken(session_id)

    async def _hurry_while_awaited(self) -> None:
        while self._waiting:
            started = time.monotonic()
            if len(self._waiting) <= _FEW:
                for session_id in tuple(self._waiting):
                    await self.look_at(session_id)
            else:
                await self.look()
            await asyncio.sleep(max(_HURRY_S, 2.0 * (time.monotonic() - started)))


def takeover_gap_s(playlist: MediaPlaylist, attempt: int) -> float:
    """Programme skipped (or, negative, repeated) between the last segment of an earlier attempt and this one's first."""
    before = None
    for segment in playlist.segments:
        if before is not None and attempt_of(segment.uri) == attempt:
            return segment.program_date_time - (before.program_date_time + before.duration_s)
        before = segment if attempt_of(segment.uri) < attempt else before
    return 0.0
