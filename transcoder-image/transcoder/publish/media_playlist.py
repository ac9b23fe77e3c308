"""The media playlist as data (RFC 8216, 4.3.3): one immutable value for each state, and `append` from one to the next.

Law: what is listed never changes (law 5). Each state follows from the one before it by `append`;
`playlist_rules.violations` compares two states. Numbers are rounded when a segment is made (durations to microseconds, dates to
milliseconds), so that a playlist which is written, read by the next attempt and written again stays the same to the last digit.

The last listed URI names the attempt that published last, which fences every earlier one. What the next attempt must also know
stands in comments, which players ignore (4.1): AHEAD and SOURCE for the programme clock, CLAIM, SLATE, LEG.

Whatever text is parsed, parsing takes bounded time and memory and raises MalformedPlaylist and nothing else, and what it gives
can be rendered.
"""

from typing import NamedTuple, Self

from transcoder import bucket
from transcoder.publish import playlist_syntax
from transcoder.publish.playlist_syntax import LATEST_S, MalformedPlaylist, decimal_integer

_LIMIT_SEGMENTS = 20_000  # 11 hours of 2 s each
_AHEAD, _SOURCE, _CLAIM, _SLATE, _LEG = "## AHEAD", "## SOURCE", "## CLAIM", "## SLATE", "## LEG"


class _ListedSegmentFields(NamedTuple):
    uri: str
    duration_s: float
    program_date_time: float
    discontinuity: bool


class ListedSegment(_ListedSegmentFields):
    """One listed media segment; `program_date_time` is Unix seconds, `discontinuity` is the tag in front of it."""

    __slots__ = ()

    def __new__(cls, uri: str, duration_s: float, program_date_time: float, discontinuity: bool) -> Self:
        return super().__new__(cls, uri, round(float(duration_s), 6), round(float(program_date_time), 3), discontinuity)

    @property
    def end_s(self) -> float:
        """The program date-time at which this segment ends, in Unix seconds."""
        return self.program_date_time + self.duration_s


class MediaPlaylist(NamedTuple):
    """One state of a media playlist.

    `ahead_s`: how far the last date is ahead of when its media could first be had (programme_clock). `source_end_s`: where on
    the source's own timeline the last segment ends; None: not known. `claimed_by`: the attempt that will list next and has
    listed nothing yet; 0: none. `slate`: the last segment is a slate's, so a source that follows need not continue it.
    `leg`: which leg of its attempt listed the last segment; an attempt without input switches has one, and does not say so.
    `independent`: every segment that was ever listed can be decoded without those before it.
    """

    target_duration_s: int
    media_sequence: int
    discontinuity_sequence: int
    segments: tuple[ListedSegment, ...]
    ended: bool
    ahead_s: float = 0.0
    source_end_s: float | None = None
    claimed_by: int = 0
    slate: bool = False
    independent: bool = False
    leg: int = 1

    @property
    def end_s(self) -> float | None:
        """The program date-time at which the last listed segment ends, in Unix seconds; None where nothing is listed."""
        return self.segments[-1].end_s if self.segments else None

    @property
    def duration_s(self) -> float:
        """How much media is listed, in seconds."""
        return sum(segment.duration_s for segment in self.segments)

    @property
    def last_sequence(self) -> int:
        """The media sequence number of the last listed segment."""
        return self.media_sequence + len(self.segments) - 1

    @property
    def last_attempt(self) -> int:
        """The attempt that published last; 0 where none has."""
        return bucket.attempt_of(self.segments[-1].uri) if self.segments else 0

    @property
    def fencing_attempt(self) -> int:
        """The attempt that fences every earlier one: it has published, or claimed, last."""
        return max(self.last_attempt, self.claimed_by)

    def admits(self, duration_s: float) -> bool:
        """Whether a segment of that length rounds to the target duration at most (RFC 8216, 4.3.3.1)."""
        return rounded(duration_s) <= self.target_duration_s

    def append(self, segment: ListedSegment, window_s: float, independent: bool = False) -> "MediaPlaylist":
        """The next state: `segment` is listed last, and what the window of `window_s` no longer needs leaves in front.

        `independent`: the segment can be decoded without those before it. Never fewer than three target durations remain
        (RFC 8216, 6.2.2). The discontinuity sequence counts the tags that have left: a tag leaves together with the segment
        that it stands before. Raises ValueError where the playlist has ended or the segment is too long.
        """
        if self.ended:
            raise ValueError("nothing follows EXT-X-ENDLIST")
        if not self.admits(segment.duration_s):
            raise ValueError(f"{segment.duration_s} s rounds to more than the target duration {self.target_duration_s}")
        listed = (*self.segments, segment)
        keep_s = max(window_s, 3 * self.target_duration_s)
        remaining_s = sum(each.duration_s for each in listed)
        gone = 0
        while remaining_s - listed[gone].duration_s >= keep_s:
            remaining_s -= listed[gone].duration_s
            gone += 1
        return self._replace(
            media_sequence=self.media_sequence + gone,
            discontinuity_sequence=self.discontinuity_sequence + discontinuities(listed[:gone]),
            segments=listed[gone:],
            independent=independent and (self.independent or not (self.segments or self.media_sequence)),
        )

    def finish(self) -> "MediaPlaylist":
        """The last state: no segment follows (EXT-X-ENDLIST)."""
        return self._replace(ended=True, ahead_s=0.0, source_end_s=None, claimed_by=0, slate=False, leg=1)

    def absolute(self, base_url: str) -> "MediaPlaylist":
        """The same playlist with each URI resolved against `base_url`, the playlist's own address."""
        from urllib.parse import urljoin  # the agent never needs it, and it is slow to import

        return self._replace(segments=tuple(ListedSegment(urljoin(base_url, s.uri), *s[1:]) for s in self.segments))

    def render(self) -> str:
        """The playlist's text. Version 3, because EXTINF has decimals (RFC 8216, 7)."""
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:3",
            f"#EXT-X-TARGETDURATION:{self.target_duration_s}",
            f"#EXT-X-MEDIA-SEQUENCE:{self.media_sequence}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{self.discontinuity_sequence}",
        ]
        if self.independent:
            lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
        for segment in self.segments:
            if segment.discontinuity:
                lines.append("#EXT-X-DISCONTINUITY")
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{playlist_syntax.render_date(segment.program_date_time)}")
            lines.append(f"#EXTINF:{segment.duration_s:.6f},")
            lines.append(segment.uri)
        if self.ended:
            lines.append("#EXT-X-ENDLIST")
        else:
            lines += [f"{_AHEAD}:{self.ahead_s:.3f}"] if self.ahead_s else []
            lines += [f"{_SOURCE}:{self.source_end_s:.3f}"] if self.source_end_s is not None else []
            lines += [f"{_CLAIM}:{self.claimed_by}"] if self.claimed_by else []
            lines += [_SLATE] if self.slate else []
            lines += [f"{_LEG}:{self.leg}"] if self.leg > 1 else []
        return "\n".join(lines) + "\n"

    @staticmethod
    def parse(text: str) -> "MediaPlaylist":
        """Reads a media playlist; unknown tags are ignored (RFC 8216, 6.3.1). Raises MalformedPlaylist.

        Where a segment has no date of its own, it starts where the one before it ends (RFC 8216, 4.3.2.6); the first
        must have one.
        """
        target: int | None = None
        sequence = discontinuity_sequence = 0
        segments: list[ListedSegment] = []
        duration: float | None = None
        date: float | None = None
        ahead_s, source_end_s, claimed_by = 0.0, None, 0
        discontinuity = ended = slate = independent = False
        leg = 1
        for tag, value in playlist_syntax.lines(text):
            match tag:
                case "#EXT-X-TARGETDURATION":
                    target = decimal_integer(tag, value)
                case "#EXT-X-MEDIA-SEQUENCE":
                    sequence = decimal_integer(tag, value)
                case "#EXT-X-DISCONTINUITY-SEQUENCE":
                    discontinuity_sequence = decimal_integer(tag, value)
                case "#EXT-X-DISCONTINUITY":
                    discontinuity = True
                case "#EXT-X-INDEPENDENT-SEGMENTS":
                    independent = True
                case "#EXT-X-PROGRAM-DATE-TIME":
                    date = playlist_syntax.parse_date(value)
                case "#EXTINF":
                    duration = playlist_syntax.duration(value.partition(",")[0])
                case "## AHEAD":
                    ahead_s = playlist_syntax.optional_number(value) or 0.0
                case "## SOURCE":
                    source_end_s = playlist_syntax.optional_number(value)
                case "## CLAIM":
                    claimed_by = max(0, bucket.natural(value))
                case "## SLATE":
                    slate = True
                case "## LEG":
                    leg = max(1, bucket.natural(value))
                case "#EXT-X-ENDLIST":
                    ended = True
                case "":
                    if duration is None:
                        raise MalformedPlaylist(f"no EXTINF before {value[:100]!r}")
                    if date is None and not segments:
                        raise MalformedPlaylist(f"no EXT-X-PROGRAM-DATE-TIME before {value[:100]!r}")
                    start_s = segments[-1].end_s if date is None else date
                    if not 0 <= start_s < LATEST_S:
                        raise MalformedPlaylist(f"no date that can be: {start_s:.0f} s of Unix time")
                    if len(segments) == _LIMIT_SEGMENTS:
                        raise MalformedPlaylist(f"more than {_LIMIT_SEGMENTS} segments")
                    segments.append(ListedSegment(value, duration, start_s, discontinuity))
                    duration, date, discontinuity = None, None, False
                case _:
                    pass
        if target is None:
            raise MalformedPlaylist("no EXT-X-TARGETDURATION")
        listed = tuple(segments)
        return MediaPlaylist(
            target, sequence, discontinuity_sequence, listed, ended, ahead_s, source_end_s, claimed_by, slate, independent, leg
        )


def discontinuities(segments: tuple[ListedSegment, ...]) -> int:
    """How many of the segments have the discontinuity tag."""
    return sum(segment.discontinuity for segment in segments)


def rounded(duration_s: float) -> int:
    """A duration in whole seconds, as a target duration is compared with: a half goes up (RFC 8216, 4.3.3.1)."""
    return int(duration_s + 0.5)  # not round(), which sends a half to the even number
