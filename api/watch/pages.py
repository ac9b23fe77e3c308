"""Routes for watching without a key: pages, an address for plain players, lists of channels for pages and for IPTV players."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Annotated, Final
from urllib.parse import urlsplit

from litestar import Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.openapi.spec import Tag
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Redirect
from msgspec import Meta, Struct

from api.catalogue_lookup import CatalogueLookup
from api.http.addresses import PublicAddresses
from api.http.assets import PAGE_POLICY, built_page
from api.http.bodies import StrictBody
from api.injection import Injected
from api.session.answers import AnyRequest, Prefer, SessionAnswers, wait_s
from api.session.joining import StartWait
from api.session.views import GRANTED, GrantedSession
from api.watch.logos import MAX_AGE_S, Logos
from api.watch.viewers import COOKIE, OpenSessionRequests, cookie_of
from orchestrator.core.catalogue import m3u
from orchestrator.core.model import Channel, Phase
from orchestrator.errors import NotFound, Temporary
from orchestrator.ports import Catalogue

TAG = Tag("Watching", "Open to everybody.")

PLAYLIST: Final = ".m3u8"
WAIT_S: Final = 20.0
PAGE_WAIT_S: Final = 25.0
_YEAR_S: Final = 365 * 24 * 3600
_PAGE: Final = 500


class NotLiveYet(Temporary):
    """The session is not live in time. It is still being started: try again."""

    title = "The channel is not live yet"


class WatchRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    viewer: (
        Annotated[
            str,
            Meta(
                pattern=r"^[A-Za-z0-9_-]{32}\Z",
                description="A secret that a page of another site keeps: 24 random bytes, base64url.",
            ),
        ]
        | None
    ) = None


class PublicChannel(Struct, kw_only=True):
    slug: str
    name: str
    number: int | None
    group: str | None
    logo: bool  # there is one, at /watch/{slug}/logo


@get(
    "/watch/{channel:str}",
    summary="A page that plays the channel; with .m3u8 its playlist",
    media_type="text/html",
    answer="<!doctype html>…",
    refusals=[409, 429],
    open_to_all=True,
)
async def watch(
    lookup: Injected[CatalogueLookup],
    open_session_requests: Injected[OpenSessionRequests],
    start_wait: Injected[StartWait],
    addresses: Injected[PublicAddresses],
    request: AnyRequest,
    channel: FromPath[str],
) -> Response[bytes] | Redirect:
    """`/watch/{channel}.m3u8`, for players that know only a URL, starts or joins the viewer's session, waits until it is live
    and redirects (302) to a playlist whose reads keep the session alive."""
    if channel.endswith(PLAYLIST):
        joined = await open_session_requests.join(request, channel.removesuffix(PLAYLIST))
        row = await start_wait.until_playing(joined.row, WAIT_S)
        if row.session.phase in (Phase.REQUESTED, Phase.STARTING):
            raise NotLiveYet("it is still being started")
        where = addresses.playlist_through_api(request, row.session.id, joined.token)
        return Redirect(where, status_code=302, headers={"Cache-Control": "no-store"})
    status = 200
    try:
        await lookup.channel(channel)
    except NotFound:
        if "text/html" not in request.headers.get("accept", ""):
            raise
        status = 404  # the page says so, and lists the channels
    cookie = cookie_of(request) or secrets.token_urlsafe(24)
    return Response(
        built_page("watch.html"),
        status_code=status,
        media_type="text/html",
        headers={"Content-Security-Policy": _policy(addresses.origin_url), "Cache-Control": "no-cache"},
        cookies=[
            Cookie(
                key=COOKIE,
                value=cookie,
                path="/watch",
                max_age=_YEAR_S,
                httponly=True,
                samesite="lax",
                secure=request.url.scheme == "https",
            )
        ],
    )


@get(
    "/watch",
    summary="A page that lists the channels",
    media_type="text/html",
    answer="<!doctype html>…",
    open_to_all=True,
)
async def watch_list(request: AnyRequest) -> Response[bytes] | Redirect:
    """By group and number, with a search. Its links are relative, so its address has no slash at the end."""
    if request.scope["raw_path"].endswith(b"/"):  # Litestar has cut it off from `path`
        return Redirect("../watch", status_code=308)
    headers = {"Content-Security-Policy": f"{PAGE_POLICY}; connect-src 'self'", "Cache-Control": "no-cache"}
    return Response(built_page("list.html"), media_type="text/html", headers=headers)


@post(
    "/watch/{channel:str}/session",
    summary="The page's session",
    dto=StrictBody,
    body=WatchRequest(viewer="q1T0x9mYk2c7RrTq1sW8uXzA4bN6dHfG"),
    answer=GRANTED,
    refusals=[409, 429],
    open_to_all=True,
)
async def watch_session(
    open_session_requests: Injected[OpenSessionRequests],
    answers: Injected[SessionAnswers],
    request: AnyRequest,
    channel: FromPath[str],
    data: JSONBody[WatchRequest | None] = None,
    prefer: Prefer = None,
) -> Response[GrantedSession]:
    """The browser's session on the channel, as `POST /v1/channels/{channel}/sessions` gives it. The viewer is identified by the
    body's secret, else by the cookie, else by address and user agent."""
    asked_s = wait_s(prefer)
    joined = await open_session_requests.join(request, channel, data.viewer if data else None)
    return await answers.grant(request, joined, None if asked_s is None else min(asked_s, PAGE_WAIT_S))


@get(
    "/watch/channels.json",
    summary="Every channel, for pages",
    answer=[PublicChannel(slug="news", name="News", number=1, group="Information", logo=True)],
    open_to_all=True,
)
async def list_for_pages(catalogue: Injected[Catalogue]) -> Response[list[PublicChannel]]:
    """Enabled channels, by number, then name."""
    channels = [
        PublicChannel(
            slug=channel.slug, name=channel.name, number=channel.number, group=channel.group, logo=channel.logo is not None
        )
        async for channel in _enabled(catalogue)
    ]
    return Response(channels, headers={"Cache-Control": "public, max-age=10"})


@get(
    "/watch/{channel:str}/logo",
    summary="The channel's logo",
    media_type="image/png",
    answer="(the picture)",
    open_to_all=True,
)
async def read_logo(lookup: Injected[CatalogueLookup], logos: Injected[Logos], channel: FromPath[str]) -> Response[bytes]:
    """PNG, JPEG, GIF or WebP of at most 256 KiB. The API fetches it from the channel's `logo` address, so that viewers'
    browsers send no request to third parties."""
    found = await lookup.channel(channel)
    if found.logo is None or not found.enabled:
        raise NotFound("the channel has no logo")
    logo = await logos.get(found.logo)
    return Response(logo.content, media_type=logo.media_type, headers={"Cache-Control": f"public, max-age={MAX_AGE_S:.0f}"})


@get(
    "/playlist.m3u",
    summary="Every channel, for IPTV players",
    media_type="audio/x-mpegurl",
    answer='#EXTM3U\n#EXTINF:-1 tvg-id="news.example" tvg-chno="1" group-title="Information",News\n'
    "https://api.example.com/watch/news.m3u8\n",
    open_to_all=True,
)
async def list_for_players(
    catalogue: Injected[Catalogue],
    addresses: Injected[PublicAddresses],
    request: AnyRequest,
    group: Annotated[str | None, QueryParameter(max_length=200, description="Channels of this group alone.")] = None,
) -> Response[str]:
    """Enabled channels, by number, then name."""
    base_url = addresses.base_url(request)
    entries = [
        _entry(channel, f"{base_url}/watch/{channel.slug}")
        async for channel in _enabled(catalogue)
        if group in (None, channel.group)
    ]
    return Response("\n".join(m3u.render(entries)) + "\n", media_type="audio/x-mpegurl", headers={"Cache-Control": "no-cache"})


async def _enabled(catalogue: Catalogue) -> AsyncIterator[Channel]:
    """By number, then name."""
    after: str | None = None
    while True:
        channels = await catalogue.channels(limit=_PAGE, after=after)
        for channel in channels:
            if channel.enabled:
                yield channel
        if len(channels) < _PAGE:
            return
        after = channels[-1].id


def _entry(channel: Channel, address: str) -> m3u.PlaylistEntry:
    """A logo whose address has a query or user info, which may hold a provider's account, is served by this API instead."""
    private = channel.logo is not None and any(sign in channel.logo for sign in "?@")
    return m3u.PlaylistEntry(
        name=channel.name,
        url=f"{address}{PLAYLIST}",
        tvg_id=channel.tvg_id or channel.slug,
        tvg_name=channel.tvg_name or channel.name,
        logo=f"{address}/logo" if private else channel.logo,
        number=channel.number,
        group=channel.group,
    )


def _policy(origin_url: str) -> str:
    """Content-Security-Policy: media from the origin alone, played from a blob."""
    origin = urlsplit(origin_url)
    media = f"'self' {origin.scheme}://{origin.netloc}"
    return f"{PAGE_POLICY}; connect-src {media}; media-src blob: {media}"


routes = Router(
    path="/",
    tags=[TAG.name],
    route_handlers=[watch, watch_list, watch_session, list_for_pages, read_logo, list_for_players],
)
