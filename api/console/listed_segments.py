"""Cache of what sessions' playlists list: when they advanced, how many segments, how much media, which bitrate. One LIST says
which playlists have advanced; of these a few are read at a time, the one that was read longest ago first, because the figures
differ little from one segment to the next.

Rule: no request waits for a store that does not answer. What is not known is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection, Mapping

from msgspec import Struct
from msgspec.structs import replace

from api.changes.single_flight import SingleFlightCache
from orchestrator.errors import Temporary
from orchestrator.ports import ObjectStore, Stamp
from transcoder.publish.multivariant_playlist import MultivariantPlaylist
from transcoder.publish.playlist_syntax import MalformedPlaylist

log = logging.getLogger(__name__)

MAX_AGE_S = 2.0
_READS = 32  # at most, after one LIST
_AT_ONCE = 4  # of the store's connections, which playback needs as well
_LIST_LIMIT_S = 1.0
_READS_LIMIT_S = 0.15  # for all reads after one LIST: the rest is read after the next one
_PAUSE_S = 10.0  # after a LIST that has failed
BITRATE_MAX_AGE_S = 60.0  # multivariant playlists are corrected seldom


class ListedSegments(Struct, frozen=True, kw_only=True):
    """What a session's playlists list."""

    advanced_at: float  # as the store says
    segments: int | None = None
    buffer_s: float | None = None  # how much media is listed
    bitrate_bps: int | None = None  # as the multivariant playlist says: on average, where it says that


class _Read(Struct, frozen=True, kw_only=True):
    etag: str
    segments: int | None
    buffer_s: float | None
    bitrate_bps: int | None
    bitrate_at: float


class ListedSegmentsCache:
    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._wanted: Collection[str] = ()
        self._read: dict[str, _Read] = {}  # the one read longest ago first
        self._paused_until = 0.0
        self.store_answers = True  # the last LIST succeeded
        self._listed = SingleFlightCache(self._list)

    async def get(self, session_ids: Collection[str]) -> Mapping[str, ListedSegments]:
        """By session id; sessions about which nothing is known are left out."""
        self._wanted = session_ids
        return await self._listed.get(MAX_AGE_S)

    def expire(self) -> None:
        """The next reader gets what is listed from now on."""
        self._listed.expire()

    async def _list(self) -> Mapping[str, ListedSegments]:
        if time.monotonic() < self._paused_until:
            return {}
        try:
            async with asyncio.timeout(_LIST_LIMIT_S):
                stamps = await self._store.playlists()
        except (Temporary, TimeoutError) as error:
            log.info("playlists are not listed: %s", error or "no answer in time")
            self._paused_until = time.monotonic() + _PAUSE_S
            self.store_answers = False
            return {}
        self.store_answers = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READS_LIMIT_S):
                await self._read_some(stamps)
        return {
            session_id: ListedSegments(
                advanced_at=stamp.modified_at, segments=read.segments, buffer_s=read.buffer_s, bitrate_bps=read.bitrate_bps
            )
            if (read := self._read.get(session_id)) is not None
            else ListedSegments(advanced_at=stamp.modified_at)
            for session_id, stamp in stamps.items()
            if session_id in self._wanted
        }

    async def _read_some(self, stamps: Mapping[str, Stamp]) -> None:
        self._read = {session_id: read for session_id, read in self._read.items() if session_id in self._wanted}
        new = [session_id for session_id in self._wanted if session_id in stamps and session_id not in self._read]
        old = [id for id, read in self._read.items() if id in stamps and stamps[id].etag != read.etag]
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(session_id: str) -> None:
            async with slots:
                read = await self._playlist(session_id, self._read.get(session_id))
            self._read.pop(session_id, None)  # the newest read comes last
            if read is not None:
                self._read[session_id] = read

        async with asyncio.TaskGroup() as group:
            for session_id in [*new, *old][:_READS]:
                group.create_task(one(session_id))

    async def _playlist(self, session_id: str, before: _Read | None) -> _Read | None:
        """The media playlist; the multivariant playlist only where its bitrate is older than BITRATE_MAX_AGE_S."""
        now = time.monotonic()
        try:
            found = await self._store.read_playlist(session_id)
            if found is None:
                return None
            playlist, etag = found
            bitrate_bps, bitrate_at = (before.bitrate_bps, before.bitrate_at) if before is not None else (None, now)
            if (bitrate_bps is None or now - bitrate_at >= BITRATE_MAX_AGE_S) and (
                text := await self._store.read_multivariant(session_id)
            ) is not None:
                variants = MultivariantPlaylist.parse(text).variants
                bitrate_bps = max((each.average_bandwidth or each.bandwidth for each in variants), default=None)
                bitrate_at = now
        except (Temporary, MalformedPlaylist) as error:
            log.info("session %s: its playlist is not read: %s", session_id, error)
            return before and replace(before, etag="")
        except Exception:  # the other playlists are read all the same
            log.exception("session %s: its playlist is not read", session_id)
            return before and replace(before, etag="")
        return _Read(
            etag=etag,
            segments=len(playlist.segments),
            buffer_s=round(playlist.duration_s, 1),
            bitrate_bps=bitrate_bps,
            bitrate_at=bitrate_at,
        )
