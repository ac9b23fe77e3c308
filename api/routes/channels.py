"""Routes of channels. A path names a channel by its slug or its id."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Router, delete, get, patch, post
from litestar.openapi.spec import Tag
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType, convert
from msgspec.structs import replace

from api import auth
from api.catalogue_lookup import CatalogueLookup
from api.changes.announcements import announcing_changes
from api.changes.nudges import Nudges
from api.http.bodies import StrictBody
from api.http.fields import SOURCES, Name, Number, Slug, Text, Url, is_id
from api.injection import Injected
from api.routes.sources import HLS, MPEG_TS, NewSourceBody, SourceView
from orchestrator.core.bounds import slug_of
from orchestrator.core.model import Channel, ChannelPolicy, Failback, Hevc, Profile, Sharing, Source, StableTime
from orchestrator.core.presentation.event_payload import timestamp
from orchestrator.errors import AlreadyExists, InvalidInput
from orchestrator.ports import Catalogue, NewSource

TAG = Tag("Channels", "What a viewer chooses, with its ordered sources.")

_SLUGS_TRIED = 20  # of a slug made from the name: news, news-2, news-3 …


class PolicyBody(ChannelPolicy, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the channel's sessions behave."""

    @classmethod
    def of(cls, policy: ChannelPolicy) -> PolicyBody:
        return convert(policy, cls, from_attributes=True)

    def policy(self) -> ChannelPolicy:
        return convert(self, ChannelPolicy, from_attributes=True)


class PolicyChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only what is given changes."""

    profile: Profile | UnsetType = UNSET
    hevc: Hevc | UnsetType = UNSET
    sharing: Sharing | UnsetType = UNSET
    failback: Failback | UnsetType = UNSET
    failback_stable_s: StableTime | UnsetType = UNSET
    slate: bool | UnsetType = UNSET


class NewChannel(Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name
    slug: Slug | None = None  # null: made from the name
    sources: Annotated[list[NewSourceBody], Meta(max_length=SOURCES, description="In the order to try them.")] = []
    number: Number | None = None
    group: Text | None = None
    logo: Url | None = None
    tvg_id: Text | None = None
    tvg_name: Text | None = None
    enabled: bool = True
    policy: PolicyBody = PolicyBody()


class ChannelChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """Only what is given changes; null removes."""

    name: Name | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET
    number: Number | UnsetType | None = UNSET
    group: Text | UnsetType | None = UNSET
    logo: Url | UnsetType | None = UNSET
    tvg_id: Text | UnsetType | None = UNSET
    tvg_name: Text | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    policy: PolicyChange | UnsetType = UNSET


class ChannelView(Struct, kw_only=True):
    id: str
    slug: str
    name: str
    number: int | None
    group: str | None
    logo: str | None
    tvg_id: str | None
    tvg_name: str | None
    enabled: bool
    policy: PolicyBody
    active_source_id: str | None
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, channel: Channel) -> ChannelView:
        return cls(**_members(channel))


class ChannelWithSources(ChannelView, kw_only=True):
    sources: list[SourceView]

    @classmethod
    def with_sources(cls, channel: Channel, sources: tuple[Source, ...]) -> ChannelWithSources:
        return cls(**_members(channel), sources=[SourceView.of(source) for source in sources])


class ChannelPage(Struct, kw_only=True):
    items: list[ChannelView]
    next: str | None  # `after` of the next page; null: this is the last


def _members(channel: Channel) -> dict[str, Any]:
    return {
        "id": channel.id,
        "slug": channel.slug,
        "name": channel.name,
        "number": channel.number,
        "group": channel.group,
        "logo": channel.logo,
        "tvg_id": channel.tvg_id,
        "tvg_name": channel.tvg_name,
        "enabled": channel.enabled,
        "policy": PolicyBody.of(channel.policy),
        "active_source_id": channel.active_source_id,
        "created_at": timestamp(channel.created_at),
        "updated_at": timestamp(channel.updated_at),
    }


_NEWS = Channel(
    id="c-3f8w2n6r",
    slug="news",
    name="News",
    number=1,
    group="Information",
    tvg_id="news.example",
    active_source_id=HLS.id,
    created_at=1748811600.0,
    updated_at=1748811600.0,
)
NEWS = ChannelView.of(_NEWS)
NEWS_WITH_SOURCES = ChannelWithSources(**_members(_NEWS), sources=[HLS, MPEG_TS])


@get("/", summary="Channels", answer=ChannelPage(items=[NEWS], next=None))
async def list_channels(
    catalogue: Injected[Catalogue],
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    after: Annotated[str | None, QueryParameter(max_length=64, description="`next` of the page before.")] = None,
    search: Annotated[str | None, QueryParameter(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")] = None,
) -> ChannelPage:
    """By number, then name."""
    if after is not None and not is_id(after):
        raise InvalidInput("after", "not a channel's id")
    found = await catalogue.channels(limit=limit + 1, after=after, search=search)
    page = found[:limit]
    return ChannelPage(items=[ChannelView.of(channel) for channel in page], next=page[-1].id if len(found) > limit else None)


@post(
    "/",
    summary="Create a channel",
    body=NewChannel(
        slug="news",
        name="News",
        number=1,
        sources=[
            NewSourceBody(url=HLS.url, headers=HLS.headers),
            NewSourceBody(url=MPEG_TS.url, user_agent=MPEG_TS.user_agent),
        ],
    ),
    answer=NEWS_WITH_SOURCES,
    refusals=[409],
)
async def create_channel(
    lookup: Injected[CatalogueLookup], catalogue: Injected[Catalogue], data: JSONBody[NewChannel]
) -> ChannelWithSources:
    """The list's order is the sources' priority. Without a slug one is made from the name."""
    sources = [await source.checked(lookup, f"sources[{index}].") for index, source in enumerate(data.sources)]
    channel = Channel(
        id="",
        slug=data.slug or slug_of(data.name),
        name=data.name,
        number=data.number,
        group=data.group,
        logo=data.logo,
        tvg_id=data.tvg_id,
        tvg_name=data.tvg_name,
        enabled=data.enabled,
        policy=data.policy.policy(),
    )
    created = await (_add(catalogue, channel, sources) if data.slug else _add_under_free_slug(catalogue, channel, sources))
    return ChannelWithSources.with_sources(created, await catalogue.sources(created.id))


@get("/{channel:str}", summary="A channel", answer=NEWS_WITH_SOURCES)
async def get_channel(
    lookup: Injected[CatalogueLookup], catalogue: Injected[Catalogue], channel: FromPath[str]
) -> ChannelWithSources:
    found = await lookup.channel(channel)
    return ChannelWithSources.with_sources(found, await catalogue.sources(found.id))


@patch(
    "/{channel:str}",
    summary="Change a channel",
    body=ChannelChange(name="News", enabled=True),
    answer=NEWS_WITH_SOURCES,
    refusals=[409],
)
async def change_channel(
    lookup: Injected[CatalogueLookup],
    catalogue: Injected[Catalogue],
    nudges: Injected[Nudges],
    channel: FromPath[str],
    data: JSONBody[ChannelChange],
) -> ChannelWithSources:
    """Disabling a channel ends its sessions."""
    found = await lookup.channel(channel)
    changes = _given(data)
    if isinstance(policy := changes.get("policy"), PolicyChange):
        changes["policy"] = replace(found.policy, **_given(policy))
    try:
        changed = await catalogue.update_channel(replace(found, **changes))
    except AlreadyExists:
        raise AlreadyExists(f"a channel with the slug {data.slug!r} exists") from None
    if found.enabled and not changed.enabled:
        await nudges.sessions_of(changed.id)
    return ChannelWithSources.with_sources(changed, await catalogue.sources(changed.id))


@delete("/{channel:str}", summary="Delete a channel")
async def delete_channel(
    lookup: Injected[CatalogueLookup], catalogue: Injected[Catalogue], nudges: Injected[Nudges], channel: FromPath[str]
) -> None:
    """Its sources are deleted with it, and its sessions end."""
    channel_id = (await lookup.channel(channel)).id
    await catalogue.delete_channel(channel_id)
    await nudges.sessions_of(channel_id)


def _given(change: Struct) -> dict[str, Any]:
    return {name: value for name in change.__struct_fields__ if (value := getattr(change, name)) is not UNSET}


async def _add(catalogue: Catalogue, channel: Channel, sources: list[NewSource]) -> Channel:
    try:
        return await catalogue.add_channel(channel, sources)
    except AlreadyExists:
        raise AlreadyExists(f"a channel with the slug {channel.slug!r} exists") from None


async def _add_under_free_slug(catalogue: Catalogue, channel: Channel, sources: list[NewSource]) -> Channel:
    slug = channel.slug
    for count in range(2, _SLUGS_TRIED + 1):
        try:
            return await catalogue.add_channel(channel, sources)
        except AlreadyExists:
            channel = replace(channel, slug=f"{slug}-{count}")
    return await _add(catalogue, channel, sources)


routes = Router(
    path="/v1/channels",
    guards=[auth.admin],
    middleware=[announcing_changes],
    security=auth.ADMIN,
    tags=[TAG.name],
    dto=StrictBody,
    route_handlers=[list_channels, create_channel, get_channel, change_channel, delete_channel],
)
