"""Types of the fields that a client may send, with their bounds: lengths, characters, schemes. What exceeds them is refused
before anything is stored or started."""

from __future__ import annotations

import re
from typing import Annotated, Final

from msgspec import Meta

from orchestrator.core import bounds
from orchestrator.errors import InvalidInput

BODY_BYTES: Final = 1 << 20
SOURCES: Final = bounds.SOURCES
FAILOVERS: Final = bounds.FAILOVERS
WAIT_S: Final = 30.0

# `$` also matches before a last line feed in Python, though not in JSON Schema: hence the look-aheads.
_PLAIN = r"^[^\x00-\x1f\x7f]*$(?!\n)"

Slug = Annotated[
    str, Meta(max_length=63, pattern=r"^[a-z0-9][a-z0-9-]*$(?!\n)", description="Lower-case letters, digits, hyphens.")
]
Name = Annotated[str, Meta(min_length=1, max_length=bounds.NAME, pattern=r"^(?=.*\S)[^\x00-\x1f\x7f]*$(?!\n)")]
Text = Annotated[str, Meta(max_length=bounds.TEXT, pattern=_PLAIN)]
Viewer = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=r"^(?!\*$)(?=.*\S)[^\x00-\x1f\x7f]*$(?!\n)",  # "*" stands for all viewers of a shared session
        description='Who watches; yours to choose, except "*".',
    ),
]
Url = Annotated[str, Meta(max_length=bounds.URL, pattern=r"^[^\x00-\x20\x7f]+$(?!\n)", description="No space in it.")]
Number = Annotated[int, Meta(ge=0, le=bounds.NUMBER)]
SourceId = Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9_-]+$(?!\n)")]
ProviderId = Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9_-]*$(?!\n)", description="Of an account.")]
Priority = Annotated[int, Meta(ge=1, le=SOURCES)]
HeaderName = Annotated[
    str, Meta(min_length=1, max_length=bounds.HEADER_NAME, pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$(?!\n)")
]  # RFC 9110, 5.6.2
HeaderValue = Annotated[str, Meta(max_length=bounds.HEADER_VALUE, pattern=_PLAIN)]
Headers = Annotated[
    dict[HeaderName, HeaderValue], Meta(max_length=bounds.HEADERS, description="Request headers for this source.")
]
UserAgent = Annotated[str, Meta(max_length=bounds.USER_AGENT, pattern=_PLAIN)]

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_id(text: str) -> bool:
    """Whether it can be an id or a slug."""
    return _ID.fullmatch(text) is not None


def check_url(field: str, url: str) -> None:
    """Raises InvalidInput where the agent would refuse the address."""
    if fault := bounds.address_fault(url):
        raise InvalidInput(field, fault.reason, fault.code, fault.allowed)
