"""Decides when a run of FFmpeg is over, from what is observed of FFmpeg and of the media. Pure: time is an argument.

Law: a source is blamed for what it did itself (law 7), with FFmpeg's message as the reason. Silence that the source's own
cadence explains is no stall. FFmpeg is started once more on a source that has played, but not on one that has sent nothing.
"""

from typing import NamedTuple

from transcoder.ending import Ending
from transcoder.ffmpeg.fault_messages import SourceFault

# When a playlist has not advanced, FFmpeg asks again after half its target duration. So a burst may come that much later than
# the source's cadence says, and a little more for the network.
_CADENCES, _WAY_S = 1.5, 0.3
_PLAYLISTS_LOST = 2  # failed reloads in a row: a single one may be a coincidence
_LOST = 0.25  # of the media: beyond this the picture stops so often that it cannot be watched
_SEGMENTS_LOST_AT_START = 3  # all that FFmpeg starts with
_SECOND_CHANCE_AFTER_S = 10.0  # of playing since the last one: a source that fails again and again gets no other


class SilenceLimits(NamedTuple):
    """How long the first media may take, how long a source may be silent, and how far its media may fall behind what its
    cadence explains."""

    start_s: float
    stall_s: float


class RunObservation(NamedTuple):
    """One look at a run of FFmpeg."""

    now_s: float
    started_s: float
    first_media_s: float | None  # when media first came; None: not yet
    silent_s: float  # since media last came
    lag_s: float  # how far the media are behind where they should be
    cadence_s: float  # the length of the source's own segments, declared or seen, or of its bursts; 0: it sends steadily
    soundless_s: float  # for how long no sound has come beside the picture; 0 where none is announced
    fault: SourceFault | None  # the most significant one since media last came
    playlists_lost: int  # reloads that failed since media last came
    segments_lost: int  # segments given up since media last came
    lost: float  # which share of the newest media never came, although what follows did; 0 where that was an accident
    closed: bool  # the server ended what it was sending
    exit_code: int | None  # None: runs; negative: the signal that killed it


class RunOutcome(NamedTuple):
    """How a run has ended; `reason` is for people."""

    ending: Ending
    reason: str


def judge(seen: RunObservation, limits: SilenceLimits) -> RunOutcome | None:
    """The outcome on a run of FFmpeg; None while it may go on."""
    if seen.exit_code is not None:
        return _ended(seen, seen.exit_code)
    if seen.first_media_s is None:
        if seen.segments_lost >= _SEGMENTS_LOST_AT_START:
            return _blamed(seen, Ending.SOURCE_UNREACHABLE, f"the first {seen.segments_lost} segments cannot be had")
        if seen.now_s - seen.started_s > limits.start_s:
            return _blamed(seen, Ending.SOURCE_STALLED, f"no media within {limits.start_s:g} s")
        return None
    if seen.playlists_lost >= _PLAYLISTS_LOST:
        return _blamed(seen, Ending.SOURCE_UNREACHABLE, f"its playlist failed {seen.playlists_lost} times")
    if seen.lost > _LOST:
        return _blamed(seen, Ending.SOURCE_STALLED, f"{seen.lost:.0%} of its media are missing")
    patience = patience_s(limits, seen.cadence_s)
    if seen.silent_s > patience:
        return _blamed(seen, Ending.SOURCE_STALLED, f"silent for {seen.silent_s:.1f} s")
    if seen.lag_s > max(patience, seen.cadence_s + limits.stall_s):
        return _blamed(seen, Ending.SOURCE_STALLED, f"media are {seen.lag_s:.1f} s behind")
    if seen.soundless_s > limits.stall_s:
        return _blamed(seen, Ending.SOURCE_STALLED, f"no sound for {seen.soundless_s:.1f} s, while the picture goes on")
    return None


def patience_s(limits: SilenceLimits, cadence_s: float) -> float:
    """How long a source may be silent before it counts as stalled: `limits.stall_s`, and never less than its own cadence
    explains (one in 10-second segments arrives in 10-second bursts)."""
    return max(limits.stall_s, _CADENCES * cadence_s + _WAY_S if cadence_s else 0.0)


def once_more(limits: SilenceLimits, cadence_s: float) -> SilenceLimits:
    """The limits for FFmpeg started again on a source that was playing: it may be silent no longer before its first media than
    between them, because viewers wait meanwhile and another source may work."""
    return limits._replace(start_s=min(limits.start_s, patience_s(limits, cadence_s)))


def second_chance(outcome: RunOutcome, seen: RunObservation, last_chance_s: float | None) -> bool:
    """Whether FFmpeg is started again on the same source, in place. Newer versions end at the first reload that fails, and one
    failed reload is no reason to leave a source."""
    match outcome.ending:
        case Ending.SOURCE_REFUSED | Ending.SOURCE_UNREACHABLE | Ending.SOURCE_UNDECODABLE:
            since_s = seen.first_media_s if last_chance_s is None else last_chance_s
            return seen.first_media_s is not None and since_s is not None and seen.now_s - since_s > _SECOND_CHANCE_AFTER_S
        case _:
            return False


def _ended(seen: RunObservation, exit_code: int) -> RunOutcome:
    if exit_code < 0:
        return RunOutcome(Ending.FFMPEG_CRASHED, f"FFmpeg was killed by signal {-exit_code}")
    if seen.fault:
        return RunOutcome(seen.fault.ending, seen.fault.line)
    if exit_code and not seen.closed:
        return RunOutcome(Ending.FFMPEG_CRASHED, f"FFmpeg ended with code {exit_code}")
    if seen.first_media_s is None:
        return RunOutcome(Ending.SOURCE_UNDECODABLE, "the source ended before it sent media")
    return RunOutcome(Ending.SOURCE_ENDED, "the source ended")


def _blamed(seen: RunObservation, otherwise: Ending, reason: str) -> RunOutcome:
    """What FFmpeg has reported says more than silence does."""
    if seen.fault:
        return RunOutcome(seen.fault.ending, f"{reason}; {seen.fault.line}")
    return RunOutcome(otherwise, reason)
