"""Routes of providers: accounts that sources belong to, and how many connections each allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from litestar import Router, delete, get, patch, post
from litestar.openapi.spec import Tag
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from api import auth
from api.catalogue_lookup import CatalogueLookup
from api.changes.announcements import announcing_changes
from api.http.bodies import StrictBody
from api.http.fields import Name
from api.injection import Injected
from orchestrator.core.model import Provider
from orchestrator.core.presentation.event_payload import timestamp
from orchestrator.errors import AlreadyExists
from orchestrator.ports import Providers

TAG = Tag("Providers", "Accounts that sources come from, and what their playlists bring.")

Connections = Annotated[int, Meta(ge=1, le=100_000, description="At the same time; null: any number.")]


class NewProvider(Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name
    max_connections: Connections | None = None


class ProviderChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """Only what is given changes."""

    name: Name | UnsetType = UNSET
    max_connections: Connections | UnsetType | None = UNSET


class ProviderView(Struct, kw_only=True):
    id: str
    name: str
    max_connections: int | None
    connections_in_use: int  # by sessions
    created_at: str

    @classmethod
    def of(cls, provider: Provider, in_use: Mapping[str, int]) -> ProviderView:
        return cls(
            id=provider.id,
            name=provider.name,
            max_connections=provider.max_connections,
            connections_in_use=in_use.get(provider.id, 0),
            created_at=timestamp(provider.created_at),
        )


ACME = ProviderView.of(Provider(id="p-2c7d5m9x", name="Acme TV", max_connections=4, created_at=1748811600.0), {"p-2c7d5m9x": 2})


@get("/", summary="Providers", answer=[ACME])
async def list_providers(providers: Injected[Providers]) -> list[ProviderView]:
    """By name, each with the connections that sessions have in use."""
    in_use = await providers.in_use()
    return [ProviderView.of(provider, in_use) for provider in await providers.all()]


@post("/", summary="Create a provider", body=NewProvider(name="Acme TV", max_connections=4), answer=ACME, refusals=[409])
async def create_provider(providers: Injected[Providers], data: JSONBody[NewProvider]) -> ProviderView:
    try:
        return ProviderView.of(await providers.add(data.name, data.max_connections), {})
    except AlreadyExists:
        raise AlreadyExists(f"a provider named {data.name!r} exists") from None


@get("/{provider_id:str}", summary="A provider", answer=ACME)
async def get_provider(
    lookup: Injected[CatalogueLookup], providers: Injected[Providers], provider_id: FromPath[str]
) -> ProviderView:
    return ProviderView.of(await lookup.provider(provider_id), await providers.in_use())


@patch("/{provider_id:str}", summary="Change a provider", body=ProviderChange(max_connections=8), answer=ACME, refusals=[409])
async def change_provider(
    lookup: Injected[CatalogueLookup],
    providers: Injected[Providers],
    provider_id: FromPath[str],
    data: JSONBody[ProviderChange],
) -> ProviderView:
    """A lowered limit ends no session: no new connection is opened until fewer are in use."""
    found = await lookup.provider(provider_id)
    changes = {name: value for name in data.__struct_fields__ if (value := getattr(data, name)) is not UNSET}
    try:
        changed = await providers.update(replace(found, **changes))
    except AlreadyExists:
        raise AlreadyExists(f"a provider named {data.name!r} exists") from None
    return ProviderView.of(changed, await providers.in_use())


@delete("/{provider_id:str}", summary="Delete a provider")
async def delete_provider(
    lookup: Injected[CatalogueLookup], providers: Injected[Providers], provider_id: FromPath[str]
) -> None:
    """Its sources are deleted with it, and the channels that its imports created where they have no source left."""
    await providers.delete((await lookup.provider(provider_id)).id)


routes = Router(
    path="/v1/providers",
    guards=[auth.admin],
    middleware=[announcing_changes],
    security=auth.ADMIN,
    tags=[TAG.name],
    dto=StrictBody,
    route_handlers=[list_providers, create_provider, get_provider, change_provider, delete_provider],
)
