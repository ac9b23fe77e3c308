"""Follows a session's playlist as a player does, and records what a player would notice.

It checks every two consecutive states against the playlist's rules (the agent's `violations`), fetches each segment as soon as
it is listed (a listed segment must exist), and measures how late each listing is: later than the previous listing plus the
duration of the segment that it listed.
"""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from transcoder import bucket
from transcoder.publish.media_playlist import ListedSegment, MediaPlaylist
from transcoder.publish.playlist_rules import violations
from transcoder.publish.playlist_syntax import MalformedPlaylist


class Listing(NamedTuple):
    """When one segment was listed. `late_s` is negative where it was listed before it was due; None for the first one."""

    at: float  # unix seconds
    segment: ListedSegment
    attempt: int
    late_s: float | None


def lateness_s(listings: Sequence[Listing]) -> float:
    """The greatest lateness of those after the first, which plays when it is listed. A segment is due when the one before has
    been shown: what came early leaves the next one's due time where it was, what came late moves it. Raises ValueError where
    there is no second listing."""
    first = listings[0]
    due_at, late_s = first.at + first.segment.duration_s, []
    for each in listings[1:]:
        late_s.append(each.at - due_at)
        due_at = max(due_at, each.at) + each.segment.duration_s
    return max(late_s)


class Swap(NamedTuple):
    """A later attempt took the playlist over. `gap_s`: programme skipped (positive) or repeated (negative)."""

    at: float
    attempt: int
    late_s: float
    gap_s: float


class Viewer:
    """Follows one playlist. `url`: the multivariant or the media playlist; `main.m3u8` beside it is read."""

    def __init__(self, url: str, *, every_s: float = 0.05, fetch: bool = True) -> None:
        self._url = urljoin(url, bucket.MEDIA_PLAYLIST_NAME)
        self._every_s = every_s
        self._fetch = fetch
        self._connection: http.client.HTTPConnection | None = None
        self.playlist: MediaPlaylist | None = None
        self.listings: list[Listing] = []
        self.faults: list[str] = []
        self._unfetched: list[str] = []
        self.refused = 0  # answers other than 200 after the first playlist

    @property
    def swaps(self) -> list[Swap]:
        found = []
        for before, after in zip(self.listings, self.listings[1:], strict=False):
            if after.attempt != before.attempt:
                gap_s = after.segment.program_date_time - before.segment.end_s
                found.append(Swap(after.at, after.attempt, after.late_s or 0.0, gap_s))
        return found

    async def look(self) -> list[Listing]:
        """Read the playlist once and return what is newly listed. An answer other than 200 is counted in `refused`."""
        return await asyncio.to_thread(self._look)

    async def follow(self, seconds: float | None = None) -> None:
        """Read the playlist repeatedly, until the time is over or the playlist has ended."""
        until = None if seconds is None else time.monotonic() + seconds
        while until is None or time.monotonic() < until:
            await self.look()
            if self.playlist is not None and self.playlist.ended:
                return
            await asyncio.sleep(self._every_s)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _look(self) -> list[Listing]:
        status, body = self._get(self._url)
        now = time.time()
        if status != 200:
            self.refused += self.playlist is not None
            return []
        try:
            playlist = MediaPlaylist.parse(body.decode())
        except (MalformedPlaylist, UnicodeDecodeError) as error:
            self.faults.append(f"malformed playlist: {error}")
            return []
        before, self.playlist = self.playlist, playlist
        if before == playlist:
            self._fetch_listed()
            return []
        if before is not None:
            self.faults += violations(before, playlist)
        known = {segment.uri for segment in before.segments} if before is not None else set()
        fresh = [segment for segment in playlist.segments if segment.uri not in known]
        found = []
        for segment in fresh:
            last = self.listings[-1] if self.listings else None
            late_s = None if last is None else now - (last.at + last.segment.duration_s)
            listing = Listing(now, segment, bucket.attempt_of(segment.uri), late_s)
            self.listings.append(listing)
            found.append(listing)
            if self._fetch:
                self._unfetched.append(segment.uri)
        self._fetch_listed()
        return found

    def _fetch_listed(self) -> None:
        """Fetch each newly listed segment once. No answer or 5xx: it is tried again later; another refusal is a fault."""
        while self._unfetched:
            uri = self._unfetched[0]
            status, _ = self._get(urljoin(self._url, uri))
            if status is None or status >= 500:
                return
            del self._unfetched[0]
            if status != 200:
                self.faults.append(f"listed but not there ({status}): {uri}")

    def _get(self, url: str) -> tuple[int | None, bytes]:
        """The status and the body; status None: no answer."""
        parts = urlsplit(url)
        for _ in range(2):  # a persistent connection may have been closed meanwhile
            if self._connection is None:
                https = parts.scheme == "https"
                kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
                self._connection = kind(parts.netloc, timeout=3.0)
            try:
                self._connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))
                answer = self._connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException):
                self.close()
                continue
            return answer.status, body
        return None, b""
