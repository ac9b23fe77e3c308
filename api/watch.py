"""Watching without a key: a page, an address for plain players, a list of channels for IPTV players.

A viewer is a browser (by a cookie), a page of another site (by a secret of its own: no cookie of ours goes there) or a player
(by its address and its name). What each is called is derived from a secret, so nobody can take over another viewer's session by
naming it.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Annotated, Final
from urllib.parse import urlsplit

from litestar import Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.openapi.spec import Tag
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Redirect
from msgspec import Meta, Struct

from api.assets import PAGE_POLICY, page
from api.auth import has_admin_key
from api.body import StrictBody
from api.logos import KEPT_S
from api.playback import address
from api.sessions import AnyRequest, Prefer, answer, wait_s
from api.viewing import Viewing, join, settled
from api.views import GRANTED, GrantedSession
from api.world import World
from orchestrator.core.catalogue import m3u
from orchestrator.core.model import SHARED, Channel, Phase
from orchestrator.errors import NotFound, Temporary

TAG = Tag("Watching", "Open to everybody.")

PLAYLIST: Final = ".m3u8"
WAIT_S: Final = 20.0
PAGE_WAIT_S: Final = 25.0
COOKIE: Final = "viewer"
_YEAR_S: Final = 365 * 24 * 3600
_PAGE: Final = 500


class NotLiveYet(Temporary):
    """The session did not become live in time. It is still being started: ask again."""

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
)
async def watch(world: NamedDependency[World], request: AnyRequest, channel: FromPath[str]) -> Response[bytes] | Redirect:
    """`/watch/{channel}.m3u8`, for players that know only a URL, starts or joins the viewer's session, waits until it is live
    and redirects (302) to a playlist whose reads keep the session alive."""
    if channel.endswith(PLAYLIST):
        return await _redirect(world, request, channel.removesuffix(PLAYLIST))
    status = 200
    try:
        await world.channel(channel)
    except NotFound:
        if "text/html" not in request.headers.get("accept", ""):
            raise
        status = 404  # the page says so, and what there is instead
    cookie = _cookie(request) or secrets.token_urlsafe(24)
    return Response(
        page("watch.html"),
        status_code=status,
        media_type="text/html",
        headers={"Content-Security-Policy": _policy(world.origin_url), "Cache-Control": "no-cache"},
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


@get("/watch", summary="A page that lists the channels", media_type="text/html", answer="<!doctype html>…")
async def watch_list(request: AnyRequest) -> Response[bytes] | Redirect:
    """By group and number, with a search. Its addresses are relative, so it has one of its own: without a slash at its end."""
    if request.scope["raw_path"].endswith(b"/"):  # of `path` Litestar has cut it off
        return Redirect("../watch", status_code=308)
    headers = {"Content-Security-Policy": f"{PAGE_POLICY}; connect-src 'self'", "Cache-Control": "no-cache"}
    return Response(page("list.html"), media_type="text/html", headers=headers)


@post(
    "/watch/{channel:str}/session",
    summary="The page's session",
    dto=StrictBody,
    body=WatchRequest(viewer="q1T0x9mYk2c7RrTq1sW8uXzA4bN6dHfG"),
    answer=GRANTED,
    refusals=[409, 429],
)
async def watch_session(
    world: NamedDependency[World],
    request: AnyRequest,
    channel: FromPath[str],
    data: JSONBody[WatchRequest | None] = None,
    prefer: Prefer = None,
) -> Response[GrantedSession]:
    """The browser's session on the channel, as `POST /v1/channels/{channel}/sessions` gives it. The viewer is the body's, else
    the cookie's, else whoever has this address and name."""
    asked_s = wait_s(prefer)
    viewer = viewer_of(world, request, data.viewer if data else None)
    viewing = await join_openly(world, request, channel, viewer)
    return await answer(world, request, viewing, None if asked_s is None else min(asked_s, PAGE_WAIT_S))


@get(
    "/watch/channels.json",
    summary="Every channel, for pages",
    answer=[PublicChannel(slug="news", name="News", number=1, group="Information", logo=True)],
)
async def list_for_pages(world: NamedDependency[World]) -> Response[list[PublicChannel]]:
    """Enabled channels, by number, then name."""
    channels = [
        PublicChannel(
            slug=channel.slug, name=channel.name, number=channel.number, group=channel.group, logo=channel.logo is not None
        )
        async for channel in _enabled(world)
    ]
    return Response(channels, headers={"Cache-Control": "public, max-age=10"})


@get("/watch/{channel:str}/logo", summary="The channel's logo", media_type="image/png", answer="(the picture)")
async def read_logo(world: NamedDependency[World], channel: FromPath[str]) -> Response[bytes]:
    """PNG, JPEG, GIF or WebP of at most 256 KiB, fetched by the API from where the channel's `logo` says: viewers' browsers ask
    nobody else."""
    found = await world.channel(channel)
    if found.logo is None or not found.enabled:
        raise NotFound("the channel has no logo")
    logo = await world.logos.get(found.logo)
    return Response(logo.content, media_type=logo.media_type, headers={"Cache-Control": f"public, max-age={KEPT_S:.0f}"})


@get(
    "/playlist.m3u",
    summary="Every channel, for IPTV players",
    media_type="audio/x-mpegurl",
    answer='#EXTM3U\n#EXTINF:-1 tvg-id="news.example" tvg-chno="1" group-title="Information",News\n'
    "https://api.example.com/watch/news.m3u8\n",
)
async def list_for_players(
    world: NamedDependency[World],
    request: AnyRequest,
    group: Annotated[str | None, QueryParameter(max_length=200, description="Channels of this group alone.")] = None,
) -> Response[str]:
    """Enabled channels, by number, then name."""
    base_url = world.base_url(request)
    entries = [
        _entry(channel, f"{base_url}/watch/{channel.slug}")
        async for channel in _enabled(world)
        if group in (None, channel.group)
    ]
    return Response("\n".join(m3u.render(entries)) + "\n", media_type="audio/x-mpegurl", headers={"Cache-Control": "no-cache"})


async def join_openly(world: World, request: AnyRequest, channel: str, viewer: str) -> Viewing:
    """As `join`, within what the client's address may start. Raises AddressLimitReached as well."""
    found = await world.channel(channel)
    whose = SHARED if found.policy.sharing == "channel" else viewer
    if has_admin_key(request) or await world.sessions.runs(found.id, whose):
        return await join(world, channel, viewer)
    taken = await world.addresses.take(request.client.host if request.client else None, found.id, viewer)
    started = False
    try:
        viewing = await join(world, channel, viewer)
        started = viewing.is_new
        return viewing
    finally:
        await taken.settle(started=started)


def viewer_of(world: World, request: AnyRequest, secret: str | None = None) -> str:
    """`secret`: as a page of another site has sent it. Each name begins as `disclosure.OPEN` says."""
    if secret is not None:
        return f"page-{world.keys.pseudonym('page', secret)}"
    if cookie := _cookie(request):
        return f"browser-{world.keys.pseudonym('cookie', cookie)}"
    host = request.client.host if request.client else ""
    return f"player-{world.keys.pseudonym('address', host, request.headers.get('user-agent', ''))}"


async def _enabled(world: World) -> AsyncIterator[Channel]:
    """By number, then name."""
    after: str | None = None
    while True:
        channels = await world.catalogue.channels(limit=_PAGE, after=after)
        for channel in channels:
            if channel.enabled:
                yield channel
        if len(channels) < _PAGE:
            return
        after = channels[-1].id


async def _redirect(world: World, request: AnyRequest, channel: str) -> Redirect:
    viewing = await join_openly(world, request, channel, viewer_of(world, request))
    row = await settled(world, viewing.row, WAIT_S)
    if row.session.phase in (Phase.REQUESTED, Phase.STARTING):
        raise NotLiveYet("it is still being started")
    where = address(world, request, row.session.id, viewing.token)
    return Redirect(where, status_code=302, headers={"Cache-Control": "no-store"})


def _cookie(request: AnyRequest) -> str | None:
    """Only what looks like one of ours: 24 random bytes."""
    cookie = request.cookies.get(COOKIE, "")
    return cookie if len(cookie) == 32 and cookie.replace("-", "").replace("_", "").isalnum() else None


def _entry(channel: Channel, address: str) -> m3u.Entry:
    """A logo at an address with a query or user info, where a provider's account may stand, is to be had from us."""
    private = channel.logo is not None and any(sign in channel.logo for sign in "?@")
    return m3u.Entry(
        name=channel.name,
        url=f"{address}{PLAYLIST}",
        tvg_id=channel.tvg_id or channel.slug,
        tvg_name=channel.tvg_name or channel.name,
        logo=f"{address}/logo" if private else channel.logo,
        number=channel.number,
        group=channel.group,
    )


def _policy(origin_url: str) -> str:
    """Media from the origin alone, played from a blob."""
    origin = urlsplit(origin_url)
    media = f"'self' {origin.scheme}://{origin.netloc}"
    return f"{PAGE_POLICY}; connect-src {media}; media-src blob: {media}"


routes = Router(
    path="/",
    tags=[TAG.name],
    route_handlers=[watch, watch_list, watch_session, list_for_pages, read_logo, list_for_players],
)
