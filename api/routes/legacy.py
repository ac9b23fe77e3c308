"""The two routes of the system that this one replaces, for its clients. New clients request sessions under /v1."""

from __future__ import annotations

import secrets
from typing import Annotated

from litestar import Router, get
from litestar.openapi.spec import Tag
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect
from msgspec import Struct

from api import auth
from api.http.addresses import PublicAddresses
from api.http.fields import Viewer
from api.injection import Injected
from api.keys import ApiKeys
from api.session.answers import AnyRequest, Prefer, SessionAnswers, wait_s
from api.session.joining import SessionRequests, StartWait
from api.session.views import GRANTED, GrantedSession
from orchestrator.core.model import SHARED
from orchestrator.ports import SessionRow

TAG = Tag("Replaced system", "The routes of the system that this one replaces.")

WAIT_S = 10.0  # its clients play at once what they are given, and know no `Prefer`


class StreamRequest(Struct, kw_only=True):
    """The fields that the replaced system's clients read, and what else they may need."""

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
    session_requests: Injected[SessionRequests],
    start_wait: Injected[StartWait],
    answers: Injected[SessionAnswers],
    addresses: Injected[PublicAddresses],
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
    joined = await session_requests.join(channel_id, viewer or f"anonymous-{secrets.token_hex(8)}")
    asked_s = wait_s(prefer)
    row = await start_wait.until_playing(joined.row, WAIT_S if asked_s is None else asked_s)
    granted = await answers.granted(request, joined, row)
    source = granted.source_id or "any"
    stream_url = f"{addresses.base_url(request)}/stream/hls/{granted.id}/{source}/master.m3u8?token={joined.token}"
    return StreamRequest.of(granted, stream_url)


@get(
    "/stream/hls/{session_id:str}/{source_id:str}/master.m3u8",
    summary="The session's playlist",
    guards=[auth.session],
    security=auth.SESSION,
    status_code=302,
)
async def redirect_to_playlist(
    api_keys: Injected[ApiKeys], addresses: Injected[PublicAddresses], request: AnyRequest, row: Injected[SessionRow]
) -> Redirect:
    """302 to the playlist, whose reads renew the viewer's lease. The source in the address is ignored: a session has one
    playlist, and it outlives every source.

    The session's token goes into the header `Authorization: Bearer`, or `?token=` for players that know only an address; the
    admin key in its place opens every session. For a session that many share, a client with the key is not one of the viewers:
    the playlist is then read with the key again. New clients: `GET /v1/sessions/{session_id}/index.m3u8`."""
    viewer = row.session.viewer if row.lease is None else row.lease.viewer
    token = None if viewer == SHARED else api_keys.token(row.session.channel_id, viewer)
    where = addresses.playlist_through_api(request, row.session.id, token)
    return Redirect(where, status_code=302, headers={"Cache-Control": "no-store"})


routes = Router(path="/", tags=[TAG.name], route_handlers=[request_stream, redirect_to_playlist])
