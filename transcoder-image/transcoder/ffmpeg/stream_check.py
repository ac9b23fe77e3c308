"""Compares what FFmpeg has reported of a source with what the session needs, and decides how FFmpeg must be started instead.

FFmpeg is started by an assumption, before anything of the source or of the session's playlist has been read. Most often the
assumption is right, and the start is fast; where it is wrong, FFmpeg is started again in place. Pure: time is an argument.
"""

from collections.abc import Callable
from typing import NamedTuple

from transcoder.ending import Ending
from transcoder.ffmpeg.command_line import OPTIONAL, Adjustments, look_s
from transcoder.ffmpeg.messages import FfmpegMessages
from transcoder.ffmpeg.stream_plan import LOOK_S, StreamPlan, Unplayable, plan
from transcoder.input import Input, Streams
from transcoder.job import Job
from transcoder.source.missing_streams import MissingStreams
from transcoder.source.watchdog import RunOutcome, SilenceLimits

_MOST_CORRECTIONS = 4  # of the plan: file or live, which codecs, which program


class AcceptedStreams(NamedTuple):
    """FFmpeg does what the session needs. `sending`: what comes out of it. `sound`: the audio's codec (RFC 6381) where its own
    header does not tell it."""

    sending: Streams
    sound: str | None


class StreamCheck:
    """One leg's checks, over all its starts of FFmpeg. `adjustments`: for the next start."""

    def __init__(self, job: Job, input: Input, limits: SilenceLimits, log: Callable[[str], None]) -> None:
        self.adjustments = Adjustments()
        self._job = job
        self._input = input
        self._limits = limits
        self._log = log
        self._corrections = 0
        self._missing = MissingStreams()

    def learn(self, messages: FfmpegMessages) -> bool:
        """Takes from a run that has ended what the next start must do differently; False where that is nothing new."""
        before, self.adjustments = self.adjustments, adjusted(self.adjustments, messages)
        return self.adjustments != before

    def check(
        self, messages: FfmpegMessages, current: StreamPlan, sending: Streams | None, now_s: float
    ) -> AcceptedStreams | StreamPlan | RunOutcome:
        """Compares the complete description of the input with what the session has been sending (None: nothing yet).

        Returns a StreamPlan where FFmpeg must be started again with that plan; an outcome where the source cannot be played.
        """
        described = messages.input
        streams, lacks_sound = described.streams, described.lacks_sound
        try:
            needed = plan(self._job.profile, streams, sending, self._job.hevc, mute=lacks_sound)
        except Unplayable as error:
            return RunOutcome(Ending.SOURCE_UNDECODABLE, f"cannot be played: {error}")
        needed = needed._replace(
            program=described.program, paced=described.finite, audio_track=described.audio_track, look_s=current.look_s
        )
        self._log(
            f"source is {described.format}{' (a file)' if described.finite else ''}: {_named(streams)}; "
            f"session sends {_named(sending) if sending else 'nothing yet'}"
        )
        looked_s = look_s(self._job, current, self.adjustments)
        if longer_s := self._missing.longer_look_s(messages, self._limits, needed, looked_s):
            return needed._replace(look_s=longer_s)
        lacks_sound = lacks_sound and needed.audio != "drop"  # a session without sound misses none
        if lacks_sound and not self._input.last_resort:
            return RunOutcome(Ending.SOURCE_STALLED, "its announced sound does not come")
        if needed != current:
            self._corrections += 1
            if self._corrections > _MOST_CORRECTIONS:
                return RunOutcome(Ending.SOURCE_UNDECODABLE, "the source is something else each time")
            return needed
        if lacks_sound:
            again_s = self._missing.silence_stands_in(now_s)
            self._log(f"its announced sound does not come: silence in its place; looking for it again in {again_s:g} s")
        # An ADTS header does not tell HE-AAC; FFmpeg, which decodes a frame, does.
        return AcceptedStreams(needed.sending(streams), described.he_aac if needed.audio == "copy" else None)

    def look_for_sound(self, messages: FfmpegMessages, current: StreamPlan, now_s: float) -> StreamPlan | None:
        """Where silence is sent in the place of the source's sound: the plan to start FFmpeg again with, once the sound may
        have
        come; else None."""
        if current.audio != "silence" or not self._missing.may_be_there(messages, now_s):
            return None
        self._corrections = 0
        return current._replace(look_s=LOOK_S)


def adjusted(before: Adjustments, messages: FfmpegMessages) -> Adjustments:
    """The adjustments after a run that has said this; the same where it says nothing new."""
    faults = messages.faults
    unknown = faults.unknown_option
    return Adjustments(
        lacks=before.lacks | {unknown} if unknown in OPTIONAL else before.lacks,
        is_hls=before.is_hls or faults.is_oddly_named_hls,
        # Where the sound has not come either, MissingStreams looks longer for both.
        slow=before.slow or (faults.is_sizeless and not messages.input.lacks_sound),
    )


def _named(streams: Streams) -> str:
    sound = f"{streams.audio} {streams.channels} ch" if streams.audio else "no audio"
    return f"{streams.video or 'no video'}, {sound}"
