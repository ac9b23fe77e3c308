"""Removes accounts from text for a log: of an address, only the scheme and the host are kept.

Rule: IPTV accounts stand in paths (http://host/live/USER/PASSWORD/1.ts), in user info and in queries, and any text may quote an
address: a message of FFmpeg, a server's answer, an exception. The parts of one source's own address are also removed where
they stand alone, as in a server's "no stream live/USER/PASSWORD".
"""

import re
from collections.abc import Iterator
from itertools import pairwise

# The slashes behind a scheme may be escaped, as in some JSON.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:(?://|\\/\\/))([^\s'\"<>|]*)")
# An absolute path of several parts, as one that a server or a playlist names; not "../../segments/...", which is ours.
_PATH = re.compile(r"(?<![\w.:/\\-])/(?:[^\s/'\"<>|]+/)+[^\s'\"<>|]*")
# What follows is a server's own text, which may name an account that is not known here, such as a redirect's.
_SAID = re.compile(r"(HTTP error \d{3}|method \w+ failed: \d{3}|Server error:) .*")
_END_OF_AUTHORITY = re.compile(r"[/?#\\]")
_TRAILING = ".,;:)]}"
_LEFT_OUT = "/..."
_SHORTEST = 3  # characters: a shorter part occurs in too many words
_OF_THE_FIELD = frozenset(
    (
        "live",
        "hls",
        "stream",
        "streams",
        "streaming",
        "play",
        "movie",
        "series",
        "timeshift",
        "channel",
        "channels",
        "video",
        "audio",
        "index",
        "master",
        "main",
        "playlist",
        "media",
        "chunklist",
        "tracks",
        "mono",
        "http",
        "https",
        "rtmp",
        "rtsp",
        "m3u8",
        "mpegts",
        "mpeg",
        "hevc",
        "h264",
        "true",
        "false",
        "output",
        "type",
        "token",
    )
)
_FILE = re.compile(r"[\w-]{0,12}\.(?:m3u8?|ts|mp4|m4s|aac|flv|mpd|php|key)")


def redacted(text: str) -> str:
    """The same text with each address cut behind its host."""
    return _URL.sub(_host_alone, text)


def without_servers_words(line: str) -> str:
    """A line of FFmpeg without the server's own text in it."""
    return _SAID.sub(r"\1 ...", line)


class Redaction:
    """Removes what `redacted` removes, the parts of given sources' own addresses wherever they stand, and absolute paths."""

    def __init__(self, url: str = "", headers: dict[str, str] | None = None) -> None:
        self._secrets: set[str] = set()
        self._secret: re.Pattern[str] | None = None
        self.add(url, headers or {})

    def add(self, url: str, headers: dict[str, str]) -> None:
        """Removes the parts of this address as well."""
        parts = _parts(url, headers)
        self._secrets |= {each for part in parts for each in (part, _decoded(part)) if _is_telling(each)}
        words = "|".join(re.escape(each) for each in sorted(self._secrets, key=len, reverse=True))
        self._secret = re.compile(rf"(?<!\w)(?:{words})(?!\w)") if words else None

    def __call__(self, text: str) -> str:
        text = _PATH.sub(_LEFT_OUT, redacted(text))
        return text if self._secret is None else self._secret.sub("...", text)


def _host_alone(match: re.Match[str]) -> str:
    rest = match[2].rstrip(_TRAILING)
    trailing = match[2][len(rest) :]
    authority = _END_OF_AUTHORITY.split(rest, maxsplit=1)[0]
    behind = rest[len(authority) :]
    if "@" in behind:
        # User info ends at the last "@" before the path (RFC 3986, 3.2.1). Here a password may have an unescaped "/" or "?",
        # or an account may be a mail address: which part is the host cannot be told.
        return f"{match[1]}...{trailing}"
    return f"{match[1]}{authority.rpartition('@')[2]}{_LEFT_OUT if behind else ''}{trailing}"


def _parts(url: str, headers: dict[str, str]) -> Iterator[str]:
    """What of an address and of its headers may be an account or a part of one."""
    rest = url.partition("://")[2]
    info, at, _ = rest.rpartition("@")
    path = (rest if not at or "/" in info else rest.rpartition("@")[2]).partition("/")[2]
    path, _, query = path.partition("?")
    if at:
        yield from info.split("/")[0].split(":")
    yield path
    pieces = path.split("/")
    yield from pieces
    yield from map("/".join, pairwise(pieces))
    for pair in query.split("&"):
        yield pair
        yield pair.partition("=")[2]
    for value in headers.values():
        yield value
        yield from value.split()


def _is_telling(part: str) -> bool:
    if len(part) == _SHORTEST and part.isdecimal():  # it may be a server's status, such as 404
        return False
    return len(part) >= _SHORTEST and part.lower() not in _OF_THE_FIELD and not _FILE.fullmatch(part)


def _decoded(part: str) -> str:
    from urllib.parse import unquote  # most addresses have no escape, and it is slow to import

    return unquote(part) if "%" in part else part
