"""Maps ffprobe's standard error to a cause, a text for people, and what the prober does next.

FFmpeg's own messages are not passed on: they quote addresses, and whatever a server has written.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

from orchestrator.adapters.http.hls_source import why_of_status
from orchestrator.core.model import Cause, Why


class Next(Enum):
    """What follows from a failure besides its report."""

    NOTHING = auto()
    NO_VERDICT = auto()  # this FFmpeg cannot ask the source: nothing is known of it
    ASK_THE_SERVER = auto()  # by HTTP: what it sends is not media, and the answer may have a name


class Reading(NamedTuple):
    """What is concluded from standard error."""

    why: Why
    next: Next = Next.NOTHING


_STATUS = re.compile(r"HTTP error (\d{3})|Server returned (\d{3})|method \w+ failed: (\d{3})")
_REASONS = (
    ("Server returned 5", Why(Cause.UNREACHABLE, "the server answers with an error (5xx)")),
    ("Server returned 4", Why(Cause.REFUSES, "the server refuses (4xx)")),
    ("Connection refused", Why(Cause.UNREACHABLE, "connection refused")),
    ("Connection reset", Why(Cause.UNREACHABLE, "connection reset")),
    ("timed out", Why(Cause.UNREACHABLE, "no answer in time")),
    ("Failed to resolve", Why(Cause.UNREACHABLE, "no such host")),
    ("No route to host", Why(Cause.UNREACHABLE, "no route to host")),
    ("Network is unreachable", Why(Cause.UNREACHABLE, "network unreachable")),
    ("TLS", Why(Cause.UNREACHABLE, "TLS failed")),
    ("certificate", Why(Cause.UNREACHABLE, "TLS failed")),
    ("not on the whitelist", Why(Cause.UNPLAYABLE, "leads to a protocol that is not let in")),
    ("Protocol not found", Why(Cause.UNPLAYABLE, "this FFmpeg does not speak the protocol")),
    ("need zlib", Why(Cause.UNPLAYABLE, "a compressed answer (gzip)")),
    ("Invalid data found", Why(Cause.UNPLAYABLE, "not media")),
    ("I/O error", Why(Cause.UNREACHABLE, "ends before any media")),
    ("Input/output error", Why(Cause.UNREACHABLE, "ends before any media")),
    ("End of file", Why(Cause.UNREACHABLE, "ends before any media")),
)
_NEXT = {"Protocol not found": Next.NO_VERDICT, "Invalid data found": Next.ASK_THE_SERVER}


def read_failure(said: str | None) -> Reading | None:
    """The reason in what FFmpeg has written to standard error; None: it was killed, and what it had written until then says
    nothing."""
    if said is None:
        return None
    status = _STATUS.search(said)
    if status is not None:
        return Reading(why_of_status(int(status[1] or status[2] or status[3])))
    for sign, why in _REASONS:
        if sign in said:
            return Reading(why, _NEXT.get(sign, Next.NOTHING))
    failed = any("[error]" in line or "[fatal]" in line for line in said.splitlines())
    return Reading(Why(Cause.UNREADABLE) if failed else Why(Cause.UNPLAYABLE, "no video or audio"))
