"""Routes of failover channels: their sources are used, in order, when all of a channel's own are down."""

from __future__ import annotations

from typing import Annotated

from litestar import Router, get, put
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api import auth
from api.catalogue_lookup import CatalogueLookup
from api.changes.announcements import announcing_changes
from api.http.bodies import StrictBody
from api.http.fields import FAILOVERS
from api.injection import Injected
from api.routes.channels import TAG
from api.session.views import ChannelName
from orchestrator.core.model import Channel
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.ports import Catalogue


class FailoverList(Struct, kw_only=True, forbid_unknown_fields=True):
    """All of them, by slug or id, in the order in which they are tried."""

    channels: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=FAILOVERS)]


class FailoverView(Struct, kw_only=True):
    channels: list[ChannelName]

    @classmethod
    def of(cls, channels: tuple[Channel, ...]) -> FailoverView:
        return cls(channels=[ChannelName(id=each.id, slug=each.slug, name=each.name) for each in channels])


SPORT = FailoverView(channels=[ChannelName(id="c-7h4k1p9d", slug="sport", name="Sport")])


@get("/v1/channels/{channel:str}/failovers", summary="A channel's failover channels, in order", answer=SPORT)
async def list_failovers(
    lookup: Injected[CatalogueLookup], catalogue: Injected[Catalogue], channel: FromPath[str]
) -> FailoverView:
    found = await lookup.channel(channel)
    return FailoverView.of(await catalogue.failovers(found.id))


@put(
    "/v1/channels/{channel:str}/failovers",
    summary="Set a channel's failover channels",
    body=FailoverList(channels=["sport"]),
    answer=SPORT,
)
async def set_failovers(
    lookup: Injected[CatalogueLookup],
    catalogue: Injected[Catalogue],
    channel: FromPath[str],
    data: JSONBody[FailoverList],
) -> FailoverView:
    """Running sessions follow the new order. Failover channels may have failover channels in turn; cycles are allowed."""
    found = await lookup.channel(channel)
    channel_ids = [await _id_of(lookup, name) for name in data.channels]
    return FailoverView.of(await catalogue.set_failovers(found.id, channel_ids))


async def _id_of(lookup: CatalogueLookup, name: str) -> str:
    try:
        return (await lookup.channel(name)).id
    except NotFound:
        raise InvalidInput("channels", f"no such channel: {name!r}") from None


routes = Router(
    path="/",
    guards=[auth.admin],
    middleware=[announcing_changes],
    security=auth.ADMIN,
    tags=[TAG.name],
    dto=StrictBody,
    route_handlers=[list_failovers, set_failovers],
)
