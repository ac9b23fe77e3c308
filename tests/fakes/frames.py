"""Pictures without FFmpeg: a JPEG that begins as one and names its media."""

from __future__ import annotations

from orchestrator.errors import FramesUnavailable


class FakeFrames:
    """`refusing = True`: none can be made now. Media without PICTURE in them have none. `made` counts."""

    PICTURE = b"keyframe"

    def __init__(self) -> None:
        self.refusing = False
        self.made = 0

    async def jpeg(self, media: bytes, width_px: int) -> bytes | None:
        if self.refusing:
            raise FramesUnavailable("the fake refuses")
        self.made += 1
        return b"\xff\xd8\xff" + media[:100] + b"\xff\xd9" if self.PICTURE in media else None
