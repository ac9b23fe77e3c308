"""Event bus: notifications between processes, which may be lost (law 1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from orchestrator.core.model import Event


class EventBus(Protocol):
    """Notifications only: what is lost is found in the rows. Methods that send raise BusUnavailable, and the caller goes on."""

    async def publish(self, event: Event, payload: bytes) -> None:
        """Publishes an event to `stream-session.{session_id}`."""

    def subscribe(self, session_id: str) -> AsyncIterator[bytes]:
        """Payloads of one session from now on. Reconnects by itself; a lost message is found in the rows."""

    def all_events(self) -> AsyncIterator[bytes]:
        """Payloads of all sessions, as `subscribe` gives one's."""

    async def changed(self) -> None:
        """Tells processes that show channels and sources, or wait for a probe, that something has changed."""

    def changes(self) -> AsyncIterator[None]:
        """Yields once for each such change. Reconnects by itself."""

    async def nudge(self, subject: str) -> None:
        """Tells the orchestrator to look at this session now, or, with PROBES, at the requests for probes."""

    def nudges(self) -> AsyncIterator[str]:
        """Yields what to look at. Reconnects by itself."""

    async def check(self) -> None:
        """Raises BusUnavailable."""

    async def close(self) -> None: ...
