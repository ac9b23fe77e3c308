"""Refuses a WebSocket by accepting and closing it, with a code and a reason: a web page cannot read a refusal before the
upgrade.

The code is 4000 and the HTTP status of the same refusal (4401: no token or a wrong one, 4404, 4422, 4503 ...), from the range
that RFC 6455, 7.4.2, leaves to applications. The reason is the problem document's title and detail.
"""

from __future__ import annotations

from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problem_document import describe

_REASON_BYTES: Final = 123  # RFC 6455, 5.5
_CODES: Final = 4000
_ERROR: Final = "refused by"


async def remember(error: Exception, scope: Scope) -> None:
    """Litestar's hook `after_exception`. Ours, because Litestar closes the socket before it is accepted, and clients would read
    no more than a failed connection."""
    if scope["type"] == ScopeType.WEBSOCKET:
        scope["state"][_ERROR] = error


def accepting(app: ASGIApp) -> ASGIApp:
    """Middleware of routes with WebSockets."""

    async def socket(scope: Scope, receive: Receive, send: Send) -> None:
        accepted = scope["type"] != ScopeType.WEBSOCKET

        async def closing(message: Message) -> None:
            nonlocal accepted
            error = scope["state"].get(_ERROR)
            if not accepted and message["type"] == "websocket.close" and isinstance(error, Exception):
                await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
                code, reason = code_and_reason(error)
                message = {"type": "websocket.close", "code": code, "reason": reason}
            accepted = accepted or message["type"] == "websocket.accept"
            await send(message)

        await app(scope, receive, closing)

    return socket


def code_and_reason(error: Exception) -> tuple[int, str]:
    """The reason is cut off at the protocol's limit."""
    problem, _ = describe(error)
    words = problem.title if problem.detail is None else f"{problem.title}: {problem.detail}"
    return _CODES + problem.status, words.encode()[:_REASON_BYTES].decode(errors="ignore")
