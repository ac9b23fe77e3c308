"""Hints between processes (law 1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from orchestrator.core.model import Event


class EventBus(Protocol):
    """Redis: hints only. Every method that sends is best effort: it raises BusUnavailable and the caller goes on."""

    async def publish(self, event: Event, payload: bytes) -> None:
        """To `stream-session.{session_id}`."""

    def subscribe(self, session_id: str) -> AsyncIterator[bytes]:
        """Payloads of one session from now on. Reconnects by itself; a lost message is found in the rows."""

    def all_events(self) -> AsyncIterator[bytes]:
        """Payloads of all sessions, as `subscribe` gives one's."""

    async def changed(self) -> None:
        """Tell whoever shows channels and sources, or waits for a probe, that they have changed."""

    def changes(self) -> AsyncIterator[None]:
        """An item for each time that they have. Reconnects by itself."""

    async def nudge(self, subject: str) -> None:
        """Tell the orchestrator to look at this session now, or at what is asked for (PROBES)."""

    def nudges(self) -> AsyncIterator[str]:
        """What to look at. Reconnects by itself."""

    async def check(self) -> None:
        """Raises BusUnavailable."""

    async def close(self) -> None: ...
