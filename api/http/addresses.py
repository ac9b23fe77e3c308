"""The addresses that clients are given: of this API, and of sessions' playlists."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from litestar.connection import ASGIConnection


class PublicAddresses:
    """`origin_url`: what viewers see in front of the bucket's keys. `public_url`: of this API; None: as each client addressed
    it."""

    def __init__(self, origin_url: str, public_url: str | None) -> None:
        self.origin_url = origin_url
        self._public_url = public_url

    def base_url(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str:
        """Of this API, as the client reaches it; without a slash at the end."""
        return (self._public_url or str(connection.base_url)).rstrip("/")

    def playlist_through_api(self, connection: ASGIConnection[Any, Any, Any, Any], session_id: str, token: str | None) -> str:
        """The session's playlist as a plain player reads it: each read renews the viewer's lease. `token` None: the reader
        sends the admin key."""
        return f"{self.base_url(connection)}/v1/sessions/{session_id}/index.m3u8{token_query(token)}"


def token_query(token: str | None) -> str:
    """With its question mark; empty without a token."""
    return "" if token is None else f"?token={quote(token, safe='')}"
