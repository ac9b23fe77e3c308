"""Decides when a request to the store may be sent: which ones are under way, when a failed one is repeated, what keeps failing.

Rule: there is never more than one request about the same subject, and a failed one is repeated with exponential backoff.
"""

from typing import NamedTuple

from transcoder.publish.store_requests import GetIndex, GetMain, PostSegment, PutIndex, PutMain, Request

_FIRST_RETRY_S, _LAST_RETRY_S = 0.1, 1.0


class _Retry(NamedTuple):
    at_s: float
    tries: int


class RequestSchedule:
    """All times are of one clock, in seconds."""

    def __init__(self) -> None:
        self._under_way: set[str] = set()
        self._retries: dict[str, _Retry] = {}
        self._failing: dict[type[Request], float] = {}  # since when requests of that kind have failed

    @property
    def failing_since_s(self) -> float | None:
        """Since when requests of some kind have failed without a success; None where all kinds succeed."""
        return min(self._failing.values(), default=None)

    @property
    def posts_under_way(self) -> int:
        """How many segments are on their way."""
        return sum(subject.isdecimal() for subject in self._under_way)

    def is_under_way(self, subject: str) -> bool:
        """Whether a request about it is on its way."""
        return subject in self._under_way

    def may(self, subject: str, now_s: float) -> bool:
        """Whether a request about it may be made now: none is under way, and the wait after a failure is over."""
        retry = self._retries.get(subject)
        return subject not in self._under_way and (retry is None or now_s >= retry.at_s)

    def sent(self, request: Request) -> None:
        """The request is on its way."""
        self._under_way.add(subject_of(request))

    def answered(self, request: Request) -> None:
        """The request has been answered, or will never be."""
        self._under_way.discard(subject_of(request))

    def succeeded(self, request: Request, now_s: float) -> float | None:
        """The store has done it. Returns for how long its kind had failed, where nothing fails any more; else None."""
        self._retries.pop(subject_of(request), None)
        failed_s = self._failing.pop(type(request), None)
        return None if failed_s is None or self._failing else now_s - failed_s

    def failed(self, request: Request, now_s: float) -> int:
        """The store has not done it: it may be repeated after a pause. Returns how often it has failed by now."""
        self._failing.setdefault(type(request), now_s)
        subject = subject_of(request)
        tries = self._retries[subject].tries + 1 if subject in self._retries else 1
        wait_s = min(_LAST_RETRY_S, _FIRST_RETRY_S * 2 ** (tries - 1))
        self._retries[subject] = _Retry(now_s + wait_s, tries)
        return tries

    def postpone(self, request: Request, until_s: float) -> None:
        """It is not repeated before then, and its failure does not count as one of the store."""
        self._retries[subject_of(request)] = _Retry(until_s, 1)

    def forget(self, subject: str) -> None:
        """It will not be asked for again."""
        self._retries.pop(subject, None)


def subject_of(request: Request) -> str:
    """What a request is about: "main", "index", or a segment's number."""
    match request:
        case GetMain() | PutMain():
            return "main"
        case GetIndex() | PutIndex():
            return "index"
        case PostSegment(n):
            return str(n)
