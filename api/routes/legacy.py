"""The two routes of the system that this one replaces, for its clients. New clients ask for sessions under /v1."""

from __future__ import annotations

import secrets
from typing import Annotated

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.openapi.spec import Tag
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect
from msgspec import Struct

from api import auth
from api.http.fields import Viewer
from api.routes.playback import address
from api.routes.sessions import AnyRequest, Prefer, wait_s, watching
from api.session.joining import join, settled
from api.session.views import GRANTED, GrantedSession
from api.world import World
from orchestrator.core.model import SHARED
from orchestrator.ports import SessionRow

TAG = Tag("Replaced system", "The routes of the system that this one replaces.")

WAIT_S = 10.0  # its clients play at once what they are given, and know no `Prefer`


class StreamRequest(Struct, kw_only=True):
    """What the replaced system's clients read, and the rest of what they may need."""

    session_id: str
    channel_id: str
    source_id: str | None
    token: str
    playlist_url: str
    stream_url: str  # the same session for a plain player: redirects to a playlist whose reads renew the lease
    events_url: str
    ws_url: str
    phase: str

    @classmethod
    def of(cls, granted: GrantedSession, stream_url: str) -> StreamRequest:
        return cls(
            session_id=granted.id,
            channel_id=granted.channel.id,
            source_id=granted.source_id,
            token=granted.token,
            playlist_url=granted.playlist_url,
            stream_url=stream_url,
            events_url=granted.events_url,
            ws_url=granted.ws_url,
            phase=granted.phase.value,
        )


@get(
    "/stream/channel/{channel_id:str}/request",
    summary="Request a session",
    guards=[auth.admin_or_query],
    security=auth.ADMIN_OR_QUERY,
    answer=StreamRequest.of(
        GRANTED, f"https://api.example.com/stream/hls/{GRANTED.id}/{GRANTED.source_id}/master.m3u8?token={GRANTED.token}"
    ),
    refusals=[409, 429],
)
async def request_stream(
    world: NamedDependency[World],
    request: AnyRequest,
    channel_id: FromPath[str],
    viewer: Annotated[Viewer | None, QueryParameter(description="The same viewer gets its running session back.")] = None,
    prefer: Prefer = None,
) -> StreamRequest:
    """The viewer's session on the channel, by the channel's id or slug. `stream_url` is for a plain player, `playlist_url` for
    one beside which `events_url` or `ws_url` is open or heartbeats are sent. Holds the answer until the session is live or
    refused, up to 10 seconds where `Prefer` says nothing else.

    The key goes into the header `Authorization: Bearer`; `?key=` is for clients that cannot set headers, and stays in their
    logs. New clients: `POST /v1/channels/{channel}/sessions`."""
    viewing = await join(world, channel_id, viewer or f"anonymous-{secrets.token_hex(8)}")
    asked_s = wait_s(prefer)
    row = await settled(world, viewing.row, WAIT_S if asked_s is None else asked_s)
    granted = GrantedSession.of(world, request, viewing.channel, row, await watching(world, row), token=viewing.token)
    source = granted.source_id or "any"
    stream_url = f"{world.base_url(request)}/stream/hls/{granted.id}/{source}/master.m3u8?token={viewing.token}"
    return StreamRequest.of(granted, stream_url)


@get(
    "/stream/hls/{session_id:str}/{source_id:str}/master.m3u8",
    summary="The session's playlist",
    guards=[auth.session],
    security=auth.SESSION,
    status_code=302,
)
async def redirect_to_playlist(
    world: NamedDependency[World], request: AnyRequest, row: NamedDependency[SessionRow]
) -> Redirect:
    """302 to the playlist, whose reads renew the viewer's lease. Whatever source the address names: a session has one playlist,
    and it outlives every source.

    The session's token goes into the header `Authorization: Bearer`, or `?token=` for players that know only an address; the
    admin key in its place opens every session. Of a session that many share, who comes with the key is no viewer: the
    playlist is then read with the key again. New clients: `GET /v1/sessions/{session_id}/index.m3u8`."""
    viewer = row.session.viewer if row.lease is None else row.lease.viewer
    token = None if viewer == SHARED else world.keys.token(row.session.channel_id, viewer)
    return Redirect(address(world, request, row.session.id, token), status_code=302, headers={"Cache-Control": "no-store"})


routes = Router(path="/", tags=[TAG.name], route_handlers=[request_stream, redirect_to_playlist])
