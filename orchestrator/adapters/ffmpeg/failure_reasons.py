"""Why a probe has failed, in a closed vocabulary of plain words.

FFmpeg's own messages are not passed on: they quote addresses, and whatever a server has written.
"""

from __future__ import annotations

import re

from orchestrator.adapters.http.hls_source import status_words

NO_PROTOCOL = "this FFmpeg does not speak the protocol"
NOT_MEDIA = "not media"
_STATUS = re.compile(r"HTTP error (\d{3})|Server returned (\d{3})|method \w+ failed: (\d{3})")
_REASONS = (
    ("Server returned 5", "the server answers with an error (5xx)"),
    ("Server returned 4", "the server refuses (4xx)"),
    ("Connection refused", "connection refused"),
    ("Connection reset", "connection reset"),
    ("timed out", "no answer in time"),
    ("Failed to resolve", "no such host"),
    ("No route to host", "no route to host"),
    ("Network is unreachable", "network unreachable"),
    ("TLS", "TLS failed"),
    ("certificate", "TLS failed"),
    ("not on the whitelist", "leads to a protocol that is not let in"),
    ("Protocol not found", NO_PROTOCOL),
    ("need zlib", "a compressed answer (gzip)"),
    ("Invalid data found", NOT_MEDIA),
    ("I/O error", "ends before any media"),
    ("Input/output error", "ends before any media"),
    ("End of file", "ends before any media"),
)


def reason_in(said: str | None) -> str | None:
    """The reason in what FFmpeg has written to standard error; None: it was killed, and what it had written until then says
    nothing."""
    if said is None:
        return None
    status = _STATUS.search(said)
    if status is not None:
        return status_words(int(status[1] or status[2] or status[3]))
    for sign, words in _REASONS:
        if sign in said:
            return words
    failed = any("[error]" in line or "[fatal]" in line for line in said.splitlines())
    return "cannot be read" if failed else "no video or audio"
