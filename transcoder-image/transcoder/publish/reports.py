"""Queue of what an attempt has to report: numbered, batched, retried (at-least-once delivery, in order).

Rules: report numbers have no gap. What a report contains never changes once it has been sent, because the first try may have
arrived although its answer was lost; only its ages are counted anew. At most one report is under way. Memory is bounded: the
newest 256 happenings wait, older ones are dropped. The rate is limited (token bucket: four at once, then one in 2.5 s), because
an attempt that posts more than 30 in a minute is distrusted; what happens meanwhile is told together.

Pure: time is an argument, in seconds of one clock.
"""

from collections import deque

from transcoder.report import MOST_HAPPENINGS, Happening, Report, What

MOST_WAITING = 256
_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 5.0
_AT_ONCE, _EVERY_S = 4.0, 2.5  # 28 in any minute at most


class Reports:
    """The reports of one attempt. A happening's `age_s` is filled in when it is sent."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, Happening]] = deque()  # when it happened, and what
        self._batch: tuple[tuple[float, Happening], ...] = ()  # of the report `_n`
        self._n = 0
        self._under_way = False
        self._tries = 0
        self._not_before_s = -float("inf")
        self._tokens, self._tokens_at_s = _AT_ONCE, 0.0
        self.dropped = 0  # happenings that were never sent

    def __len__(self) -> int:
        """How many happenings are not known to be stored."""
        return len(self._batch) + len(self._waiting)

    def tell(self, happening: Happening, now_s: float) -> None:
        """Something has happened now."""
        if happening.what is What.WORKING and self._waiting and self._waiting[-1][1] == happening:
            self._waiting.pop()  # the newer one says the same
        self._waiting.append((now_s, happening))
        while len(self) > MOST_WAITING and self._waiting:
            self._waiting.popleft()
            self.dropped += 1

    def next(self, now_s: float, *, last: bool = False) -> Report | None:
        """The report to send now, which is then under way; None: there is none, or not yet. `last`: the attempt ends, so it
        does not wait for its turn."""
        if self._under_way or now_s < self._not_before_s:
            return None
        if not self._batch:
            if not self._waiting or not (self._takes_token(now_s) or last):
                return None
            count = min(MOST_HAPPENINGS, len(self._waiting))
            self._batch = tuple(self._waiting.popleft() for _ in range(count))
            self._n += 1
        self._under_way = True
        return Report(self._n, tuple(each._replace(age_s=max(0.0, now_s - at_s)) for at_s, each in self._batch))

    def _takes_token(self, now_s: float) -> bool:
        tokens = min(_AT_ONCE, self._tokens + max(0.0, now_s - self._tokens_at_s) / _EVERY_S)
        if tokens < 1.0:
            return False
        self._tokens, self._tokens_at_s = tokens - 1.0, now_s
        return True

    def sent(self, stored: bool, now_s: float) -> None:
        """What became of the report under way. `stored` is false also where that is not known."""
        self._under_way = False
        if stored:
            self._batch, self._tries, self._not_before_s = (), 0, now_s
            return
        self._not_before_s = now_s + min(_LAST_RETRY_S, _FIRST_RETRY_S * 2.0 ** min(self._tries, 8))
        self._tries += 1
