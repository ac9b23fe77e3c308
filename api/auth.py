"""Access control: management needs the admin key, a session's routes its own token. A route without a guard is refused to
everybody unless it is declared with `open_to_all=True`.

The console's pages carry a cookie instead of the key. Browsers send it by themselves, so it counts only where no other
credential is presented, and for requests that change something only together with a header that no other site can set. It never
opens a WebSocket, where no page can set a header.
"""

from __future__ import annotations

import hmac
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import SecurityScheme
from litestar.types import Scope

from api.http.fields import is_id
from api.injection import Clock
from api.keys import ApiKeys, token_hash
from orchestrator.errors import NotFound, Unauthorized
from orchestrator.ports import SessionRow, Sessions

AnyConnection = ASGIConnection[Any, Any, Any, Any]

SCHEMES: Final[dict[str, SecurityScheme]] = {
    "adminKey": SecurityScheme(type="http", scheme="bearer", description="The admin key (`FAILOVER_ADMIN_KEY`)."),
    "adminKeyInQuery": SecurityScheme(
        type="apiKey", name="key", security_scheme_in="query", description="The admin key, for clients that cannot set headers."
    ),
    "consoleCookie": SecurityScheme(
        type="apiKey",
        name="console",
        security_scheme_in="cookie",
        description="From `POST /console/login`. POST, PUT, PATCH and DELETE also need the header `X-Console: 1`.",
    ),
    "sessionToken": SecurityScheme(type="http", scheme="bearer", description="The token that came with the session."),
    "sessionTokenInQuery": SecurityScheme(
        type="apiKey", name="token", security_scheme_in="query", description="The same, for EventSource and plain players."
    ),
}
ADMIN: Final[list[dict[str, list[str]]]] = [{"adminKey": []}, {"consoleCookie": []}]
ADMIN_OR_QUERY: Final[list[dict[str, list[str]]]] = [*ADMIN, {"adminKeyInQuery": []}]
SESSION: Final[list[dict[str, list[str]]]] = [{"sessionToken": []}, {"sessionTokenInQuery": []}, *ADMIN]

CONSOLE_COOKIE: Final = "console"
OPEN: Final = "open_to_all"  # the member of a handler's `opt`
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, 9.2.1


async def refuse_by_default(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Guard of the whole app: a new route is refused until it has a guard of its own or says `open_to_all=True`. The OPTIONS
    that Litestar adds to each route tells its methods alone."""
    if connection.scope.get("method") != "OPTIONS" and not is_declared(handler):
        raise Unauthorized("this route is open to nobody")


def is_declared(handler: BaseRouteHandler) -> bool:
    """Whether the handler, or a router around it, says for whom it is."""
    return handler.opt.get(OPEN) is True or any(guard is not refuse_by_default for guard in handler.resolve_guards())


def has_admin_key(connection: AnyConnection) -> bool:
    """On a route that is open to everybody: whether the request carries the admin key as a Bearer credential all the same."""
    return _keys(connection).is_admin(_bearer(connection))


async def admin(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """Guard: the admin key as a Bearer credential, or the console's cookie."""
    bearer = _bearer(connection)
    if not (_keys(connection).is_admin(bearer) or (bearer is None and _is_console(connection))):
        raise Unauthorized("the admin key is needed")


async def admin_or_query(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """Guard: the same, or the admin key as `?key=`."""
    if not is_operator(connection):
        raise Unauthorized("the admin key is needed")


async def session_as_admin(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """Guard: the admin key alone, on a session's route. Leaves the row for `authorised`."""
    await admin(connection, _)
    await session(connection, _)


async def session(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """Guard: the token of any lease of the session, as a Bearer credential or `?token=`, or the admin key. Leaves the row for
    `authorised`, with the viewer's lease; the admin key has none, unless a token stands beside it in the query.

    Without a valid token an unknown session is refused like any other, so that ids cannot be tried out."""
    session_id = connection.path_params["session_id"]
    bearer = _bearer(connection)
    by_key = _keys(connection).is_admin(bearer)
    given = bearer if bearer is not None and not by_key else connection.query_params.get("token")
    is_admin = by_key or (given is None and _is_console(connection))
    sessions: Sessions = connection.app.state.sessions
    try:
        if not is_id(session_id):
            raise NotFound(f"no session {session_id!r}")
        hashed = None if given is None else token_hash(given)
        row = await sessions.get(session_id, hashed)
    except NotFound as error:
        raise (error if is_admin else Unauthorized("the session's token is needed")) from None
    if not is_admin and (hashed is None or row.lease is None or not hmac.compare_digest(hashed, row.lease.token_hash)):
        raise Unauthorized("the session's token is needed")
    connection.scope["state"]["session"] = row
    connection.scope["state"]["operator"] = is_admin


def authorised(scope: Scope) -> SessionRow:
    """The row of the session that the guard `session` has authorised."""
    row = scope["state"]["session"]
    assert isinstance(row, SessionRow)
    return row


def by_operator(scope: Scope) -> bool:
    """Whether the guard `session` has authorised an operator; with a token in the query beside the key, one who also watches.
    On routes that it does not guard: no."""
    return bool(scope["state"].get("operator", False))


def is_operator(connection: AnyConnection) -> bool:
    """Whether the admin key or the console's cookie is presented, on whichever route."""
    bearer, key = _bearer(connection), connection.query_params.get("key")
    keys = _keys(connection)
    return keys.is_admin(bearer) or keys.is_admin(key) or (bearer is None and key is None and _is_console(connection))


def _is_console(connection: AnyConnection) -> bool:
    if connection.scope["type"] == ScopeType.WEBSOCKET:
        return False
    clock: Clock = connection.app.state.clock
    cookie = connection.cookies.get(CONSOLE_COOKIE)
    if cookie is None or not _keys(connection).is_console(cookie, clock()):
        return False
    return connection.scope["method"] in _SAFE or connection.headers.get("x-console") == "1"


def _keys(connection: AnyConnection) -> ApiKeys:
    keys: ApiKeys = connection.app.state.api_keys
    return keys


def _bearer(connection: AnyConnection) -> str | None:
    """RFC 6750, 2.1."""
    scheme, _, credential = connection.headers.get("authorization", "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else None
