"""Why things happen: enums that code compares, with a table of titles for people beside them.

Rule: code compares causes; a `detail` is for people, and nothing is decided by it. A `Why` keeps both together; events, history
and the HTTP API show its `text`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct


class EndReason(StrEnum):
    """Why a session is to end, or has ended. Clients read the word as it is."""

    NO_HEALTHY_SOURCE = "no_healthy_source"  # none worked when it was requested
    STOPPED = "stopped"  # by its client
    IDLE = "idle"  # nobody has renewed it
    OPERATOR = "operator"
    CHANNEL_DISABLED = "channel_disabled"
    CHANNEL_DELETED = "channel_deleted"


class Cause(StrEnum):
    """Why an attempt was started or has ended, why a source does not work, why a switch was refused."""

    # An attempt is started although nothing has failed
    REQUESTED = "requested"
    OPERATOR = "operator"  # asked for this source
    ROLLED = "rolled"  # the operator asked for a fresh attempt on the source that plays
    FAILBACK = "failback"  # a better source has been healthy for long enough
    SOURCE_CHANGED = "source_changed"  # its address or its headers
    SOURCE_REMOVED = "source_removed"  # deleted or disabled
    RENEWAL = "renewal"  # the attempt's signatures run out
    SLATE = "slate"  # before 0018: no other cause was known
    RETRY = "retry"  # before 0018: no other cause was known

    # The source ended the attempt: the agent's exit codes 10 to 14
    SOURCE_UNREACHABLE = "source_unreachable"
    SOURCE_REFUSED = "source_refused"
    SOURCE_ENDED = "source_ended"
    SOURCE_STALLED = "source_stalled"
    SOURCE_UNDECODABLE = "source_undecodable"

    # We ended it: the agent's other exit codes, its container, its silence
    STORE_UNREACHABLE = "store_unreachable"
    FENCED = "fenced"
    FFMPEG_CRASHED = "ffmpeg_crashed"
    BAD_JOB = "bad_job"  # detail: the field of the job
    CONTAINER_OUT_OF_MEMORY = "container_out_of_memory"
    CONTAINER_KILLED = "container_killed"
    CONTAINER_FAILED = "container_failed"  # detail: the exit code
    CONTAINER_STOPPED = "container_stopped"
    CONTAINER_PAUSED = "container_paused"
    CONTAINER_REFUSED = "container_refused"  # detail: what the engine says
    CONTAINER_GONE = "container_gone"
    CONTAINER_UNHEALTHY = "container_unhealthy"
    AGENT_DISTRUSTED = "agent_distrusted"  # its reports are malformed or too many
    NO_SEGMENT = "no_segment"  # within the start budget
    PLAYLIST_GONE = "playlist_gone"
    PLAYLIST_STALLED = "playlist_stalled"

    # It ended without a failure
    REPLACED = "replaced"  # detail: why its successor was started
    HANDED_ON = "handed_on"  # its provider's connection was needed for its successor; detail: why that was started
    SLATE_OFF = "slate_off"  # the operator has switched the slate off
    SESSION_ENDED = "session_ended"  # detail: the session's end reason

    # A switch was refused
    NOTHING_PLAYS = "nothing_plays"
    NO_OTHER_SOURCE = "no_other_source"
    SOURCE_DISABLED = "source_disabled"
    SOURCE_UNKNOWN = "source_unknown"
    SWITCH_UNDONE = "switch_undone"  # before 0018: failback failed

    # A source is not used, or a probe has found it not to work; the detail says it in words
    PROVIDER_FULL = "provider_full"
    PROBE_LATE = "probe_late"
    UNREACHABLE = "unreachable"
    REFUSES = "refuses"
    UNPLAYABLE = "unplayable"
    FROZEN = "frozen"
    UNREADABLE = "unreadable"
    NOT_WORKING = "not_working"
    UNKNOWN = "unknown"  # an earlier release wrote words that no rule knows


TITLES: Final[dict[Cause, str]] = {
    Cause.REQUESTED: "requested",
    Cause.OPERATOR: "operator",
    Cause.ROLLED: "rolled",
    Cause.FAILBACK: "failback",
    Cause.SOURCE_CHANGED: "source changed",
    Cause.SOURCE_REMOVED: "source removed",
    Cause.RENEWAL: "signatures run out",
    Cause.SLATE: "slate",
    Cause.RETRY: "retry",
    Cause.SOURCE_UNREACHABLE: "source unreachable",
    Cause.SOURCE_REFUSED: "source refused",
    Cause.SOURCE_ENDED: "source ended",
    Cause.SOURCE_STALLED: "source stalled",
    Cause.SOURCE_UNDECODABLE: "source undecodable",
    Cause.STORE_UNREACHABLE: "store unreachable",
    Cause.FENCED: "fenced",
    Cause.FFMPEG_CRASHED: "ffmpeg crashed",
    Cause.BAD_JOB: "bad job",
    Cause.CONTAINER_OUT_OF_MEMORY: "container out of memory",
    Cause.CONTAINER_KILLED: "container killed",
    Cause.CONTAINER_FAILED: "container failed",
    Cause.CONTAINER_STOPPED: "container stopped",
    Cause.CONTAINER_PAUSED: "container paused",
    Cause.CONTAINER_REFUSED: "container refused",
    Cause.CONTAINER_GONE: "container is gone",
    Cause.CONTAINER_UNHEALTHY: "container unhealthy",
    Cause.AGENT_DISTRUSTED: "agent distrusted",
    Cause.NO_SEGMENT: "no segment within the start budget",
    Cause.PLAYLIST_GONE: "playlist is gone",
    Cause.PLAYLIST_STALLED: "playlist stalled",
    Cause.REPLACED: "replaced",
    Cause.HANDED_ON: "ended for its successor",
    Cause.SLATE_OFF: "slate switched off",
    Cause.SESSION_ENDED: "the session has ended",
    Cause.NOTHING_PLAYS: "nothing plays",
    Cause.NO_OTHER_SOURCE: "no other source",
    Cause.SOURCE_DISABLED: "the source is disabled",
    Cause.SOURCE_UNKNOWN: "no longer a source of the channel, nor of those behind it",
    Cause.SWITCH_UNDONE: "failback failed",
    Cause.PROVIDER_FULL: "its provider's connections were in use",
    Cause.PROBE_LATE: "did not answer the probe in time",
    Cause.UNREACHABLE: "unreachable",
    Cause.REFUSES: "refuses",
    Cause.UNPLAYABLE: "cannot be played",
    Cause.FROZEN: "its playlist does not advance",
    Cause.UNREADABLE: "cannot be read",
    Cause.NOT_WORKING: "does not work",
    Cause.UNKNOWN: "unknown",
}
"""The titles that people read. Clients know these words, so they do not change."""

_FORMS: Final[dict[Cause, str]] = {
    Cause.CONTAINER_FAILED: "container failed with {}",
    Cause.HANDED_ON: "ended for its successor ({}): no connection for both",
    **dict.fromkeys(
        (
            *(Cause.SESSION_ENDED, Cause.PROVIDER_FULL, Cause.UNREACHABLE, Cause.REFUSES, Cause.UNPLAYABLE, Cause.FROZEN),
            *(Cause.UNREADABLE, Cause.NOT_WORKING, Cause.UNKNOWN),
        ),
        "{}",
    ),
}
"""How a detail is said where it does not stand behind the title and a colon."""

PLANNED: Final = frozenset({Cause.OPERATOR, Cause.FAILBACK, Cause.ROLLED, Cause.SOURCE_CHANGED, Cause.RENEWAL})
"""Causes of swaps that nothing has gone wrong for."""

NO_FAILURE: Final = frozenset({Cause.REPLACED, Cause.HANDED_ON, Cause.SLATE_OFF})
"""Causes of an attempt's end that are no failure."""


class Why(Struct, frozen=True):
    """A cause, and what people may want to know besides. `passed_over`: why a better source was not taken."""

    cause: Cause
    detail: str = ""
    passed_over: str = ""

    @property
    def text(self) -> str:
        """The whole in words, as clients read it."""
        title = TITLES[self.cause]
        said = _FORMS.get(self.cause, f"{title}: {{}}").format(self.detail) if self.detail else title
        return f"{said}; {self.passed_over}" if self.passed_over else said


class Causes(Struct, frozen=True):
    """The causes behind an event's texts, by the event's fields of the same names; clients are not told these."""

    reason: Cause | None = None
    sources: dict[str, Cause] = {}
