"""A small, seconds-old picture of what a session sends, and its route.

Rule: at most one picture is made of each segment, however many ask; where none can be made, the previous one is served.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from weakref import WeakValueDictionary

from litestar import Response, Router, get
from msgspec import Struct
from msgspec.structs import replace

from api import auth
from api.http.conditional import conditional
from api.injection import Injected
from api.routes.sessions import TAG
from api.session.answers import AnyRequest
from orchestrator.errors import FramesUnavailable, NotFound
from orchestrator.ports import Frames, ObjectStore, SessionRow

WIDTH_PX = 320
_MAX_AGE_S = 2.0  # a session's playlist is not read more often
_SEGMENT_BYTES = 1 << 20  # of a segment: its first picture is in there
_CACHED = 600  # sessions, of about 10 kB each


class Thumbnail(Struct, frozen=True, kw_only=True):
    uri: str | None = None  # of the segment that was examined last
    read_at: float  # monotonic: when the playlist was read
    jpeg: bytes | None = None  # of that segment, or of the last one before it that had a picture
    etag: str = ""


class Thumbnails:
    """`frames` is None where there is no FFmpeg: then no session has a thumbnail."""

    def __init__(self, store: ObjectStore, frames: Frames | None) -> None:
        self._store = store
        self._frames = frames
        self._cached: OrderedDict[str, Thumbnail] = OrderedDict()  # the one asked for longest ago first
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, session_id: str) -> Thumbnail | None:
        """None: it has listed no picture (yet). Raises StoreUnavailable, FramesUnavailable where no previous one exists."""
        if self._frames is None:
            return None
        lock = self._locks.get(session_id)
        if lock is None:
            lock = self._locks[session_id] = asyncio.Lock()
        async with lock:
            thumbnail = self._cached.get(session_id)
            if thumbnail is None or thumbnail.read_at < time.monotonic() - _MAX_AGE_S:
                thumbnail = await self._make(self._frames, session_id, thumbnail)
                self._cached[session_id] = thumbnail
                while len(self._cached) > _CACHED:
                    self._cached.popitem(last=False)
            self._cached.move_to_end(session_id)
        return None if thumbnail.jpeg is None else thumbnail

    async def _make(self, frames: Frames, session_id: str, before: Thumbnail | None) -> Thumbnail:
        now = time.monotonic()
        old = Thumbnail(read_at=now) if before is None else replace(before, read_at=now)
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
            return old  # the segment has not been examined: the next request tries again
        if jpeg is None:
            return replace(old, uri=uri)
        etag = hashlib.blake2b(uri.encode(), digest_size=12).hexdigest()
        return Thumbnail(uri=uri, read_at=now, jpeg=jpeg, etag=f'"{etag}"')


@get(
    "/v1/sessions/{session_id:str}/poster.jpg",
    summary="A picture of what the session sends",
    media_type="image/jpeg",
    answer="(a JPEG, 320 pixels wide)",
)
async def read_thumbnail(thumbnails: Injected[Thumbnails], request: AnyRequest, row: Injected[SessionRow]) -> Response[bytes]:
    """Of the newest listed segment, or of one shortly before. 404: it has listed no picture yet, or never will; or this API has
    no FFmpeg. 503: too many pictures are being made."""
    thumbnail = await thumbnails.get(row.session.id)
    if thumbnail is None or thumbnail.jpeg is None:
        raise NotFound(f"session {row.session.id} has no picture (yet): it is {row.session.phase.value}")
    return conditional(request, thumbnail.etag, thumbnail.jpeg, "image/jpeg", {"Cache-Control": "private, max-age=5"})


routes = Router(path="/", guards=[auth.session], security=auth.SESSION, tags=[TAG.name], route_handlers=[read_thumbnail])
