"""Maps an attempt's media timeline to the wall clock, and says what continues the programme.

Law: what is listed never runs ahead of the wall clock by more than half a segment, over any number of swaps;
otherwise each swap would push the player further from the live edge, until it falls out of the window.

A moment of the programme is dated by when it could first be had: media time plus the least `now - newest` seen
lately, for any later arrival was late. All values are seconds; `now_s` is Unix time, media times are the segmenter's
timeline.
"""

_SETTLED_AFTER_S = 0.08  # longer than the gaps inside a first burst, too short to be felt
_FALL_S = 0.02  # within that time: media that arrive at up to 1.25 times real time are no burst
_BEST_OF_S = 60  # how long an arrival counts: long against any cadence, short against the drift between two clocks
_SAME_S = 0.05  # media times that differ by less are the same


class ProgrammeClock:
    """The clock of one attempt. `listed_end_s` is the program date-time at which what is listed ends, None where
    nothing is; it follows what this attempt lists, and is set again where somebody else listed more."""

    def __init__(self, listed_end_s: float | None) -> None:
        self.listed_end_s = listed_end_s
        self._newest_s: float | None = None
        self._best: dict[int, float] = {}  # second -> the least `now - newest` in it
        self._level_s = float("inf")  # what `now - newest` must undercut to be falling still
        self._fell_at_s = 0.0
        self._offset_s = 0.0  # program date-time minus media time, of what this attempt lists
        self._media_end_s: float | None = None  # where what this attempt has listed ends, on the media timeline

    def observe(self, now_s: float, newest_s: float) -> None:
        """Media arrived: `newest_s` is the newest media time seen."""
        self._newest_s = newest_s
        behind_s = now_s - newest_s
        second = int(now_s)
        if behind_s < self._best.get(second, float("inf")):
            self._best[second] = behind_s
        for old in [each for each in self._best if each < second - _BEST_OF_S]:
            del self._best[old]
        if behind_s < self._level_s - _FALL_S:
            self._level_s, self._fell_at_s = behind_s, now_s
        else:
            self._level_s = max(self._level_s, self._best_s())

    def settled(self, now_s: float) -> bool:
        """Whether the first burst has been read: for 0.08 s, media came no faster than real time explains."""
        return self._newest_s is not None and now_s - self._fell_at_s >= _SETTLED_AFTER_S

    def lag_s(self, now_s: float) -> float:
        """How far the newest media is behind where the best arrival of the last minute says that it should be; 0
        before any."""
        return max(0.0, now_s - self._newest_s - self._best_s()) if self._newest_s is not None else 0.0

    def continues(self, start_s: float, end_s: float, discontinuity: bool = False) -> bool:
        """Whether these media are to be listed next: they end later than what is listed by more than half their own
        length.

        What follows the last segment that this attempt listed always does, unless its timestamps jumped
        (`discontinuity`): a source that starts anew may repeat what it has sent.
        """
        if self.listed_end_s is None or (self._follows(start_s) and not discontinuity):
            return True
        return end_s + self._best_s() - self.listed_end_s > (end_s - start_s) / 2

    def program_date_time(self, start_s: float, duration_s: float) -> float:
        """The date of the next segment to list, in Unix seconds; call it once for each, in the order of listing.

        It is when `start_s` could first be had, but never before the end of what is listed. The clock's estimate is
        kept while media follow one another, so that dates advance as the media do. Raises ValueError where no media
        were observed.
        """
        if not self._follows(start_s):
            self._offset_s = self._best_s()
        date_s = start_s + self._offset_s
        if self.listed_end_s is not None:
            date_s = max(date_s, self.listed_end_s)
        self._media_end_s = start_s + duration_s
        self.listed_end_s = date_s + duration_s
        return date_s

    def _follows(self, start_s: float) -> bool:
        return self._media_end_s is not None and abs(start_s - self._media_end_s) < _SAME_S

    def _best_s(self) -> float:
        if not self._best:
            raise ValueError("no media observed yet")
        return min(self._best.values())
