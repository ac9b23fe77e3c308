"""The project's errors: one small tree that says what has failed and whether trying again can help.

After a `Temporary` error the caller observes and tries again; a `Permanent` one needs a person. The API turns each into a
problem document (RFC 9457) by its `status` and `title`; nothing else maps errors to HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # settings import this module, and `failover --help` imports them: it must not wait for the core
    from orchestrator.core.bounds import InputFault
    from orchestrator.core.model import Cause


class FailoverError(Exception):
    """The root. `status` is the HTTP status that the API answers with."""

    status = 500
    title = "Internal error"


class Temporary(FailoverError):
    """Trying again later can help. It says nothing about any stream (law 3)."""

    status = 503
    title = "Temporarily unavailable"


class StoreUnavailable(Temporary):
    """The object store did not answer, or answered 5xx."""

    title = "The object store does not answer"


class CorruptPlaylist(StoreUnavailable):
    """The store answered with something that is not a playlist. A caller that cannot do anything about it may treat it as an
    outage."""

    title = "What the store holds cannot be read as a playlist"


class EngineUnavailable(Temporary):
    """The container engine did not answer, or failed on its own side."""

    title = "The container engine does not answer, or has failed"


class FramesUnavailable(Temporary):
    """No picture can be made now: too many are wanted, or FFmpeg does not start."""

    title = "No picture can be made now"


class BusUnavailable(Temporary):
    """Redis did not answer. Everything still works, but reactions are slower (law 1)."""

    title = "Redis does not answer"


class DatabaseUnavailable(Temporary):
    """SQL did not answer, or stayed locked beyond its timeout."""

    title = "The database does not answer"


class NotLeading(Temporary):
    """Another orchestrator acts on this database, or may still do so: this one may not act (control/leadership.py)."""

    status = 409
    title = "Another orchestrator acts on this database"


class Stale(Temporary):
    """A row was changed by another writer (compare-and-swap on `version` failed): observe and decide again."""

    status = 409
    title = "The row has changed meanwhile"


class NoConnectionLeft(Temporary):
    """All the connections that a provider allows are in use. The message names the provider."""

    title = "All connections of the provider are in use"


class LimitReached(Temporary):
    """There is no room for one more session now. `limit` is the setting's name, or "draining"."""

    title = "No room for one more session"

    def __init__(self, limit: str, words: str, retry_after_s: float = 10.0) -> None:
        super().__init__(words)
        self.limit = limit
        self.retry_after_s = retry_after_s


class ViewerLimitReached(LimitReached):
    """The viewer has as many sessions as a viewer may have."""

    status = 429
    title = "The viewer has too many sessions"


class AddressLimitReached(LimitReached):
    """The client's address has started as many sessions as it may through the routes that need no key."""

    status = 429
    title = "Too many sessions from this address"


class Permanent(FailoverError):
    """Trying the same again cannot help."""

    status = 400
    title = "Refused"


class BadSetting(Permanent):
    """A setting is unknown or has a bad value. For the operator to correct; the message names the variable."""

    title = "Bad setting"


class ImageMissing(Permanent):
    """The engine does not have the transcoder image. For the operator to correct."""

    status = 503
    title = "The transcoder image is missing"


class NotFound(Permanent):
    """No such channel, source or session."""

    status = 404
    title = "Not found"


class AlreadyExists(Permanent):
    """A unique name is taken."""

    status = 409
    title = "Already exists"


class Unauthorized(Permanent):
    """No key or token, or a wrong one."""

    status = 401
    title = "Unauthorized"


class InvalidInput(Permanent):
    """The client sent something that cannot be accepted. `field` names it, `reason` says why, `code` is the same as an enum
    where there is one; `allowed` are the values that would be accepted, where the code is about a few."""

    status = 422
    title = "Invalid input"

    def __init__(self, field: str, reason: str, code: InputFault | None = None, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
        self.code = code
        self.allowed = allowed


class NoHealthySource(Permanent):
    """A session could not start. `reasons`: source id → why it cannot be used, for people; `causes`: the same as enums."""

    status = 503
    title = "No source of the channel works"

    def __init__(self, reasons: dict[str, str], causes: Mapping[str, Cause] | None = None) -> None:
        super().__init__("; ".join(f"{source}: {reason}" for source, reason in reasons.items()) or "the channel has no source")
        self.reasons = reasons
        self.causes = causes or {}
