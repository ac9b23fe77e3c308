"""Routes of sessions. A session is one delivery of a channel behind one playlist address: the client's backend asks for it with
the admin key, and its own routes are then called with the session's token."""

from __future__ import annotations

import secrets
from typing import Annotated

from litestar import Response, Router, delete, get, post
from litestar.openapi.spec import Tag
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Struct
from msgspec.structs import replace

from api import auth
from api.changes.nudges import Nudges
from api.http.bodies import StrictBody
from api.http.fields import SourceId, Viewer
from api.injection import Injected
from api.session.answers import AnyRequest, Prefer, SessionAnswers, wait_s
from api.session.disclosure import Disclosure
from api.session.joining import SessionEnded, SessionRequests
from api.session.lease_renewal import LeaseRenewal
from api.session.views import ATTEMPT, GRANTED, SESSION, AttemptView, GrantedSession, SessionView
from orchestrator.control import switch_request
from orchestrator.core.model import Desired, EndReason, Phase
from orchestrator.core.session.operator_switch import SAME
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.ports import ObjectStore, SessionRow, Sessions, Tables

TAG = Tag("Sessions", "One delivery of a channel behind one playlist address that never changes.")


class SessionRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    viewer: Viewer | None = None  # the same viewer gets its running session back; null: a new anonymous viewer


class SwitchRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    source_id: SourceId | None = None  # null: the next one in order
    same: bool = False  # a new attempt on the source that plays


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
    session_requests: Injected[SessionRequests],
    answers: Injected[SessionAnswers],
    request: AnyRequest,
    channel: FromPath[str],
    data: JSONBody[SessionRequest | None] = None,
    prefer: Prefer = None,
) -> Response[GrantedSession]:
    """201: a new session. 200: the viewer's running one, or the one that all of the channel's viewers share. 429, 503: a limit
    is reached, `limit` names it, and nothing was started. `Prefer: wait=5` holds the answer until the session is live or
    refused; a refusal is a 503 that names each source's reason."""
    viewer = data.viewer if data and data.viewer else f"anonymous-{secrets.token_hex(8)}"
    return await answers.grant(request, await session_requests.join(channel, viewer), wait_s(prefer))


@get("/v1/sessions", summary="Sessions, newest first", guards=[auth.admin], security=auth.ADMIN, answer=[SESSION])
async def list_sessions(
    sessions: Injected[Sessions],
    answers: Injected[SessionAnswers],
    request: AnyRequest,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    phase: FromQuery[Phase | None] = None,
) -> list[SessionView]:
    return await answers.many(request, await sessions.recent(limit=limit, phase=phase))


@get("/v1/sessions/{session_id:str}", summary="A session", guards=[auth.session], security=auth.SESSION, answer=SESSION)
async def get_session(answers: Injected[SessionAnswers], request: AnyRequest, row: Injected[SessionRow]) -> SessionView:
    return await answers.one(request, row)


@post(
    "/v1/sessions/{session_id:str}/heartbeat",
    summary="Still watching",
    status_code=204,
    guards=[auth.session],
    security=auth.SESSION,
    refusals=[409],
)
async def heartbeat(leases: Injected[LeaseRenewal], row: Injected[SessionRow]) -> None:
    """Renews the viewer's lease; with the admin key, every lease of the session. Every 10 seconds is often enough. 409: the
    session has ended, there is nothing to renew."""
    if row.session.phase is Phase.ENDED:
        raise SessionEnded(row.session.end_reason or "it was stopped")
    if row.lease is None:
        await leases.renew_all(row.session.id)
    else:
        await leases.renew(row)


@delete(
    "/v1/sessions/{session_id:str}",
    summary="Stop a session",
    status_code=202,
    guards=[auth.session],
    security=auth.SESSION,
    answer=replace(SESSION, desired=Desired.STOP),
)
async def stop_session(
    sessions: Injected[Sessions],
    nudges: Injected[Nudges],
    answers: Injected[SessionAnswers],
    request: AnyRequest,
    row: Injected[SessionRow],
) -> SessionView:
    """Its container is stopped and its playlist finished in a moment; `session.ended` tells. Where others share the session, a
    viewer's token ends its own lease alone, and is no longer valid; the admin key ends the session for all."""
    if row.lease is None:
        await sessions.stop(row.session.id, EndReason.STOPPED)
    else:
        await sessions.leave(row.session.id, row.lease.viewer)
    await nudges.session(row.session.id)
    return await answers.one(request, replace(await sessions.get(row.session.id), lease=row.lease))


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
    tables: Injected[Tables],
    nudges: Injected[Nudges],
    answers: Injected[SessionAnswers],
    request: AnyRequest,
    row: Injected[SessionRow],
    data: JSONBody[SwitchRequest | None] = None,
) -> SessionView:
    """Without a gap: the running attempt plays until the new one takes over. 503 where the source's provider has no connection
    left; where its only connection is the one that the session holds, the running attempt ends first. A switch that cannot be
    made after all is answered with the event `switch.refused`."""
    session = row.session
    if switch_request.is_over(session):
        raise SessionEnded(session.end_reason or "it was stopped")
    source_id = data.source_id if data else None
    if data is not None and data.same:
        if source_id is not None:
            raise InvalidInput("same", "one of source_id and same")
        source_id = SAME
    elif source_id is not None:
        await switch_request.check(tables, session, source_id)
    await tables.sessions.switch(session.id, source_id)
    await nudges.session(session.id)
    return await answers.one(request, await tables.sessions.get(session.id))


@get(
    "/v1/sessions/{session_id:str}/attempts",
    summary="What happened, container by container",
    guards=[auth.session],
    security=auth.SESSION,
    answer=[ATTEMPT],
)
async def list_attempts(
    sessions: Injected[Sessions], row: Injected[SessionRow], disclosure: Injected[Disclosure]
) -> list[AttemptView]:
    """With the admin key reasons are words; to a viewer they are a class, as those of its events."""
    return [AttemptView.of(attempt, disclosure) for attempt in await sessions.attempts(row.session.id)]


@get(
    "/v1/sessions/{session_id:str}/attempts/{number:int}/log",
    summary="The log of an attempt",
    media_type="text/plain",
    guards=[auth.session_as_admin],
    security=auth.ADMIN,
    answer="21:04:10.113 first segment after 0.21 s\n21:09:31.870 source stalled: nothing for 3.0 s\n",
)
async def read_log(
    store: Injected[ObjectStore],
    row: Injected[SessionRow],
    number: FromPath[int],
    lines: Annotated[int | None, QueryParameter(ge=1, le=100_000, description="The last ones alone.")] = None,
) -> str:
    """As the agent has written it: of an address its host alone. The log of a running attempt is some seconds old."""
    log = await store.read_log(row.session.id, number)
    if log is None:
        raise NotFound(f"attempt {number} of session {row.session.id} has no log (yet)")
    return log if lines is None else "".join(log.splitlines(keepends=True)[-lines:])


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
