"""The console's page, and its login. The page is open to everybody because it holds no data.

The login exchanges the admin key for a cookie that no script can read; the page learns by the first 401 that it has none.
"""

from __future__ import annotations

from typing import Final

from litestar import Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.openapi.spec import Tag
from litestar.params import JSONBody
from msgspec import Struct

from api import auth
from api.http.addresses import PublicAddresses
from api.http.assets import PAGE_POLICY, built_page
from api.http.bodies import StrictBody
from api.injection import Clock, Injected
from api.keys import CONSOLE_S, ApiKeys
from api.session.answers import AnyRequest
from orchestrator.errors import Unauthorized

TAG = Tag("Console", "What the operator's pages are made of.")

_PAGE: Final = "console.html"


class Login(Struct, kw_only=True, forbid_unknown_fields=True):
    key: str


@get(["/console", "/console/login", "/console/logout", "/console/{path:path}"], include_in_schema=False, open_to_all=True)
async def read_console() -> Response[bytes]:
    """The same page at every address: its script shows the view that the address names."""
    headers = {"Content-Security-Policy": f"{PAGE_POLICY}; connect-src 'self'", "Cache-Control": "no-cache"}
    return Response(built_page(_PAGE), media_type="text/html", headers=headers)


@post(
    "/console/login",
    summary="Log in to the console",
    status_code=204,
    body=Login(key="the admin key"),
    dto=StrictBody,
    refusals=[401],
    open_to_all=True,
)
async def login(
    api_keys: Injected[ApiKeys],
    addresses: Injected[PublicAddresses],
    clock: Injected[Clock],
    request: AnyRequest,
    data: JSONBody[Login],
) -> Response[None]:
    """Exchanges the admin key for a cookie that is valid for 12 hours. 401: another key."""
    if not api_keys.is_admin(data.key):
        raise Unauthorized("this is not the admin key")
    cookie = _cookie(addresses.base_url(request), api_keys.console_cookie(clock()), CONSOLE_S)
    return Response(None, status_code=204, cookies=[cookie])


@post("/console/logout", summary="Log out of the console", status_code=204, open_to_all=True)
async def logout(addresses: Injected[PublicAddresses], request: AnyRequest) -> Response[None]:
    return Response(None, status_code=204, cookies=[_cookie(addresses.base_url(request), "", 0)])


def _cookie(base_url: str, value: str, max_age_s: int) -> Cookie:
    return Cookie(
        key=auth.CONSOLE_COOKIE,
        value=value,
        path="/",
        max_age=max_age_s,
        httponly=True,
        samesite="strict",
        secure=base_url.startswith("https:"),
    )


routes = Router(path="/", tags=[TAG.name], route_handlers=[read_console, login, logout])
