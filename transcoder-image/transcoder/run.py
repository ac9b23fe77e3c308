"""The loop of one attempt, from start to end: FFmpeg's bytes in, segments and playlists out, one ending.

One thread owns all state and waits in one place. It reads FFmpeg's pipes, asks the watchdog, closes segments that are overdue,
and hands the publisher's requests to the threads that talk to the store. What to do is decided in the modules that it calls.
"""

import os
import select
import signal
import time
from typing import assert_never

from transcoder.ending import Ending
from transcoder.ffmpeg.command_line import ffmpeg_argv
from transcoder.ffmpeg.ffmpeg_run import FfmpegRun
from transcoder.ffmpeg.process import FfmpegProcess
from transcoder.ffmpeg.stream_check import AcceptedStreams, StreamCheck
from transcoder.ffmpeg.stream_plan import StreamPlan
from transcoder.input import SlateInput, Streams
from transcoder.job import Job
from transcoder.media.target_duration import TargetDuration
from transcoder.own_process import age_s, touch_health_file
from transcoder.publish.attempt_log import AttemptLog
from transcoder.publish.log_upload import LogUpload
from transcoder.publish.publisher import Publisher
from transcoder.publish.store_requests import PostSegment, Stored
from transcoder.publish.store_threads import StoreThreads
from transcoder.source.redaction import Redaction
from transcoder.source.watchdog import RunOutcome, SilenceLimits, judge, second_chance

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
        self._ffmpeg = ffmpeg
        source = job.first.source
        own = Redaction() if isinstance(source, SlateInput) else Redaction(source.url, source.headers)
        self._log = AttemptLog(redaction=own)
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
        self._started_s = now_s
        self._target_duration = TargetDuration(job.target_duration_s, job.start_limit_s, first=job.attempt == 1)
        self._ffmpeg_run = FfmpegRun(job, job.first, first, process, self._epoch_s + process.started_s, self._target_duration)
        self._publisher = Publisher(job.session, job.attempt, job.target_duration_s, job.window_s, self._log)
        self._store_threads = StoreThreads(job, self._wake_in)
        self._log_upload = LogUpload(job, self._log, now_s)
        self._limits = SilenceLimits(job.start_limit_s, job.stall_limit_s)
        self._check = StreamCheck(job, job.first, self._limits, self._log)
        self._accepted_for: Streams | None = None
        self._looked_s = self._awake_since_s = now_s
        self._last_chance_s: float | None = None
        self._summary_s = now_s
        self._listed_before = 0

    def run(self) -> Ending:
        """Runs until there is a outcome, lists what is left, uploads the log. Returns the ending, which is the exit code."""
        job = self._job
        source = "the slate" if isinstance(job.first.source, SlateInput) else job.first.source.url
        self._log(
            f"session {job.session} attempt {job.attempt}: {job.profile} {source}; "
            f"this process is {age_s():.2f} s old, FFmpeg runs ({_described(self._ffmpeg_run.plan)})"
        )
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
        self._read(now_s)
        outcome = self._outcome(now_s)
        if outcome is None:
            self._look_for_sound(now_s)
            self._decide_target_duration(now_s)
            self._publish(now_s)
            self._log_upload.look(now_s)
        return outcome

    def _wait(self) -> None:
        """Waits for something to do: media (a batch of them), messages, answers of the store, a signal, or a time."""
        process = self._ffmpeg_run.process
        readable, _, _ = select.select({self._wake_out, *process.open_fds}, (), (), self._tick_s(self._now_s()))
        if self._publisher.listed and readable == [process.media_fd]:
            # The rest of the batch, unless an answer or a signal comes first.
            readable, _, _ = select.select((self._wake_out,), (), (), _BATCH_S)
        if self._wake_out in readable:
            os.read(self._wake_out, 4096)

    def _tick_s(self, now_s: float) -> float:
        """How long the loop may sleep without being late for anything."""
        publisher, run = self._publisher, self._ffmpeg_run
        if not publisher.listed and run.waited_s is not None and not run.clock.settled(now_s):
            return _SETTLING_TICK_S
        overdue_in_s = _CALM_TICK_S if publisher.due_s is None else publisher.due_s + _OVERDUE_S - now_s
        calm = publisher.listed and publisher.failing_since_s is None and overdue_in_s > 0
        return min(_CALM_TICK_S if calm else _TICK_S, max(overdue_in_s, 0.0) or _TICK_S)

    def _read(self, now_s: float) -> None:
        run = self._ffmpeg_run
        silent = run.waited_s is None
        for line in run.read(now_s):
            self._log.ffmpeg(line)
        if silent and run.waited_s is not None:
            self._log(f"first media {run.waited_s:.3f} s after FFmpeg's start")

    def _receive_replies(self, now_s: float) -> None:
        for request, reply in self._store_threads.replies():
            if isinstance(request, PostSegment) and isinstance(reply, Stored):
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
        seen = self._ffmpeg_run.observe(now_s, self._awake_since_s)
        outcome = judge(seen, self._limits)
        run = self._ffmpeg_run
        if run.messages.faults.unplayable:
            outcome = RunOutcome(Ending.SOURCE_UNDECODABLE, run.messages.faults.unplayable)
        if outcome is None:
            return self._accept(now_s)
        if self._check.learn(run.messages):
            self._start_again(run.plan, now_s, keep=False)
            return None
        if (seen.exit_code is not None or run.messages.faults.unplayable) and run.messages.input.complete and not run.accepted:
            # FFmpeg may have ended because its plan was wrong, or because it has read a whole file at once.
            if not publisher.joined:
                return None
            misfit = self._accept(now_s)
            if misfit or self._ffmpeg_run is not run:
                return misfit
        if publisher.listed and second_chance(outcome, seen, self._last_chance_s):
            self._log(f"{outcome.ending.words}: {outcome.reason}; once more in place")
            self._last_chance_s = now_s
            self._start_again(run.plan, now_s, keep=True)
            return None
        return outcome

    def _accept(self, now_s: float) -> RunOutcome | None:
        """Checks, once the source's streams and the session's playlists are known, that FFmpeg does what the session needs."""
        run, publisher = self._ffmpeg_run, self._publisher
        if run.accepted and self._accepted_for == publisher.sending:
            return None
        if not (run.messages.input.complete and publisher.joined):
            return None
        match self._check.check(run.messages, run.plan, publisher.sending, now_s):
            case RunOutcome() as outcome:
                return outcome
            case StreamPlan() as needed:
                self._start_again(needed, now_s, keep=False)
            case AcceptedStreams(sending, sound):
                publisher.begin_sending(sending, sound)
                run.accepted, self._accepted_for = True, publisher.sending
            case unexpected:
                assert_never(unexpected)
        return None

    def _look_for_sound(self, now_s: float) -> None:
        """Where silence is sent in the place of the source's sound, FFmpeg is started again when the sound may have come."""
        run = self._ffmpeg_run
        if run.accepted and not run.clock.is_slates and (needed := self._check.look_for_sound(run.messages, run.plan, now_s)):
            self._start_again(needed, now_s, keep=True)

    def _start_again(self, needed: StreamPlan, now_s: float, keep: bool) -> None:
        """Starts FFmpeg again, in place; `keep`: what the run before has sent is listed first."""
        for line in self._ffmpeg_run.stop(now_s):
            self._log.ffmpeg(line)
        if keep:
            self._offer()
        else:
            self._publisher.withdraw(self._ffmpeg_run.clock)
        self._log(f"FFmpeg anew: {_described(needed)}")
        process = FfmpegProcess(ffmpeg_argv(self._ffmpeg, self._job, self._job.first, needed, self._check.adjustments))
        self._ffmpeg_run = FfmpegRun(
            self._job, self._job.first, needed, process, self._epoch_s + process.started_s, self._target_duration, follows=keep
        )

    def _decide_target_duration(self, now_s: float, ends: bool = False) -> None:
        """Takes the target duration from the session's playlist; before there is one, decides it by the first keyframes."""
        target, publisher, run = self._target_duration, self._publisher, self._ffmpeg_run
        if not publisher.joined:
            return
        if (listed_s := publisher.listed_target_duration_s) is not None:
            target.follow(listed_s)
            return
        waited_s = float("inf") if ends else now_s - self._started_s
        if run.accepted and not target.decided and run.decide_target_duration(now_s, waited_s):
            publisher.begin_with(target.target_duration_s)

    def _publish(self, now_s: float) -> None:
        publisher, run = self._publisher, self._ffmpeg_run
        overdue = publisher.due_s is not None and now_s > publisher.due_s + _OVERDUE_S
        takes_over = not publisher.listed and publisher.listed_end_s is not None
        if (overdue or takes_over) and publisher.idle and run.accepted and run.clock.settled(now_s):
            publisher.synchronise(run.clock)
            # An attempt that takes over lists all there is. From then on the media of a burst are listed when the next one
            # comes: cut at the end of each burst, segments would begin with frames that FFmpeg held back, without a keyframe.
            run.cut_overdue(now_s, _TAKEOVER_LAG_S if takes_over else _OVERDUE_S + run.explained_s)
        self._offer()
        for request in publisher.requests(now_s):
            self._store_threads.carry(request)
        if now_s - self._summary_s > _SUMMARY_EVERY_S:
            listed = publisher.listed - self._listed_before
            summary = f"{listed} segments listed in {now_s - self._summary_s:.0f} s, lag {run.clock.lag_s(now_s):.1f} s"
            self._log(summary, news=listed == 0)
            self._summary_s, self._listed_before = now_s, publisher.listed

    def _offer(self) -> None:
        run = self._ffmpeg_run
        if run.accepted and self._target_duration.decided:
            for segment in run.closed:
                self._publisher.offer(segment, run.clock)
            run.closed.clear()

    def _finish(self, outcome: RunOutcome) -> None:
        """Ends FFmpeg, lists what is left, uploads the log."""
        self._log(f"{outcome.ending.words} ({int(outcome.ending)}): {outcome.reason}")
        deadline_s = self._now_s() + _LAST_LISTING_S
        for line in self._ffmpeg_run.stop(self._now_s()):
            self._log.ffmpeg(line)
        self._decide_target_duration(self._now_s(), ends=True)
        self._offer()
        publisher = self._publisher
        while not publisher.over and publisher.joined and not publisher.idle and self._now_s() < deadline_s:
            for request in publisher.requests(self._now_s()):
                self._store_threads.carry(request)
            select.select([self._wake_out], (), (), 0.02)
            self._drain_wake()
            self._receive_replies(self._now_s())
        self._log(f"{publisher.listed} segments listed")
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


def _described(plan: StreamPlan) -> str:
    extras = (", in real time" if plan.paced else "") + (f", program {plan.program}" if plan.program is not None else "")
    return f"video {plan.video}, audio {plan.audio}{extras}"
