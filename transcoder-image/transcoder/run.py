"""The loop of one attempt, from start to end: FFmpeg's bytes in, segments and playlists out, one ending.

One thread owns all state and waits in one place. It reads FFmpeg's pipes, asks the watchdog, closes segments that are overdue,
and hands the publisher's requests to the threads that talk to the store. What to do is decided in the modules that it calls.
"""

import os
import select
import signal
import time

from transcoder.ending import Ending
from transcoder.ffmpeg.process import FfmpegProcess
from transcoder.ffmpeg.starts import FfmpegStarts
from transcoder.ffmpeg.stream_plan import StreamPlan
from transcoder.input import Input, SlateInput
from transcoder.input_switches import InputSwitches, ends_leg_only, first_plan
from transcoder.job import Job
from transcoder.leg import Leg, Shared, described
from transcoder.media.target_duration import TargetDuration
from transcoder.own_process import age_s, forbid_reading, touch_health_file
from transcoder.publish.attempt_log import AttemptLog
from transcoder.publish.log_upload import LogUpload
from transcoder.publish.publisher import Publisher
from transcoder.publish.store_requests import PostSegment, Stored
from transcoder.publish.store_threads import StoreThreads
from transcoder.source.redaction import Redaction
from transcoder.source.watchdog import RunOutcome

_BATCH_S = 0.1  # media are read in batches of this length: to wake for each packet would cost CPU
_CALM_TICK_S = 0.5  # between two looks of the watchdog, while the next listing is not overdue
_TICK_S = 0.1  # and while something is wrong
_SETTLING_TICK_S = 0.01  # until the clock has settled, which the first listing waits for
_PAUSED_S = 1.5  # a turn of the loop that took longer means that this process was paused
_OVERDUE_S = 0.25  # a listing that is later is more urgent than a keyframe at the segment's start
_TAKEOVER_LAG_S = 0.06  # an attempt that takes over does not wait, once the first burst has ended
_LAST_LISTING_S = 0.8  # how long an ending waits until the last segments are listed
_SUMMARY_EVERY_S = 60.0


class AttemptLoop:
    """Runs one attempt; `first` is the plan that `process`, the running FFmpeg, was started with."""

    def __init__(self, job: Job, ffmpeg: str, first: StreamPlan, process: FfmpegProcess) -> None:
        self._job = job
        self._log = AttemptLog(redaction=_redaction(job))
        # Unix time without steps: where the system's clock is set, that is no stall.
        self._epoch_s = time.time() - time.monotonic()
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)
        self._term = False
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGINT, self._on_term)
        signal.set_wakeup_fd(self._wake_in, warn_on_full_buffer=False)
        now_s = self._now_s()
        self._target_duration = TargetDuration(job.target_duration_s, job.start_limit_s, first=job.attempt == 1)
        self._publisher = Publisher(job.session, job.attempt, job.target_duration_s, job.window_s, self._log)
        self._store_threads = StoreThreads(job, self._wake_in)
        self._log_upload = LogUpload(job, self._log, now_s)
        starts = FfmpegStarts(job, ffmpeg, self._epoch_s + process.started_s)
        self._shared = Shared(job, starts, self._publisher, self._target_duration, self._log, self._epoch_s)
        self._leg = Leg(self._shared, 1, job.first, first, process)  # the newest
        self._is_open = True  # it has not ended
        self._open_at_s = 0.0  # when to look for the next input
        self._switches: InputSwitches | None = None  # only with orders
        if job.orders is not None:
            self._switches = InputSwitches(job, job.orders, starts, self._publisher, self._log)
            self._switches.began(now_s)
            self._switches.opened(self._leg, now_s)
        self._looked_s = self._awake_since_s = now_s
        self._summary_s = now_s
        self._listed_before = 0

    def run(self) -> Ending:
        """Runs until there is an outcome, lists what is left, uploads the log. Returns the ending, which is the exit code."""
        job = self._job
        self._log(
            f"session {job.session} attempt {job.attempt}: {job.profile} {_named(job.first)}; "
            f"this process is {age_s():.2f} s old, FFmpeg runs ({described(self._leg.run.plan)})"
        )
        forbid_reading()
        try:
            while (outcome := self._turn()) is None:
                pass
            self._finish(outcome)
        except Exception:
            import traceback

            self._log(traceback.format_exc())
            self._log_upload.finish()
            raise
        return outcome.ending

    def _turn(self) -> RunOutcome | None:
        """One turn of the loop: waits, reads, judges, cuts, publishes."""
        self._wait()
        now_s = self._now_s()
        if now_s - self._looked_s > _PAUSED_S:
            self._log(f"paused for {now_s - self._looked_s:.1f} s: reading the playlist before anything is written")
            self._awake_since_s = now_s
            self._publisher.look_again()
        self._looked_s = now_s
        self._receive_replies(now_s)
        leg = self._leg
        if self._is_open:
            leg.read(now_s)
        outcome = self._outcome(now_s)
        if outcome is not None and self._switches is not None and ends_leg_only(outcome.ending):
            self._close_leg(outcome, now_s)
            outcome = None
        if outcome is not None:
            return outcome
        if self._switches is not None and not self._is_open:
            if self._switches.are_unattended(now_s):
                return RunOutcome(Ending.BY_REQUEST, "no input has been left, and the orders are too old to open another")
            self._open_next(self._switches, now_s)
        if self._is_open:
            self._leg.look_for_sound(now_s)
            self._decide_target_duration(now_s)
        self._publish(now_s)
        self._log_upload.look(now_s)
        if self._switches is not None:
            self._switches.look(self._leg, self._is_open, now_s)
        return None

    def _wait(self) -> None:
        """Waits for something to do: media (a batch of them), messages, answers of the store, a signal, or a time."""
        process = self._leg.run.process
        readable, _, _ = select.select({self._wake_out, *process.open_fds}, (), (), self._tick_s(self._now_s()))
        if self._leg.is_listed and readable == [process.media_fd]:
            # The rest of the batch, unless an answer or a signal comes first.
            readable, _, _ = select.select((self._wake_out,), (), (), _BATCH_S)
        if self._wake_out in readable:
            os.read(self._wake_out, 4096)

    def _tick_s(self, now_s: float) -> float:
        """How long the loop may sleep without being late for anything."""
        publisher, leg = self._publisher, self._leg
        if not self._is_open:
            return _TICK_S if not publisher.idle else min(max(self._open_at_s - now_s, _SETTLING_TICK_S), _CALM_TICK_S)
        if not leg.is_listed and leg.run.waited_s is not None and not leg.run.clock.settled(now_s):
            return _SETTLING_TICK_S
        overdue_in_s = _CALM_TICK_S if publisher.due_s is None else publisher.due_s + _OVERDUE_S - now_s
        calm = leg.is_listed and publisher.failing_since_s is None and overdue_in_s > 0
        return min(_CALM_TICK_S if calm else _TICK_S, max(overdue_in_s, 0.0) or _TICK_S)

    def _receive_replies(self, now_s: float) -> None:
        for request, reply in self._store_threads.replies():
            if self._switches is None and isinstance(request, PostSegment) and isinstance(reply, Stored):
                touch_health_file()
            self._publisher.reply(request, reply, now_s)

    def _outcome(self, now_s: float) -> RunOutcome | None:
        publisher = self._publisher
        if self._term:
            return RunOutcome(Ending.BY_REQUEST, "asked to end")
        if publisher.over:
            return RunOutcome(*publisher.over)
        down_since_s = publisher.failing_since_s
        if down_since_s is not None and now_s - down_since_s > self._job.store_limit_s:
            return RunOutcome(Ending.STORE_UNREACHABLE, f"the store has failed for {now_s - down_since_s:.0f} s")
        return self._leg.outcome(now_s, self._awake_since_s) if self._is_open else None

    def _close_leg(self, outcome: RunOutcome, now_s: float) -> None:
        """Ends the leg; what it held is listed."""
        leg = self._leg
        self._log(f"leg {leg.number}: {outcome.ending.words} ({int(outcome.ending)}): {outcome.reason}")
        leg.stop(now_s)
        # Where nothing is listed, the next leg decides the target duration, rather than the rest of this one for ever.
        self._decide_target_duration(now_s)
        leg.offer()
        assert self._switches is not None
        self._is_open, self._open_at_s = False, now_s
        self._publisher.end_leg()
        self._switches.ended(leg.number, leg.input, outcome, now_s)

    def _open_next(self, switches: InputSwitches, now_s: float) -> None:
        """Opens the next input, if one may be opened now."""
        if now_s < self._open_at_s:
            return
        chosen, self._open_at_s = switches.next(self._target_duration.target_duration_s, now_s)
        if chosen is None:
            self._log(f"no input may be opened for {self._open_at_s - now_s:.0f} s")
            return
        plan = first_plan(self._job, chosen, self._publisher.sending)
        try:
            process = self._shared.starts.start(chosen, plan, now_s)
        except OSError as error:
            self._log(f"ffmpeg cannot be started: {error}")
            self._open_at_s = now_s + _CALM_TICK_S
            return
        assert process is not None
        number = self._leg.number + 1
        self._log(f"leg {number}: {_named(chosen)}; FFmpeg runs ({described(plan)})")
        self._leg, self._is_open = Leg(self._shared, number, chosen, plan, process), True
        switches.opened(self._leg, now_s)

    def _decide_target_duration(self, now_s: float, ends: bool = False) -> None:
        """Takes the target duration from the session's playlist; before there is one, decides it by the first keyframes."""
        target, publisher, run = self._target_duration, self._publisher, self._leg.run
        if not publisher.joined:
            return
        if (listed_s := publisher.listed_target_duration_s) is not None:
            target.follow(listed_s)
            return
        waited_s = float("inf") if ends else now_s - self._leg.started_s
        if run.accepted and not target.decided and run.decide_target_duration(now_s, waited_s):
            publisher.begin_with(target.target_duration_s)

    def _publish(self, now_s: float) -> None:
        publisher, run = self._publisher, self._leg.run
        if self._is_open:
            self._cut_overdue(now_s)
            self._leg.offer()
        for request in publisher.requests(now_s):
            self._store_threads.carry(request)
        if now_s - self._summary_s > _SUMMARY_EVERY_S:
            listed = publisher.listed - self._listed_before
            summary = f"{listed} segments listed in {now_s - self._summary_s:.0f} s, lag {run.clock.lag_s(now_s):.1f} s"
            self._log(summary, news=listed == 0)
            self._summary_s, self._listed_before = now_s, publisher.listed

    def _cut_overdue(self, now_s: float) -> None:
        publisher, run = self._publisher, self._leg.run
        overdue = publisher.due_s is not None and now_s > publisher.due_s + _OVERDUE_S
        takes_over = not self._leg.is_listed and publisher.listed_end_s is not None
        if (overdue or takes_over) and publisher.idle and run.accepted and run.clock.settled(now_s):
            publisher.synchronise(run.clock)
            # A leg that takes over lists all there is. From then on the media of a burst are listed when the next one comes:
            # cut at the end of each burst, segments would begin with frames that FFmpeg held back, without a keyframe.
            run.cut_overdue(now_s, _TAKEOVER_LAG_S if takes_over else _OVERDUE_S + run.explained_s)

    def _finish(self, outcome: RunOutcome) -> None:
        """Ends FFmpeg, lists what is left, uploads the log."""
        self._log(f"{outcome.ending.words} ({int(outcome.ending)}): {outcome.reason}")
        deadline_s = self._now_s() + _LAST_LISTING_S
        if self._is_open:
            self._leg.stop(self._now_s())
            self._decide_target_duration(self._now_s(), ends=True)
            self._leg.offer()
        publisher = self._publisher
        while not publisher.over and publisher.joined and not publisher.idle and self._now_s() < deadline_s:
            for request in publisher.requests(self._now_s()):
                self._store_threads.carry(request)
            select.select([self._wake_out], (), (), 0.02)
            self._drain_wake()
            self._receive_replies(self._now_s())
        self._log(f"{publisher.listed} segments listed")
        if self._switches is not None:
            self._switches.finish(self._now_s())
        self._log_upload.finish()
        self._store_threads.close(timeout_s=0.1)

    def _drain_wake(self) -> None:
        try:
            os.read(self._wake_out, 4096)
        except BlockingIOError:
            pass

    def _on_term(self, _number: int, _frame: object) -> None:
        self._term = True

    def _now_s(self) -> float:
        return self._epoch_s + time.monotonic()


def _named(input: Input) -> str:
    return "the slate" if isinstance(input.source, SlateInput) else input.source.url


def _redaction(job: Job) -> Redaction:
    redaction = Redaction()
    for each in (job.first, *(job.orders.inputs if job.orders is not None else ())):
        if not isinstance(each.source, SlateInput):
            redaction.add(each.source.url, each.source.headers)
    return redaction
