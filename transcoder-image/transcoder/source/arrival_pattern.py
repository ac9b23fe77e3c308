"""How a source's media arrive: in bursts or steadily, complete or with losses.

Rule: silence that the bursts before explain is no stall: a source that sends ten seconds at once may be silent for ten.
"""

from typing import NamedTuple

_SILENCE_S = 0.3  # a longer one ends a burst
_BURST_LASTS_S = 5.0  # media that arrive for longer are steady; a lead at the start is forgotten after some of these
_BURSTS = 3  # how many are remembered, and how many say what is usual; the first brings more than that
_WORTH_S = 0.5  # of lead: less is the jitter of a network
_LOOK_BACK_S, _LOOK_BACK_CADENCES = 8.0, 4  # over how much media losses are counted
_LOSSES = 3  # fewer in that time are coincidences: a segment that failed, timestamps that jumped


class _Loss(NamedTuple):
    """Up to `newest_s`, media were missing `times` times, `lost_s` in all."""

    newest_s: float
    times: int
    lost_s: float


class ArrivalPattern:
    """What was seen of one timeline's arrivals; media times and wall-clock times in seconds."""

    def __init__(self) -> None:
        self._arrived_s = self._burst_began_s = float("-inf")
        self._newest_s = 0.0
        self._bursts = 0
        self._leads_s: list[float] = []  # of the latest bursts: how much more media came than time passed
        self._losses: list[_Loss] = []

    def observe(self, now_s: float, media_s: float, newest_s: float, times_lost: int, lost_s: float) -> None:
        """`media_s` of media came, up to `newest_s`; so far some were missing so many times, so much in all."""
        silence_s = now_s - self._arrived_s
        if silence_s > _SILENCE_S or now_s - self._burst_began_s > _BURST_LASTS_S:
            self._leads_s = [*self._leads_s[1 - _BURSTS :], media_s if silence_s > _SILENCE_S else 0.0]
            self._bursts += 1
            self._burst_began_s = now_s
        else:
            self._leads_s[-1] += media_s - silence_s
        self._arrived_s = now_s
        back_s = newest_s - max(_LOOK_BACK_S, _LOOK_BACK_CADENCES * self.cadence_s)
        self._losses = [loss for loss in self._losses if loss.newest_s > back_s]
        self._losses.append(_Loss(newest_s, times_lost, lost_s))

    @property
    def usual(self) -> bool:
        """Whether `cadence_s` is what is usual by now: the first burst, which brings a backlog, is forgotten."""
        return self._bursts > _BURSTS

    @property
    def cadence_s(self) -> float:
        """The length of the bursts in which media come; 0 where they come steadily."""
        longest_s = max(self._leads_s, default=0.0)
        return longest_s if longest_s > _WORTH_S else 0.0

    @property
    def lost(self) -> float:
        """Which share of the newest media never came, although what follows did; 0 where that was an accident."""
        if not self._losses:
            return 0.0
        first, last = self._losses[0], self._losses[-1]
        return (last.lost_s - first.lost_s) / (last.newest_s - first.newest_s) if last.times - first.times >= _LOSSES else 0.0
