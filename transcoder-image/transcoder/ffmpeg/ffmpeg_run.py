"""One run of FFmpeg on one input, from its bytes to closed segments on one timeline.

An attempt is one run, unless FFmpeg must be started again in place: because the source sends something else than was assumed,
or because it has failed once. Each run has a timeline of its own, and so a clock of its own.
"""

from transcoder.ending import Ending
from transcoder.ffmpeg.messages import FfmpegMessages
from transcoder.ffmpeg.process import FfmpegProcess
from transcoder.ffmpeg.stream_plan import StreamPlan
from transcoder.input import Input
from transcoder.job import Job
from transcoder.media.programme_clock import ProgrammeClock
from transcoder.media.segment import Segment
from transcoder.media.segmenter import Segmenter
from transcoder.media.target_duration import TargetDuration
from transcoder.source.arrival_pattern import ArrivalPattern
from transcoder.source.watchdog import RunObservation

_HELD_BYTES = 64 << 20  # of segments that cannot be published yet
_WORTH_LISTING_S = 0.2  # a shorter rest is not worth a request of the player


class FfmpegRun:
    """A running FFmpeg, and everything that is known of what it sends.

    `follows`: an earlier run of the attempt has been listed, so this one begins with a discontinuity.
    """

    def __init__(
        self,
        job: Job,
        input: Input,
        plan: StreamPlan,
        process: FfmpegProcess,
        started_s: float,
        target_duration: TargetDuration,
        follows: bool = False,
        leg: int = 1,
    ) -> None:
        self.plan = plan
        self.process = process
        self.messages = FfmpegMessages()
        self.clock = ProgrammeClock(None, started_s, leg)
        self.clock.is_slates = input.is_slate
        self.accepted = False  # whether FFmpeg's plan is the one that the session needs
        self.closed: list[Segment] = []  # segments for the publisher to take
        self._job = job
        self._input = input
        self._target_duration = target_duration
        self._follows = follows  # its first segment is a discontinuity
        self._segmenter: Segmenter | None = None
        self._started_s = started_s
        self._first_media_s: float | None = None
        self._media_start_s = 0.0
        self._newest_s: float | None = None
        self._came_s = started_s  # when media last came
        self._heard_s = started_s  # when sound last came
        self._sounds = 0
        self._segments_came = 0.0  # the source's own: those that were asked for when media last came
        self._arrivals = ArrivalPattern()
        self._exit_code: int | None = None
        process.widen()

    @property
    def cadence_s(self) -> float:
        """How far apart the source's media come: the length of its bursts, or of its own segments."""
        if self.clock.is_slates:
            return 0.0  # frame by frame, after the first burst
        if self._newest_s is None or not self._segments_came or self._arrivals.usual:
            return self._arrivals.cadence_s
        return (self._newest_s - self._media_start_s) / self._segments_came

    def decide_target_duration(self, now_s: float, waited_s: float) -> bool:
        """Decides the target duration by the keyframes that have come, or without a second one after too long a wait; the media
        so far are then closed as a segment. Returns whether it is decided."""
        apart_s = self._segmenter.keyframes_apart_s if self._segmenter else None
        if self.plan.video not in ("copy", "drop"):
            apart_s = self._job.segment_s  # the encoder's
        self._target_duration.look(apart_s if self.clock.settled(now_s) else None, waited_s)
        if self._target_duration.decided and apart_s is None and self._segmenter and (segment := self._segmenter.flush()):
            self._close(segment)
        return self._target_duration.decided

    @property
    def explained_s(self) -> float:
        """How far apart the source's media come: as its playlist declares, or as was seen, whichever is longer."""
        return max(self.cadence_s, self._input.cadence_s or 0.0)

    @property
    def waited_s(self) -> float | None:
        """How long the first media took, in seconds; None: they have not come yet."""
        return None if self._first_media_s is None else self._first_media_s - self._started_s

    def read(self, now_s: float) -> list[str]:
        """Reads what has come; returns FFmpeg's lines for the log."""
        # The media first: FFmpeg describes its streams before it sends media, so the description has then come, too.
        data = self.process.read(self.process.media_fd)
        lines = self.messages.feed(self.process.read(self.process.messages_fd))
        if data:
            self._feed(data, now_s)
        if self.process.ended:
            self._exit_code = self.process.stop()
        return lines

    def cut_overdue(self, now_s: float, lag_s: float) -> None:
        """Closes the open segment now, if the source falters (media are `lag_s` behind: else a keyframe is on its way; and no
        burst is being read: else there is more of it) and if that gives the player something: half a segment, 1 s at most,
        that continues what is listed."""
        segmenter, newest_s = self._segmenter, self._newest_s
        if segmenter is None or newest_s is None or self._is_rubbish or self.clock.lag_s(now_s) < lag_s:
            return
        if self.clock.is_in_burst(now_s):
            return
        pending_s = segmenter.pending_s
        if pending_s < min(1.0, self._job.segment_s / 2) or not self.clock.continues(newest_s - pending_s, newest_s):
            return
        if segment := segmenter.flush():
            self._close(segment)

    def stop(self, now_s: float) -> list[str]:
        """Ends FFmpeg and closes the last segment; returns FFmpeg's last lines."""
        ended_itself = self._exit_code is not None and self._exit_code >= 0
        self.process.kill()
        lines = self.read(now_s)
        self._exit_code = self.process.stop()
        # A killed FFmpeg may have been in the middle of a frame; half a frame is a broken picture.
        last = self._segmenter.flush(ended=ended_itself) if self._segmenter and not self._is_rubbish else None
        if last and last.duration_s >= _WORTH_LISTING_S:
            self._close(last)
        return lines

    def observe(self, now_s: float, awake_since_s: float) -> RunObservation:
        """What the watchdog judges by. Time in which this process was paused does not count against the source."""
        return RunObservation(
            now_s=now_s,
            started_s=max(self._started_s, awake_since_s),
            first_media_s=self._first_media_s,
            silent_s=now_s - max(self._came_s, awake_since_s),
            lag_s=min(self.clock.lag_s(now_s), now_s - awake_since_s),
            cadence_s=self.explained_s,
            soundless_s=self._soundless_s(now_s, awake_since_s),
            fault=self.messages.faults.fault,
            playlists_lost=self.messages.faults.playlists_lost,
            segments_lost=self.messages.faults.segments_lost,
            lost=self._arrivals.lost,
            closed=self.messages.faults.closed,
            exit_code=self._exit_code,
        )

    def _soundless_s(self, now_s: float, awake_since_s: float) -> float:
        """By media time or by the clock, whichever is less: sound that is always late is there, and between two bursts nothing
        is
        missing."""
        if self._segmenter is None:
            return 0.0
        return min(self._segmenter.soundless_s, now_s - max(self._heard_s, awake_since_s))

    @property
    def _is_rubbish(self) -> bool:
        """Whether FFmpeg cannot decode what comes: what it has still written must not reach a player."""
        fault = self.messages.faults.fault
        return fault is not None and fault.ending is Ending.SOURCE_UNDECODABLE

    def _feed(self, data: bytes, now_s: float) -> None:
        if self._segmenter is None:
            self._segmenter = self._new_segmenter()
        self._segmenter.limit_to(self._target_duration.target_duration_s)
        for segment in self._segmenter.feed(data):
            self._close(segment)
        if self._segmenter.sounds != self._sounds:
            self._sounds, self._heard_s = self._segmenter.sounds, now_s
        newest_s = self._segmenter.newest_s
        if newest_s is None or newest_s == self._newest_s:
            return
        if self._newest_s is None:
            self._first_media_s = now_s
            self._newest_s = self._media_start_s = (
                self.closed[0].start_s if self.closed else newest_s - self._segmenter.pending_s
            )
        media_s, self._newest_s, self._came_s = newest_s - self._newest_s, newest_s, now_s
        self._segments_came = self.messages.segments_opened_each
        if self.clock.source_start_s is None and not self.clock.is_slates:
            self.clock.source_start_s = self.messages.input.start_s
        self.clock.observe(now_s, newest_s)
        self.messages.faults.media_came(newest_s)
        self._arrivals.observe(now_s, media_s, newest_s, self._segmenter.losses, self._segmenter.lost_s)
        self.clock.cadence_s = self.cadence_s

    def _close(self, segment: Segment) -> None:
        self.closed.append(segment._replace(discontinuity=True) if self._follows else segment)
        self._follows = False
        if not self.accepted:  # the store does not answer: it is not known yet what the session sends
            while len(self.closed) > 1 and (
                sum(each.duration_s for each in self.closed) > self._job.window_s
                or sum(len(each.data) for each in self.closed) > _HELD_BYTES
            ):
                del self.closed[0]

    def _new_segmenter(self) -> Segmenter:
        job = self._job
        # A source without backlog needs a segment's duration to send one, so the first one is cut short. Not where a session
        # begins with a copied picture, because it waits for the second keyframe anyway.
        backlog = self.messages.input.format.startswith("hls") or self.plan.paced
        first = job.attempt == 1 and self.clock.leg == 1
        nothing_listed = first or not self._target_duration.decided
        begins = nothing_listed and self.plan.video == "copy" and self.messages.input.streams.video is not None
        return Segmenter(
            segment_s=job.segment_s,
            target_duration_s=self._target_duration.target_duration_s,
            first_segment_s=None if backlog or begins else job.segment_s / 2,
        )
