"""Reads the lines, attribute lists and numbers of a playlist (RFC 8216, 4).

Rule: a playlist may have been written by a container that somebody has taken over. Whatever the text is, reading it takes
bounded time and memory, and raises MalformedPlaylist and nothing else.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO

LIMIT_BYTES = 4 << 20
"""Of a playlist's text: more than any of ours has."""
LATEST_S = 32_503_680_000.0
"""The year 3000 in Unix seconds, the latest date that is accepted: Python's dates end in 9999."""

_LIMIT_LINE = 16_384  # characters


class MalformedPlaylist(ValueError):
    """The text is not a playlist of ours; the message names the line or the tag."""


def lines(text: str) -> Iterator[tuple[str, str]]:
    """The playlist's lines as (tag, value); a URI has the tag "". Raises MalformedPlaylist."""
    if len(text) > LIMIT_BYTES:
        raise MalformedPlaylist(f"more than {LIMIT_BYTES >> 20} MiB")
    stream = StringIO(text)
    if (first := next(stream, "").strip()) != "#EXTM3U":
        raise MalformedPlaylist(f"no EXTM3U in the first line: {first[:100]!r}")
    for line in map(str.strip, stream):
        if len(line) > _LIMIT_LINE:
            raise MalformedPlaylist(f"a line of more than {_LIMIT_LINE} characters")
        if line.startswith("#"):
            tag, _, value = line.partition(":")
            yield tag, value.strip()
        elif line:
            yield "", line


def attributes(text: str) -> dict[str, str]:
    """An attribute list (RFC 8216, 4.2); a comma may stand inside quotes. Raises MalformedPlaylist."""
    found = {}
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
        found[name.strip()] = value
    return found


def decimal_integer(tag: str, text: str) -> int:
    """A decimal-integer, at most 2^64-1 (RFC 8216, 4.2). Raises MalformedPlaylist, which names the tag."""
    # The number of digits is checked first: Python refuses to read more than 4,300.
    if not (text.isascii() and text.isdecimal() and len(text) <= 20 and int(text) < 1 << 64):
        raise MalformedPlaylist(f"{tag.lstrip('#')}: {text[:100]!r}")
    return int(text)


def duration(text: str) -> float:
    """The duration of EXTINF, in seconds. Raises MalformedPlaylist."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise MalformedPlaylist(f"EXTINF: {text[:100]!r}")
    return value


def optional_number(text: str) -> float | None:
    """A number that playing does not depend on: None where it cannot be read."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e6 else None


def parse_date(text: str) -> float:
    """The date of EXT-X-PROGRAM-DATE-TIME, in Unix seconds; UTC where it names no time zone. Raises MalformedPlaylist."""
    try:
        date = datetime.fromisoformat(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise MalformedPlaylist(f"EXT-X-PROGRAM-DATE-TIME: {text[:100]!r}") from error


def render_date(unix_s: float) -> str:
    """The same date as text: ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(unix_s, UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
