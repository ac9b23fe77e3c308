"""Chooses which of the granted inputs is opened next, after one has ended.

An incident begins when an input fails, and ends when a leg has been listed for 10 s. Rules: an input that has failed is not
opened again in the incident while another may be opened that has not, nor before its hold-off has passed; what may be opened is
opened at once. After a crash of FFmpeg, of which no source is guilty, the same input is opened once more first.

Pure: time is an argument, in seconds of one clock.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

from transcoder.ffmpeg.stream_plan import Unplayable, plan
from transcoder.input import Input, Streams
from transcoder.job import Job
from transcoder.source.hold_off import hold_off_s
from transcoder.source.opening_limits import account_of

OVER_AFTER_S = 10.0
"""For so long a leg must have been listed until the incident before it is over."""
_OTHERS_FIRST_S = 5.0  # a provider that has just failed most likely fails with its other inputs as well


class Fit(IntEnum):
    """How well an input continues the session, as far as that is known before it is opened; the best first."""

    COPIED = 0
    TRANSCODED = 1
    UNSUITABLE = 2  # segments farther apart than the target duration, or streams that cannot continue the session
    SLATE = 3


def fit(input: Input, job: Job, sending: Streams | None, target_duration_s: float) -> Fit:
    """`sending`: what the session sends; None: nothing yet."""
    if input.is_slate:
        return Fit.SLATE
    if (input.cadence_s or 0.0) > target_duration_s:
        return Fit.UNSUITABLE
    if input.expected is None:
        return Fit.COPIED
    try:
        needed = plan(job.profile, input.expected, sending, job.hevc)
    except Unplayable:
        return Fit.UNSUITABLE
    return Fit.COPIED if needed.video in ("copy", "drop") else Fit.TRANSCODED


class NextInput(NamedTuple):
    """Open `input`; where it is None, choose again at `at_s`."""

    input: Input | None
    at_s: float


class InputChoice:
    """One attempt's memory of how its inputs have ended."""

    def __init__(self) -> None:
        self._failed: set[str] = set()  # in this incident
        self._crashed: set[str] = set()  # in this incident, once
        self._again = ""  # the input that is opened once more after a crash
        self._failures_in_a_row: dict[str, int] = {}
        self._held_off_until_s: dict[str, float] = {}
        self._account, self._account_failed_s = "", -_OTHERS_FIRST_S

    def failed(self, input: Input, now_s: float) -> None:
        """It has ended, and is to blame."""
        self._hold_off(input, now_s)
        self._account, self._account_failed_s = account_of(input), now_s

    def crashed(self, input: Input, now_s: float) -> None:
        """FFmpeg has crashed on it: it is opened once more in an incident, then treated as one that failed."""
        if input.id in self._crashed:
            self._hold_off(input, now_s)
            return
        self._crashed.add(input.id)
        if input.id not in self._failed:  # else it was a last resort, and one that has not failed comes first
            self._again = input.id

    def settled(self, input: Input) -> None:
        """It has been listed for `OVER_AFTER_S`: the incident is over."""
        self._failed.clear()
        self._crashed.clear()
        self._again = ""
        self._failures_in_a_row.pop(input.id, None)
        self._held_off_until_s.pop(input.id, None)

    def next(
        self, granted: Sequence[Input], fit_of: Callable[[Input], Fit], opens_at_s: Callable[[Input], float], now_s: float
    ) -> NextInput:
        """`granted`: in the order to try; `opens_at_s`: from when on the limits allow to open an input."""
        at_s = {each.id: max(opens_at_s(each), self._held_off_until_s.get(each.id, now_s)) for each in granted}
        open_now = [each for each in granted if at_s[each.id] <= now_s]
        if not open_now:
            return NextInput(None, min(at_s.values(), default=float("inf")))
        others_first = now_s - self._account_failed_s < _OTHERS_FIRST_S

        def worth(input: Input) -> tuple[bool, bool, bool, bool, Fit]:
            unsuitable = fit_of(input) > Fit.TRANSCODED
            same_account = others_first and account_of(input) == self._account
            return input.id != self._again, input.id in self._failed, unsuitable, same_account, fit_of(input)

        chosen = min(open_now, key=worth)  # of several that are worth the same, the first
        self._again = ""
        return NextInput(chosen, now_s)

    def _hold_off(self, input: Input, now_s: float) -> None:
        failures = self._failures_in_a_row.get(input.id, 0) + 1
        self._failures_in_a_row[input.id] = failures
        self._held_off_until_s[input.id] = now_s + hold_off_s(input.id, failures)
        self._failed.add(input.id)
