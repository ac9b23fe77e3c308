"""The longest values that a channel and a source can have: the same for the API's bodies and for imported playlists.

Lengths are in characters.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from transcoder.input import SCHEMES

SOURCES: Final = 64  # of one channel
FAILOVERS: Final = 16  # channels that one channel names
LINE_UP: Final = 32  # channels whose sources one session may come to use: itself, its failover channels, theirs
NAME: Final = 200
TEXT: Final = 200  # a group, a tvg-id ...
URL: Final = 4096
NUMBER: Final = 1_000_000
USER_AGENT: Final = 500
HEADERS: Final = 32
HEADER_NAME: Final = 64
HEADER_VALUE: Final = 4096


class InputFault(StrEnum):
    """What is wrong with a value that a client has sent: the problem document's `code`, by which a program chooses its own
    words."""

    NOT_AN_ADDRESS = "not-an-address"
    SCHEME = "scheme"  # the schemes that are accepted stand beside it
    NO_HOST = "no-host"
    CHARACTERS = "characters"  # it is empty, or has a character that is not allowed there
    NO_PROVIDER = "no-provider"  # no provider has this id


class AddressFault(Struct, frozen=True):
    """`reason` in words. `allowed`: the schemes that are accepted, where it is the scheme."""

    code: InputFault
    reason: str
    allowed: tuple[str, ...] = ()


def address_fault(url: str) -> AddressFault | None:
    """Why the agent would refuse a source's address; None where it would not. The address is not repeated: it may hold a
    password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return AddressFault(InputFault.NOT_AN_ADDRESS, f"not a URL: {error}")
    if parts.scheme not in SCHEMES:
        allowed = tuple(sorted(SCHEMES))
        return AddressFault(InputFault.SCHEME, f"the scheme must be one of {', '.join(allowed)}", allowed)
    if not parts.netloc or (parts.hostname is None and port is None):
        return AddressFault(InputFault.NO_HOST, "the host is missing")
    return None


def slug_of(name: str) -> str:
    """A slug made from a name: "Das Erste HD" → "das-erste-hd"."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:48].strip("-") or "channel"
