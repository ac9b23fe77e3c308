"""Gives each request an id: in every log line of its handling (field `request`), and in the answer (`X-Request-Id`).

The id is the client's `X-Request-Id`, so that a proxy's log and ours can be joined; a new one where the client sends none, or
one that could not be written into a log as it is.
"""

from __future__ import annotations

import re
import secrets

from litestar.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

HEADER = "X-Request-Id"
_ACCEPTED = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def with_request_id(app: ASGIApp) -> ASGIApp:
    """ASGI middleware; it belongs outside of everything that may log."""

    async def identified(scope: Scope, receive: Receive, send: Send) -> None:
        request_id = _id_of(scope)

        async def send_identified(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (HEADER.lower().encode(), request_id.encode())]
            await send(message)

        with bound_contextvars(request=request_id):
            await app(scope, receive, send_identified)

    return identified


def _id_of(scope: Scope) -> str:
    for name, value in scope.get("headers", ()):
        if name == HEADER.lower().encode() and _ACCEPTED.fullmatch(value):
            return value.decode("ascii")
    return secrets.token_hex(8)
