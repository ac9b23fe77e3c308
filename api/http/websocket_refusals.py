"""A WebSocket that is refused is accepted and closed, with a code and a reason: a web page cannot read a refusal before the
upgrade.

The code is 4000 and the HTTP status of the same refusal (4401: no token or a wrong one, 4404, 4422, 4503 ...), from the range
that RFC 6455, 7.4.2, leaves to applications. The reason is the problem document's title and detail.
"""

from __future__ import annotations

from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api import problems

_REASON_BYTES: Final = 123  # RFC 6455, 5.5
_CODES: Final = 4000
_ERROR: Final = "refused by"


async def remember(error: Exception, scope: Scope) -> None:
    """Litestar's hook `after_exception`: what it closes the socket with says less."""
    if scope["type"] == ScopeType.WEBSOCKET:
        scope["state"][_ERROR] = error


def told(app: ASGIApp) -> ASGIApp:
    """Middleware of routes with WebSockets."""

    async def socket(scope: Scope, receive: Receive, send: Send) -> None:
        accepted = scope["type"] != ScopeType.WEBSOCKET

        async def telling(message: Message) -> None:
            nonlocal accepted
            error = scope["state"].get(_ERROR)
            if not accepted and message["type"] == "websocket.close" and isinstance(error, Exception):
                await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
                code, reason = closing(error)
                message = {"type": "websocket.close", "code": code, "reason": reason}
            accepted = accepted or message["type"] == "websocket.accept"
            await send(message)

        await app(scope, receive, telling)

    return socket


def closing(error: Exception) -> tuple[int, str]:
    """Code and reason, which may be cut off."""
    problem, _ = problems.describe(error)
    words = problem.title if problem.detail is None else f"{problem.title}: {problem.detail}"
    return _CODES + problem.status, words.encode()[:_REASON_BYTES].decode(errors="ignore")
