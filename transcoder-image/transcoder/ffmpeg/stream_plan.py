"""Decides which streams of a source are copied, encoded, left out or replaced by silence.

Rule: a session goes on as it began. What viewers have been given (video codec, audio codec, channels) decides what must be
encoded; only an attempt that begins a session follows the channel's profile alone. A change of codec in the middle of a
playlist is where players fail.

Pure: no I/O. The flags that follow from a plan are in `ffmpeg.command_line`.
"""

from typing import NamedTuple

from transcoder.input import Input, Streams
from transcoder.job import Hevc, Profile

COPIED_VIDEO = frozenset(("h264", "hevc"))
COPIED_AUDIO = frozenset(("aac",))
ENCODERS = {"h264": "libx264", "hevc": "libx265"}
SAMPLE_RATE_HZ = 48_000

USUAL = Streams("h264", "aac", 2)
"""What most sources send: assumed where no probe has seen the source."""
GENERATED = Streams("wrapped_avframe", "pcm_s16le", 2)
"""What the slate's generator sends, by FFmpeg's names: raw frames, which must be encoded."""

LOOK_S = 1.5
"""How long FFmpeg first looks for the source's streams: enough for nearly every source, and short against the start budget."""


class Unplayable(Exception):
    """What the source sends cannot continue the session; the message says why."""


class StreamPlan(NamedTuple):
    """What FFmpeg is to do with a source's streams.

    `video`: "copy", "drop" or the codec to encode; `audio`: the same, or "silence". `channels`: of encoded audio.
    `program`: which of the source's programs (variants), None where there is only one. `paced`: the source is a file, which is
    read in real time. `audio_track`: which of the program's audio streams, from 0. `look_s`: how long FFmpeg waits for streams
    that are announced.
    """

    video: str
    audio: str
    channels: int
    program: int | None = None
    paced: bool = False
    audio_track: int = 0
    look_s: float = LOOK_S

    def sending(self, streams: Streams) -> Streams:
        """What comes out of FFmpeg when the source sends `streams`."""
        video = {"copy": streams.video, "drop": None}.get(self.video, self.video)
        if self.audio == "copy":
            return Streams(video, streams.audio, streams.channels if streams.audio else 0)
        return Streams(video, None, 0) if self.audio == "drop" else Streams(video, "aac", self.channels)


def assumed_streams(input: Input) -> Streams:
    """What the source is assumed to send until FFmpeg has reported it."""
    if input.is_slate:
        return GENERATED
    expected = input.expected
    if expected is not None and expected.audio and not expected.channels:  # the probe has seen no audio packet yet
        return expected._replace(channels=USUAL.channels)
    return expected or USUAL


def plan(profile: Profile, source: Streams, sending: Streams | None, hevc: Hevc = "copy", *, mute: bool = False) -> StreamPlan:
    """The plan for a source that sends `source`, in a session that has been sending `sending` (None: nothing yet).

    `hevc`: what becomes of HEVC where a session begins with it and `profile` is "copy". `mute`: the source announces audio that
    does not come, so a session that begins with it is given silence. Raises Unplayable.
    """
    if not source.video and not source.audio:
        raise Unplayable("neither video nor audio")
    # Only where the session begins: one that has been sending HEVC goes on with it, also after the policy has changed.
    begins_with_hevc = sending is None and source.video == "hevc"
    video = _video(hevc if begins_with_hevc and profile == "copy" else profile, source.video, sending)
    audio, channels = ("silence", 2) if mute and sending is None else _audio(profile, source, sending)
    return StreamPlan(video, audio, channels)


def _video(profile: Profile, source: str | None, sending: Streams | None) -> str:
    if sending is None:
        if source is None:
            return "copy"  # radio: there is no video to copy
        return "copy" if profile == "copy" and source in COPIED_VIDEO else "h264"
    if sending.video is None:
        return "drop"
    if source is None:
        raise Unplayable("no video, but the session has some")
    return "copy" if profile == "copy" and source == sending.video else sending.video


def _audio(profile: Profile, source: Streams, sending: Streams | None) -> tuple[str, int]:
    if sending is None:
        # Audio that is announced and has not come yet has no parameters that could be copied; an encoder waits for it.
        if source.audio is None or (profile == "copy" and source.audio in COPIED_AUDIO and source.channels):
            return "copy", 0
        return "aac", 1 if source.channels == 1 else 2  # not every browser plays more than stereo
    if sending.audio is None:
        if source.video is None:
            raise Unplayable("no video, but the session has nothing else")
        return "drop", 0
    if source.audio is None:
        return "silence", sending.channels or 2
    same = source.audio == sending.audio == "aac" and source.channels == sending.channels
    return ("copy", 0) if same and profile == "copy" else ("aac", sending.channels or 2)
