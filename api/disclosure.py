"""What a viewer may read of a session. Operators read everything.

Law: whoever holds a session's token reads no provider's name and no host. Whoever came through the open routes (`/watch`) reads
no source's id either, but a label that stands for the source in this session alone: it tells two sources apart, and nothing
else. A viewer that a backend has named keeps the ids, because its backend knows them by the admin key and compares them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final

from msgspec.structs import replace

from api.world import World
from orchestrator.core.model import SLATE, Event
from orchestrator.core.wish import NEXT, SAME
from orchestrator.ports import SessionRow

OPEN: Final = ("browser-", "page-", "player-")  # how the names of viewers begin whom the open routes have let in

_SOURCES: Final = ("source", "from", "to")  # an event's fields that name a source
_REASON: Final = "reason"
_REASONS: Final = "sources"  # id → why it does not work
_NO_SOURCE: Final = (SLATE, NEXT, SAME)  # what stands in their place where there is none
# As `Provider.in_use` says it: "provider Acme: all 2 connections are in use"
_PROVIDER: Final = re.compile(r"provider .*?: (?=(its only connection is|all \d+ connections are) in use)", re.DOTALL)
_HOST: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://\S+"  # an address
    r"|\[[0-9a-f:.]+\](:\d+)?\S*"  # IPv6
    r"|\b\d{1,3}(\.\d{1,3}){3}\b(:\d+)?(/\S*)?"  # IPv4
    r"|\b([a-z0-9_]([a-z0-9_-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z](?![\w-])(:\d+)?(/\S*)?"  # a name with a dot: "3.0 s" is none
    r"|\b[a-z][\w-]*:\d{2,5}\b(/\S*)?",  # one without, and its port
    re.IGNORECASE,
)


class Audience(Enum):
    OPERATOR = "operator"  # the admin key
    NAMED = "named"  # a viewer that a backend has named
    ANONYMOUS = "anonymous"  # whoever came through the open routes


class Disclosure:
    """Of one session, to one audience."""

    def __init__(self, world: World, row: SessionRow) -> None:
        self._keys = world.keys
        self._session_id = row.session.id
        self.audience = _audience(row)

    def source(self, source_id: str | None) -> str | None:
        """The source's id, or its label for whoever may not know it."""
        if source_id is None or source_id in _NO_SOURCE or self.audience is not Audience.ANONYMOUS:
            return source_id
        return f"source-{self._keys.pseudonym('source', self._session_id, source_id)[:8]}"

    def reason(self, reason: str | None) -> str | None:
        if reason is None or self.audience is Audience.OPERATOR:
            return reason
        return _HOST.sub("the source", _PROVIDER.sub("", reason))

    def reasons(self, reasons: Mapping[str, str]) -> dict[str, str]:
        """By source."""
        return {self.source(source_id) or "": self.reason(reason) or "" for source_id, reason in reasons.items()}

    def event(self, event: Event) -> Event:
        if self.audience is Audience.OPERATOR:
            return event
        return replace(event, fields={name: self._field(name, value) for name, value in event.fields.items()})

    def _field(self, name: str, value: object) -> object:
        match value:
            case str() if name in _SOURCES:
                return self.source(value)
            case str() if name == _REASON:
                return self.reason(value)
            case dict() if name == _REASONS:
                return self.reasons(value)
            case _:
                return value


def _audience(row: SessionRow) -> Audience:
    if row.lease is None:
        return Audience.OPERATOR
    return Audience.ANONYMOUS if row.lease.viewer.startswith(OPEN) else Audience.NAMED
