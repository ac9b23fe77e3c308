"""Rate limit on opening sources, for each provider: 4 openings in 10 s, 12 in 60 s, and after that one a minute.

Rule: whatever chooses inputs, an attempt never opens more than that at one provider, because providers block accounts that
reconnect in a loop. An answer that says so itself (too many connections, wrong account) closes the provider for a minute.
Every start of FFmpeg on a source counts, also those that are repeated in place.

Pure: time is an argument, in seconds of one clock.
"""

from collections import deque

from transcoder.input import Input, SlateInput

_SHORT, _SHORT_S = 4, 10.0
_LONG, _LONG_S = 12, 60.0
_CLOSED_S = 60.0
CLOSING_ANSWERS = frozenset((401, 403, 458, 509, 884))
"""HTTP status codes: 401, 403 (RFC 9110, 15.5) and those by which IPTV panels say that an account is expired or has too many
connections."""


def account_of(input: Input) -> str:
    """What openings of this input count for: its provider, else the host of its address; "" for the slate, which opens
    nothing."""
    source = input.source
    if isinstance(source, SlateInput):
        return ""
    if input.provider:
        return f"provider {input.provider}"
    authority = source.url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2]
    host, colon, port = authority.rpartition(":")
    return (host if colon and port.isdecimal() else authority).lower()


class OpeningLimits:
    """The openings of one attempt."""

    def __init__(self) -> None:
        self._openings: dict[str, deque[float]] = {}  # when, the newest last
        # Token bucket: 11 at once and one a minute are never more than 12 in a minute.
        self._tokens: dict[str, tuple[float, float]] = {}  # how many there were, and when
        self._closed_until_s: dict[str, float] = {}

    def opens_at_s(self, account: str, now_s: float, spare: int = 0) -> float:
        """From when on the account may be opened, `now_s` at the earliest. `spare`: so many openings are to be left after
        that one."""
        if not account:
            return now_s
        wanted = 1 + spare
        at_s = max(now_s, self._closed_until_s.get(account, now_s))
        openings = self._openings.get(account, ())
        if len(openings) + wanted > _SHORT:
            # The newest of those that must have left the window by then.
            at_s = max(at_s, openings[-(_SHORT - wanted + 1)] + _SHORT_S)
        return max(at_s, now_s + (wanted - self._left(account, now_s)) * _LONG_S)

    def opened(self, account: str, now_s: float) -> None:
        """An opening, which `opens_at_s` has allowed."""
        if not account:
            return
        self._tokens[account] = (self._left(account, now_s) - 1.0, now_s)
        self._openings.setdefault(account, deque(maxlen=_SHORT)).append(now_s)

    def answered(self, account: str, status: int, now_s: float) -> None:
        """The provider has refused with this HTTP status."""
        if status in CLOSING_ANSWERS:
            self._closed_until_s[account] = now_s + _CLOSED_S

    def _left(self, account: str, now_s: float) -> float:
        tokens, at_s = self._tokens.get(account, (float(_LONG - 1), now_s))
        return min(float(_LONG - 1), tokens + (now_s - at_s) / _LONG_S)
