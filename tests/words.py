"""Causes by their words, as people read them: stories are told in these."""

from __future__ import annotations

from msgspec import convert

from orchestrator.adapters.sql.former_columns import why_of
from orchestrator.core.model import Causes, EventType, Fields, Happened, Why


def why(words: str, *, of_end: bool = False) -> Why:
    """The cause whose text this is. `of_end`: of an attempt's end."""
    found = convert(why_of(words, of_end=of_end), Why)
    assert found.text == (words or "unknown")
    return found


def causes(event: EventType, fields: Fields) -> Causes:
    """Those behind the words in an event's fields."""
    reason, sources = fields.get("reason"), fields.get("sources")
    return Causes(
        reason=why(reason).cause if isinstance(reason, str) and event is not EventType.SESSION_ENDED else None,
        sources={name: why(words).cause for name, words in sources.items()} if isinstance(sources, dict) else {},
    )


def happened(event: EventType, fields: Fields | None = None) -> Happened:
    return Happened(event, fields or {}, causes(event, fields or {}))
