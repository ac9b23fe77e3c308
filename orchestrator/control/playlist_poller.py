"""Playlist poller: follows the media playlists of all sessions by one LIST a second, and tells which ones advance.

Law: only time during which the store answered counts towards a stall (law 3). Each playlist carries since when and until when
the store has answered about it; where it does not answer, the playlist is `Unknown`.

Only sessions that this process works on are followed. A single playlist is read where more must be known: which attempt and
leg listed last, and how much programme the takeover has skipped. While a session waits for a leg's first segment, polls come
more often. An attempt that may switch inputs by itself begins a leg without being asked; its reports tell that within a second,
and because reports may be missing its playlist is also read now and then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from math import inf

from msgspec.structs import replace

from orchestrator.app.task_group import TaskGroup
from orchestrator.core.model import Absent, Corrupt, Playlist, Unknown
from orchestrator.errors import CorruptPlaylist, StoreUnavailable
from orchestrator.ports import ObjectStore
from transcoder import bucket
from transcoder.publish.media_playlist import MediaPlaylist

log = logging.getLogger(__name__)

_HURRY_S = 0.1  # between polls while a session waits for a first segment
_FEW = 8  # up to so many waiting sessions their playlists are read one by one; for more, one LIST is cheaper ...
_HURRY_FOR_MANY_S = 0.5  # ... and less frequent, because so many starts at once need the CPU themselves
_READS_AT_ONCE = 8
_REREAD_S = 10.0  # the playlist of an attempt that may switch inputs by itself
_LISTED_PER_READ = 16  # a LIST takes as long as one read for so many playlists


class _Followed:
    """What is known of one session's playlist."""

    __slots__ = ("at", "etag", "hurry_until", "may_switch", "read_at", "read_etag", "seen", "waiting")

    def __init__(self) -> None:
        self.seen: Playlist | Absent | Unknown = Unknown("not read yet")
        self.etag: str | None = None  # as the store last gave it
        # Of the text that `seen` was read from: a LIST tells that a playlist has changed, not what
        self.read_etag: str | None = None
        self.at = 0.0  # when the store was last asked and did answer
        self.waiting: tuple[int, int] | None = None  # the attempt and its leg whose first segment is waited for ...
        self.hurry_until = inf  # ... and until when that makes polls more frequent
        self.may_switch = False  # its attempt may begin another leg by itself
        self.read_at = 0.0  # when its text was last read

    @property
    def is_to_be_read(self) -> bool:
        """Whether it is read where a LIST shows that it has changed."""
        return self.waiting is not None or not isinstance(self.seen, Playlist)

    def shows(self, playlist: Playlist, etag: str, asked_at: float) -> None:
        """The store has answered. It has done so without a break since the answer before, unless that was `Unknown`."""
        since = asked_at if isinstance(self.seen, Unknown) else self.seen.since
        self.seen, self.etag, self.at = replace(playlist, since=since, at=asked_at), etag, asked_at

    def shows_none(self, asked_at: float) -> None:
        since = self.seen.since if isinstance(self.seen, Absent) else asked_at
        self.seen, self.etag, self.at = Absent(since=since, at=asked_at), None, asked_at


class PlaylistPoller:
    """`woken` is called with the id of each session whose playlist shows a new attempt or leg."""

    def __init__(
        self, store: ObjectStore, tasks: TaskGroup, woken: Callable[[str], None], now: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._tasks = tasks
        self._woken = woken
        self._now = now
        self._followed: dict[str, _Followed] = {}
        self._silent = False
        self._odd: set[str] = set()  # ids of sessions whose playlist could not be read because of an unexpected error
        self._busy = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None  # a poll that has not begun yet
        self._doubts = 0  # how many playlists are being read because of a doubt
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)

    def playlist(self, session_id: str) -> Playlist | Absent | Unknown:
        """What is known now, without a request."""
        followed = self._followed.get(session_id)
        return Unknown("not followed") if followed is None else followed.seen

    def follows(self, session_id: str) -> bool:
        return session_id in self._followed

    def wait_for(self, session_id: str, attempt: int, leg: int = 1, until: float = inf) -> None:
        """Polls more often until this leg of this attempt has listed a segment, or until that time (unix seconds): an attempt
        that switches inputs by itself may have none to open for hours."""
        followed = self._followed.setdefault(session_id, _Followed())
        followed.waiting, followed.hurry_until = (attempt, leg), until
        self._tasks.start_unless_running(self._hurry_while_awaited, "playlist poll, in a hurry")

    def no_longer_wait_for(self, session_id: str) -> None:
        if session_id in self._followed:
            self._followed[session_id].waiting = None

    def may_switch(self, session_id: str, may: bool) -> None:
        """Whether the session's attempt may begin another leg by itself."""
        if session_id in self._followed:
            self._followed[session_id].may_switch = may

    def forget(self, session_id: str) -> None:
        self._followed.pop(session_id, None)
        self._odd.discard(session_id)

    async def look(self) -> None:
        """One LIST for all playlists that are followed (single-flight: callers share the next one that begins). A store that
        does not answer raises nothing."""
        if self._next is None:
            self._next = self._tasks.start(self._look(), "playlist poll", awaited=True)
        await asyncio.shield(self._next)

    async def _look(self) -> None:
        async with self._busy:
            self._next = None
            followed = tuple(self._followed.items())
            asked_at = self._now()
            try:
                stamps = await self._store.playlists()
            except StoreUnavailable as error:
                self._does_not_answer(error, *(each for _, each in followed))
                return
            self._answers()
            to_read = []
            for session_id, known in followed:
                stamp = stamps.get(session_id)
                if known.at > asked_at:
                    pass  # it was read after the LIST was asked for
                elif stamp is None:
                    known.shows_none(asked_at)
                elif isinstance(known.seen, Playlist) and stamp.etag == known.etag:
                    known.shows(known.seen, stamp.etag, asked_at)
                elif (
                    isinstance(known.seen, Playlist)
                    and not known.is_to_be_read
                    and not (known.may_switch and asked_at >= known.read_at + _REREAD_S)
                ):
                    known.shows(replace(known.seen, changed_at=self._now()), stamp.etag, asked_at)
                else:
                    to_read.append(self._read(session_id, known))
            await asyncio.gather(*to_read)

    async def look_at(self, session_id: str) -> None:
        """Reads one session's playlist now, and follows it from now on. A store that does not answer raises nothing."""
        await self._read(session_id, self._followed.setdefault(session_id, _Followed()))

    async def look_again_at(self, session_id: str) -> None:
        """Reads the playlist of a session that looks stalled. Sessions that look stalled at the same time share one LIST beyond
        a number of them, because reading them all would take so long that more would look stalled. A store that does not answer
        raises nothing."""
        if self._doubts >= max(_FEW, len(self._followed) // _LISTED_PER_READ):
            await self.look()
            return
        self._doubts += 1
        try:
            await self.look_at(session_id)
        finally:
            self._doubts -= 1

    async def _read(self, session_id: str, known: _Followed) -> None:
        try:
            await self._read_playlist(session_id, known)
            self._odd.discard(session_id)
        except Exception as error:  # an error in one session's playlist must not keep the others from being read
            if session_id not in self._odd:  # logged once: it is read again every second
                log.error("%s: its playlist cannot be read", session_id, exc_info=error)
            self._odd.add(session_id)
            known.seen = Unknown(f"its playlist cannot be read: {type(error).__name__}")

    async def _read_playlist(self, session_id: str, known: _Followed) -> None:
        async with self._reads:
            asked_at = self._now()
            try:
                found = await self._store.read_playlist(session_id)
            except CorruptPlaylist as error:
                if not isinstance(known.seen, Corrupt):
                    log.error("%s: %s", session_id, error)
                known.seen = Corrupt(str(error))
                return
            except StoreUnavailable as error:
                self._does_not_answer(error, known)
                return
        self._answers()
        before = known.seen
        if known.at > asked_at:
            return  # a request that was sent later was answered sooner
        if found is None:
            known.shows_none(asked_at)
            return
        playlist, etag = found
        known.read_at = asked_at
        if isinstance(before, Playlist) and etag == known.read_etag:
            known.shows(before, etag, asked_at)
            return
        attempt, leg = playlist.last_attempt, playlist.leg
        new = not isinstance(before, Playlist) or (before.attempt, before.leg) != (attempt, leg)
        gap_s = before.gap_s if isinstance(before, Playlist) and not new else takeover_gap_s(playlist, attempt, leg)
        changed_at = before.changed_at if isinstance(before, Playlist) and etag == known.etag else self._now()
        shown = Playlist(attempt, changed_at, gap_s, playlist.ended, playlist.target_duration_s, leg=leg)
        known.shows(shown, etag, asked_at)
        known.read_etag = etag
        if known.waiting is not None and (attempt, leg) >= known.waiting:
            known.waiting = None
        if new and self._followed.get(session_id) is known:
            self._woken(session_id)

    def _does_not_answer(self, error: StoreUnavailable, *asked: _Followed) -> None:
        if not self._silent:
            log.warning("store: %s", error)
        self._silent = True
        for known in asked:
            known.seen = Unknown(str(error))

    def _answers(self) -> None:
        if self._silent:
            log.info("store: answers again")
        self._silent = False

    async def _hurry_while_awaited(self) -> None:
        while waiting := self._hurrying():
            started = time.monotonic()
            if len(waiting) <= _FEW:
                pause_s = _HURRY_S
                await asyncio.gather(*(self.look_at(session_id) for session_id in waiting))
            else:
                pause_s = _HURRY_FOR_MANY_S
                await self.look()
            await asyncio.sleep(max(pause_s, 2.0 * (time.monotonic() - started)))

    def _hurrying(self) -> list[str]:
        now = self._now()
        return [
            session_id for session_id, known in self._followed.items() if known.waiting is not None and known.hurry_until > now
        ]


def takeover_gap_s(playlist: MediaPlaylist, attempt: int, leg: int = 1) -> float:
    """Seconds of programme that were skipped (negative: repeated) between the last segment of what played before and the first
    one of this attempt; of a later leg, at the attempt's last discontinuity, with which the leg begins."""
    if leg > 1:
        return _switch_gap_s(playlist, attempt)
    before = None
    for segment in playlist.segments:
        if before is not None and bucket.attempt_of(segment.uri) == attempt:
            return segment.program_date_time - (before.program_date_time + before.duration_s)
        before = segment if bucket.attempt_of(segment.uri) < attempt else before
    return 0.0


def _switch_gap_s(playlist: MediaPlaylist, attempt: int) -> float:
    gap_s, before = 0.0, None
    for segment in playlist.segments:
        own = bucket.attempt_of(segment.uri) == attempt
        if before is not None and own and segment.discontinuity:
            gap_s = segment.program_date_time - before.end_s
        before = segment
    return gap_s
