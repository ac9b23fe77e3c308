"""A media segment as it is cut: its bytes, and its position on the media timeline."""

from typing import NamedTuple


class Segment(NamedTuple):
    """One media segment; `start_s` is on the unwrapped media timeline.

    `independent`: it starts with a keyframe. `discontinuity`: its media do not continue those of the segment before.
    """

    data: bytes
    start_s: float
    duration_s: float
    independent: bool
    discontinuity: bool
