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
        """Tell whoever shows channels and sources that somebody has edited them."""

    def changes(self) -> AsyncIterator[None]:
        """An item for each time that somebody has. Reconnects by itself."""

    async def nudge(self, session_id: str) -> None:
        """Tell the orchestrator to look at this session now."""

    def nudges(self) -> AsyncIterator[str]:
        """Session ids to look at. Reconnects by itself."""

    async def check(self) -> None:
        """Raises BusUnavailable."""

    async def close(self) -> None: ...
