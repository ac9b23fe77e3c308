"""Request and reply types between the publisher and the threads that talk to the store."""

from typing import NamedTuple


class GetMain(NamedTuple):
    """Read the media playlist."""


class GetIndex(NamedTuple):
    """Read the multivariant playlist."""


class PutMain(NamedTuple):
    """Write the media playlist over the version `etag`; None: only where there is none."""

    text: str
    etag: str | None


class PutIndex(NamedTuple):
    """Write the multivariant playlist over the version `etag`; None: only where there is none."""

    text: str
    etag: str | None


class PostSegment(NamedTuple):
    """Store media segment `n`."""

    n: int
    data: bytes


Request = GetMain | GetIndex | PutMain | PutIndex | PostSegment


class Stored(NamedTuple):
    """It is in the store; `etag` names the version."""

    etag: str | None


class Found(NamedTuple):
    """What is stored."""

    text: str
    etag: str | None


class NotStored(NamedTuple):
    """There is no such object."""


class Conflict(NamedTuple):
    """The condition does not hold: another writer was first."""


class RequestFailed(NamedTuple):
    """It is not known whether it was done; `final`: the store says that it will never be."""

    reason: str
    final: bool = False


Reply = Stored | Found | NotStored | Conflict | RequestFailed
