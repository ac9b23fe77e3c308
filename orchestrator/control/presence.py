"""An orchestrator says every few seconds that it is there, in SQL, the truth (law 1): so its absence can be seen by others.

One process's life is one row: who is started again is somebody else, which tells a restart from a pause.
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

BEAT_S: Final = 3.0
MISSED_S: Final = 5 * BEAT_S  # who has not been seen for so long is not there
_FAREWELL_S = 2.0


class Heartbeat:
    def __init__(self, operation: Operation, now: Callable[[], float], node: str | None = None) -> None:
        self._operation = operation
        self._now = now
        self.id = f"o-{secrets.token_hex(8)}"
        self.node = node or platform.node() or "unknown"
        self._started_at = now()

    async def beat(self) -> None:
        """Raises DatabaseUnavailable."""
        row = OrchestratorRow(id=self.id, node=self.node, started_at=self._started_at, seen_at=self._now())
        await self._operation.beat(row)

    async def leave(self) -> None:
        """Best effort: who cannot say goodbye is missed a moment later."""
        with contextlib.suppress(Temporary, TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                await self._operation.leave(self.id)


def absence(rows: Iterable[OrchestratorRow], now: float) -> str | None:
    """That nobody does what rows ask for, in words for an operator. None: somebody is there."""
    last = max(rows, key=lambda row: row.seen_at, default=None)
    if last is None:
        return "no orchestrator runs"
    return None if is_there(last, now) else f"no orchestrator runs: the last one was seen {now - last.seen_at:.0f} s ago"


def is_there(row: OrchestratorRow, now: float) -> bool:
    return row.seen_at >= now - MISSED_S
