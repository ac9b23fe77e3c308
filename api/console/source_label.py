"""A short label of a source's address that reveals no credentials."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

# The last part of a path is shown only where it looks like a file's name or a number: http://host/USER/PASSWORD and
# rtmp://host/live/KEY end otherwise.
_NAME: Final = re.compile(r"[\w.-]{1,40}\.(?:m3u8?|ts|mpd|mp4|m4s|aac|flv|sdp)|\d{1,10}", re.ASCII)


def label_of(url: str) -> str:
    """The host, and the last part of the path where that is a file's name or a number. No user info and no query; the rest of
    the path is left out, because providers put accounts into it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "not an address"
    host = parts.netloc.rpartition("@")[2]
    name = parts.path.rstrip("/").rpartition("/")[2]
    return f"{host}/{name}" if _NAME.fullmatch(name) else host
