"""Streams that a source announces and does not send: how long they are waited for, and when they are looked for again. Pure.

Rule: a stream is not missing before it has had as long to come as it may be away while the source plays. FFmpeg looks for
streams only when it starts, so looking again means starting it again.
"""

from transcoder.ffmpeg.command_line import longest_look_s
from transcoder.ffmpeg.messages import FfmpegMessages
from transcoder.ffmpeg.stream_plan import LOOK_S, StreamPlan
from transcoder.source.watchdog import SilenceLimits

_LOOK_AGAIN_AFTER_S, _LOOK_AGAIN_AFTER_AT_MOST_S = 30.0, 300.0  # a new start costs a live source's newest second


class MissingStreams:
    """The missing streams of one attempt, over all its starts of FFmpeg."""

    def __init__(self) -> None:
        self._waited_for_picture = self._waited_for_sound = False
        self._again_at_s, self._again_after_s = float("inf"), _LOOK_AGAIN_AFTER_S
        self._rests_until_s = -float("inf")

    def longer_look_s(self, report: FfmpegMessages, limits: SilenceLimits, needed: StreamPlan, looked_s: float) -> float | None:
        """How long FFmpeg is to look for what had not come in `looked_s`; None where nothing is missing that the session sends,
        or where it has looked that long."""
        wanted_s = 0.0
        if report.input.lacks_sound and needed.audio != "drop":
            # FFmpeg counts from the first keyframe: this long behind that one, and not as long as for the picture alone.
            if not self._waited_for_sound:
                self._waited_for_sound = True
                wanted_s = max(LOOK_S, limits.stall_s)
        elif report.input.lacks_picture and needed.video != "drop" and not self._waited_for_picture:
            self._waited_for_picture = True
            wanted_s = longest_look_s(limits.start_s)  # the first keyframe is the first medium
        return wanted_s if wanted_s > looked_s else None

    def silence_stands_in(self, now_s: float) -> float:
        """Silence is sent in the place of announced sound; in how many seconds the sound is looked for."""
        self._again_at_s = now_s + self._again_after_s
        return self._again_after_s

    def may_be_there(self, report: FfmpegMessages, now_s: float) -> bool:
        """Whether to look for sound now: it has been long enough, or FFmpeg has seen a stream of it begin. Each time it takes
        longer until the next: a stream may begin anew soon after each start, and be missed by each."""
        if now_s < self._rests_until_s or (now_s < self._again_at_s and not report.faults.sound_has_begun):
            return False
        self._rests_until_s = now_s + self._again_after_s
        self._again_at_s, self._again_after_s = float("inf"), min(2 * self._again_after_s, _LOOK_AGAIN_AFTER_AT_MOST_S)
        return True
