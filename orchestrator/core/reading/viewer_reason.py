"""What a viewer is told of why something happened: a class, no words. Operators have the words.

Law: what is not known here is "failed", so no word that a source, an engine or an operator has chosen reaches a viewer.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from msgspec.structs import replace

from orchestrator.core.model import Event, EventType, Fields
from transcoder.ending import Ending


class ViewerReason(StrEnum):
    """Why a source does not play, or why another one does now."""

    UNREACHABLE = "unreachable"  # it does not answer
    REFUSED = "refused"  # it answers, and refuses
    UNPLAYABLE = "unplayable"  # what it sends cannot be played
    STALLED = "stalled"  # it sent, and fell silent
    ENDED = "ended"  # it ended
    BUSY = "busy"  # all connections to it are in use
    PLANNED = "planned"  # nothing failed: an operator, a better source, signatures that run out
    SERVICE = "service"  # our own fault
    FAILED = "failed"  # anything else


END_REASONS: Final = frozenset({"no_healthy_source", "stopped", "idle", "operator", "channel_disabled", "channel_deleted"})
"""Of sessions: machine state, told to everybody as it is."""

_OF_ENDING: Final = {
    Ending.SOURCE_UNREACHABLE: ViewerReason.UNREACHABLE,
    Ending.SOURCE_REFUSED: ViewerReason.REFUSED,
    Ending.SOURCE_ENDED: ViewerReason.ENDED,
    Ending.SOURCE_STALLED: ViewerReason.STALLED,
    Ending.SOURCE_UNDECODABLE: ViewerReason.UNPLAYABLE,
}
_WORDS: Final = {
    **{each.words: _OF_ENDING.get(each, ViewerReason.SERVICE) for each in Ending},
    **dict.fromkeys(
        ("requested", "operator", "failback", "failback failed", "rolled", "source changed", "source removed",
         "signatures run out", "slate", "slate switched off", "retry", "replaced",
         # A switch that was asked for, and that cannot be
         "no other source", "nothing plays", "the source is disabled",
         "no longer a source of the channel, nor of those behind it"),
        ViewerReason.PLANNED,
    ),
    **dict.fromkeys(
        ("playlist stalled", "playlist is gone", "no segment within the start budget"), ViewerReason.SERVICE
    ),
    **dict.fromkeys(
        ("connection refused", "connection reset", "no such host", "no route to host", "network unreachable", "TLS failed",
         "no answer in time", "did not answer the probe in time", "the server answers with an error (5xx)",
         "ends before any media", "an empty answer"),
        ViewerReason.UNREACHABLE,
    ),
    "the server refuses (4xx)": ViewerReason.REFUSED,
    "its playlist does not advance": ViewerReason.STALLED,
    **dict.fromkeys(
        ("empty playlist", "no video or audio", "not media", "not an address", "leads to a protocol that is not let in"),
        ViewerReason.UNPLAYABLE,
    ),
    "its provider's connections were in use": ViewerReason.BUSY,
}  # fmt: skip
_FORMS: Final = (
    (re.compile(r"(HTTP status )?5\d\d\b|no (answer|media) within "), ViewerReason.UNREACHABLE),
    (re.compile(r"(HTTP status )?\d{3}\b"), ViewerReason.REFUSED),
    (
        re.compile(
            r"not media |protected by |encrypted by |DASH |a (playlist|compressed answer) |this FFmpeg cannot decode "
            r"|(\w+: )?this FFmpeg does not speak the protocol$|only .* sources are let in$"
        ),
        ViewerReason.UNPLAYABLE,
    ),
    (re.compile(r"container\b|bad job: "), ViewerReason.SERVICE),
    (re.compile(r"replaced: |ended for its successor "), ViewerReason.PLANNED),
)
_BUSY: Final = re.compile(r"provider .* in use$", re.DOTALL)  # whatever stands in the provider's name


def of(reason: str) -> ViewerReason:
    """The class of a reason. What was passed over for want of a connection stands behind a semicolon, and is no viewer's."""
    if _BUSY.match(reason):
        return ViewerReason.BUSY
    cause = reason.partition(";")[0]
    known = _WORDS.get(cause)
    if known is not None:
        return known
    return next((each for form, each in _FORMS if form.match(cause)), ViewerReason.FAILED)


def of_end(reason: str) -> str:
    """The reason of a session's or an attempt's end: a session's own is told as it is."""
    return reason if reason in END_REASONS else of(reason).value


def of_sources(reasons: dict[str, str]) -> dict[str, str]:
    """The same, source by source."""
    return {source_id: of(reason).value for source_id, reason in reasons.items()}


def of_event(event: Event) -> Event:
    """The event as a viewer is told of it."""
    fields: Fields = dict(event.fields)
    if isinstance(reason := fields.get("reason"), str):
        fields["reason"] = of_end(reason) if event.type is EventType.SESSION_ENDED else of(reason).value
    if isinstance(sources := fields.get("sources"), dict):
        fields["sources"] = of_sources(sources)
    return replace(event, fields=fields)
