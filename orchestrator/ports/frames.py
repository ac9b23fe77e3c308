"""What makes pictures of media."""

from __future__ import annotations

from typing import Protocol


class Frames(Protocol):
    async def jpeg(self, media: bytes, width_px: int) -> bytes | None:
        """The first whole picture of a segment, or of its beginning. None: there is none in it. Bounded in time, and in how
        many are made at once. Raises FramesUnavailable where none can be made now, whatever the media."""
