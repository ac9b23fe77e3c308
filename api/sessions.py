"""Sessions: one delivery of a channel behind one playlist address. The client's backend asks for one with the admin key; what
belongs to a session is then reached with the session's own token."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from litestar import Request, Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Tag
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter
from msgspec import Struct
from msgspec.structs import replace

from api import auth, leases
from api.body import StrictBody
from api.disclosure import Disclosure
from api.limits import WAIT_S, SourceId, Viewer
from api.viewing import SessionEnded, Viewing, join, settled
from api.views import ATTEMPT, GRANTED, SESSION, AttemptView, GrantedSession, SessionView
from api.world import World
from orchestrator.control import switch_request
from orchestrator.core.model import Channel, Desired, EndReason, Phase
from orchestrator.core.session.operator_switch import SAME
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.ports import SessionRow

TAG = Tag("Sessions", "One delivery of a channel behind one playlist address that never changes.")

AnyRequest = Request[Any, Any, Any]
Prefer = Annotated[
    str | None,
    HeaderParameter(
        name="Prefer", description=f"`wait=N`: hold the answer until live or refused, N up to {WAIT_S:.0f} s (RFC 7240)."
    ),
]


class SessionRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    viewer: Viewer | None = None  # the same viewer gets its running session back; none: a new anonymous viewer


class SwitchRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    source_id: SourceId | None = None  # none: the next one in order
    same: bool = False  # a fresh attempt on the source that plays


@post(
    "/v1/channels/{channel:str}/sessions",
    summary="Request a session",
    guards=[auth.admin],
    security=auth.ADMIN,
    body=SessionRequest(viewer="alice"),
    answer=GRANTED,
    refusals=[409, 429],
)
async def request_session(
    world: NamedDependency[World],
    request: AnyRequest,
    channel: FromPath[str],
    data: JSONBody[SessionRequest | None] = None,
    prefer: Prefer = None,
) -> Response[GrantedSession]:
    """201: a new session. 200: the viewer's running one, or the one that all of the channel's viewers share. 429, 503: a limit
    is reached, `limit` names it, and nothing was started. `Prefer: wait=5` holds the answer until the session is live or
    refused; a refusal is a 503 that names each source's reason."""
    viewer = data.viewer if data and data.viewer else f"anonymous-{secrets.token_hex(8)}"
    return await grant(world, request, channel, viewer, wait_s(prefer))


async def grant(world: World, request: AnyRequest, channel: str, viewer: str, wait: float | None) -> Response[GrantedSession]:
    """Join, wait where asked to, and answer."""
    return await answer(world, request, await join(world, channel, viewer), wait)


async def answer(world: World, request: AnyRequest, viewing: Viewing, wait: float | None) -> Response[GrantedSession]:
    """Wait where asked to, and answer."""
    row = viewing.row if wait is None else await settled(world, viewing.row, wait)
    viewers = 1 if viewing.is_new and wait is None else await watching(world, row)
    return Response(
        GrantedSession.of(world, request, viewing.channel, row, viewers, token=viewing.token),
        status_code=201 if viewing.is_new else 200,
        headers={} if wait is None else {"Preference-Applied": f"wait={wait:.0f}"},
    )


def wait_s(prefer: str | None) -> float | None:
    """The seconds of `Prefer: wait=N`, bounded; None where none are given. What cannot be read is ignored (RFC 7240, 2)."""
    for preference in (prefer or "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        value = value.strip().strip('"')
        if name.strip().lower() == "wait" and value.isascii() and value.isdigit():
            return min(float(value), WAIT_S)
    return None


@get("/v1/sessions", summary="Sessions, newest first", guards=[auth.admin], security=auth.ADMIN, answer=[SESSION])
async def list_sessions(
    world: NamedDependency[World],
    request: AnyRequest,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    phase: FromQuery[Phase | None] = None,
) -> list[SessionView]:
    rows = await world.sessions.recent(limit=limit, phase=phase)
    channels = {id: await _channel(world, id) for id in {row.session.channel_id for row in rows}}
    viewers = await world.sessions.viewers({row.session.id for row in rows}, world.clock() - world.idle_timeout_s)
    return [
        SessionView.of(world, request, channels[row.session.channel_id], row, viewers.get(row.session.id, 0)) for row in rows
    ]


@get("/v1/sessions/{session_id:str}", summary="A session", guards=[auth.session], security=auth.SESSION, answer=SESSION)
async def get_session(world: NamedDependency[World], request: AnyRequest, row: NamedDependency[SessionRow]) -> SessionView:
    return await _view(world, request, row)


@post(
    "/v1/sessions/{session_id:str}/heartbeat",
    summary="Still watching",
    status_code=204,
    guards=[auth.session],
    security=auth.SESSION,
    refusals=[409],
)
async def heartbeat(world: NamedDependency[World], row: NamedDependency[SessionRow]) -> None:
    """Renews the viewer's lease; with the admin key, every lease of the session. Every 10 seconds is often enough. 409: the
    session has ended, there is nothing to renew."""
    if row.session.phase is Phase.ENDED:
        raise SessionEnded(row.session.end_reason or "it was stopped")
    if row.lease is None:
        await world.sessions.renew(row.session.id, world.clock())
    else:
        await leases.renew(world, row)


@delete(
    "/v1/sessions/{session_id:str}",
    summary="Stop a session",
    status_code=202,
    guards=[auth.session],
    security=auth.SESSION,
    answer=replace(SESSION, desired=Desired.STOP),
)
async def stop_session(world: NamedDependency[World], request: AnyRequest, row: NamedDependency[SessionRow]) -> SessionView:
    """Its container is stopped and its playlist finished in a moment; `session.ended` tells. Where others share the session, a
    viewer's token ends its own lease alone (and is of no more use); the admin key ends the session for all."""
    if row.lease is None:
        await world.sessions.stop(row.session.id, EndReason.STOPPED)
    else:
        await world.sessions.leave(row.session.id, row.lease.viewer)
    await world.nudge(row.session.id)
    return await _view(world, request, replace(await world.sessions.get(row.session.id), lease=row.lease))


@post(
    "/v1/sessions/{session_id:str}/switch",
    summary="Switch to another source",
    status_code=202,
    guards=[auth.session_as_admin],
    security=auth.ADMIN,
    body=SwitchRequest(source_id="x-5h1c8v3b"),
    answer=SESSION,
    refusals=[409],
)
async def switch_session(
    world: NamedDependency[World],
    request: AnyRequest,
    row: NamedDependency[SessionRow],
    data: JSONBody[SwitchRequest | None] = None,
) -> SessionView:
    """Without a gap: the running attempt plays until the new one takes over. 503 where the source's provider has no connection
    left; where it has but the one that the session holds, the running attempt ends first. What cannot be done after all is told
    by `switch.refused`."""
    session = row.session
    if switch_request.is_over(session):
        raise SessionEnded(session.end_reason or "it was stopped")
    source_id = data.source_id if data else None
    if data is not None and data.same:
        if source_id is not None:
            raise InvalidInput("same", "one of source_id and same")
        await world.sessions.switch(session.id, SAME)
        await world.nudge(session.id)
        return await _view(world, request, await world.sessions.get(session.id))
    if source_id is not None:
        await switch_request.check(world, session, source_id)
    await world.sessions.switch(session.id, source_id)
    await world.nudge(session.id)
    return await _view(world, request, await world.sessions.get(session.id))


@get(
    "/v1/sessions/{session_id:str}/attempts",
    summary="What happened, container by container",
    guards=[auth.session],
    security=auth.SESSION,
    answer=[ATTEMPT],
)
async def list_attempts(
    world: NamedDependency[World], row: NamedDependency[SessionRow], disclosure: NamedDependency[Disclosure]
) -> list[AttemptView]:
    """With the admin key reasons are words; to a viewer they are a class, as those of its events."""
    return [AttemptView.of(attempt, disclosure) for attempt in await world.sessions.attempts(row.session.id)]


@get(
    "/v1/sessions/{session_id:str}/attempts/{number:int}/log",
    summary="The log of an attempt",
    media_type="text/plain",
    guards=[auth.session_as_admin],
    security=auth.ADMIN,
    answer="21:04:10.113 first segment after 0.21 s\n21:09:31.870 source stalled: nothing for 3.0 s\n",
)
async def read_log(
    world: NamedDependency[World],
    row: NamedDependency[SessionRow],
    number: FromPath[int],
    lines: Annotated[int | None, QueryParameter(ge=1, le=100_000, description="The last ones alone.")] = None,
) -> str:
    """As the agent has written it: of an address its host alone. Of an attempt that runs, as of seconds
    ago."""
    log = await world.store.read_log(row.session.id, number)
    if log is None:
        raise NotFound(f"attempt {number} of session {row.session.id} has no log (yet)")
    return log if lines is None else "".join(log.splitlines(keepends=True)[-lines:])


async def _view(world: World, request: AnyRequest, row: SessionRow) -> SessionView:
    return SessionView.of(world, request, await _channel(world, row.session.channel_id), row, await watching(world, row))


async def watching(world: World, row: SessionRow) -> int:
    """How many leases of the session are held."""
    counts = await world.sessions.viewers({row.session.id}, world.clock() - world.idle_timeout_s)
    return counts.get(row.session.id, 0)


async def _channel(world: World, channel_id: str) -> Channel | None:
    try:
        return await world.catalogue.channel(channel_id)
    except NotFound:
        return None  # deleted meanwhile; its sessions stay as history


routes = Router(
    path="/",
    tags=[TAG.name],
    dto=StrictBody,
    route_handlers=[
        request_session,
        list_sessions,
        get_session,
        heartbeat,
        stop_session,
        switch_session,
        list_attempts,
        read_log,
    ],
)
