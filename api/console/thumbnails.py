"""A small picture of what each session sends, for whoever looks at many at once.

Law: at most one picture for each segment, however many look; and where none can be made, the one before goes on being shown.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from weakref import WeakValueDictionary

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.errors import FramesUnavailable
from orchestrator.ports import Frames, ObjectStore

WIDTH_PX = 320
_LOOK_S = 2.0  # a session's playlist is not read more often
_SEGMENT_BYTES = 1 << 20  # of a segment: its first picture is in there
_KEPT = 600  # sessions, of about 10 kB each


class Poster(Struct, frozen=True, kw_only=True):
    uri: str | None = None  # of the segment that was looked at last ...
    looked_at: float  # ... monotonic
    jpeg: bytes | None = None  # of it, or of the last one before that had a picture
    etag: str = ""


class Posters:
    """`frames` is None where there is no FFmpeg: then no session has a poster."""

    def __init__(self, store: ObjectStore, frames: Frames | None) -> None:
        self._store = store
        self._frames = frames
        self._posters: OrderedDict[str, Poster] = OrderedDict()  # the one asked for longest ago first
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, session_id: str) -> Poster | None:
        """None: it has listed no picture (yet). Raises StoreUnavailable, FramesUnavailable where there is no old one either."""
        if self._frames is None:
            return None
        lock = self._asking.get(session_id)
        if lock is None:
            lock = self._asking[session_id] = asyncio.Lock()
        async with lock:
            poster = self._posters.get(session_id)
            if poster is None or poster.looked_at < time.monotonic() - _LOOK_S:
                poster = await self._look(self._frames, session_id, poster)
                self._posters[session_id] = poster
                while len(self._posters) > _KEPT:
                    self._posters.popitem(last=False)
            self._posters.move_to_end(session_id)
        return None if poster.jpeg is None else poster

    async def _look(self, frames: Frames, session_id: str, before: Poster | None) -> Poster:
        now = time.monotonic()
        old = Poster(looked_at=now) if before is None else replace(before, looked_at=now)
        found = await self._store.read_playlist(session_id)
        if found is None or not found[0].segments:
            return old
        uri = found[0].segments[-1].uri
        if uri == old.uri:
            return old
        media = await self._store.read_segment(session_id, uri, _SEGMENT_BYTES)
        try:
            jpeg = None if media is None else await frames.jpeg(media, WIDTH_PX)
        except FramesUnavailable:
            if old.jpeg is None:
                raise
            return old  # the segment has not been looked at: the next one who asks tries again
        if jpeg is None:
            return replace(old, uri=uri)
        return Poster(uri=uri, looked_at=now, jpeg=jpeg, etag=f'"{hashlib.blake2b(uri.encode(), digest_size=12).hexdigest()}"')
