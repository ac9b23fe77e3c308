"""One leg of an attempt: an input from its opening to its end, over all its starts of FFmpeg.

A leg has its own checks, adjustments, corrections, silence limits and second chance, because they belong to the input. What the
legs of an attempt share (publisher, target duration, log) belongs to the attempt's loop.
"""

from typing import NamedTuple, assert_never

from transcoder.ending import Ending
from transcoder.ffmpeg.ffmpeg_run import FfmpegRun
from transcoder.ffmpeg.process import FfmpegProcess
from transcoder.ffmpeg.starts import FfmpegStarts
from transcoder.ffmpeg.stream_check import AcceptedStreams, StreamCheck
from transcoder.ffmpeg.stream_plan import StreamPlan
from transcoder.input import Input, Streams
from transcoder.job import Job
from transcoder.media.target_duration import TargetDuration
from transcoder.publish.attempt_log import AttemptLog
from transcoder.publish.publisher import Publisher
from transcoder.source.watchdog import RunOutcome, SilenceLimits, judge, second_chance


class Shared(NamedTuple):
    """What the legs of one attempt share. `epoch_s`: Unix time minus the monotonic clock."""

    job: Job
    starts: FfmpegStarts
    publisher: Publisher
    target_duration: TargetDuration
    log: AttemptLog
    epoch_s: float


class Leg:
    """`number`: in the attempt, from 1. `run`: the FFmpeg that runs."""

    def __init__(self, shared: Shared, number: int, input: Input, plan: StreamPlan, process: FfmpegProcess) -> None:
        self.number = number
        self.input = input
        self._shared = shared
        self._limits = SilenceLimits(shared.job.start_limit_s, shared.job.stall_limit_s)
        self._check = StreamCheck(shared.job, input, self._limits, shared.log)
        self._accepted_for: Streams | None = None
        self._last_chance_s: float | None = None
        self.run = self._run(plan, process, follows=False)
        self.started_s = shared.epoch_s + process.started_s

    @property
    def is_listed(self) -> bool:
        """Whether a segment of it has been listed."""
        return self._shared.publisher.listed_leg == self.number

    def read(self, now_s: float) -> None:
        """Reads what FFmpeg has sent and said."""
        run, log = self.run, self._shared.log
        silent = run.waited_s is None
        for line in run.read(now_s):
            log.ffmpeg(line)
        if silent and run.waited_s is not None:
            log(f"first media {run.waited_s:.3f} s after FFmpeg's start")

    def outcome(self, now_s: float, awake_since_s: float) -> RunOutcome | None:
        """How the leg has ended; None while it goes on, possibly with FFmpeg started again."""
        run, publisher = self.run, self._shared.publisher
        seen = run.observe(now_s, awake_since_s)
        outcome = judge(seen, self._limits)
        if run.messages.faults.unplayable:
            outcome = RunOutcome(Ending.SOURCE_UNDECODABLE, run.messages.faults.unplayable)
        if outcome is None:
            return self._accept(now_s)
        self._shared.starts.answered(self.input, run.messages.faults.status, now_s)
        refused = run.messages.faults.status is not None
        if self._check.learn(run.messages) and (self._may_start_again(now_s) or not refused):
            return self._start_again(run.plan, now_s, keep=False)
        if (seen.exit_code is not None or run.messages.faults.unplayable) and run.messages.input.complete and not run.accepted:
            # FFmpeg may have ended because its plan was wrong, or because it has read a whole file at once.
            if not publisher.joined:
                return None
            misfit = self._accept(now_s)
            if misfit or self.run is not run:
                return misfit
        if self.is_listed and second_chance(outcome, seen, self._last_chance_s) and self._may_start_again(now_s):
            self._shared.log(f"{outcome.ending.words}: {outcome.reason}; once more in place")
            self._last_chance_s = now_s
            return self._start_again(run.plan, now_s, keep=True)
        return outcome

    def look_for_sound(self, now_s: float) -> None:
        """Where silence is sent in the place of the source's sound, FFmpeg is started again when the sound may have come."""
        run = self.run
        if not run.accepted or run.clock.is_slates or not self._may_start_again(now_s):
            return
        if needed := self._check.look_for_sound(run.messages, run.plan, now_s):
            self._start_again(needed, now_s, keep=True)

    def offer(self) -> None:
        """Gives the publisher the segments that are closed."""
        run = self.run
        if run.accepted and self._shared.target_duration.decided:
            for segment in run.closed:
                self._shared.publisher.offer(segment, run.clock)
            run.closed.clear()

    def stop(self, now_s: float) -> None:
        """Ends FFmpeg; what it has sent is closed, and can be offered."""
        for line in self.run.stop(now_s):
            self._shared.log.ffmpeg(line)

    def _accept(self, now_s: float) -> RunOutcome | None:
        """Checks, once the source's streams and the session's playlists are known, that FFmpeg does what the session needs."""
        run, publisher = self.run, self._shared.publisher
        if run.accepted and self._accepted_for == publisher.sending:
            return None
        if not (run.messages.input.complete and publisher.joined):
            return None
        match self._check.check(run.messages, run.plan, publisher.sending, now_s):
            case RunOutcome() as outcome:
                return outcome
            case StreamPlan() as needed:
                return self._start_again(needed, now_s, keep=False)
            case AcceptedStreams(sending, sound):
                publisher.begin_sending(sending, sound)
                run.accepted, self._accepted_for = True, publisher.sending
            case unexpected:
                assert_never(unexpected)
        return None

    def _may_start_again(self, now_s: float) -> bool:
        return self._shared.starts.opens_at_s(self.input, now_s, corrects=True) <= now_s

    def _start_again(self, needed: StreamPlan, now_s: float, keep: bool) -> RunOutcome | None:
        """Starts FFmpeg again, in place; `keep`: what the run before has sent is listed first. Returns how the leg has ended,
        where that is not allowed any more."""
        if not self._may_start_again(now_s):
            return RunOutcome(Ending.FFMPEG_CRASHED, "FFmpeg must be started again, and its provider has been opened too often")
        self.stop(now_s)
        if keep:
            self.offer()
        else:
            self._shared.publisher.withdraw(self.run.clock)
        self._shared.log(f"FFmpeg anew: {described(needed)}")
        process = self._shared.starts.start(self.input, needed, now_s, self._check.adjustments)
        assert process is not None
        self.run = self._run(needed, process, follows=keep)
        return None

    def _run(self, plan: StreamPlan, process: FfmpegProcess, follows: bool) -> FfmpegRun:
        shared = self._shared
        started_s = shared.epoch_s + process.started_s
        return FfmpegRun(shared.job, self.input, plan, process, started_s, shared.target_duration, follows, self.number)


def described(plan: StreamPlan) -> str:
    """For the log."""
    extras = (", in real time" if plan.paced else "") + (f", program {plan.program}" if plan.program is not None else "")
    return f"video {plan.video}, audio {plan.audio}{extras}"
