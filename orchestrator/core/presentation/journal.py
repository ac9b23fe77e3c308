"""All sessions' events in one order, for whoever follows them all.

Law: a reader that goes on behind the last cursor that it was given misses nothing. Cursors are given in order, but transactions
commit in any: a lower one may appear after a higher one. So a reader stops before a gap as long as a commit may still fill it,
and what stands behind the gap comes later, in order. Gaps that stay (a transaction that failed, a session whose history has
gone) are old or get old: they are passed when what stands behind them is `SETTLED_S` old.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from orchestrator.core.model import Event

SETTLED_S = 5.0  # what a transaction does after it has written its events is to commit


class JournalEntry(Struct, frozen=True):
    """An event and its place among all; cursors begin at 1."""

    cursor: int
    channel_id: str
    event: Event


def settled(entries: Sequence[JournalEntry], after: int, now: float) -> Sequence[JournalEntry]:
    """The first of `entries` (in order, all behind `after`) before which nothing can appear any more."""
    for count, entry in enumerate(entries):
        if entry.cursor != after + 1 and now - entry.event.at < SETTLED_S:
            return entries[:count]
        after = entry.cursor
    return entries


def position(newest: Sequence[JournalEntry], now: float) -> int:
    """Where to go on from now on, by the newest entries in order: behind all that is settled. 0: nothing has happened yet."""
    if not newest:
        return 0
    first = newest[0]
    reached = settled(newest[1:], first.cursor, now)
    return reached[-1].cursor if reached else first.cursor
