"""Starts FFmpeg on an input: the only place where an attempt that has begun opens a source.

Rule: an attempt with orders keeps the limits on openings (`source/opening_limits.py`) here, below everything that chooses an
input or starts one again in place. An attempt without orders has one input, which the orchestrator limits.
"""

from transcoder.ffmpeg.command_line import NO_ADJUSTMENTS, Adjustments, ffmpeg_argv
from transcoder.ffmpeg.process import FfmpegProcess
from transcoder.ffmpeg.stream_plan import StreamPlan
from transcoder.input import Input
from transcoder.job import Job
from transcoder.source.opening_limits import OpeningLimits, account_of

_CORRECTIONS_LEFT = 1
"""How many openings a new leg must leave to its provider: most inputs that are not what was expected play after one correction,
and a leg that is opened and may not be corrected would have been opened for nothing."""


class FfmpegStarts:
    """All starts of one attempt; the first one, of `job.first`, was made before this."""

    def __init__(self, job: Job, ffmpeg: str, now_s: float) -> None:
        self._job = job
        self._ffmpeg = ffmpeg
        self._limits = OpeningLimits() if job.orders is not None else None
        if self._limits is not None:
            self._limits.opened(account_of(job.first), now_s)

    def opens_at_s(self, input: Input, now_s: float, corrects: bool) -> float:
        """From when on the input may be opened; `corrects`: not for a new leg, but again in place."""
        if self._limits is None:
            return now_s
        return self._limits.opens_at_s(account_of(input), now_s, spare=0 if corrects else _CORRECTIONS_LEFT)

    def start(
        self, input: Input, plan: StreamPlan, now_s: float, adjustments: Adjustments = NO_ADJUSTMENTS
    ) -> FfmpegProcess | None:
        """A running FFmpeg; None where the limits do not allow it now. Raises OSError where FFmpeg cannot be started."""
        if self.opens_at_s(input, now_s, corrects=True) > now_s:
            return None
        if self._limits is not None:
            self._limits.opened(account_of(input), now_s)
        return FfmpegProcess(ffmpeg_argv(self._ffmpeg, self._job, input, plan, adjustments))

    def answered(self, input: Input, status: int | None, now_s: float) -> None:
        """The source's server has refused with this status; None: it has not."""
        if self._limits is not None and status is not None:
            self._limits.answered(account_of(input), status, now_s)
