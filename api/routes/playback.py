"""Playlists read through the API, for players that know only a URL: each read renews the viewer's lease. Segments are read at
the origin, as are the playlists of clients that can send a heartbeat: the control plane is never in the media path."""

from __future__ import annotations

from litestar import Response, Router, get

from api import auth
from api.http.addresses import PublicAddresses, token_query
from api.injection import Injected
from api.keys import ApiKeys
from api.routes.sessions import TAG
from api.session.answers import AnyRequest
from api.session.lease_renewal import LeaseRenewal
from orchestrator.core.presentation.event_payload import playlist_url
from orchestrator.errors import NotFound, StoreUnavailable
from orchestrator.ports import ObjectStore, SessionRow
from transcoder import bucket
from transcoder.publish.multivariant_playlist import MultivariantPlaylist
from transcoder.publish.playlist_syntax import MalformedPlaylist

MEDIA_TYPE = bucket.PLAYLIST_TYPE

_HEADERS = {"Cache-Control": "no-store"}  # the address holds a token, and each read counts


@get(
    f"/v1/sessions/{{session_id:str}}/{bucket.MULTIVARIANT_NAME}",
    summary="The session's playlist",
    media_type=MEDIA_TYPE,
    answer="#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1600000,AVERAGE-BANDWIDTH=1280000,"
    'CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=50.000\n'
    "https://api.example.com/v1/sessions/s-1gj4r0c7k2m9x5t8w3q6/main.m3u8?token=oV3p\n",
)
async def read_multivariant(
    store: Injected[ObjectStore],
    api_keys: Injected[ApiKeys],
    addresses: Injected[PublicAddresses],
    leases: Injected[LeaseRenewal],
    request: AnyRequest,
    row: Injected[SessionRow],
) -> Response[str]:
    """The multivariant playlist, with its media playlist read through the API as well. A client that reads it with the admin
    key sends the key again for that."""
    session = row.session
    text = await store.read_multivariant(session.id)
    if text is None:
        raise NotFound(f"session {session.id} has no playlist (yet): it is {session.phase.value}")
    await leases.renew(row)
    try:
        parsed = MultivariantPlaylist.parse(text)
    except MalformedPlaylist as error:
        raise StoreUnavailable(f"the session's playlist cannot be read: {error}") from None
    playlist = parsed.absolute(addresses.playlist_through_api(request, session.id, token=None))
    query = token_query(None if row.lease is None else api_keys.token(session.channel_id, row.lease.viewer))
    variants = tuple(variant._replace(uri=f"{variant.uri}{query}") for variant in playlist.variants)
    return Response(playlist._replace(variants=variants).render(), media_type=MEDIA_TYPE, headers=_HEADERS)


@get(
    f"/v1/sessions/{{session_id:str}}/{bucket.MEDIA_PLAYLIST_NAME}",
    summary="The session's media playlist",
    media_type=MEDIA_TYPE,
    answer="#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n"
    "#EXT-X-PROGRAM-DATE-TIME:2025-06-01T21:04:08.113Z\n#EXTINF:2.0,\n"
    "https://cdn.example.com/segments/s-1gj4r0c7k2m9x5t8w3q6/1/main/7.ts\n",
)
async def read_media_playlist(
    store: Injected[ObjectStore],
    addresses: Injected[PublicAddresses],
    leases: Injected[LeaseRenewal],
    row: Injected[SessionRow],
) -> Response[str]:
    """Segments at the origin's address."""
    found = await store.read_playlist(row.session.id)
    if found is None:
        raise NotFound(f"session {row.session.id} has no playlist (yet): it is {row.session.phase.value}")
    await leases.renew(row)
    playlist, _ = found
    return Response(
        playlist.absolute(playlist_url(addresses.origin_url, row.session.id)).render(), media_type=MEDIA_TYPE, headers=_HEADERS
    )


routes = Router(
    path="/",
    guards=[auth.session],
    security=auth.SESSION,
    tags=[TAG.name],
    route_handlers=[read_multivariant, read_media_playlist],
)
