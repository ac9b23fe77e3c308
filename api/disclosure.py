"""What a viewer may read of a session. Operators read everything.

Law: whoever holds a session's token reads only the class of each reason (core/reading): no provider's name, no host,
no account. Whoever came through the open routes (`/watch`) reads no source's id either, but a label that stands for the source
in this session alone: it tells two sources apart, and nothing else. A viewer that a backend has named keeps the ids, because
its backend knows them by the admin key and compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from api.world import World
from orchestrator.core.model import SLATE, Cause, Event
from orchestrator.core.reading import viewer_reason
from orchestrator.core.session.operator_switch import NEXT, SAME
from orchestrator.ports import SessionRow

T = TypeVar("T")

OPEN: Final = ("browser-", "page-", "player-")  # how the names of viewers begin whom the open routes have let in

_SOURCES: Final = ("source", "from", "to")  # an event's fields that name a source
_REASONS: Final = "sources"  # id → why it does not work
_NO_SOURCE: Final = (SLATE, NEXT, SAME)  # what stands in their place where there is none


class Audience(Enum):
    OPERATOR = "operator"  # the admin key
    NAMED = "named"  # a viewer that a backend has named
    ANONYMOUS = "anonymous"  # whoever came through the open routes


class Disclosure:
    """Of one session, to one audience."""

    def __init__(self, world: World, row: SessionRow, *, operator: bool = False) -> None:
        """`operator`: the admin key was presented, perhaps with the token of a viewer that is to be kept watching."""
        self._keys = world.keys
        self._session_id = row.session.id
        self._end_reason = row.session.end_reason
        self.audience = Audience.OPERATOR if operator else _audience(row)

    def source(self, source_id: str | None) -> str | None:
        """The source's id, or its label for whoever may not know it."""
        if source_id is None or source_id in _NO_SOURCE or self.audience is not Audience.ANONYMOUS:
            return source_id
        return f"source-{self._keys.pseudonym('source', self._session_id, source_id)[:8]}"

    def reason(self, reason: str | None, cause: Cause | None) -> str | None:
        """The reason in words; for whoever is no operator the class of its cause. An attempt that has ended with its session
        has the session's own reason, which is told as it is."""
        if reason is None or self.audience is Audience.OPERATOR:
            return reason
        return self._end_reason if cause is Cause.SESSION_ENDED else viewer_reason.of(cause)

    def labelled(self, of_sources: Mapping[str, T]) -> dict[str, T]:
        """By the sources' labels; the values as they are."""
        return {self.source(source_id) or "": value for source_id, value in of_sources.items()}

    def event(self, event: Event) -> Event:
        if self.audience is Audience.OPERATOR:
            return event
        told = viewer_reason.of_event(event)
        return replace(told, fields={name: self._field(name, value) for name, value in told.fields.items()})

    def _field(self, name: str, value: Any) -> Any:
        match value:
            case str() if name in _SOURCES:
                return self.source(value)
            case dict() if name == _REASONS:
                return self.labelled(value)
            case _:
                return value


def _audience(row: SessionRow) -> Audience:
    if row.lease is None:
        return Audience.OPERATOR
    return Audience.ANONYMOUS if row.lease.viewer.startswith(OPEN) else Audience.NAMED
