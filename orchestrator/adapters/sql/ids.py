"""Generates random ids that are safe in URLs, S3 keys and containers' names, and can be read aloud.

`c-` is a channel, `x-` a source, `p-` a provider, `s-` a session; then 7 characters of time and 11 random ones, in Crockford's
base32 in lower case (without i, l, o, u, which look like 1 or 0, or make words). The time comes first, so ids sort by age and
new rows are next to each other in an index. The 55 random bits keep viewers from guessing each other's playlist addresses.
"""

from __future__ import annotations

import secrets
import time

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_LENGTH = 7  # 35 bits of seconds: until the year 3058
_RANDOM_LENGTH = 11

CHANNEL = "c"
SOURCE = "x"
PROVIDER = "p"
SESSION = "s"


def new_id(kind: str, at: float | None = None) -> str:
    """`{kind}-{time}{random}`, 20 characters for a kind of one letter."""
    seconds = int(time.time() if at is None else at)
    return f"{kind}-{_base32(seconds, _TIME_LENGTH)}{_base32(secrets.randbits(5 * _RANDOM_LENGTH), _RANDOM_LENGTH)}"


def _base32(number: int, length: int) -> str:
    return "".join(ALPHABET[(number >> 5 * digit) & 31] for digit in reversed(range(length)))
