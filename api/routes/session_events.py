"""A session's events over SSE and WebSocket, and as a list. A stream reads rows, then waits for the bus, and reads the rows
again at least every two seconds, so that without Redis nothing is lost (law 1). A client that reconnects names the last event
that it has seen. A stream ends after `session.ended`.

With the admin key reasons are in words; viewers get only their class (core/presentation/viewer_reason.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, WebSocket, get, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.openapi.spec import Tag
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage
from msgspec import Struct

from api import auth
from api.changes.server_stop import ServerStop
from api.changes.signals import Signals
from api.http import websocket_refusals
from api.http.addresses import PublicAddresses
from api.injection import Injected
from api.operation.metrics import Metrics
from api.session.disclosure import Disclosure
from api.session.lease_renewal import LeaseRenewal
from api.session.views import SESSION
from orchestrator.core.model import Event, EventType, Phase
from orchestrator.core.presentation import event_payload
from orchestrator.errors import NotFound, Temporary
from orchestrator.ports import SessionRow, Sessions

log = logging.getLogger(__name__)

TAG = Tag("Events", "What happens to a session, as it happens and again for clients that missed it.")

POLL_S = 2.0
KEEP_ALIVE_S = 10.0
RETRY_MS = 1000
_FIRST_POLL_S = 0.2  # for events between the first read and the subscription
_PAGE = 1000
_GOING_AWAY = 1001  # RFC 6455, 7.4.1

After = Annotated[int | None, QueryParameter(ge=0, le=1 << 53, description="Only events with greater ids.")]
LastEventId = Annotated[
    str | None, HeaderParameter(name="Last-Event-ID", description="The same, as EventSource sends it when it reconnects.")
]


class EventList(Struct):
    events: list[dict[str, Any]]  # each as in an SSE message's data


SWITCHED: dict[str, Any] = {
    "id": 2,
    "type": "stream.switch",
    "at": "2025-06-01T21:09:32.204Z",
    "session_id": SESSION.id,
    "playlist_url": SESSION.playlist_url,
    "from": "x-9m2k4q7t",
    "to": "x-5h1c8v3b",
    "reason": "source stalled",
    "attempt": 2,
    "gap_ms": 0,
}


class SessionEventStream:
    def __init__(self, sessions: Sessions, signals: Signals, leases: LeaseRenewal, server_stop: ServerStop) -> None:
        self._sessions = sessions
        self._signals = signals
        self._leases = leases
        self._server_stop = server_stop

    async def follow(self, row: SessionRow, after: int) -> AsyncIterator[Event | None]:
        """Events with ids greater than `after`, as they happen, until `session.ended`; None after each KEEP_ALIVE_S without
        one. A client that listens watches: its lease is renewed meanwhile, and the stream ends where it was given up."""
        session_id = row.session.id
        quiet_s = 0.0
        poll_s = _FIRST_POLL_S
        async with self._signals.of_session(session_id) as signal, self._leases.renewed(row) as held:
            while held() and not self._server_stop.begun:
                try:
                    events = await self._sessions.events(session_id, after, _PAGE)
                except Temporary as error:
                    log.info("session %s: events wait: %s", session_id, error)
                    events = ()
                for event in events:
                    yield event
                    after = event.id
                    if event.type is EventType.SESSION_ENDED:
                        return
                if len(events) == _PAGE:
                    continue
                quiet_s = 0.0 if events else quiet_s
                if quiet_s >= KEEP_ALIVE_S:
                    if await self._is_over(session_id):
                        return
                    yield None
                    quiet_s = 0.0
                started = asyncio.get_running_loop().time()
                await signal.wait(poll_s)
                quiet_s += asyncio.get_running_loop().time() - started
                poll_s = POLL_S

    async def _is_over(self, session_id: str) -> bool:
        """The session has ended, or retention has deleted its rows: no event will come."""
        try:
            return (await self._sessions.get(session_id)).session.phase is Phase.ENDED
        except NotFound:
            return True
        except Temporary:
            return False


@get(
    "/v1/sessions/{session_id:str}/events",
    summary="Events of a session (SSE)",
    media_type="text/event-stream",
    answer=f"id: 2\nevent: stream.switch\ndata: {msgspec.json.encode(SWITCHED).decode()}\n\n",
)
async def stream_events(
    sessions: Injected[Sessions],
    session_event_stream: Injected[SessionEventStream],
    addresses: Injected[PublicAddresses],
    metrics: Injected[Metrics],
    row: Injected[SessionRow],
    disclosure: Injected[Disclosure],
    after: After = None,
    last_event_id: LastEventId = None,
) -> Response[Any]:
    """Each event's name is its type, its id increases by one. All of the session's events are replayed unless the client says
    which it has seen. A viewer's `reason` is a class (`unreachable`, `refused`, `unplayable`, `stalled`, `ended`, `busy`,
    `planned`, `service`, `failed`), as are those of its `sources`; with the admin key they are words. For a token that `/watch`
    gave, labels of this session alone stand in place of sources' ids. 204: the session has ended and there is nothing more,
    which stops an EventSource for good."""
    seen = seen_by(after, last_event_id) or 0
    if row.session.phase is Phase.ENDED and not await sessions.events(row.session.id, seen, 1):
        return Response(None, status_code=204)
    events = session_event_stream.follow(row, seen)
    messages = _messages(events, metrics, disclosure, addresses.origin_url)
    return ServerSentEvent(messages, headers={"Cache-Control": "no-store"})


def seen_by(after: int | None, last_event_id: str | None) -> int | None:
    """The last event that a client has seen. The header of a reconnecting EventSource is newer than its URL."""
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit():
        return min(int(last_event_id[:16]), 1 << 53)
    return after


async def _messages(
    events: AsyncIterator[Event | None], metrics: Metrics, disclosure: Disclosure, origin_url: str
) -> AsyncIterator[ServerSentEventMessage]:
    async with contextlib.aclosing(events) as following:  # type: ignore[type-var]
        async for event in following:
            if event is None:
                yield ServerSentEventMessage(data=None, comment="keep-alive")
            else:
                metrics.delivered(event)
                yield ServerSentEventMessage(
                    id=event.id,
                    event=event.type.value,
                    data=event_payload.encode(disclosure.event(event), origin_url),
                    retry=RETRY_MS,
                )


@get(
    "/v1/sessions/{session_id:str}/history",
    summary="Events of a session so far",
    answer=EventList([SWITCHED]),
)
async def read_history(
    sessions: Injected[Sessions],
    addresses: Injected[PublicAddresses],
    row: Injected[SessionRow],
    disclosure: Injected[Disclosure],
    after: After = None,
) -> EventList:
    """The same without waiting, for clients that poll: at most 1,000 events, oldest first."""
    events = await sessions.events(row.session.id, after or 0, _PAGE)
    return EventList([event_payload.document(disclosure.event(event), addresses.origin_url) for event in events])


@websocket("/v1/sessions/{session_id:str}/ws")
async def socket_events(
    socket: WebSocket[Any, Any, Any],
    session_event_stream: Injected[SessionEventStream],
    server_stop: Injected[ServerStop],
    addresses: Injected[PublicAddresses],
    metrics: Injected[Metrics],
    row: Injected[SessionRow],
    disclosure: Injected[Disclosure],
    after: After = None,
) -> None:
    """The same over WebSocket: one JSON text message for each event. A refusal is a close code, 4000 and the HTTP status, and a
    reason (websocket_refusals.py)."""
    await socket.accept()

    async def send() -> None:
        async with contextlib.aclosing(session_event_stream.follow(row, after or 0)) as events:  # type: ignore[type-var]
            async for event in events:
                if event is not None:
                    metrics.delivered(event)
                    await socket.send_text(event_payload.encode(disclosure.event(event), addresses.origin_url).decode())

    async def listen() -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await socket.receive_data(mode="text")  # messages of clients are ignored; their disconnect is not

    tasks = {asyncio.create_task(send()), asyncio.create_task(listen())}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            log.info("session %s: WebSocket ends: %s", row.session.id, outcome)
    with contextlib.suppress(Exception):
        await socket.close(_GOING_AWAY if server_stop.begun else 1000)


routes = Router(
    path="/",
    guards=[auth.session],
    security=auth.SESSION,
    middleware=[websocket_refusals.accepting],
    tags=[TAG.name],
    route_handlers=[stream_events, read_history, socket_events],
)
