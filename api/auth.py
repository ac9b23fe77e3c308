"""Who may call what: management needs the admin key, a session's routes its own token. Open routes say so by having no guard.

The console's pages carry a cookie instead of the key: a signed time at which it ends. Browsers send it by themselves, so it
counts only where nothing else is presented, and for what changes something only together with a header that no other site can
set. It never opens a WebSocket, where no page can set one.

A token is an HMAC of the channel and the viewer under a key derived from the admin key: a viewer who asks again gets the same
token, though only its SHA-256 is stored. All comparisons take constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any, Final

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import SecurityScheme
from litestar.types import Scope

from orchestrator.errors import NotFound, Unauthorized
from orchestrator.ports import SessionRow

if TYPE_CHECKING:
    from api.world import World

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

CONSOLE: Final = "console"  # the cookie's name
CONSOLE_S: Final = 12 * 3600
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, 9.2.1

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what an id or a slug can look like; anything else is not looked up


class Keys:
    """The admin key, and the tokens derived from it."""

    def __init__(self, admin_key: str) -> None:
        self._admin = hashlib.sha256(admin_key.encode()).digest()
        self._derived = hmac.digest(admin_key.encode(), b"hls-failover session token, v1", "sha256")
        self._console = hmac.digest(admin_key.encode(), b"hls-failover console, v1", "sha256")

    def is_admin(self, credential: str | None) -> bool:
        return credential is not None and hmac.compare_digest(hashlib.sha256(_bytes(credential)).digest(), self._admin)

    def token(self, channel_id: str, viewer: str) -> str:
        """The viewer's token for its sessions on this channel: 43 URL-safe characters."""
        return _text(hmac.digest(self._derived, f"{channel_id}\n{viewer}".encode(), "sha256"))

    def console_cookie(self, now: float) -> str:
        """What the console's pages carry for CONSOLE_S from now on. Of no use under another admin key."""
        end = str(int(now) + CONSOLE_S)
        return f"{end}.{_text(hmac.digest(self._console, end.encode(), 'sha256'))}"

    def is_console(self, cookie: str, now: float) -> bool:
        end, _, signature = cookie.partition(".")
        signed = _text(hmac.digest(self._console, _bytes(end), "sha256"))
        return hmac.compare_digest(_bytes(signature), signed.encode()) and int(end) > now

    def pseudonym(self, *parts: str) -> str:
        """A name for a viewer that says nothing about what it was made from, and cannot be guessed: 22 characters."""
        return _text(hmac.digest(self._derived, "\n".join(["viewer", *parts]).encode(), "sha256")[:16])


def token_hash(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(_bytes(token)).hexdigest()


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def has_admin_key(connection: AnyConnection) -> bool:
    """On a route that is open to everybody: whether the request carries the admin key as a Bearer credential all the same."""
    return _world(connection).keys.is_admin(_bearer(connection))


async def admin(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """Guard: the admin key as a Bearer credential, or the console's cookie."""
    bearer = _bearer(connection)
    if not (_world(connection).keys.is_admin(bearer) or (bearer is None and _is_console(connection))):
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
    To a stranger an unknown session looks like any other."""
    world = _world(connection)
    session_id = connection.path_params["session_id"]
    bearer = _bearer(connection)
    by_key = world.keys.is_admin(bearer)
    given = bearer if bearer is not None and not by_key else connection.query_params.get("token")
    is_admin = by_key or (given is None and _is_console(connection))
    try:
        if not is_id(session_id):
            raise NotFound(f"no session {session_id!r}")
        hashed = None if given is None else token_hash(given)
        row = await world.sessions.get(session_id, hashed)
    except NotFound as error:
        raise (error if is_admin else Unauthorized("the session's token is needed")) from None
    if not is_admin and (hashed is None or row.lease is None or not hmac.compare_digest(hashed, row.lease.token_hash)):
        raise Unauthorized("the session's token is needed")
    connection.scope["state"]["session"] = row
    connection.scope["state"]["operator"] = is_admin


def authorised(scope: Scope) -> SessionRow:
    """The row that the guard `session` has let in."""
    row = scope["state"]["session"]
    assert isinstance(row, SessionRow)
    return row


def by_operator(scope: Scope) -> bool:
    """Whether the guard `session` has let in an operator; with a token in the query beside the key, one who also watches. On
    routes that it does not guard: no."""
    return bool(scope["state"].get("operator", False))


def is_operator(connection: AnyConnection) -> bool:
    """Whether the admin key or the console's cookie is presented, on whichever route."""
    bearer, key = _bearer(connection), connection.query_params.get("key")
    keys = _world(connection).keys
    return keys.is_admin(bearer) or keys.is_admin(key) or (bearer is None and key is None and _is_console(connection))


def _is_console(connection: AnyConnection) -> bool:
    if connection.scope["type"] == ScopeType.WEBSOCKET:
        return False
    world = _world(connection)
    cookie = connection.cookies.get(CONSOLE)
    if cookie is None or not world.keys.is_console(cookie, world.clock()):
        return False
    return connection.scope["method"] in _SAFE or connection.headers.get("x-console") == "1"


def _world(connection: AnyConnection) -> World:
    world: World = connection.app.state.world
    return world


def _bearer(connection: AnyConnection) -> str | None:
    """RFC 6750, 2.1."""
    scheme, _, credential = connection.headers.get("authorization", "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(digest: bytes) -> str:
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
