"""A store in memory, with S3's conditional writes: what the publisher is tested against.

It answers the agent's own requests, for several attempts of one session, and checks every law at every write.
"""

from __future__ import annotations

from transcoder import bucket
from transcoder.publish.media_playlist import MediaPlaylist
from transcoder.publish.multivariant_playlist import MultivariantPlaylist
from transcoder.publish.playlist_rules import violations
from transcoder.publish.store_requests import (
    Conflict,
    Found,
    GetIndex,
    GetMain,
    NotStored,
    PostSegment,
    PutIndex,
    PutMain,
    Reply,
    Request,
    Stored,
)

SESSION = "s-1"
KEYFRAME, INTER = b"keyframe first", b"in the middle of a group"  # what a segment begins with


class StoreModel:
    """One session's objects. `broken` names every law that a write has broken."""

    def __init__(self) -> None:
        self.main: str | None = None
        self.main_version = 0
        self.index: str | None = None
        self.index_version = 0
        self.index_writers: list[int] = []  # the attempt of each write of index, in order
        self.segments: set[str] = set()
        self.group_s = 0.0  # the longest group of pictures, beyond its first segment: so much may be listed once more
        self._inter: set[str] = set()
        self.writers: list[int] = []  # the attempt of each write of main, in order
        self.broken: list[str] = []
        self.now_s = 0.0

    @property
    def playlist(self) -> MediaPlaylist | None:
        return MediaPlaylist.parse(self.main) if self.main is not None else None

    def apply(self, attempt: int, request: Request) -> Reply:
        """What the request does, and its answer."""
        match request:
            case GetMain():
                return NotStored() if self.main is None else Found(self.main, self._etag)
            case GetIndex():
                return NotStored() if self.index is None else Found(self.index, self._index_etag)
            case PutIndex(text, etag):
                if etag != (self._index_etag if self.index is not None else None):
                    return Conflict()
                self._check_index(attempt, text)
                self.index = text
                self.index_version += 1
                self.index_writers.append(attempt)
                return Stored(self._index_etag)
            case PostSegment(n):
                uri = bucket.segment_uri(SESSION, attempt, n)
                if not request.data:
                    self.broken.append(f"{uri} is empty")
                self.segments.add(uri)
                if request.data == INTER:
                    self._inter.add(uri)
                return Stored('"s"')
            case PutMain(text, etag):
                if etag != (self._etag if self.main is not None else None):
                    return Conflict()
                self._check(attempt, text)
                self.main = text
                self.main_version += 1
                self.writers.append(attempt)
                return Stored(self._etag)

    @property
    def _etag(self) -> str:
        return f'"{self.main_version}"'

    @property
    def _index_etag(self) -> str:
        return f'"i{self.index_version}"'

    def _check_index(self, attempt: int, text: str) -> None:
        new = MultivariantPlaylist.parse(text)
        if new.attempt != attempt:
            self.broken.append(f"attempt {attempt} wrote the index as {new.attempt}")
        if self.index is None:
            return
        old = MultivariantPlaylist.parse(self.index)
        if new.sending != old.sending:
            self.broken.append(f"the session sends {new.sending} after {old.sending}")
        if attempt < old.attempt:
            self.broken.append(f"attempt {attempt} corrected the index of attempt {old.attempt}")
        if new.variants[0].bandwidth < old.variants[0].bandwidth:
            self.broken.append("BANDWIDTH went down")

    def _check(self, attempt: int, text: str) -> None:
        new, old = MediaPlaylist.parse(text), self.playlist
        if old:
            self.broken += violations(old, new)
        if self.writers and attempt < max(self.writers):
            self.broken.append(f"attempt {attempt} wrote after attempt {max(self.writers)}")
        if self.index is None:
            self.broken.append("main before index")
        known = {segment.uri for segment in old.segments} if old else set()
        for segment in new.segments:
            if segment.uri not in known and segment.uri not in self.segments:
                self.broken.append(f"{segment.uri} is listed and not stored")
            if segment.uri not in known and bucket.attempt_of(segment.uri) != attempt:
                self.broken.append(f"attempt {attempt} listed {segment.uri}")
        for before, segment in zip((None, *new.segments), new.segments, strict=False):
            if (
                segment.uri in self._inter
                and segment.uri not in known
                and (before is None or not _follows(before.uri, segment.uri))
            ):
                self.broken.append(f"{segment.uri} is listed without what its pictures refer to")
        last = new.segments[-1]
        if last.end_s > self.now_s + last.duration_s / 2 + self.group_s + 0.01:
            self.broken.append(f"{last.uri} ends {last.end_s - self.now_s:.2f} s ahead of the wall clock")


def _follows(before: str, uri: str) -> bool:
    """Whether these are one attempt's segments n - 1 and n."""
    (was, n), (now, m) = (each.removesuffix(".ts").rsplit("/", 1) for each in (before, uri))
    return was == now and int(n) + 1 == int(m)
