"""Bounded queue of segments waiting to be stored and listed.

Rule: memory is bounded. Segments that the store has not taken within a window's time would leave the playlist as soon as they
were listed, so the oldest are given up.
"""

from collections.abc import Iterator

from transcoder.media.programme_clock import ProgrammeClock
from transcoder.media.segment import Segment
from transcoder.publish.media_playlist import MediaPlaylist

_HELD_BYTES = 64 << 20  # of segments that the store has not taken yet


class WaitingSegment:
    """One segment: `n` is its number in the attempt, `clock` the one of the timeline that it stands on.

    `independent`: no picture in it refers to one before it, which is more than that it starts with a keyframe.
    """

    def __init__(self, n: int, segment: Segment, clock: ProgrammeClock, independent: bool) -> None:
        self.n = n
        self.segment = segment
        self.clock = clock
        self.stored = False
        self.independent = independent

    def has_been_stored(self) -> None:
        """The store has its bytes; memory need not."""
        self.stored = True
        self.segment = self.segment._replace(data=b"")

    def continues(self, playlist: MediaPlaylist | None) -> bool:
        """Whether it is to be listed next in that playlist."""
        # Another attempt may have listed more since, or this one less than it was about to.
        if playlist is not None:
            self.clock.tell(playlist)
        segment = self.segment
        return self.clock.continues(segment.start_s, segment.start_s + segment.duration_s, segment.discontinuity)


class Backlog:
    """The waiting segments, the oldest first; numbers are never given twice."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._waiting: list[WaitingSegment] = []
        self._next_n = 0

    def __iter__(self) -> Iterator[WaitingSegment]:
        """Over the segments as they are now; they may be dropped meanwhile."""
        return iter(tuple(self._waiting))

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def front(self) -> WaitingSegment | None:
        """The oldest."""
        return self._waiting[0] if self._waiting else None

    def find(self, n: int) -> WaitingSegment | None:
        """The segment of that number, if it still waits."""
        return next((each for each in self._waiting if each.n == n), None)

    def append(self, segment: Segment, clock: ProgrammeClock, independent: bool) -> None:
        """Takes the next segment."""
        self._waiting.append(WaitingSegment(self._next_n, segment, clock, independent))
        self._next_n += 1

    def drop(self, waiting: WaitingSegment) -> None:
        """Lets one go."""
        self._waiting.remove(waiting)

    def drop_up_to(self, n: int) -> None:
        """Lets go of everything up to number `n`."""
        self._waiting = [each for each in self._waiting if each.n > n]

    def of_leg(self, leg: int) -> list[WaitingSegment]:
        """Those of one leg."""
        return [each for each in self._waiting if each.clock.leg == leg]

    @property
    def front_leg(self) -> int:
        """The leg of the oldest; 0: none waits."""
        return self._waiting[0].clock.leg if self._waiting else 0

    @property
    def last_leg(self) -> int:
        """The leg of the newest; 0: none waits."""
        return self._waiting[-1].clock.leg if self._waiting else 0

    def drop_leg(self, leg: int) -> None:
        """Lets go of everything of one leg."""
        self._waiting = [each for each in self._waiting if each.clock.leg != leg]

    def drop_timeline(self, clock: ProgrammeClock) -> None:
        """Lets go of everything that stands on the timeline of `clock`."""
        self._waiting = [each for each in self._waiting if each.clock is not clock]

    def overdue(self) -> list[WaitingSegment]:
        """The oldest ones that are more than the window, or than memory allows."""
        media_s = sum(each.segment.duration_s for each in self._waiting)
        held = sum(len(each.segment.data) for each in self._waiting)
        gone = []
        for each in self._waiting:
            if media_s <= self._window_s and held <= _HELD_BYTES:
                break
            gone.append(each)
            media_s -= each.segment.duration_s
            held -= len(each.segment.data)
        return gone
