"""Compares two states of a media playlist, and names every rule that the step between them breaks.

Used to check a publisher from outside: by the demo's viewer, the simulated world and the tests.

The rules: what is listed never changes and is never taken back; the sequence numbers never go down, and count the segments
that have left; the target duration is constant, and no segment is longer; dates and attempts never go back; each attempt begins
with a discontinuity; no URI is listed twice; three target durations stay listed; an ended playlist is final; a playlist that
has lost EXT-X-INDEPENDENT-SEGMENTS does not get it back.
"""

from itertools import pairwise

from transcoder import bucket
from transcoder.publish.media_playlist import ListedSegment, MediaPlaylist, discontinuities, rounded

_DATE_TOLERANCE_S = 0.01  # a date has milliseconds, a duration microseconds: their sums differ by less than this


def violations(before: MediaPlaylist, after: MediaPlaylist) -> list[str]:
    """Every rule that the step from `before` to `after` breaks, one sentence each; states between the two may be unseen."""
    broken: list[str] = []
    if before.ended and after != before:
        broken.append("an ended playlist changed")
    if after.target_duration_s != before.target_duration_s:
        broken.append(f"target duration changed from {before.target_duration_s} to {after.target_duration_s}")
    if after.independent and not before.independent and before.segments:
        broken.append("EXT-X-INDEPENDENT-SEGMENTS came back")
    gone = after.media_sequence - before.media_sequence
    tags_gone = after.discontinuity_sequence - before.discontinuity_sequence
    if tags_gone < 0:
        broken.append(f"discontinuity sequence went down by {-tags_gone}")
    if gone < 0:
        broken.append(f"media sequence went down by {-gone}")
    else:
        expected = discontinuities(before.segments[:gone])
        unseen = max(0, gone - len(before.segments))  # listed and gone again between the two states
        if not expected <= tags_gone <= expected + unseen and tags_gone >= 0:
            broken.append(f"discontinuity sequence went up by {tags_gone}, but {expected} tags left")
        staying = before.segments[gone:]
        for n, (old, new) in enumerate(zip(staying, after.segments, strict=False), after.media_sequence):
            if old != new:
                broken.append(f"listed segment {n} changed from {old} to {new}")
        if len(after.segments) < len(staying):
            broken.append(f"{len(staying) - len(after.segments)} listed segments were taken back")
        if gone and after.duration_s < 3 * after.target_duration_s - _DATE_TOLERANCE_S:
            broken.append(f"only {after.duration_s:.3f} s stayed listed, less than three target durations")
        seam = len(before.segments) if unseen else 0
        broken += _disorder(before.segments[:gone] + after.segments, seam)
    broken += [
        f"segment {segment.uri} of {segment.duration_s} s rounds to more than the target duration"
        for segment in after.segments
        if rounded(segment.duration_s) > after.target_duration_s
    ]
    return broken


def _disorder(segments: tuple[ListedSegment, ...], seam: int) -> list[str]:
    """What is out of order among segments listed one after the other. Where `seam` is not 0, some before it are unseen."""
    broken = []
    for n, (previous, segment) in enumerate(pairwise(segments), 1):
        if segment.program_date_time < previous.end_s - _DATE_TOLERANCE_S:
            back_s = previous.end_s - segment.program_date_time
            broken.append(f"program date-time of {segment.uri} is {back_s:.3f} s before the end of {previous.uri}")
        was, now = bucket.attempt_of(previous.uri), bucket.attempt_of(segment.uri)
        if now < was:
            broken.append(f"attempt {now} published {segment.uri} after attempt {was}")
        if now != was and not segment.discontinuity and n != seam:
            broken.append(f"no discontinuity where attempt {now} follows attempt {was}")
    if len({segment.uri for segment in segments}) < len(segments):
        broken.append("a URI is listed twice")
    return broken
