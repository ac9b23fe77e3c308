"""Playlists read through the API, for players that know only a URL: each read renews the viewer's lease. Segments, and whoever
can send a heartbeat, go to the origin: the control plane is never in the media path."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from litestar import Response, Router, get
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency

from api import auth, leases
from api.sessions import TAG, AnyRequest
from api.world import World
from orchestrator.core.reading.event_payload import playlist_url
from orchestrator.errors import NotFound, StoreUnavailable
from orchestrator.ports import SessionRow
from transcoder.media_playlist import MalformedPlaylist, MultivariantPlaylist

MEDIA_TYPE = "application/vnd.apple.mpegurl"

_HEADERS = {"Cache-Control": "no-store"}  # the address holds a token, and each read counts


def address(world: World, connection: ASGIConnection[Any, Any, Any, Any], session_id: str, token: str | None) -> str:
    """Of the session's playlist through the API. None: for who sends a key with it."""
    query = "" if token is None else f"?token={quote(token, safe='')}"
    return f"{world.base_url(connection)}/v1/sessions/{session_id}/index.m3u8{query}"


@get(
    "/v1/sessions/{session_id:str}/index.m3u8",
    summary="The session's playlist",
    media_type=MEDIA_TYPE,
    answer="#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1600000,AVERAGE-BANDWIDTH=1280000,"
    'CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=50.000\n'
    "https://api.example.com/v1/sessions/s-1gj4r0c7k2m9x5t8w3q6/main.m3u8?token=oV3p\n",
)
async def read_multivariant(
    world: NamedDependency[World], request: AnyRequest, row: NamedDependency[SessionRow]
) -> Response[str]:
    """The multivariant playlist, with its media playlist read through the API as well. Who reads it with the admin key sends
    the key again for that."""
    session = row.session
    text = await world.store.read_multivariant(session.id)
    if text is None:
        raise NotFound(f"session {session.id} has no playlist (yet): it is {session.phase.value}")
    await leases.renew(world, row)
    try:
        parsed = MultivariantPlaylist.parse(text)
    except MalformedPlaylist as error:
        raise StoreUnavailable(f"the session's playlist cannot be read: {error}") from None
    playlist = parsed.absolute(f"{world.base_url(request)}/v1/sessions/{session.id}/index.m3u8")
    query = "" if row.lease is None else f"?token={quote(world.keys.token(session.channel_id, row.lease.viewer), safe='')}"
    variants = tuple(variant._replace(uri=f"{variant.uri}{query}") for variant in playlist.variants)
    return Response(playlist._replace(variants=variants).render(), media_type=MEDIA_TYPE, headers=_HEADERS)


@get(
    "/v1/sessions/{session_id:str}/main.m3u8",
    summary="The session's media playlist",
    media_type=MEDIA_TYPE,
    answer="#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n"
    "#EXT-X-PROGRAM-DATE-TIME:2025-06-01T21:04:08.113Z\n#EXTINF:2.0,\n"
    "https://cdn.example.com/segments/s-1gj4r0c7k2m9x5t8w3q6/1/main/7.ts\n",
)
async def read_media_playlist(world: NamedDependency[World], row: NamedDependency[SessionRow]) -> Response[str]:
    """Segments at the origin's address."""
    found = await world.store.read_playlist(row.session.id)
    if found is None:
        raise NotFound(f"session {row.session.id} has no playlist (yet): it is {row.session.phase.value}")
    await leases.renew(world, row)
    playlist, _ = found
    return Response(
        playlist.absolute(playlist_url(world.origin_url, row.session.id)).render(), media_type=MEDIA_TYPE, headers=_HEADERS
    )


routes = Router(
    path="/",
    guards=[auth.session],
    security=auth.SESSION,
    tags=[TAG.name],
    route_handlers=[read_multivariant, read_media_playlist],
)
