"""The events of all sessions in one order, with a cursor for readers that follow them.

Rule: a reader that continues after the last cursor it was given misses nothing. Cursors are assigned in order, but transactions
commit in any order: a lower cursor may become visible after a higher one. So a reader stops before a gap as long as a commit
may still fill it, and reads the entries after the gap later. A gap that stays (a transaction that failed, a session whose
history was deleted) is skipped once the entry after it is `SETTLED_S` old.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from orchestrator.core.model import Event

SETTLED_S = 5.0  # a transaction commits right after it has written its events


class JournalEntry(Struct, frozen=True):
    """An event and its position among all; cursors begin at 1."""

    cursor: int
    channel_id: str
    event: Event


def settled(entries: Sequence[JournalEntry], after: int, now: float) -> Sequence[JournalEntry]:
    """The first of `entries` (in order, all after `after`), up to where another entry may still appear between them."""
    for count, entry in enumerate(entries):
        if entry.cursor != after + 1 and now - entry.event.at < SETTLED_S:
            return entries[:count]
        after = entry.cursor
    return entries


def position(newest: Sequence[JournalEntry], now: float) -> int:
    """The cursor after which a new reader begins: the last settled one of the newest entries. 0: there is none yet."""
    if not newest:
        return 0
    first = newest[0]
    reached = settled(newest[1:], first.cursor, now)
    return reached[-1].cursor if reached else first.cursor
