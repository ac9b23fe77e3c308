"""Imports: a provider's IPTV playlist becomes channels and sources; a dry run says what would change.

The playlist is named by its address, or is the body itself (`Content-Type: audio/x-mpegurl` or `text/plain`), with the other
members in the query.
"""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Annotated, Any, Final

from litestar import Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from api import auth
from api.body import StrictBody, decode
from api.changes import telling_changes
from api.limits import Name, Url
from api.providers import TAG
from api.world import World
from orchestrator.app import playlist_import
from orchestrator.core.catalogue.imported import ChannelPlan, Counts, changed_fields, counts
from orchestrator.core.catalogue.m3u import BYTES, Fault
from orchestrator.errors import InvalidInput

MEDIA_TYPES: Final = (
    "text/plain",
    "audio/x-mpegurl",
    "audio/mpegurl",
    "application/x-mpegurl",
    "application/mpegurl",
    "application/vnd.apple.mpegurl",
    "application/octet-stream",
)
_SHOWN = 500  # changes, and reported lines, in one answer


class NewImport(Struct, kw_only=True, forbid_unknown_fields=True):
    provider: Annotated[Name, Meta(description="Id or name; a name that is not known becomes a provider.")]
    url: Annotated[Url, Meta(description="http or https.")] | None = None
    playlist: Annotated[str, Meta(description="The playlist itself, instead of its address.")] | None = None
    dry_run: bool = False


class ChannelChanged(Struct, kw_only=True):
    channel: str  # its slug
    name: str
    is_new: bool
    fields: list[str]  # of the channel, that change
    counts: Counts

    @classmethod
    def of(cls, plan: ChannelPlan) -> ChannelChanged:
        before = plan.before
        return cls(
            channel=plan.slug,
            name=plan.fields.name,
            is_new=before is None,
            fields=[] if before is None else changed_fields(before.fields, plan.fields),
            counts=counts([plan]),
        )


class ImportView(Struct, kw_only=True):
    provider: str
    provider_is_new: bool
    dry_run: bool
    entries: int
    duplicates: int  # entries whose address their channel has already
    counts: Counts
    changed_meanwhile: int  # channels that somebody else was changing, and that were left alone
    faults: list[Fault]  # the first 500
    fault_count: int
    changes: list[ChannelChanged]  # the first 500
    change_count: int


class ImportBody(StrictBody):
    """JSON, or the playlist as it is."""

    def decode_bytes(self, value: bytes) -> Any:
        connection = self.asgi_connection
        media_type = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in MEDIA_TYPES:
            return decode(value, NewImport)
        query = connection.query_params
        provider = query.get("provider")
        dry_run = query.get("dry_run", "false")
        if not provider:
            raise InvalidInput("provider", "is missing in the query")
        if dry_run not in ("true", "false"):
            raise InvalidInput("dry_run", "must be true or false")
        return _Sent(provider=provider, dry_run=dry_run == "true", content=value)


class _Sent(NewImport, kw_only=True):
    content: bytes


@post(
    "/v1/imports",
    summary="Import a provider's playlist",
    status_code=200,
    request_max_body_size=BYTES,
    body=NewImport(provider="Acme TV", url="http://provider.example.net/get.php?type=m3u_plus", dry_run=True),
    answer=ImportView(
        provider="Acme TV",
        provider_is_new=False,
        dry_run=True,
        entries=1204,
        duplicates=3,
        counts=Counts(channels_added=1, sources_added=2, sources_disabled=1),
        changed_meanwhile=0,
        faults=[Fault(17, "no address follows")],
        fault_count=1,
        changes=[
            ChannelChanged(
                channel="news", name="News", is_new=True, fields=[], counts=Counts(channels_added=1, sources_added=2)
            )
        ],
        change_count=2,
    ),
    refusals=[409],
)
async def import_playlist(world: NamedDependency[World], data: JSONBody[NewImport]) -> ImportView:
    """Entries that are the same channel become its sources. Importing again updates, adds, and disables what has vanished; what
    was edited here stays. The playlist may also be the body itself, as `audio/x-mpegurl` or `text/plain`, with `provider` and
    `dry_run` in the query."""
    content = await _content(world, data)
    playlist = await asyncio.to_thread(playlist_import.read, BytesIO(content))
    report = await playlist_import.run(world, data.provider, playlist, dry_run=data.dry_run)
    return ImportView(
        provider=report.provider,
        provider_is_new=report.provider_is_new,
        dry_run=data.dry_run,
        entries=report.entries,
        duplicates=report.duplicates,
        counts=report.counts,
        changed_meanwhile=report.changed_meanwhile,
        faults=list(report.faults[:_SHOWN]),
        fault_count=report.fault_count,
        changes=[ChannelChanged.of(each) for each in report.channels[:_SHOWN]],
        change_count=len(report.channels),
    )


async def _content(world: World, data: NewImport) -> bytes:
    if isinstance(data, _Sent):
        return data.content
    if (data.url is None) is (data.playlist is None):
        raise InvalidInput("url", "give either the playlist or its address")
    return await world.download(data.url) if data.url is not None else (data.playlist or "").encode("utf-8", "replace")


routes = Router(
    path="/",
    guards=[auth.admin],
    middleware=[telling_changes],
    security=auth.ADMIN,
    tags=[TAG.name],
    dto=ImportBody,
    route_handlers=[import_playlist],
)
