"""One attempt, start to end: FFmpeg's bytes in, segments and playlists out, one ending.

A single thread owns all state and waits in one place; it reads FFmpeg's pipes, asks the watchdog, cuts what is
overdue and hands the publisher's requests to the lanes. Every rule is in the modules that it calls.
"""

import os
import select
import signal
import time

from transcoder.ending import Ending
from transcoder.ffmpeg.command_line import OPTIONAL, Adjustments, ffmpeg_argv, look_s
from transcoder.ffmpeg.ffmpeg_run import FfmpegRun
from transcoder.ffmpeg.messages import FfmpegMessages
from transcoder.ffmpeg.process import FfmpegProcess
from transcoder.ffmpeg.stream_plan import LOOK_S, StreamPlan, Unplayable, plan
from transcoder.job import Job, SlateInput, Streams
from transcoder.media.target_duration import TargetDuration
from transcoder.publish.attempt_log import AttemptLog
from transcoder.publish.log_upload import LogUpload
from transcoder.publish.publisher import Publisher
from transcoder.publish.store_requests import PostSegment, Stored
from transcoder.publish.store_threads import StoreThreads
from transcoder.source.missing_streams import MissingStreams
from transcoder.source.redaction import Redaction
from transcoder.source.watchdog import RunVerdict, SilenceLimits, judge, second_chance

HEALTH_VARIABLE = "TRANSCODER_HEALTH_FILE"

_BATCH_S = 0.1  # media are read in batches of this length: waking up for each packet would cost a core's share
_CALM_TICK_S = 0.5  # the watchdog's pace while the next listing is not overdue
_TICK_S = 0.1  # and when something is wrong
_SETTLING_TICK_S = 0.01  # until the clock has settled, which the first listing waits for
_SLEPT_S = 1.5  # a longer way round the loop: this process was paused
_OVERDUE_S = 0.25  # so late the player needs media more than a keyframe at their start
_TAKEOVER_LAG_S = 0.06  # an attempt that takes over does not wait at all, once the first burst has ended
_LAST_LISTING_S = 0.8  # how long an ending waits for what was cut last
_CORRECTIONS = 4  # of what FFmpeg is told to do: file or live, which codecs, which program
_SUMMARY_EVERY_S = 60.0


class AttemptLoop:
    """The attempt's loop."""

    def __init__(self, job: Job, ffmpeg: str, first: StreamPlan, process: FfmpegProcess) -> None:
        self._job = job
        self._ffmpeg = ffmpeg
        source = job.source
        own = Redaction() if isinstance(source, SlateInput) else Redaction(source.url, source.headers)
        self._log = AttemptLog(redaction=own)
        # Unix time that nobody sets while we run: a step of the system's clock is no stall.
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
        self._reach = TargetDuration(job.target_duration_s, job.start_limit_s, first=job.attempt == 1)
        self._take = FfmpegRun(job, first, process, self._epoch_s + process.started_s, self._reach)
        self._publisher = Publisher(job.session, job.attempt, job.target_duration_s, job.window_s, self._log)
        self._lanes = StoreThreads(job, self._wake_in)
        self._log_upload = LogUpload(job, self._log, now_s)
        self._limits = SilenceLimits(job.start_limit_s, job.stall_limit_s)
        self._lesson = Adjustments()
        self._corrections = 0
        self._announced = MissingStreams()
        self._accepted_for: Streams | None = None
        self._looked_s = self._awake_since_s = now_s
        self._last_chance_s: float | None = None
        self._summary_s = now_s
        self._listed_before = 0

    def run(self) -> Ending:
        """Runs until there is a verdict; publishes what is left, uploads the log, gives the ending."""
        job = self._job
        source = "the slate" if isinstance(job.source, SlateInput) else job.source.url
        self._log(
            f"session {job.session} attempt {job.attempt}: {job.profile} {source}; "
            f"this process is {_age_s():.2f} s old, FFmpeg runs ({_described(self._take.plan)})"
        )
        try:
            while (verdict := self._turn()) is None:
                pass
            self._finish(verdict)
        except Exception:
            import traceback

            self._log(traceback.format_exc())
            self._log_upload.finish()
            raise
        return verdict.ending

    def _turn(self) -> RunVerdict | None:
        """Once round: waits, reads, judges, cuts, publishes."""
        self._wait()
        now_s = self._now_s()
        if now_s - self._looked_s > _SLEPT_S:
            self._log(f"slept for {now_s - self._looked_s:.1f} s: reading the playlist before anything is written")
            self._awake_since_s = now_s
            self._publisher.look_again()
        self._looked_s = now_s
        self._take_replies(now_s)
        self._read(now_s)
        verdict = self._verdict(now_s)
        if verdict is None:
            self._listen_again(now_s)
            self._decide_reach(now_s)
            self._publish(now_s)
            self._log_upload.look(now_s)
        return verdict

    def _wait(self) -> None:
        """Until there is something to do: media (a batch of them), messages, answers, a signal, or a time."""
        process = self._take.process
        readable, _, _ = select.select({self._wake_out, *process.open_fds}, (), (), self._tick_s(self._now_s()))
        if self._publisher.listed and readable == [process.media_fd]:
            # The rest of the batch, unless an answer or a signal comes first.
            readable, _, _ = select.select((self._wake_out,), (), (), _BATCH_S)
        if self._wake_out in readable:
            os.read(self._wake_out, 4096)

    def _tick_s(self, now_s: float) -> float:
        """How long nothing can be missed by sleeping."""
        publisher, take = self._publisher, self._take
        if not publisher.listed and take.waited_s is not None and not take.clock.settled(now_s):
            return _SETTLING_TICK_S
        overdue_in_s = _CALM_TICK_S if publisher.due_s is None else publisher.due_s + _OVERDUE_S - now_s
        calm = publisher.listed and publisher.failing_since_s is None and overdue_in_s > 0
        return min(_CALM_TICK_S if calm else _TICK_S, max(overdue_in_s, 0.0) or _TICK_S)

    def _read(self, now_s: float) -> None:
        take = self._take
        silent = take.waited_s is None
        for line in take.read(now_s):
            self._log.ffmpeg(line)
        if silent and take.waited_s is not None:
            self._log(f"first media {take.waited_s:.3f} s after FFmpeg's start")

    def _take_replies(self, now_s: float) -> None:
        for request, reply in self._lanes.replies():
            if isinstance(request, PostSegment) and isinstance(reply, Stored):
                _touch_health_file()
            self._publisher.reply(request, reply, now_s)

    def _verdict(self, now_s: float) -> RunVerdict | None:
        publisher = self._publisher
        if self._term:
            return RunVerdict(Ending.BY_REQUEST, "asked to end")
        if publisher.over:
            return RunVerdict(*publisher.over)
        down_since_s = publisher.failing_since_s
        if down_since_s is not None and now_s - down_since_s > self._job.store_limit_s:
            return RunVerdict(Ending.STORE_UNREACHABLE, f"the store has failed for {now_s - down_since_s:.0f} s")
        seen = self._take.observe(now_s, self._awake_since_s)
        verdict = judge(seen, self._limits)
        take = self._take
        if take.report.faults.unplayable:
            verdict = RunVerdict(Ending.SOURCE_UNDECODABLE, take.report.faults.unplayable)
        if verdict is None:
            return self._accept(now_s)
        lesson = learned(self._lesson, take.report)
        if lesson != self._lesson:
            self._lesson = lesson
            self._start_again(take.plan, now_s, keep=False)
            return None
        if (seen.exit_code is not None or take.report.faults.unplayable) and take.report.input.complete and not take.accepted:
            # It may have ended because of what it was told to do, or because it has read a whole file at once.
            if not publisher.joined:
                return None
            misfit = self._accept(now_s)
            if misfit or self._take is not take:
                return misfit
        if publisher.listed and second_chance(verdict, seen, self._last_chance_s):
            self._log(f"{verdict.ending.words}: {verdict.reason}; once more in place")
            self._last_chance_s = now_s
            self._start_again(take.plan, now_s, keep=True)
            return None
        return verdict

    def _accept(self, now_s: float) -> RunVerdict | None:
        """Checks once the streams and the session are known that FFmpeg does what the session needs."""
        take, publisher = self._take, self._publisher
        if take.accepted and self._accepted_for == publisher.sending:
            return None
        if not (take.report.input.complete and publisher.joined):
            return None
        report = take.report
        streams, lacks = report.input.streams, report.input.lacks_sound
        try:
            needed = plan(self._job.profile, streams, publisher.sending, self._job.hevc, mute=lacks)
        except Unplayable as error:
            return RunVerdict(Ending.SOURCE_UNDECODABLE, f"cannot be played: {error}")
        needed = needed._replace(
            program=report.input.program,
            paced=report.input.finite,
            audio_track=report.input.audio_track,
            look_s=take.plan.look_s,
        )
        self._log(
            f"source is {report.input.format}{' (a file)' if report.input.finite else ''}: {_named(streams)}; "
            f"session sends {_named(publisher.sending) if publisher.sending else 'nothing yet'}"
        )
        looked_s = look_s(self._job, take.plan, self._lesson)
        if longer_s := self._announced.longer_look_s(report, self._limits, needed, looked_s):
            self._start_again(needed._replace(look_s=longer_s), now_s, keep=False)
            return None
        lacks = lacks and needed.audio != "drop"  # a session without sound misses none
        if lacks and not self._job.last_resort:
            return RunVerdict(Ending.SOURCE_STALLED, "its announced sound does not come")
        if needed != take.plan:
            self._corrections += 1
            if self._corrections > _CORRECTIONS:
                return RunVerdict(Ending.SOURCE_UNDECODABLE, "the source is something else each time")
            self._start_again(needed, now_s, keep=False)
            return None
        # An ADTS header does not tell HE-AAC; FFmpeg, which decodes a frame, does.
        publisher.begin_sending(needed.sending(streams), take.report.input.he_aac if needed.audio == "copy" else None)
        take.accepted, self._accepted_for = True, publisher.sending
        if lacks:
            again_s = self._announced.silence_stands_in(now_s)
            self._log(f"its announced sound does not come: silence in its place; listening again in {again_s:g} s")
        return None

    def _listen_again(self, now_s: float) -> None:
        """Where silence is in the place of the source's sound, FFmpeg is started anew when that may have come."""
        take = self._take
        mute = take.accepted and take.plan.audio == "silence" and not take.clock.is_slates
        if mute and self._announced.may_be_there(take.report, now_s):
            self._corrections = 0
            self._start_again(take.plan._replace(look_s=LOOK_S), now_s, keep=True)

    def _start_again(self, needed: StreamPlan, now_s: float, keep: bool) -> None:
        """A new take in place; `keep`: what the old one sent is listed first."""
        for line in self._take.stop(now_s):
            self._log.ffmpeg(line)
        if keep:
            self._offer()
        else:
            self._publisher.withdraw(self._take.clock)
        self._log(f"FFmpeg anew: {_described(needed)}")
        process = FfmpegProcess(ffmpeg_argv(self._ffmpeg, self._job, needed, self._lesson))
        self._take = FfmpegRun(self._job, needed, process, self._epoch_s + process.started_s, self._reach, follows=keep)

    def _decide_reach(self, now_s: float, ends: bool = False) -> None:
        """The playlist's target duration is the session's; before there is a playlist, the first keyframes decide."""
        reach, publisher, take = self._reach, self._publisher, self._take
        if not publisher.joined:
            return
        if (listed_s := publisher.listed_target_duration_s) is not None:
            reach.follow(listed_s)
            return
        waited_s = float("inf") if ends else now_s - self._started_s
        if take.accepted and not reach.decided and take.look_for_reach(now_s, waited_s):
            publisher.begin_with(reach.target_duration_s)

    def _publish(self, now_s: float) -> None:
        publisher, take = self._publisher, self._take
        overdue = publisher.due_s is not None and now_s > publisher.due_s + _OVERDUE_S
        takes_over = not publisher.listed and publisher.listed_end_s is not None
        if (overdue or takes_over) and publisher.idle and take.accepted and take.clock.settled(now_s):
            publisher.tell(take.clock)
            # Who takes over lists all there is. From then on what comes in bursts is listed a burst later, as it was before:
            # cut at the end of each, segments would begin with the frames that FFmpeg held back, never with a keyframe.
            take.cut_overdue(now_s, _TAKEOVER_LAG_S if takes_over else _OVERDUE_S + take.explained_s)
        self._offer()
        for request in publisher.requests(now_s):
            self._lanes.carry(request)
        if now_s - self._summary_s > _SUMMARY_EVERY_S:
            listed = publisher.listed - self._listed_before
            summary = f"{listed} segments listed in {now_s - self._summary_s:.0f} s, lag {take.clock.lag_s(now_s):.1f} s"
            self._log(summary, news=listed == 0)
            self._summary_s, self._listed_before = now_s, publisher.listed

    def _offer(self) -> None:
        take = self._take
        if take.accepted and self._reach.decided:
            for segment in take.closed:
                self._publisher.offer(segment, take.clock)
            take.closed.clear()

    def _finish(self, verdict: RunVerdict) -> None:
        """Lists what is left where that is wanted, ends everything, uploads the log."""
        self._log(f"{verdict.ending.words} ({int(verdict.ending)}): {verdict.reason}")
        deadline_s = self._now_s() + _LAST_LISTING_S
        for line in self._take.stop(self._now_s()):
            self._log.ffmpeg(line)
        self._decide_reach(self._now_s(), ends=True)
        self._offer()
        publisher = self._publisher
        while not publisher.over and publisher.joined and not publisher.idle and self._now_s() < deadline_s:
            for request in publisher.requests(self._now_s()):
                self._lanes.carry(request)
            select.select([self._wake_out], (), (), 0.02)
            self._drain_wake()
            self._take_replies(self._now_s())
        self._log(f"{publisher.listed} segments listed")
        self._log_upload.finish()
        self._lanes.close(timeout_s=0.1)

    def _drain_wake(self) -> None:
        try:
            os.read(self._wake_out, 4096)
        except BlockingIOError:
            pass

    def _on_term(self, _number: int, _frame: object) -> None:
        self._term = True

    def _now_s(self) -> float:
        return self._epoch_s + time.monotonic()


def learned(before: Adjustments, report: FfmpegMessages) -> Adjustments:
    """What FFmpeg is to be told differently, by what it has said before it ended; the same where that is nothing new."""
    unknown = report.faults.unknown_option
    return Adjustments(
        lacks=before.lacks | {unknown} if unknown in OPTIONAL else before.lacks,
        is_hls=before.is_hls or report.faults.is_oddly_named_hls,
        # Where the sound has not come either there is another way to look for both (announced.py).
        slow=before.slow or (report.faults.is_sizeless and not report.input.lacks_sound),
    )


def _touch_health_file() -> None:
    """What the image's HEALTHCHECK looks at: when a segment was last stored."""
    path = os.environ.get(HEALTH_VARIABLE)
    if path:
        try:
            with open(path, "wb"):
                pass
        except OSError:
            pass


def _named(streams: Streams) -> str:
    sound = f"{streams.audio} {streams.channels} ch" if streams.audio else "no audio"
    return f"{streams.video or 'no video'}, {sound}"


def _described(plan: StreamPlan) -> str:
    extras = (", in real time" if plan.paced else "") + (f", program {plan.program}" if plan.program is not None else "")
    return f"video {plan.video}, audio {plan.audio}{extras}"


def _age_s() -> float:
    """How long this process has been running, by the kernel's count (proc(5), stat, field 22); 0 where it has none."""
    try:
        with open("/proc/self/stat", "rb") as stat:
            ticks = int(stat.read().rpartition(b")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        return 0.0
