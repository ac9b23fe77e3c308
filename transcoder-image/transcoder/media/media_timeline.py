"""One timeline of decode timestamps: unwrapped, never going back, and counting what is missing between frames.

MPEG-TS timestamps have 33 bits and begin anew after 26.5 hours. Values here are in units of 1/90,000 s.
"""

from transcoder.media.transport_stream import HZ, step

_HOLE = HZ  # a longer way from one frame to the next is a hole
_LOSS = 4 * HZ // 10  # a longer one than this, and than twice the way before, is a loss
_FIRST_SPACING = HZ // 25


class MediaTimeline:
    """`raw`: the newest timestamp as it came. `first` and `newest`: the first and the newest on the timeline, `newest` is None
    before any. `spacing`: the way from one frame to the next. `losses` and `lost`: how often media were missing, how much."""

    def __init__(self) -> None:
        self.raw = 0
        self.first = 0
        self.newest: int | None = None
        self.spacing = _FIRST_SPACING
        self.losses = 0
        self.lost = 0

    def advance(self, raw: int) -> bool:
        """Moves on to the next timestamp; False where the media before do not reach up to it, or where it goes back."""
        if self.newest is None:
            self.raw = self.newest = self.first = raw
            return True
        forward = step(self.raw, raw)
        self.raw = raw
        self.newest += forward if forward >= 0 else self.spacing
        if forward > max(_LOSS, 2 * self.spacing):
            self.losses += 1
            self.lost += forward - self.spacing
        if not 0 <= forward <= _HOLE:
            return False
        self.spacing = forward or self.spacing
        return True
