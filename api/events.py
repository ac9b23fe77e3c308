"""A session's events, over SSE and WebSocket. Rows first, then the bus; rows again every two seconds, so that with Redis gone
nothing is lost (law 1). A client that comes back names the last event that it has seen. After `session.ended` it is over.

Who has the admin key is told reasons in words, a viewer their class (core/reading/viewer_reason.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, WebSocket, get, websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from litestar.openapi.spec import Tag
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage
from msgspec import Struct

from api import auth, leases, refused_sockets
from api.disclosure import Disclosure
from api.metrics import Metrics
from api.views import SESSION
from api.wakes import wakes
from api.world import World
from orchestrator.core.model import Event, EventType, Phase
from orchestrator.core.reading import event_payload
from orchestrator.errors import NotFound, Temporary
from orchestrator.ports import SessionRow

log = logging.getLogger(__name__)

TAG = Tag("Events", "What happens to a session, as it happens and again for who missed it.")

LOOK_S = 2.0
KEEP_ALIVE_S = 10.0
RETRY_MS = 1000
_FIRST_LOOK_S = 0.2  # what happened between the first look and the subscription
_PAGE = 1000
_GOING_AWAY = 1001  # RFC 6455, 7.4.1

After = Annotated[int | None, QueryParameter(ge=0, le=1 << 53, description="Only events with greater ids.")]
LastEventId = Annotated[
    str | None, HeaderParameter(name="Last-Event-ID", description="The same, as EventSource sends it when it reconnects.")
]


class History(Struct):
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


async def follow(world: World, row: SessionRow, after: int) -> AsyncIterator[Event | None]:
    """Events with ids greater than `after`, for ever, until `session.ended`; None where nothing has come for a while. Who
    listens watches: the lease is renewed meanwhile, and where it was given up there is nothing more to hear."""
    session_id = row.session.id
    quiet_s = 0.0
    look_s = _FIRST_LOOK_S
    async with wakes(world, session_id) as wake, leases.kept(world, row) as held:
        while held() and not world.closing.begun:
            try:
                events = await world.sessions.events(session_id, after, _PAGE)
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
                if await is_over(world, session_id):
                    return
                yield None
                quiet_s = 0.0
            started = asyncio.get_running_loop().time()
            await wake.within(look_s)
            quiet_s += asyncio.get_running_loop().time() - started
            look_s = LOOK_S


async def is_over(world: World, session_id: str) -> bool:
    """The session has ended, or retention has taken its rows away: no event will come."""
    try:
        return (await world.sessions.get(session_id)).session.phase is Phase.ENDED
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
    world: NamedDependency[World],
    metrics: NamedDependency[Metrics],
    row: NamedDependency[SessionRow],
    disclosure: NamedDependency[Disclosure],
    after: After = None,
    last_event_id: LastEventId = None,
) -> Response[Any]:
    """Each event's name is its type, its id increases by one. All of the session's events are replayed unless the client says
    which it has seen. A viewer's `reason` is a class (`unreachable`, `refused`, `unplayable`, `stalled`, `ended`, `busy`,
    `planned`, `service`, `failed`), as are those of its `sources`; with the admin key they are words. For a token that `/watch`
    gave, labels of this session alone stand in place of sources' ids. 204: the session has ended and there is nothing more,
    which stops an EventSource for good."""
    seen = seen_by(after, last_event_id) or 0
    if row.session.phase is Phase.ENDED and not await world.sessions.events(row.session.id, seen, 1):
        return Response(None, status_code=204)
    return ServerSentEvent(_messages(world, metrics, row, disclosure, seen), headers={"Cache-Control": "no-store"})


def seen_by(after: int | None, last_event_id: str | None) -> int | None:
    """The last event that a client has seen. What EventSource says is newer than its own URL."""
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit():
        return min(int(last_event_id[:16]), 1 << 53)
    return after


async def _messages(
    world: World, metrics: Metrics, row: SessionRow, disclosure: Disclosure, after: int
) -> AsyncIterator[ServerSentEventMessage]:
    async with contextlib.aclosing(follow(world, row, after)) as events:  # type: ignore[type-var]
        async for event in events:
            if event is None:
                yield ServerSentEventMessage(data=None, comment="keep-alive")
            else:
                metrics.delivered(event)
                yield ServerSentEventMessage(
                    id=event.id,
                    event=event.type.value,
                    data=event_payload.encode(disclosure.event(event), world.origin_url),
                    retry=RETRY_MS,
                )


@get(
    "/v1/sessions/{session_id:str}/history",
    summary="Events of a session so far",
    answer=History([SWITCHED]),
)
async def read_history(
    world: NamedDependency[World],
    row: NamedDependency[SessionRow],
    disclosure: NamedDependency[Disclosure],
    after: After = None,
) -> History:
    """The same without waiting, for whoever polls: at most 1,000 events, oldest first."""
    events = await world.sessions.events(row.session.id, after or 0, _PAGE)
    return History([event_payload.document(disclosure.event(event), world.origin_url) for event in events])


@websocket("/v1/sessions/{session_id:str}/ws")
async def socket_events(
    socket: WebSocket[Any, Any, Any],
    world: NamedDependency[World],
    metrics: NamedDependency[Metrics],
    row: NamedDependency[SessionRow],
    disclosure: NamedDependency[Disclosure],
    after: After = None,
) -> None:
    """The same over WebSocket: one JSON text message for each event. A refusal is a close code, 4000 and the HTTP status, and a
    reason (refused_sockets.py)."""
    await socket.accept()

    async def send() -> None:
        async with contextlib.aclosing(follow(world, row, after or 0)) as events:  # type: ignore[type-var]
            async for event in events:
                if event is not None:
                    metrics.delivered(event)
                    await socket.send_text(event_payload.encode(disclosure.event(event), world.origin_url).decode())

    async def listen() -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await socket.receive_data(mode="text")  # what a client says is not listened to; that it leaves is

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
        await socket.close(_GOING_AWAY if world.closing.begun else 1000)


routes = Router(
    path="/",
    guards=[auth.session],
    security=auth.SESSION,
    middleware=[refused_sockets.told],
    tags=[TAG.name],
    route_handlers=[stream_events, read_history, socket_events],
)
