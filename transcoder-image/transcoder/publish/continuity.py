"""Decides which of the waiting segments may be listed next, so that what is listed can be decoded and continues the programme.

Pure. Rule: a group of pictures is listed from its beginning. Pictures refer to earlier ones of their group; where those are not
listed, nobody can decode them.
"""

from collections.abc import Iterable
from typing import NamedTuple

from transcoder import bucket
from transcoder.publish.backlog import WaitingSegment
from transcoder.publish.media_playlist import ListedSegment, MediaPlaylist


class Beginning(NamedTuple):
    """Where an attempt begins to list. `first`: the number of the segment to begin with, None where there is none yet.
    `found`: the programme continues there; else more of that group of pictures is waited for."""

    first: int | None
    found: bool


def beginning(waiting: Iterable[WaitingSegment], playlist: MediaPlaylist | None, now_s: float) -> Beginning:
    """Where an attempt, or a leg of it, that has listed nothing begins; `waiting`: its segments.

    It is the first segment that continues the programme. Where that is in the middle of a group of pictures, it is the segment
    that this group begins with: a moment of the programme is repeated, which is better than pictures that cannot be decoded.
    """
    first: int | None = None  # the latest so far that begins with a keyframe
    found = False
    for each in waiting:
        if found or (playlist is not None and playlist.segments and not each.clock.settled(now_s)):
            break
        first = each.n if each.segment.independent else first
        found = first is not None and each.continues(playlist)
    return Beginning(first, found)


def as_listed(waiting: WaitingSegment, playlist: MediaPlaylist, session: str, attempt: int) -> ListedSegment:
    """The segment as `playlist` will list it: with its URI, its date, and the discontinuity tag where one belongs."""
    segment = waiting.segment
    # Where the last listed segment is not our previous one, it is another attempt's or leg's, or one was left out.
    discontinuity = bool(playlist.segments) and (segment.discontinuity or not _follows(waiting, playlist, session, attempt))
    date_s = waiting.clock.program_date_time(segment.start_s, segment.duration_s)
    return ListedSegment(bucket.segment_uri(session, attempt, waiting.n), segment.duration_s, date_s, discontinuity)


def is_orphan(waiting: WaitingSegment, playlist: MediaPlaylist, session: str, attempt: int) -> bool:
    """Whether the segment begins in the middle of a group of pictures whose beginning is not listed."""
    return not waiting.segment.independent and not _follows(waiting, playlist, session, attempt)


def _follows(waiting: WaitingSegment, playlist: MediaPlaylist, session: str, attempt: int) -> bool:
    """Whether the last listed segment is the leg's own one before this."""
    last = playlist.segments[-1].uri if playlist.segments else None
    return playlist.leg == waiting.clock.leg and last == bucket.segment_uri(session, attempt, waiting.n - 1)
