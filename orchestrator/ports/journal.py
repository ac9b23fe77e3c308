"""Journal: the events of the whole deployment in the order in which they were written, as rows."""

from __future__ import annotations

from typing import Protocol

from orchestrator.core.model import Event
from orchestrator.core.presentation.day_history import Delivery
from orchestrator.core.presentation.journal import JournalEntry


class Journal(Protocol):
    """Events of all sessions, and the history of a channel. All raise DatabaseUnavailable."""

    async def entries(self, after: int, limit: int = 1000) -> tuple[JournalEntry, ...]:
        """In order, with cursors greater than `after`. Those after a gap may not be final yet: core/presentation/journal.py."""

    async def newest(self, limit: int = 100) -> tuple[JournalEntry, ...]:
        """The last entries, in order."""

    async def of_channel(self, channel_id: str, limit: int = 100) -> tuple[Event, ...]:
        """Events of its sessions, newest first."""

    async def deliveries(self, since: float, channel_id: str | None = None) -> tuple[Delivery, ...]:
        """Of every session, or of one channel's, that has not ended, or has later than `since`."""
