"""Frames: makes pictures of media."""

from __future__ import annotations

from typing import Protocol


class Frames(Protocol):
    async def jpeg(self, media: bytes, width_px: int) -> bytes | None:
        """The first keyframe of a segment, or of a segment's beginning, as JPEG; None: it contains none. Bounded in time, and
        in how many are made at once. Raises FramesUnavailable where no picture can be made now, whatever the media are."""
