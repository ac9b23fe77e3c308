"""Builds responses about sessions: reads what a view needs beside the row, and handles `Prefer: wait` (RFC 7240)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import Request, Response
from litestar.params import HeaderParameter

from api import auth
from api.http.addresses import PublicAddresses
from api.http.fields import WAIT_S
from api.keys import ApiKeys
from api.session.disclosure import Disclosure
from api.session.joining import JoinedSession, StartWait
from api.session.lease_renewal import LeaseRenewal
from api.session.views import GrantedSession, SessionView
from orchestrator.core.model import Channel
from orchestrator.errors import NotFound
from orchestrator.ports import Catalogue, SessionRow

AnyRequest = Request[Any, Any, Any]
Prefer = Annotated[
    str | None,
    HeaderParameter(
        name="Prefer", description=f"`wait=N`: hold the answer until live or refused, N up to {WAIT_S:.0f} s (RFC 7240)."
    ),
]


def wait_s(prefer: str | None) -> float | None:
    """The seconds of `Prefer: wait=N`, bounded; None where none are given. What cannot be read is ignored (RFC 7240, 2)."""
    for preference in (prefer or "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        value = value.strip().strip('"')
        if name.strip().lower() == "wait" and value.isascii() and value.isdigit():
            return min(float(value), WAIT_S)
    return None


class SessionAnswers:
    def __init__(
        self,
        catalogue: Catalogue,
        keys: ApiKeys,
        addresses: PublicAddresses,
        leases: LeaseRenewal,
        start_wait: StartWait,
    ) -> None:
        self._catalogue = catalogue
        self._keys = keys
        self._addresses = addresses
        self._leases = leases
        self._start_wait = start_wait

    async def one(self, request: AnyRequest, row: SessionRow) -> SessionView:
        viewers = await self._leases.viewers({row.session.id})
        return self._view(request, row, await self._channel(row.session.channel_id), viewers.get(row.session.id, 0))

    async def many(self, request: AnyRequest, rows: Sequence[SessionRow]) -> list[SessionView]:
        channels = {id: await self._channel(id) for id in {row.session.channel_id for row in rows}}
        viewers = await self._leases.viewers({row.session.id for row in rows})
        return [self._view(request, row, channels[row.session.channel_id], viewers.get(row.session.id, 0)) for row in rows]

    async def grant(self, request: AnyRequest, joined: JoinedSession, limit_s: float | None) -> Response[GrantedSession]:
        """201 for a new session, else 200, with its token. `limit_s`: waits so long until it plays. Raises NoHealthySource,
        SessionEnded."""
        row = joined.row if limit_s is None else await self._start_wait.until_playing(joined.row, limit_s)
        viewers = 1 if joined.is_new and limit_s is None else None
        return Response(
            await self.granted(request, joined, row, viewers),
            status_code=201 if joined.is_new else 200,
            headers={} if limit_s is None else {"Preference-Applied": f"wait={limit_s:.0f}"},
        )

    async def granted(
        self, request: AnyRequest, joined: JoinedSession, row: SessionRow, viewers: int | None = None
    ) -> GrantedSession:
        """`viewers` None: they are counted."""
        if viewers is None:
            viewers = (await self._leases.viewers({row.session.id})).get(row.session.id, 0)
        return GrantedSession.of(
            row,
            joined.channel,
            viewers,
            addresses=self._addresses,
            connection=request,
            to=self._disclosure(request, row),
            token=joined.token,
        )

    def _view(self, request: AnyRequest, row: SessionRow, channel: Channel | None, viewers: int) -> SessionView:
        to = self._disclosure(request, row)
        return SessionView.of(row, channel, viewers, addresses=self._addresses, connection=request, to=to)

    def _disclosure(self, request: AnyRequest, row: SessionRow) -> Disclosure:
        return Disclosure(self._keys, row, operator=auth.by_operator(request.scope))

    async def _channel(self, channel_id: str) -> Channel | None:
        """None: it was deleted meanwhile, and its sessions stay as history."""
        try:
            return await self._catalogue.channel(channel_id)
        except NotFound:
            return None
