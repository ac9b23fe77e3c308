"""The operator's console: one page, open to everybody because it holds no data, and the login that its calls go with.

The page has no key: it trades the key for a cookie that no script can read, and learns by the first 401 that it has none.
"""

from __future__ import annotations

from typing import Final

from litestar import Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.openapi.spec import Tag
from litestar.params import JSONBody
from msgspec import Struct

from api import auth
from api.http.assets import PAGE_POLICY, built_page
from api.http.bodies import StrictBody
from api.routes.sessions import AnyRequest
from api.world import World
from orchestrator.errors import Unauthorized

TAG = Tag("Console", "What the operator's pages are made of.")

_PAGE: Final = "console.html"


class Login(Struct, kw_only=True, forbid_unknown_fields=True):
    key: str


@get(["/console", "/console/login", "/console/logout", "/console/{path:path}"], include_in_schema=False)
async def read_console() -> Response[bytes]:
    """The same page at every address: which view of it is shown, it reads off its own address."""
    headers = {"Content-Security-Policy": f"{PAGE_POLICY}; connect-src 'self'", "Cache-Control": "no-cache"}
    return Response(built_page(_PAGE), media_type="text/html", headers=headers)


@post(
    "/console/login",
    summary="Log in to the console",
    status_code=204,
    body=Login(key="the admin key"),
    dto=StrictBody,
    refusals=[401],
)
async def login(world: NamedDependency[World], request: AnyRequest, data: JSONBody[Login]) -> Response[None]:
    """Trades the admin key for a cookie that lasts 12 hours. 401: another key."""
    if not world.keys.is_admin(data.key):
        raise Unauthorized("this is not the admin key")
    cookie = _cookie(world, request, world.keys.console_cookie(world.clock()), auth.CONSOLE_S)
    return Response(None, status_code=204, cookies=[cookie])


@post("/console/logout", summary="Log out of the console", status_code=204)
async def logout(world: NamedDependency[World], request: AnyRequest) -> Response[None]:
    return Response(None, status_code=204, cookies=[_cookie(world, request, "", 0)])


def _cookie(world: World, request: AnyRequest, value: str, max_age_s: int) -> Cookie:
    return Cookie(
        key=auth.CONSOLE,
        value=value,
        path="/",
        max_age=max_age_s,
        httponly=True,
        samesite="strict",
        secure=world.base_url(request).startswith("https:"),
    )


routes = Router(path="/", tags=[TAG.name], route_handlers=[read_console, login, logout])
