"""What a test of the API needs of the rest of the world: a channel, and an orchestrator that does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx
from litestar import Litestar
from msgspec.structs import replace

from api import dependencies
from orchestrator.core.model import (
    Attempt,
    AttemptLive,
    AttemptStarted,
    Decision,
    Desired,
    Ended,
    EndReason,
    EventType,
    Live,
    Record,
    Session,
)
from orchestrator.core.presentation import event_payload
from orchestrator.errors import BusUnavailable
from orchestrator.ports import PROBES, EventBus, Prober, SessionRow, Tables
from tests.words import happened, why

KEY = "admin-key-of-the-tests"
ORIGIN = "http://cdn.test/hls"

SOURCES: list[dict[str, Any]] = [
    {"url": "http://user:secret@one.test/live.m3u8?token=hidden", "headers": {"Referer": "http://one.test/"}},
    {"url": "http://two.test/live.ts", "user_agent": "VLC/3.0"},
]


def rewire(app: Litestar, *args: Any, **kwargs: Any) -> None:
    """Registers everything anew, as `dependencies.registered` makes it of these arguments."""
    app.state.update(dependencies.registered(*args, **kwargs))


def calling(app: Litestar, **headers: str) -> httpx.AsyncClient:
    """A client of the app in the test's own event loop."""
    app_of_httpx: Any = app  # ASGI's types differ by name alone
    transport = httpx.ASGITransport(app=app_of_httpx)
    return httpx.AsyncClient(transport=transport, base_url="http://api.test", headers=headers, timeout=20)


@contextlib.asynccontextmanager
async def answering(tables: Tables, bus: EventBus, prober: Prober, refusals: Mapping[str, str]) -> AsyncIterator[None]:
    """An orchestrator as far as asked probes go. `refusals`: by URL, why there is no connection for one."""

    async def answer() -> None:
        async for subject in bus.nudges():
            for source in await tables.probes.asked() if subject == PROBES else ():
                if source.url in refusals:
                    await tables.probes.refuse(source.id, refusals[source.url])
                else:
                    await tables.catalogue.record_probe(source.id, await prober.probe(source), time.time())
            await bus.changed()

    task = asyncio.create_task(answer())
    await asyncio.sleep(0.0)  # now it listens
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Stage:
    def __init__(self, tables: Tables, bus: EventBus, admin: httpx.AsyncClient) -> None:
        self._tables = tables
        self._bus = bus
        self._admin = admin

    async def channel(self, slug: str = "news", name: str = "News", **more: Any) -> dict[str, Any]:
        answer = await self._admin.post("/v1/channels", json={"slug": slug, "name": name, "sources": SOURCES, **more})
        assert answer.status_code == 201, answer.text
        channel: dict[str, Any] = answer.json()
        return channel

    async def remove(self, channel: str, *, deleted: bool = False, back: bool = False) -> None:
        """Disables the channel, or deletes it, or enables it again."""
        path = f"/v1/channels/{channel}"
        answer = await (self._admin.delete(path) if deleted else self._admin.patch(path, json={"enabled": back}))
        assert answer.is_success, answer.text

    async def session(self, channel: str = "news", viewer: str | None = None) -> dict[str, Any]:
        answer = await self._admin.post(f"/v1/channels/{channel}/sessions", json={"viewer": viewer} if viewer else {})
        assert answer.status_code in (200, 201), answer.text
        session: dict[str, Any] = answer.json()
        return session

    async def sessions(self) -> Sequence[SessionRow]:
        """Newest first."""
        return await self._tables.sessions.recent()

    async def only_session(self) -> Session:
        rows = await self.sessions()
        assert len(rows) == 1
        return rows[0].session

    async def go_live(self, session_id: str) -> None:
        session = (await self._tables.sessions.get(session_id)).session
        source = (await self._tables.catalogue.sources(session.channel_id))[0]
        now = time.time()
        await self._commit(
            replace(session, state=Live(Attempt.on(1, source.id, now, now)), last_attempt=1),
            AttemptStarted(1, source.id, why("requested")),
            AttemptLive(1, source.id),
            happened(EventType.SESSION_LIVE, {"source": source.id, "attempt": 1}),
        )

    async def tell(self, session_id: str, event_type: EventType, **fields: Any) -> None:
        """An event without a change of state."""
        await self._commit((await self._tables.sessions.get(session_id)).session, happened(event_type, fields))

    async def end(self, session_id: str, reason: str = "stopped", sources: dict[str, str] | None = None) -> None:
        session = (await self._tables.sessions.get(session_id)).session
        fields: dict[str, Any] = {"reason": reason} | ({} if sources is None else {"sources": sources})
        await self._commit(
            replace(session, state=Ended(time.time()), desired=Desired.STOP, end_reason=EndReason(reason)),
            happened(EventType.SESSION_ENDED, fields),
        )

    async def _commit(self, after: Session, *records: Record) -> None:
        before = (await self._tables.sessions.get(after.id)).session
        events = await self._tables.sessions.commit(before, Decision(session=after, records=records), time.time())
        for event in events:
            try:
                await self._bus.publish(event, event_payload.encode(event, ORIGIN))
            except BusUnavailable:
                pass
