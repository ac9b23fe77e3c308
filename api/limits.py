"""What a client may send: the lengths, the characters and the schemes. Beyond them nothing is stored and nothing is started."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import Meta

from orchestrator.errors import InvalidInput
from transcoder.job import SCHEMES

BODY_BYTES: Final = 1 << 20
SOURCES: Final = 64
WAIT_S: Final = 30.0

# `$` also matches before a last line feed in Python, though not in JSON Schema: hence the look-aheads.
_PLAIN = r"^[^\x00-\x1f\x7f]*$(?!\n)"

Slug = Annotated[
    str, Meta(max_length=63, pattern=r"^[a-z0-9][a-z0-9-]*$(?!\n)", description="Lower-case letters, digits, hyphens.")
]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^(?=.*\S)[^\x00-\x1f\x7f]*$(?!\n)")]
Text = Annotated[str, Meta(max_length=200, pattern=_PLAIN)]
Viewer = Annotated[
    str,
    Meta(
        min_length=1, max_length=200, pattern=r"^(?=.*\S)[^\x00-\x1f\x7f]*$(?!\n)", description="Who watches; yours to choose."
    ),
]
Url = Annotated[str, Meta(max_length=4096, pattern=r"^[^\x00-\x20\x7f]+$(?!\n)", description="No space in it.")]
Number = Annotated[int, Meta(ge=0, le=1_000_000)]
SourceId = Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9_-]+$(?!\n)")]
Priority = Annotated[int, Meta(ge=1, le=SOURCES)]
HeaderName = Annotated[
    str, Meta(min_length=1, max_length=64, pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$(?!\n)")
]  # RFC 9110, 5.6.2
HeaderValue = Annotated[str, Meta(max_length=4096, pattern=_PLAIN)]
Headers = Annotated[dict[HeaderName, HeaderValue], Meta(max_length=32, description="Request headers for this source.")]
UserAgent = Annotated[str, Meta(max_length=500, pattern=_PLAIN)]


def check_url(field: str, url: str) -> None:
    """Raises InvalidInput where the agent would refuse the address. Its text is not repeated: it may hold a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidInput(field, f"not a URL: {error}") from None
    if parts.scheme not in SCHEMES:
        raise InvalidInput(field, f"the scheme must be one of {', '.join(sorted(SCHEMES))}")
    if not parts.netloc or (parts.hostname is None and port is None):
        raise InvalidInput(field, "the host is missing")


def slug_of(name: str) -> str:
    """A slug made from a name: "Das Erste HD" → "das-erste-hd"."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:48].strip("-") or "channel"
