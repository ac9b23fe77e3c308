"""Presence: an orchestrator writes every few seconds into SQL that it is running, so that others can see when none is.

One row stands for one process from its start to its end. A restarted orchestrator has another id, so a restart can be told from
a pause.
"""

from __future__ import annotations

import asyncio
import contextlib
import platform
import secrets
from collections.abc import Callable, Iterable
from typing import Final

from orchestrator.errors import Temporary
from orchestrator.ports import Operation, OrchestratorRow

ANNOUNCE_INTERVAL_S: Final = 3.0
ABSENT_AFTER_S: Final = 5 * ANNOUNCE_INTERVAL_S  # an orchestrator that has not announced itself for so long is not running
_LEAVE_LIMIT_S = 2.0


class Presence:
    def __init__(self, operation: Operation, now: Callable[[], float], node: str | None = None) -> None:
        self._operation = operation
        self._now = now
        self.id = f"o-{secrets.token_hex(8)}"
        self.node = node or platform.node() or "unknown"
        self._started_at = now()

    async def announce(self) -> None:
        """Raises DatabaseUnavailable."""
        row = OrchestratorRow(id=self.id, node=self.node, started_at=self._started_at, seen_at=self._now())
        await self._operation.announce(row)

    async def leave(self) -> None:
        """Best effort: where the row cannot be deleted, it is out of date a moment later."""
        with contextlib.suppress(Temporary, TimeoutError):
            async with asyncio.timeout(_LEAVE_LIMIT_S):
                await self._operation.leave(self.id)


def absence(rows: Iterable[OrchestratorRow], now: float) -> str | None:
    """Says, for an operator, that no orchestrator is running and so nothing is done. None: one is running."""
    last = max(rows, key=lambda row: row.seen_at, default=None)
    if last is None:
        return "no orchestrator runs"
    return None if is_running(last, now) else f"no orchestrator runs: the last one was seen {now - last.seen_at:.0f} s ago"


def is_running(row: OrchestratorRow, now: float) -> bool:
    return row.seen_at >= now - ABSENT_AFTER_S
