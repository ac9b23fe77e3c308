"""The wall screen in one document: every channel with its sources and its day, and every session that runs.

It is made of what is kept for all who look (channels, strips, what is listed) and of what is read anew: which sessions run.
Made for a thousand channels: what is the same as a moment ago is answered with 304, what is not, compressed.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.openapi.spec import Tag
from msgspec import Struct

from api import auth
from api.on_air import Listed
from api.sessions import AnyRequest
from api.strips import NOTHING
from api.views import optional_timestamp
from api.world import World
from orchestrator.core.hold_off import held_off_until
from orchestrator.core.journal import position
from orchestrator.core.model import Desired, Failback, Phase, Session, Sharing, Source, SourceStatus
from orchestrator.core.payload import timestamp
from orchestrator.core.policy import Policy
from orchestrator.ports import ChannelRow

TAG = Tag("Overview", "Everything at a glance, for a wall screen.")

CHANNELS_KEPT_S: Final = 2.0  # the orchestrator writes on sources, and tells nobody but their sessions
VERSION: Final = version("hls-failover")
_POLICY: Final = Policy()  # of hold-offs, which no setting changes
_COMPRESSED_FROM: Final = 4096  # bytes
_encode = msgspec.json.Encoder().encode


class SourceGlance(Struct, kw_only=True):
    id: str
    label: str  # host and last part of the path
    priority: int
    enabled: bool
    status: SourceStatus
    provider_id: str | None
    failure_count: int
    stall_count: int
    last_checked_at: str | None
    last_failed_at: str | None
    last_failure_reason: str | None
    held_off_until: str | None
    in_use: int  # attempts that have it open
    video: str | None
    audio: str | None
    width: int | None
    height: int | None
    bitrate_bps: int | None


class ChannelGlance(Struct, kw_only=True):
    id: str
    slug: str
    name: str
    number: int | None
    group: str | None
    logo: str | None
    enabled: bool
    sharing: Sharing
    failback: Failback
    slate: bool
    failovers: list[str]  # ids of channels
    sessions: int  # that have not ended
    strip: str  # 96 quarter hours, oldest first, the worst of each: . none, ? not known, g, a, s(late), r
    sources: list[SourceGlance]


class SessionGlance(Struct, kw_only=True):
    id: str
    channel_id: str
    viewer: str
    viewers: int
    phase: Phase
    desired: Desired
    attempt: int | None
    source_id: str | None  # "slate": the slate
    created_at: str
    attempt_started_at: str | None
    live_at: str | None  # of the attempt
    bitrate_bps: int | None
    segments: int | None  # that are listed ...
    buffer_s: float | None  # ... and their length
    last_segment_at: str | None


class OrchestratorGlance(Struct, kw_only=True):
    seen_at: str | None  # null: there is none


class Overview(Struct, kw_only=True):
    at: str
    version: str
    draining_since: str | None
    orchestrator: OrchestratorGlance
    cursor: int  # `after` of `/v1/events`
    channels: list[ChannelGlance]
    sessions: list[SessionGlance]


EXAMPLE = Overview(
    at="2025-06-01T21:04:12.000Z",
    version="0.1.0",
    draining_since=None,
    orchestrator=OrchestratorGlance(seen_at="2025-06-01T21:04:10.870Z"),
    cursor=812345,
    channels=[
        ChannelGlance(
            id="c-3f8w2n6r", slug="news", name="News", number=1, group="Information", logo=None, enabled=True,
            sharing="viewer", failback="when_stable", slate=True, failovers=[], sessions=1, strip="." * 95 + "g",
            sources=[
                SourceGlance(
                    id="x-9m2k4q7t", label="cdn.example.com/index.m3u8", priority=1, enabled=True, status=SourceStatus.HEALTHY,
                    provider_id=None, failure_count=1, stall_count=0, last_checked_at="2025-06-01T21:04:10.000Z",
                    last_failed_at=None, last_failure_reason=None, held_off_until=None, in_use=1,
                    video="h264", audio="aac", width=1280, height=720, bitrate_bps=1_500_000,
                )
            ],
        )
    ],
    sessions=[
        SessionGlance(
            id="s-1gj4r0c7k2m9x5t8w3q6", channel_id="c-3f8w2n6r", viewer="alice", viewers=1, phase=Phase.LIVE,
            desired=Desired.RUN, attempt=1, source_id="x-9m2k4q7t", created_at="2025-06-01T21:04:09.870Z",
            attempt_started_at="2025-06-01T21:04:09.901Z", live_at="2025-06-01T21:04:10.113Z", bitrate_bps=1_600_000,
            segments=15, buffer_s=30.0, last_segment_at="2025-06-01T21:04:11.000Z",
        )
    ],
)  # fmt: skip


@get(
    "/v1/overview",
    summary="Everything at a glance",
    guards=[auth.admin],
    security=auth.ADMIN,
    media_type="application/json",
    answer=EXAMPLE,
)
async def read_overview(world: NamedDependency[World], request: AnyRequest) -> Response[bytes]:
    """Sources without addresses. Has an ETag of all but `at`."""
    now = world.clock()
    unended, rows, strips, newest, draining_since, orchestrators = await asyncio.gather(
        world.sessions.unended(),
        world.channels.get(CHANNELS_KEPT_S),
        world.strips.get(),
        world.journal.newest(),
        world.operation.draining_since(),
        world.operation.orchestrators(),
    )
    ids = [session.id for session in unended]
    viewers, listed = await asyncio.gather(
        world.sessions.viewers(ids, now - world.idle_timeout_s), world.on_air.get(frozenset(ids))
    )
    known, gzips = request.headers.get("if-none-match", ""), _gzips(request)

    def make() -> Response[bytes]:
        overview = Overview(
            at="",
            version=VERSION,
            draining_since=optional_timestamp(draining_since),
            orchestrator=OrchestratorGlance(seen_at=timestamp(orchestrators[0].seen_at) if orchestrators else None),
            cursor=position(newest, now),
            channels=_channels(rows, strips, unended, now),
            sessions=[_session(each, viewers, listed) for each in unended],
        )
        return _answer(overview, now, known, gzips)

    return await asyncio.to_thread(make)  # thousands of sources: others are answered meanwhile


def _answer(overview: Overview, now: float, known: str, gzips: bool) -> Response[bytes]:
    etag = f'"{hashlib.blake2b(_encode(overview), digest_size=12).hexdigest()}"'
    headers = {"Cache-Control": "private, no-cache", "ETag": etag, "Vary": "Accept-Encoding"}
    if etag in known:
        return Response(b"", status_code=304, media_type="application/json", headers=headers)
    overview.at = timestamp(now)
    body = _encode(overview)
    if gzips and len(body) >= _COMPRESSED_FROM:
        body = gzip.compress(body, compresslevel=1)
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type="application/json", headers=headers)


def _gzips(request: AnyRequest) -> bool:
    return any(each.partition(";")[0].strip() == "gzip" for each in request.headers.get("accept-encoding", "").split(","))


def _channels(
    rows: Iterable[ChannelRow], strips: Mapping[str, str], unended: Iterable[Session], now: float
) -> list[ChannelGlance]:
    counts = Counter(session.channel_id for session in unended)
    attempts = (attempt for session in unended for attempt in (session.attempt, session.previous))
    in_use = Counter(attempt.source_id for attempt in attempts if attempt is not None)
    return [
        ChannelGlance(
            id=channel.id,
            slug=channel.slug,
            name=channel.name,
            number=channel.number,
            group=channel.group,
            logo=channel.logo,
            enabled=channel.enabled,
            sharing=channel.policy.sharing,
            failback=channel.policy.failback,
            slate=channel.policy.slate,
            failovers=list(row.failovers),
            sessions=counts[channel.id],
            strip=strips.get(channel.id, NOTHING),
            sources=[_source(each, in_use[each.id], now) for each in row.sources],
        )
        for row in rows
        for channel in (row.channel,)
    ]


def _source(source: Source, in_use: int, now: float) -> SourceGlance:
    held_off = held_off_until(source, _POLICY)
    media = source.media
    return SourceGlance(
        id=source.id,
        label=label_of(source.url),
        priority=source.priority,
        enabled=source.status is not SourceStatus.DISABLED,
        status=source.status,
        provider_id=source.provider_id,
        failure_count=source.failure_count,
        stall_count=source.stall_count,
        last_checked_at=optional_timestamp(source.last_checked_at),
        last_failed_at=optional_timestamp(source.last_failed_at),
        last_failure_reason=source.last_failure_reason,
        held_off_until=timestamp(held_off) if held_off > now else None,
        in_use=in_use,
        video=media.video if media else None,
        audio=media.audio if media else None,
        width=media.width if media else None,
        height=media.height if media else None,
        bitrate_bps=media.bitrate_bps if media else None,
    )


def _session(session: Session, viewers: Mapping[str, int], listed: Mapping[str, Listed]) -> SessionGlance:
    attempt = session.attempt
    seen = listed.get(session.id)
    return SessionGlance(
        id=session.id,
        channel_id=session.channel_id,
        viewer=session.viewer,
        viewers=viewers.get(session.id, 0),
        phase=session.phase,
        desired=session.desired,
        attempt=attempt.number if attempt else None,
        source_id=attempt.source_id if attempt else None,
        created_at=timestamp(session.created_at),
        attempt_started_at=timestamp(attempt.started_at) if attempt else None,
        live_at=optional_timestamp(attempt.live_at) if attempt else None,
        bitrate_bps=seen.bitrate_bps if seen else None,
        segments=seen.segments if seen else None,
        buffer_s=seen.buffer_s if seen else None,
        last_segment_at=timestamp(seen.advanced_at) if seen else None,
    )


def label_of(url: str) -> str:
    """What a person knows a source by: no user info, no query, and of the path, which may hold an account, the last part."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "not an address"
    host = parts.netloc.rpartition("@")[2]
    name = parts.path.rstrip("/").rpartition("/")[2]
    return f"{host}/{name}" if name else host


routes = Router(path="/", tags=[TAG.name], route_handlers=[read_overview])
