"""Watching without a key: a page, an address for plain players, a list of channels for IPTV players.

A viewer is a browser (by a cookie) or a player (by its address and its name). What either is called is derived from a secret,
so nobody can take over another viewer's session by naming it.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Final
from urllib.parse import urlsplit

from litestar import Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.openapi.spec import Tag
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect

from api.assets import page
from api.playback import address
from api.sessions import AnyRequest, Prefer, grant, wait_s
from api.viewing import join, settled
from api.views import GRANTED, GrantedSession
from api.world import World
from orchestrator.core import m3u
from orchestrator.core.model import Channel, Phase
from orchestrator.errors import Temporary

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
    await world.channel(channel)
    cookie = _cookie(request) or secrets.token_urlsafe(24)
    return Response(
        page("watch.html"),
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


@post("/watch/{channel:str}/session", summary="The page's session", answer=GRANTED, refusals=[409, 429])
async def watch_session(
    world: NamedDependency[World], request: AnyRequest, channel: FromPath[str], prefer: Prefer = None
) -> Response[GrantedSession]:
    """The browser's session on the channel, as `POST /v1/channels/{channel}/sessions` gives it."""
    asked_s = wait_s(prefer)
    return await grant(
        world, request, channel, viewer_of(world, request), None if asked_s is None else min(asked_s, PAGE_WAIT_S)
    )


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
    entries: list[m3u.Entry] = []
    after: str | None = None
    while True:
        channels = await world.catalogue.channels(limit=_PAGE, after=after)
        entries += [
            _entry(channel, f"{base_url}/watch/{channel.slug}{PLAYLIST}")
            for channel in channels
            if channel.enabled and group in (None, channel.group)
        ]
        if len(channels) < _PAGE:
            break
        after = channels[-1].id
    return Response("\n".join(m3u.render(entries)) + "\n", media_type="audio/x-mpegurl", headers={"Cache-Control": "no-cache"})


def viewer_of(world: World, request: AnyRequest) -> str:
    if cookie := _cookie(request):
        return f"browser-{world.keys.pseudonym('cookie', cookie)}"
    host = request.client.host if request.client else ""
    return f"player-{world.keys.pseudonym('address', host, request.headers.get('user-agent', ''))}"


async def _redirect(world: World, request: AnyRequest, channel: str) -> Redirect:
    viewing = await join(world, channel, viewer_of(world, request))
    row = await settled(world, viewing.row, WAIT_S)
    if row.session.phase in (Phase.REQUESTED, Phase.STARTING):
        raise NotLiveYet("it is still being started")
    where = address(world, request, row.session.id, viewing.token)
    return Redirect(where, status_code=302, headers={"Cache-Control": "no-store"})


def _cookie(request: AnyRequest) -> str | None:
    """Only what looks like one of ours: 24 random bytes."""
    cookie = request.cookies.get(COOKIE, "")
    return cookie if len(cookie) == 32 and cookie.replace("-", "").replace("_", "").isalnum() else None


def _entry(channel: Channel, url: str) -> m3u.Entry:
    return m3u.Entry(
        name=channel.name,
        url=url,
        tvg_id=channel.tvg_id or channel.slug,
        tvg_name=channel.tvg_name or channel.name,
        logo=channel.logo,
        number=channel.number,
        group=channel.group,
    )


def _policy(origin_url: str) -> str:
    """Our own scripts and styles; media from the origin alone; hls.js works in a blob worker and plays from a blob."""
    origin = urlsplit(origin_url)
    media = f"'self' {origin.scheme}://{origin.netloc}"
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src 'self'; style-src 'self'; "
        f"img-src 'self'; worker-src blob:; connect-src {media}; media-src blob: {media}"
    )


routes = Router(path="/", tags=[TAG.name], route_handlers=[watch, watch_session, list_for_players])
