"""Events: what clients are told. Data only; times are unix seconds."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from orchestrator.core.model.cause import Causes

Fields = dict[str, str | bool | int | float | dict[str, str] | None]
"""An event's own fields."""


class EventType(StrEnum):
    SESSION_LIVE = "session.live"
    STREAM_SWITCH = "stream.switch"
    STREAM_UNAVAILABLE = "stream.unavailable"
    STREAM_RECOVERED = "stream.recovered"
    SWITCH_REFUSED = "switch.refused"  # what the operator asked for came to nothing; what plays plays on
    SESSION_ENDED = "session.ended"


class Event(Struct, frozen=True, kw_only=True):
    """A row of `events`: what is broadcast is read from here, so a client can replay. `causes` are not told to clients."""

    id: int  # increasing in a session, from 1
    session_id: str
    type: EventType
    at: float
    fields: Fields = {}
    causes: Causes = Causes()
