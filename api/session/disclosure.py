"""Redacts what a viewer may not read of a session: reasons and sources' ids. Operators read everything.

Rule: with a session's token one reads only the class of each reason (core/presentation): no provider's name, no host, no
account. Viewers of the open routes (`/watch`) read no source's id either, but a label that is valid in this session alone: it
tells two sources apart, and nothing else. A viewer whom a backend has named keeps the ids, because the backend knows them by
the admin key and compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from api.keys import ApiKeys
from orchestrator.core.model import SLATE, Cause, Event
from orchestrator.core.presentation import viewer_reason
from orchestrator.core.session.operator_switch import NEXT, SAME
from orchestrator.ports import SessionRow

ANONYMOUS_PREFIXES: Final = ("browser-", "page-", "player-")  # of the viewers' names that the open routes make
T = TypeVar("T")


_SOURCES: Final = ("source", "from", "to")  # an event's fields that name a source
_REASONS: Final = "sources"  # id → why it does not work
_NO_SOURCE: Final = (SLATE, NEXT, SAME)  # what stands in their place where there is none


class Audience(Enum):
    OPERATOR = "operator"  # the admin key
    NAMED = "named"  # a viewer that a backend has named
    ANONYMOUS = "anonymous"  # a viewer of the open routes


class Disclosure:
    """What one audience reads of one session."""

    def __init__(self, keys: ApiKeys, row: SessionRow, *, operator: bool = False) -> None:
        """`operator`: the admin key was presented, perhaps beside the token of a viewer whose lease is to be renewed."""
        self._keys = keys
        self._session_id = row.session.id
        self._end_reason = row.session.end_reason
        self.audience = Audience.OPERATOR if operator else _audience(row)

    def source(self, source_id: str | None) -> str | None:
        """The source's id; for an anonymous viewer its label."""
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
    return Audience.ANONYMOUS if row.lease.viewer.startswith(ANONYMOUS_PREFIXES) else Audience.NAMED
