"""History retention: deletes sessions that ended long ago, with their attempts and events, in short transactions.

Rule: a session that has not ended is never deleted, however old its events are. A session's row outlives its objects in the
store, because segment retention reads in the row when the objects may go.
"""

from __future__ import annotations

from orchestrator.app.settings import Settings
from orchestrator.ports import Operation

_ROWS_AT_ONCE = 1000


class HistoryRetention:
    def __init__(self, operation: Operation, settings: Settings) -> None:
        self._operation = operation
        self._kept_s = max(settings.history_retention_s, settings.ended_retention_s + settings.retention_interval_s)

    async def delete_old(self, now: float) -> int:
        """One pass; returns how many rows were deleted. Raises DatabaseUnavailable: the next pass goes on from there."""
        gone = 0
        while some := await self._operation.forget_ended(now - self._kept_s, _ROWS_AT_ONCE):
            gone += some
        return gone
