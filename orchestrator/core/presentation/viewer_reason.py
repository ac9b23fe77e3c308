"""Maps causes to the public categories of reasons (their class): the one word that viewers read. Operators
read the reason in full.

Rule: the class follows from the cause alone, so no word that a source, an engine or an operator has chosen reaches a viewer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from msgspec.structs import replace

from orchestrator.core.model import Cause, Event, EventType, Fields


class ViewerReason(StrEnum):
    """Why a source does not play, or why another one does now."""

    UNREACHABLE = "unreachable"  # it does not answer
    REFUSED = "refused"  # it answers, and refuses
    UNPLAYABLE = "unplayable"  # what it sends cannot be played
    STALLED = "stalled"  # it has stopped sending
    ENDED = "ended"  # it ended
    BUSY = "busy"  # all connections to it are in use
    PLANNED = "planned"  # nothing failed: an operator, a better source, signatures that run out
    SERVICE = "service"  # our own fault
    FAILED = "failed"  # anything else


CLASSES: Final[dict[Cause, ViewerReason]] = {
    **dict.fromkeys((Cause.SOURCE_UNREACHABLE, Cause.UNREACHABLE, Cause.PROBE_LATE), ViewerReason.UNREACHABLE),
    **dict.fromkeys((Cause.SOURCE_REFUSED, Cause.REFUSES), ViewerReason.REFUSED),
    **dict.fromkeys((Cause.SOURCE_UNDECODABLE, Cause.UNPLAYABLE), ViewerReason.UNPLAYABLE),
    **dict.fromkeys((Cause.SOURCE_STALLED, Cause.FROZEN), ViewerReason.STALLED),
    Cause.SOURCE_ENDED: ViewerReason.ENDED,
    Cause.PROVIDER_FULL: ViewerReason.BUSY,
    **dict.fromkeys(
        (
            *(Cause.REQUESTED, Cause.OPERATOR, Cause.ROLLED, Cause.FAILBACK, Cause.SOURCE_CHANGED, Cause.SOURCE_REMOVED),
            *(Cause.RENEWAL, Cause.SLATE, Cause.RETRY, Cause.REPLACED, Cause.HANDED_ON, Cause.SLATE_OFF, Cause.SWITCH_UNDONE),
            *(Cause.NOTHING_PLAYS, Cause.NO_OTHER_SOURCE, Cause.SOURCE_DISABLED, Cause.SOURCE_UNKNOWN, Cause.SESSION_ENDED),
        ),
        ViewerReason.PLANNED,
    ),
    **dict.fromkeys(
        (
            *(Cause.STORE_UNREACHABLE, Cause.FENCED, Cause.FFMPEG_CRASHED, Cause.BAD_JOB),
            *(Cause.CONTAINER_OUT_OF_MEMORY, Cause.CONTAINER_KILLED, Cause.CONTAINER_FAILED, Cause.CONTAINER_STOPPED),
            *(Cause.CONTAINER_PAUSED, Cause.CONTAINER_REFUSED, Cause.CONTAINER_GONE, Cause.CONTAINER_UNHEALTHY),
            *(Cause.NO_SEGMENT, Cause.PLAYLIST_GONE, Cause.PLAYLIST_STALLED, Cause.AGENT_DISTRUSTED),
        ),
        ViewerReason.SERVICE,
    ),
    **dict.fromkeys((Cause.UNREADABLE, Cause.NOT_WORKING, Cause.UNKNOWN), ViewerReason.FAILED),
}


def of(cause: Cause | None) -> ViewerReason:
    """The class of a cause; None: an earlier release has written none."""
    return CLASSES[cause or Cause.UNKNOWN]


def of_sources(source_ids: Iterable[str], causes: Mapping[str, Cause]) -> dict[str, str]:
    """The same, source by source."""
    return {source_id: of(causes.get(source_id)).value for source_id in source_ids}


def of_event(event: Event) -> Event:
    """The event as a viewer is told of it. Why a session has ended is told as it is: the words are ours (`EndReason`)."""
    fields: Fields = dict(event.fields)
    if fields.get("reason") is not None and event.type is not EventType.SESSION_ENDED:
        fields["reason"] = of(event.causes.reason).value
    if isinstance(sources := fields.get("sources"), dict):
        fields["sources"] = of_sources(sources, event.causes.sources)
    return replace(event, fields=fields)
