"""Routes of sources: one upstream address each, in the order in which they are tried. Their URLs may hold credentials, so all
routes need the admin key."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from litestar import Router, delete, get, patch, post, put
from litestar.openapi.spec import Tag
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from api import auth
from api.catalogue_lookup import CatalogueLookup
from api.changes.announcements import announcing_changes
from api.http.bodies import StrictBody
from api.http.fields import SOURCES, Headers, Priority, ProviderId, Url, UserAgent, check_url
from api.injection import Injected
from api.routes.probe_requests import ProbeRequests
from api.session.views import optional_timestamp
from orchestrator.core.bounds import InputFault
from orchestrator.core.model import Media, Source, SourceStatus
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.ports import Catalogue, NewSource

T = TypeVar("T")

TAG = Tag("Sources", "Upstream addresses of channels, their order and their health.")


class NewSourceBody(Struct, kw_only=True, forbid_unknown_fields=True):
    url: Url
    user_agent: UserAgent | None = None
    headers: Headers = {}
    provider_id: ProviderId | None = None

    async def checked(self, lookup: CatalogueLookup, path: str = "") -> NewSource:
        """The source as the catalogue takes it. `path` stands before the field's name in a refusal. Raises InvalidInput."""
        check_url(f"{path}url", self.url)
        await check_provider(lookup, f"{path}provider_id", self.provider_id)
        return NewSource(
            url=self.url, user_agent=self.user_agent or None, headers=self.headers, provider_id=self.provider_id or None
        )


class AddedSource(NewSourceBody, kw_only=True, forbid_unknown_fields=True):
    priority: Priority | None = None  # those behind it move down; null: at the end


class SourceChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """Only what is given changes."""

    url: Url | UnsetType = UNSET
    user_agent: UserAgent | UnsetType = UNSET
    headers: Headers | UnsetType = UNSET
    provider_id: ProviderId | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class SourceOrder(Struct, kw_only=True, forbid_unknown_fields=True):
    """All of the channel's sources, in the order in which they are tried."""

    source_ids: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=SOURCES)]


class SourceView(Struct, kw_only=True):
    id: str
    channel_id: str
    provider_id: str | None
    url: str
    priority: int
    user_agent: str | None
    headers: dict[str, str]
    status: SourceStatus
    failure_count: int
    stall_count: int
    failures_in_a_row: int  # above 0: it is held off after the last failure, longer with each one
    last_checked_at: str | None
    last_failed_at: str | None
    last_failure_reason: str | None
    healthy_since: str | None  # as its probes say
    media: Media | None

    @classmethod
    def of(cls, source: Source) -> SourceView:
        return cls(
            id=source.id,
            channel_id=source.channel_id,
            provider_id=source.provider_id,
            url=source.url,
            priority=source.priority,
            user_agent=source.user_agent,
            headers=source.headers,
            status=source.status,
            failure_count=source.failure_count,
            stall_count=source.stall_count,
            failures_in_a_row=source.failures_in_a_row,
            last_checked_at=optional_timestamp(source.last_checked_at),
            last_failed_at=optional_timestamp(source.last_failed_at),
            last_failure_reason=source.last_failure_reason,
            healthy_since=optional_timestamp(source.healthy_since),
            media=source.media,
        )


HLS = SourceView(
    id="x-9m2k4q7t",
    channel_id="c-3f8w2n6r",
    provider_id=None,
    url="https://cdn.example.com/news/index.m3u8",
    priority=1,
    user_agent=None,
    headers={"Referer": "https://www.example.com/"},
    status=SourceStatus.HEALTHY,
    failure_count=1,
    stall_count=0,
    failures_in_a_row=0,
    last_checked_at="2025-06-01T21:04:10.000Z",
    last_failed_at="2025-06-01T20:11:02.350Z",
    last_failure_reason="404 Not Found",
    healthy_since="2025-06-01T20:13:02.120Z",
    media=Media(video="h264", audio="aac", channels=2, width=1280, height=720, bitrate_bps=1_500_000, cadence_s=2.0),
)
MPEG_TS = SourceView(
    id="x-5h1c8v3b",
    channel_id="c-3f8w2n6r",
    provider_id="p-2c7d5m9x",
    url="http://provider.example.net:8000/live/4711.ts",
    priority=2,
    user_agent="VLC/3.0",
    headers={},
    status=SourceStatus.UNKNOWN,
    failure_count=0,
    stall_count=0,
    failures_in_a_row=0,
    last_checked_at=None,
    last_failed_at=None,
    last_failure_reason=None,
    healthy_since=None,
    media=None,
)


@get("/v1/sources", summary="Sources with a status", answer=[HLS])
async def list_sources(
    catalogue: Injected[Catalogue], status: FromQuery[Literal["problematic"]] = "problematic"
) -> list[SourceView]:
    """The sources of all channels that are problematic now."""
    return [SourceView.of(source) for source in await catalogue.problematic_sources()]


@get("/v1/sources/{source_id:str}", summary="A source", answer=HLS)
async def get_source(lookup: Injected[CatalogueLookup], source_id: FromPath[str]) -> SourceView:
    return SourceView.of(await lookup.source(source_id))


@patch(
    "/v1/sources/{source_id:str}",
    summary="Change a source",
    body=SourceChange(url="https://cdn2.example.com/news/index.m3u8", enabled=True),
    answer=HLS,
)
async def change_source(
    lookup: Injected[CatalogueLookup],
    catalogue: Injected[Catalogue],
    probe_requests: Injected[ProbeRequests],
    source_id: FromPath[str],
    data: JSONBody[SourceChange],
) -> SourceView:
    """A changed URL, or `"enabled": true`, sets the status to `unknown`. An empty `user_agent` or `provider_id` removes it.
    If its address, user agent or headers have changed, the orchestrator probes it soon."""
    before = await lookup.source(source_id)
    if data.url is not UNSET:
        check_url("url", data.url)
    await check_provider(lookup, "provider_id", given(data.provider_id))
    changed = await catalogue.update_source(
        source_id,
        url=given(data.url),
        user_agent=given(data.user_agent),
        headers=given(data.headers),
        enabled=given(data.enabled),
        provider_id=given(data.provider_id),
    )
    if changed.address != before.address and changed.status is not SourceStatus.DISABLED:
        await probe_requests.ask(source_id)
    return SourceView.of(changed)


@delete("/v1/sources/{source_id:str}", summary="Delete a source")
async def delete_source(lookup: Injected[CatalogueLookup], catalogue: Injected[Catalogue], source_id: FromPath[str]) -> None:
    """Sessions that play it move on to the next source."""
    await lookup.source(source_id)
    await catalogue.delete_source(source_id)


@post("/v1/sources/{source_id:str}/probe", summary="Probe a source now", status_code=200, answer=HLS)
async def probe_source(
    lookup: Injected[CatalogueLookup], probe_requests: Injected[ProbeRequests], source_id: FromPath[str]
) -> SourceView:
    """A source that works becomes `healthy`, or `recovered` where it had failed; one that does not becomes `problematic`, with
    the reason. Requests during a probe get the answer of the same probe. 503 where sessions hold all of its provider's
    connections, or where no orchestrator runs: the source stays as it is; in the latter case it is probed once one runs."""
    await lookup.source(source_id)
    return SourceView.of(await probe_requests.probed(source_id))


@get("/v1/channels/{channel:str}/sources", summary="A channel's sources, in order", answer=[HLS, MPEG_TS])
async def list_channel_sources(
    lookup: Injected[CatalogueLookup], catalogue: Injected[Catalogue], channel: FromPath[str]
) -> list[SourceView]:
    found = await lookup.channel(channel)
    return [SourceView.of(source) for source in await catalogue.sources(found.id)]


@post(
    "/v1/channels/{channel:str}/sources",
    summary="Add a source",
    body=AddedSource(url=MPEG_TS.url, user_agent=MPEG_TS.user_agent, priority=2),
    answer=MPEG_TS,
)
async def add_source(
    lookup: Injected[CatalogueLookup], catalogue: Injected[Catalogue], channel: FromPath[str], data: JSONBody[AddedSource]
) -> SourceView:
    found = await lookup.channel(channel)
    if len(await catalogue.sources(found.id)) >= SOURCES:
        raise InvalidInput("sources", f"a channel has at most {SOURCES} sources")
    return SourceView.of(await catalogue.add_source(found.id, await data.checked(lookup), data.priority))


@put(
    "/v1/channels/{channel:str}/sources",
    summary="Order a channel's sources",
    body=SourceOrder(source_ids=[MPEG_TS.id, HLS.id]),
    answer=[MPEG_TS, HLS],
)
async def order_sources(
    lookup: Injected[CatalogueLookup], catalogue: Injected[Catalogue], channel: FromPath[str], data: JSONBody[SourceOrder]
) -> list[SourceView]:
    found = await lookup.channel(channel)
    return [SourceView.of(source) for source in await catalogue.order_sources(found.id, data.source_ids)]


async def check_provider(lookup: CatalogueLookup, field: str, provider_id: str | None) -> None:
    """Raises InvalidInput where there is no such provider."""
    if provider_id:
        try:
            await lookup.provider(provider_id)
        except NotFound:
            raise InvalidInput(field, "no such provider", InputFault.NO_PROVIDER) from None


def given(value: T | UnsetType) -> T | None:
    """None where the client has not given the member: the catalogue leaves it as it is."""
    return None if value is UNSET else value


routes = Router(
    path="/",
    guards=[auth.admin],
    middleware=[announcing_changes],
    security=auth.ADMIN,
    tags=[TAG.name],
    dto=StrictBody,
    route_handlers=[
        list_sources,
        get_source,
        change_source,
        delete_source,
        probe_source,
        list_channel_sources,
        add_source,
        order_sources,
    ],
)
