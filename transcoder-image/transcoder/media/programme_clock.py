"""Maps an attempt's media timeline to wall-clock time, and decides what continues the programme.

Rule: over any number of swaps the media that a player is given neither run ahead of the wall clock nor fall behind it. If they
ran ahead, each swap would push the player further from the live edge, until it falls out of the window. If they fell behind,
each swap would use up some of its buffer.

A moment of the programme is dated by when it could first be had: media time plus the least `now - newest` seen lately, because
any other arrival was late. A source that sends whole segments does not say how long ago the newest one was finished: FFmpeg
asks for its playlist once in a cadence, at a phase that is as good as random, and half of the cadence is the best guess. How
far dates turn out to be ahead is handed on (`ahead_s`), so that the next attempt joins where the programme is. Where the
sources of two attempts have one timeline (the same source, or two outlets of one encoder), that timeline says exactly what the
guess says nearly; it is believed as long as the guess does not contradict it. All values are seconds; `now_s` is Unix time,
media times are on the segmenter's timeline.

A slate is no programme: nothing of a source repeats it. So the first source after a slate joins at once, a little ahead of the
clock if need be; and a slate joins by the wall clock alone, so that what sources were ahead by ends with it.
"""

from transcoder.publish.media_playlist import MediaPlaylist

_SETTLED_AFTER_S = 0.08  # longer than the pauses inside a first burst from near by, too short to be felt
_SETTLED_AFTER_AT_MOST_S = 1.0
_ROUND_TRIPS = 3  # a connection, a playlist and a segment are asked for before the first media come
_FALL_S = 0.02  # in that time: media that arrive at up to 1.25 times real time are no burst
_PAUSE_S = 0.3  # media after a longer pause begin a burst
_BEST_OF_S = 60  # how long an arrival counts: long against any cadence, short against the drift between two clocks
_AHEAD_OF = 2  # so many segments ahead are a useful buffer; beyond that a swap skips media rather than repeats them
_SAME_S = 0.02  # dates that differ by less are the same: playlists round them
_SOURCE_WRAPS_S = (1 << 33) / 90_000  # MPEG-TS timestamps have 33 bits (ISO/IEC 13818-1, 2.4.3.7)
_GUESS_S = 0.5  # the error of the guess, beyond the error that the segments of the source cause


class ProgrammeClock:
    """The clock of one run of FFmpeg; `leg` is the leg of the attempt that it belongs to.

    `listed_end_s` is the program date-time at which what is listed ends, None where nothing is; `listed_ahead_s` how far
    that is ahead of when those media could first be had. The end follows the dates given; set both to what the playlist
    says where they were not listed after all, or somebody else listed more. `cadence_s`: how far apart the source's
    media come, as far as that is known. `started_s`: when the source was first asked; one that was slow to answer
    pauses as long between the segments of its first burst.
    """

    def __init__(self, listed_end_s: float | None, started_s: float | None = None, leg: int = 1) -> None:
        self.leg = leg
        self.listed_end_s = listed_end_s
        self.listed_ahead_s = 0.0
        self.listed_source_end_s: float | None = None
        self.source_start_s: float | None = None  # the source's own timestamp of media time 0
        self.cadence_s = 0.0
        self.gap_s = 0.0  # of the programme, skipped before the first segment that it dated; negative: repeated
        self.is_slates = False  # this attempt shows the slate
        self.follows_slate = False  # what is listed ends with another attempt's slate
        self._steady = False  # more has come than the first burst
        self._started_s = started_s
        self._settled_after_s = _SETTLED_AFTER_S
        self._newest_s: float | None = None
        self._behind_s = 0.0
        self._best: dict[int, float] = {}  # second -> the least `now - newest` in it
        self._level_s = float("inf")  # while `now - newest` gets below this, it is still falling
        self._first_at_s = self._fell_at_s = self._leapt_at_s = self._came_at_s = 0.0
        self._offset_s: float | None = None  # date minus media time, of what this attempt lists

    def tell(self, playlist: MediaPlaylist) -> None:
        """Sets the clock to what is listed: another attempt may have listed more, or this one less than it was about to."""
        self.listed_end_s, self.listed_ahead_s = playlist.end_s, playlist.ahead_s
        self.listed_source_end_s = playlist.source_end_s
        self.follows_slate = playlist.slate and not self.is_slates

    def noted_in(self, playlist: MediaPlaylist) -> MediaPlaylist:
        """The playlist, whose last segment has been dated by this clock, with what the next attempt's clock must know."""
        source_end_s = None
        if self.source_start_s is not None and self._offset_s is not None and playlist.end_s is not None:
            source_end_s = round((playlist.end_s - self._offset_s + self.source_start_s) % _SOURCE_WRAPS_S, 3)
        return playlist._replace(ahead_s=round(self.ahead_s, 3), source_end_s=source_end_s, slate=self.is_slates, leg=self.leg)

    def observe(self, now_s: float, newest_s: float) -> None:
        """Media arrived: `newest_s` is the newest media time seen."""
        if self._newest_s is None and self._started_s is not None:
            round_trip_s = (now_s - self._started_s) / _ROUND_TRIPS
            self._settled_after_s = min(max(_SETTLED_AFTER_S, round_trip_s), _SETTLED_AFTER_AT_MOST_S)
        if self._newest_s is not None and newest_s > self._newest_s and self.settled(now_s):
            self._steady = True
        if self._newest_s is None:
            self._first_at_s = now_s
        behind_s = now_s - newest_s
        if now_s - self._came_at_s > _PAUSE_S or behind_s < self._behind_s - _FALL_S:
            self._leapt_at_s = now_s
        self._newest_s, self._behind_s, self._came_at_s = newest_s, behind_s, now_s
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
        """Whether the first burst has been read: for 0.08 s, or what `started_s` suggests, media came no faster than
        real time explains."""
        return self._newest_s is not None and now_s - self._fell_at_s >= self._settled_after_s

    def is_in_burst(self, now_s: float) -> bool:
        """Whether media come faster than real time explains: a cut now would cut a burst in two."""
        return now_s - self._leapt_at_s < self._settled_after_s

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
        length_s = end_s - start_s
        half_s = length_s / 2
        if self.is_slates:
            return self._beyond_s(end_s) > half_s
        # A slate is listed up to now, while a source's newest segment was finished some time ago: the guessed delay and a
        # segment's length. An attempt that waited for one that ends later would wait for ever, because the slate goes on.
        slack_s = length_s + self.cadence_s / 2 if self.follows_slate else 0.0
        too_far_s = min(half_s, max(0.0, self.listed_ahead_s - _AHEAD_OF * length_s))
        return self._beyond_s(end_s) > half_s + too_far_s - slack_s

    def program_date_time(self, start_s: float, duration_s: float) -> float:
        """The date of the segment to list next, in Unix seconds.

        It is when `start_s` could first be had, on the playlist's own scale: never before the end of what is listed, and
        right there where it is as good as the same. What follows this attempt's last listed segment is dated by it, so
        that dates advance as the media do. Raises ValueError where no media were observed.
        """
        if self._offset_s is None or not self._follows(start_s):
            date_s = start_s + self._had_s()
            if self.listed_end_s is not None:
                hole_s = self._beyond_s(start_s)
                self.gap_s = hole_s if self._offset_s is None else self.gap_s
                date_s = self.listed_end_s + (hole_s if hole_s > duration_s / 2 else 0.0)
            self._offset_s = date_s - start_s
        self.listed_end_s = start_s + self._offset_s + duration_s
        return start_s + self._offset_s

    @property
    def ahead_s(self) -> float:
        """How far this attempt's dates are ahead of when its media could first be had; 0 before it has given any."""
        return 0.0 if self._offset_s is None else self._offset_s - self._had_s()

    def _beyond_s(self, media_s: float) -> float:
        """How far this moment of the programme lies behind the end of what is listed; negative: before it."""
        assert self.listed_end_s is not None
        guess_s = media_s + self._had_s() - (self.listed_end_s - (0.0 if self.is_slates else self.listed_ahead_s))
        if self.listed_source_end_s is None or self.source_start_s is None:
            return guess_s
        half_s = _SOURCE_WRAPS_S / 2
        exact_s = (media_s + self.source_start_s - self.listed_source_end_s + half_s) % _SOURCE_WRAPS_S - half_s
        return exact_s if abs(exact_s - guess_s) < self.cadence_s + _GUESS_S else guess_s

    def _had_s(self) -> float:
        """Date minus media time, by when media could first be had."""
        # The media that were in the playlist before the burst was read.
        burst_s = self._fell_at_s - self._first_at_s if self.cadence_s and not self._steady else 0.0
        return self._best_s() - burst_s - self.cadence_s / 2

    def _follows(self, start_s: float) -> bool:
        if self._offset_s is None or self.listed_end_s is None:
            return False
        return abs(start_s + self._offset_s - self.listed_end_s) < _SAME_S

    def _best_s(self) -> float:
        if not self._best:
            raise ValueError("no media observed yet")
        return min(self._best.values())
