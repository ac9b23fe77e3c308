"""Keeps an attempt with orders on the air: when a leg ends, it chooses the input of the next one, and reports what happens.

Rule: an attempt with orders does not end because its inputs fail. Where none may be opened it waits, says so every 5 s, and
opens the next one as soon as hold-off and limits allow.
"""

from transcoder.ending import Ending
from transcoder.ffmpeg.starts import FfmpegStarts
from transcoder.ffmpeg.stream_plan import USUAL, StreamPlan, Unplayable, assumed_streams, plan
from transcoder.input import Input, Streams
from transcoder.job import Job
from transcoder.leg import Leg
from transcoder.orders import Orders
from transcoder.own_process import touch_health_file
from transcoder.publish.attempt_log import AttemptLog
from transcoder.publish.publisher import Publisher
from transcoder.publish.report_lane import ReportLane
from transcoder.report import Happening, What
from transcoder.source.next_input import OVER_AFTER_S, InputChoice, NextInput, fit
from transcoder.source.watchdog import RunOutcome

_WORKING_EVERY_S = 5.0
_HEALTH_EVERY_S = 10.0


class InputSwitches:
    """One attempt's; `leg` is everywhere the newest one, which may have ended."""

    def __init__(self, job: Job, orders: Orders, starts: FfmpegStarts, publisher: Publisher, log: AttemptLog) -> None:
        self._job = job
        self._orders = orders
        self._starts = starts
        self._publisher = publisher
        self._log = log
        self._choice = InputChoice()
        self._lane = ReportLane(job)
        self._told_listed = 0  # the newest leg that was reported as listed
        self._listed_s: float | None = None  # since when it has been listed; None: the incident before it is over
        self._began_s = 0.0
        self._told_s = 0.0  # when the newest report was given
        self._healthy_s = -_HEALTH_EVERY_S

    def began(self, now_s: float) -> None:
        """The attempt has begun."""
        self._began_s = now_s
        self._tell(Happening(What.ORDERS, 0.0, 1, self._job.first.id, version=self._orders.version), now_s)

    def are_unattended(self, now_s: float) -> bool:
        """Whether the orders are so old that nothing may be opened by them any more."""
        return now_s - self._began_s > self._orders.unattended_s

    def opened(self, leg: Leg, now_s: float) -> None:
        """A leg has begun."""
        self._tell(Happening(What.STARTED, 0.0, leg.number, leg.input.id), now_s)

    def ended(self, number: int, input: Input, outcome: RunOutcome, now_s: float) -> None:
        """A leg has ended."""
        detail = self._log.redaction(outcome.reason)
        self._tell(Happening(What.ENDED, 0.0, number, input.id, ending=outcome.ending, detail=detail), now_s)
        self._listed_s = None
        if outcome.ending.blames_source:
            self._choice.failed(input, now_s)
        else:
            self._choice.crashed(input, now_s)

    def next(self, target_duration_s: float, now_s: float) -> NextInput:
        """What is to be opened now, or when to ask again."""
        sending = self._publisher.sending
        return self._choice.next(
            self._orders.inputs,
            lambda input: fit(input, self._job, sending, target_duration_s),
            lambda input: self._starts.opens_at_s(input, now_s, corrects=False),
            now_s,
        )

    def look(self, leg: Leg, open_now: bool, now_s: float) -> None:
        """Called in each turn of the loop; `open_now`: the leg has not ended."""
        publisher = self._publisher
        if open_now and leg.is_listed and self._told_listed != leg.number:
            self._told_listed, self._listed_s = leg.number, now_s
            self._tell(Happening(What.LISTED, 0.0, leg.number, leg.input.id, gap_s=publisher.gap_s), now_s)
        if self._listed_s is not None and now_s - self._listed_s >= OVER_AFTER_S:
            self._choice.settled(leg.input)
            self._listed_s = None
        if (not open_now or not leg.is_listed) and now_s - self._told_s >= _WORKING_EVERY_S:
            self._tell(Happening(What.WORKING, 0.0, leg.number, leg.input.id), now_s)
        self._lane.look(now_s)
        if now_s - self._healthy_s >= _HEALTH_EVERY_S:
            self._healthy_s = now_s
            touch_health_file()

    def finish(self, now_s: float) -> None:
        """The attempt ends: sends what has not been sent."""
        self._lane.finish(now_s)

    def _tell(self, happening: Happening, now_s: float) -> None:
        self._told_s = now_s
        self._lane.tell(happening, now_s)


def ends_leg_only(ending: Ending) -> bool:
    """Whether an attempt with orders goes on with another leg. The others are the container's or the store's, or another
    attempt's."""
    return ending.blames_source or ending is Ending.FFMPEG_CRASHED


def first_plan(job: Job, input: Input, sending: Streams | None) -> StreamPlan:
    """What FFmpeg is started with on an input, before it has described it."""
    try:
        return plan(job.profile, assumed_streams(input), sending, job.hevc)
    except Unplayable:  # a probe may be old: FFmpeg's description decides
        return plan(job.profile, USUAL, sending, job.hevc)
