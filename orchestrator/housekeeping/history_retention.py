"""Old history goes: sessions that ended long ago, with their attempts and events, in transactions that hold no lock for long.

Never a session that has not ended, however old its events; and a session's row outlives its objects, for it says when they go.
"""

from __future__ import annotations

from orchestrator.app.settings import Settings
from orchestrator.ports import Operation

_ROWS_AT_ONCE = 1000


class History:
    def __init__(self, operation: Operation, settings: Settings) -> None:
        self._operation = operation
        self._kept_s = max(settings.history_retention_s, settings.ended_retention_s + settings.retention_interval_s)

    async def sweep(self, now: float) -> int:
        """One pass; returns how many rows went. Raises DatabaseUnavailable: the next pass takes it up."""
        gone = 0
        while some := await self._operation.forget_ended(now - self._kept_s, _ROWS_AT_ONCE):
            gone += some
        return gone
