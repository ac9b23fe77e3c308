"""Decides a session's target duration: how long its segments may be. It has to fit the source's keyframes. Pure.

Rule: the target duration of a playlist never changes (RFC 8216, 6.2.1), so it is decided before anything is listed. An attempt
that takes a playlist over uses the one in the playlist. An attempt that begins a playlist waits for the second keyframe: if
keyframes are farther apart than the target duration of the job, segments would begin without one, and a player that joins
there has nothing to decode.
"""

from math import ceil

MOST_S = 12  # a player keeps three of these between itself and the live edge; longer groups of pictures are cut inside
_ROUNDED_S = 0.45  # EXTINF may exceed the target duration by less than one half
_DECIDED_WITHIN_S = 3.0  # after the time that the first media may take: well before the orchestrator's patience ends


class TargetDuration:
    """One attempt's target duration. `wanted_s`: the job's; `first`: no earlier attempt can have listed anything."""

    def __init__(self, wanted_s: int, start_limit_s: float, first: bool) -> None:
        self._wanted_s = wanted_s
        self._limit_s = start_limit_s + _DECIDED_WITHIN_S
        self.target_duration_s = max(wanted_s, MOST_S) if first else wanted_s
        self.decided = False

    def follow(self, listed_s: int) -> None:
        """Takes the target duration of the playlist in the store."""
        self.target_duration_s, self.decided = listed_s, True

    def look(self, apart_s: float | None, waited_s: float) -> None:
        """Decides, where nothing is listed. `apart_s`: the longest time between two keyframes so far, None before the second.
        `waited_s`: since the attempt began."""
        self.target_duration_s = max(self._wanted_s, MOST_S)
        if apart_s is not None:
            self.target_duration_s = max(self._wanted_s, min(MOST_S, ceil(apart_s - _ROUNDED_S)))
        self.decided = apart_s is not None or waited_s > self._limit_s
