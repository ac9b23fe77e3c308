"""The playlists as data (RFC 8216).

Law: what is listed never changes; each state follows from the one before it by `append`, and `violations` says where it
does not. Numbers are quantised when a segment is made (durations to microseconds, dates to milliseconds), so that what
is written, read by the next attempt and written again stays the same to the last digit. Who published last is read off
the last listed URI, which names the attempt.

What is parsed may have been written by a container that somebody has taken over: whatever the text is, parsing it costs
bounded time and memory and raises MalformedPlaylist alone, and what it gives can be rendered.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from itertools import pairwise
from typing import NamedTuple, Self

from transcoder import bucket

LIMIT_BYTES = 4 << 20  # of a playlist's text: more than any of ours has
_LIMIT_SEGMENTS = 20_000  # 11 hours of 2 s each
_LIMIT_LINE = 16_384  # characters
_LATEST_S = 32_503_680_000.0  # the year 3000; Python's dates end in 9999
_PDT_SLACK_S = 0.01  # a date has milliseconds, a duration microseconds: their sums differ by less than this
_SENDING = "hls-failover.sending"
_AHEAD, _SOURCE = "## AHEAD", "## SOURCE"  # comments to everybody else (RFC 8216, 4.1)
_CLAIM, _SLATE = "## CLAIM", "## SLATE"
_ATTEMPT = "## ATTEMPT"


class MalformedPlaylist(ValueError):
    """The text is not a playlist of ours; the message names the line or the tag."""


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
    """A media playlist (RFC 8216, 4.3.3) as one state of its history."""

    target_duration_s: int
    media_sequence: int
    discontinuity_sequence: int
    segments: tuple[ListedSegment, ...]
    ended: bool
    ahead_s: float = 0.0  # how far the last date is ahead of when its media could first be had (programme_clock)
    source_end_s: float | None = None  # where on the source's own timeline the last segment ends; None: not known
    claimed_by: int = 0  # the attempt that will list next, and has listed nothing yet; 0: none
    slate: bool = False  # what was listed last is no programme: whoever has some need not continue it
    independent: bool = False  # every segment that was ever listed can be decoded without those before it

    @property
    def end_s(self) -> float | None:
        """The program date-time of the end of what is listed, in Unix seconds; None where nothing is."""
        return self.segments[-1].end_s if self.segments else None

    @property
    def duration_s(self) -> float:
        """How much media is listed, in seconds."""
        return sum(segment.duration_s for segment in self.segments)

    @property
    def last_attempt(self) -> int:
        """The attempt that published last; 0 where nobody has."""
        return bucket.attempt_of(self.segments[-1].uri) if self.segments else 0

    @property
    def fencing_attempt(self) -> int:
        """The attempt that fences every earlier one."""
        return max(self.last_attempt, self.claimed_by)

    def admits(self, duration_s: float) -> bool:
        """Whether a segment of that length rounds to the target duration at most (RFC 8216, 4.3.3.1)."""
        return _rounded(duration_s) <= self.target_duration_s

    def append(self, segment: ListedSegment, window_s: float, independent: bool = False) -> "MediaPlaylist":
        """The next state: `segment` is listed last, and what the window of `window_s` no longer needs leaves in front.

        `independent`: the segment can be decoded without those before it.
        Never fewer than three target durations remain (RFC 8216, 6.2.2). The discontinuity sequence counts the tags
        that have left: one leaves together with the segment that it stands before. Raises ValueError where the law
        would break.
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
            discontinuity_sequence=self.discontinuity_sequence + _tags(listed[:gone]),
            segments=listed[gone:],
            independent=independent and (self.independent or not (self.segments or self.media_sequence)),
        )

    def finish(self) -> "MediaPlaylist":
        """The last state: no segment follows (EXT-X-ENDLIST)."""
        return self._replace(ended=True, ahead_s=0.0, source_end_s=None, claimed_by=0, slate=False)

    def absolute(self, base_url: str) -> "MediaPlaylist":
        """The same playlist for a reader elsewhere: each URI resolved against `base_url`, the playlist's own
        address."""
        from urllib.parse import urljoin  # the agent never needs it, and it is slow to import

        return self._replace(segments=tuple(ListedSegment(urljoin(base_url, s.uri), *s[1:]) for s in self.segments))

    def render(self) -> str:
        """The playlist's text. Version 3: EXTINF has decimals (RFC 8216, 7)."""
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
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{_date(segment.program_date_time)}")
            lines.append(f"#EXTINF:{segment.duration_s:.6f},")
            lines.append(segment.uri)
        if self.ended:
            lines.append("#EXT-X-ENDLIST")
        else:
            lines += [f"{_AHEAD}:{self.ahead_s:.3f}"] if self.ahead_s else []
            lines += [f"{_SOURCE}:{self.source_end_s:.3f}"] if self.source_end_s is not None else []
            lines += [f"{_CLAIM}:{self.claimed_by}"] if self.claimed_by else []
            lines += [_SLATE] if self.slate else []
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
        for tag, value in _lines(text):
            match tag:
                case "#EXT-X-TARGETDURATION":
                    target = _natural(tag, value)
                case "#EXT-X-MEDIA-SEQUENCE":
                    sequence = _natural(tag, value)
                case "#EXT-X-DISCONTINUITY-SEQUENCE":
                    discontinuity_sequence = _natural(tag, value)
                case "#EXT-X-DISCONTINUITY":
                    discontinuity = True
                case "#EXT-X-INDEPENDENT-SEGMENTS":
                    independent = True
                case "#EXT-X-PROGRAM-DATE-TIME":
                    date = _timestamp(value)
                case "#EXTINF":
                    duration = _seconds(value.partition(",")[0])
                case "## AHEAD":
                    ahead_s = _noted_number(value) or 0.0
                case "## SOURCE":
                    source_end_s = _noted_number(value)
                case "## CLAIM":
                    claimed_by = max(0, bucket.natural(value))
                case "## SLATE":
                    slate = True
                case "#EXT-X-ENDLIST":
                    ended = True
                case "":
                    if duration is None:
                        raise MalformedPlaylist(f"no EXTINF before {value[:100]!r}")
                    if date is None and not segments:
                        raise MalformedPlaylist(f"no EXT-X-PROGRAM-DATE-TIME before {value[:100]!r}")
                    start_s = segments[-1].end_s if date is None else date
                    if not 0 <= start_s < _LATEST_S:
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
            target, sequence, discontinuity_sequence, listed, ended, ahead_s, source_end_s, claimed_by, slate, independent
        )


class Variant(NamedTuple):
    """One variant stream: bandwidths in bit/s, `codecs` as in RFC 6381, `resolution` as in "640x360", frames per second."""

    uri: str
    bandwidth: int
    codecs: str | None = None
    resolution: str | None = None
    average_bandwidth: int | None = None
    frame_rate: float | None = None


class Sending(NamedTuple):
    """What a session sends, and every attempt must go on with: codec names as FFmpeg's; None or 0: no such stream."""

    video: str | None
    audio: str | None
    channels: int = 0


class MultivariantPlaylist(NamedTuple):
    """A multivariant playlist (RFC 8216, 4.3.4); what the session sends rides along as EXT-X-SESSION-DATA (4.3.4.4)."""

    variants: tuple[Variant, ...]
    sending: Sending | None = None
    attempt: int = 0  # that has written it; 0: none that says so

    def absolute(self, base_url: str) -> "MultivariantPlaylist":
        """The same playlist for a reader elsewhere: each URI resolved against `base_url`, the playlist's own
        address."""
        from urllib.parse import urljoin

        return self._replace(variants=tuple(v._replace(uri=urljoin(base_url, v.uri)) for v in self.variants))

    def render(self) -> str:
        """The playlist's text."""
        lines = ["#EXTM3U", "#EXT-X-VERSION:3"]
        if self.sending:
            video, audio, channels = self.sending
            words = f"video={video or ''},audio={audio or ''},channels={channels}"
            lines.append(f'#EXT-X-SESSION-DATA:DATA-ID="{_SENDING}",VALUE="{words}"')
        for variant in self.variants:
            attributes = f"BANDWIDTH={variant.bandwidth}"
            if variant.average_bandwidth is not None:
                attributes += f",AVERAGE-BANDWIDTH={variant.average_bandwidth}"
            if variant.codecs:
                attributes += f',CODECS="{variant.codecs}"'
            if variant.resolution:
                attributes += f",RESOLUTION={variant.resolution}"
            if variant.frame_rate is not None:
                attributes += f",FRAME-RATE={variant.frame_rate:.3f}"
            lines += [f"#EXT-X-STREAM-INF:{attributes}", variant.uri]
        lines += [f"{_ATTEMPT}:{self.attempt}"] if self.attempt else []
        return "\n".join(lines) + "\n"

    @staticmethod
    def parse(text: str) -> "MultivariantPlaylist":
        """Reads a multivariant playlist; unknown tags are ignored. Raises MalformedPlaylist."""
        variants: list[Variant] = []
        sending: Sending | None = None
        described: dict[str, str] | None = None
        attempt = 0
        for tag, value in _lines(text):
            match tag:
                case "#EXT-X-SESSION-DATA":
                    data = _attributes(value)
                    if data.get("DATA-ID") == _SENDING:
                        sending = _sending(data.get("VALUE", ""))
                case "#EXT-X-STREAM-INF":
                    described = _attributes(value)
                case "":
                    if described is None:
                        raise MalformedPlaylist(f"no EXT-X-STREAM-INF before {value[:100]!r}")
                    variants.append(_variant(value, described))
                    described = None
                case "## ATTEMPT":
                    attempt = int(value) if value.isascii() and value.isdecimal() and len(value) <= 20 else 0
                case _:
                    pass
        return MultivariantPlaylist(tuple(variants), sending, attempt)


def violations(before: MediaPlaylist, after: MediaPlaylist) -> list[str]:
    """Every playlist law that the step from `before` to `after` breaks, in words; states between the two may be unseen.

    The laws: what is listed never changes nor is taken back, the sequences never go down and count what left, the
    target duration is constant and kept, dates and attempts never go back, each attempt starts with a discontinuity,
    no URI is used twice, three target durations stay, an ended playlist is final, independence that was lost stays lost.
    """
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
        expected = _tags(before.segments[:gone])
        unseen = max(0, gone - len(before.segments))  # listed and gone again between the two states
        if not expected <= tags_gone <= expected + unseen and tags_gone >= 0:
            broken.append(f"discontinuity sequence went up by {tags_gone}, but {expected} tags left")
        staying = before.segments[gone:]
        for n, (old, new) in enumerate(zip(staying, after.segments, strict=False), after.media_sequence):
            if old != new:
                broken.append(f"listed segment {n} changed from {old} to {new}")
        if len(after.segments) < len(staying):
            broken.append(f"{len(staying) - len(after.segments)} listed segments were taken back")
        if gone and after.duration_s < 3 * after.target_duration_s - _PDT_SLACK_S:
            broken.append(f"only {after.duration_s:.3f} s stayed listed, less than three target durations")
        seam = len(before.segments) if unseen else 0
        broken += _disorder(before.segments[:gone] + after.segments, seam)
    broken += [
        f"segment {segment.uri} of {segment.duration_s} s rounds to more than the target duration"
        for segment in after.segments
        if _rounded(segment.duration_s) > after.target_duration_s
    ]
    return broken


def _disorder(segments: tuple[ListedSegment, ...], seam: int) -> list[str]:
    """What is out of order among segments listed one after the other; before that at `seam`, if any, some are unseen."""
    broken = []
    for n, (previous, segment) in enumerate(pairwise(segments), 1):
        if segment.program_date_time < previous.end_s - _PDT_SLACK_S:
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


def _tags(segments: tuple[ListedSegment, ...]) -> int:
    return sum(segment.discontinuity for segment in segments)


def _rounded(duration_s: float) -> int:
    return int(duration_s + 0.5)  # not round(): half goes up, whatever the parity (RFC 8216, 4.3.3.1)


def _date(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _timestamp(text: str) -> float:
    try:
        date = datetime.fromisoformat(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise MalformedPlaylist(f"EXT-X-PROGRAM-DATE-TIME: {text[:100]!r}") from error


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise MalformedPlaylist(f"EXTINF: {text[:100]!r}")
    return value


def _noted_number(text: str) -> float | None:
    """A number without which playing goes on: what cannot be read says nothing."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e6 else None


def _natural(tag: str, text: str) -> int:
    # decimal-integer: at most 2^64-1 (RFC 8216, 4.2). Of more than 4,300 digits Python makes no number.
    if not (text.isascii() and text.isdecimal() and len(text) <= 20 and int(text) < 1 << 64):
        raise MalformedPlaylist(f"{tag.lstrip('#')}: {text[:100]!r}")
    return int(text)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """The playlist's lines as (tag, value); a URI has the tag ""."""
    if len(text) > LIMIT_BYTES:
        raise MalformedPlaylist(f"more than {LIMIT_BYTES >> 20} MiB")
    lines = StringIO(text)
    if (first := next(lines, "").strip()) != "#EXTM3U":
        raise MalformedPlaylist(f"no EXTM3U in the first line: {first[:100]!r}")
    for line in map(str.strip, lines):
        if len(line) > _LIMIT_LINE:
            raise MalformedPlaylist(f"a line of more than {_LIMIT_LINE} characters")
        if line.startswith("#"):
            tag, _, value = line.partition(":")
            yield tag, value.strip()
        elif line:
            yield "", line


def _attributes(text: str) -> dict[str, str]:
    """An attribute list (RFC 8216, 4.2): a comma may stand inside quotes."""
    attributes = {}
    while text:
        name, equals, rest = text.partition("=")
        if not equals:
            raise MalformedPlaylist(f"attribute list: {text[:100]!r}")
        if rest.startswith('"'):
            value, quote, text = rest[1:].partition('"')
            if not quote:
                raise MalformedPlaylist(f"attribute list: {rest[:100]!r}")
            text = text.removeprefix(",")
        else:
            value, _, text = rest.partition(",")
        attributes[name.strip()] = value
    return attributes


def _variant(uri: str, attributes: dict[str, str]) -> Variant:
    average, rate = attributes.get("AVERAGE-BANDWIDTH"), attributes.get("FRAME-RATE")
    return Variant(
        uri,
        _natural("BANDWIDTH", attributes.get("BANDWIDTH", "")),
        attributes.get("CODECS"),
        attributes.get("RESOLUTION"),
        None if average is None else _natural("AVERAGE-BANDWIDTH", average),
        None if rate is None else _noted_number(rate),
    )


def _sending(text: str) -> Sending:
    words = dict(word.partition("=")[::2] for word in text.split(","))
    channels = _natural("channels", words.get("channels", "0"))
    return Sending(words.get("video") or None, words.get("audio") or None, channels)
