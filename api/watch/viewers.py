"""Viewers of the open routes: their names, and the sessions that they may start.

A viewer is a browser (identified by a cookie), a page of another site (by a secret of its own: no cookie of ours is sent from
there) or a player (by its address and user agent). The name is derived from that secret, so that nobody can take over another
viewer's session by naming it.
"""

from __future__ import annotations

from typing import Final

from api.auth import has_admin_key
from api.catalogue_lookup import CatalogueLookup
from api.keys import ApiKeys
from api.session.answers import AnyRequest
from api.session.joining import JoinedSession, SessionRequests
from api.watch.address_limits import AddressLimits
from orchestrator.core.model import SHARED
from orchestrator.ports import Sessions

COOKIE: Final = "viewer"


class OpenSessionRequests:
    """As `SessionRequests`, within what the client's address may start."""

    def __init__(
        self,
        session_requests: SessionRequests,
        lookup: CatalogueLookup,
        sessions: Sessions,
        keys: ApiKeys,
        address_limits: AddressLimits,
    ) -> None:
        self._session_requests = session_requests
        self._lookup = lookup
        self._sessions = sessions
        self._keys = keys
        self._address_limits = address_limits

    async def join(self, request: AnyRequest, channel: str, secret: str | None = None) -> JoinedSession:
        """`secret`: as a page of another site has sent it. Raises AddressLimitReached as well."""
        viewer = self.viewer(request, secret)
        found = await self._lookup.channel(channel)
        whose = SHARED if found.policy.sharing == "channel" else viewer
        if has_admin_key(request) or await self._sessions.runs(found.id, whose):
            return await self._session_requests.join(channel, viewer)
        taken = await self._address_limits.take(request.client.host if request.client else None, found.id, viewer)
        started = False
        try:
            joined = await self._session_requests.join(channel, viewer)
            started = joined.is_new
            return joined
        finally:
            await taken.settle(started=started)

    def viewer(self, request: AnyRequest, secret: str | None = None) -> str:
        """The viewer's name. It begins with one of `disclosure.ANONYMOUS_PREFIXES`."""
        if secret is not None:
            return f"page-{self._keys.pseudonym('page', secret)}"
        if cookie := cookie_of(request):
            return f"browser-{self._keys.pseudonym('cookie', cookie)}"
        host = request.client.host if request.client else ""
        return f"player-{self._keys.pseudonym('address', host, request.headers.get('user-agent', ''))}"


def cookie_of(request: AnyRequest) -> str | None:
    """The viewer's cookie; None where it is not one that we have set: 24 random bytes."""
    cookie = request.cookies.get(COOKIE, "")
    return cookie if len(cookie) == 32 and cookie.replace("-", "").replace("_", "").isalnum() else None
