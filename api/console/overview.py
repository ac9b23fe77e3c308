"""The overview: one document with every channel, its sources and its day, and every session that runs.

Channels, day histories and what is listed come from caches that all consoles share; which sessions run is read anew. It is
made for a thousand channels: an unchanged document is answered with 304, a changed one is compressed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Final

import msgspec
from litestar import Response, Router, get
from litestar.config.compression import CompressionConfig
from litestar.middleware import DefineMiddleware
from litestar.middleware.compression import CompressionMiddleware
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Tag
from msgspec import Struct

from api import auth
from api.changes.single_flight import SingleFlightCache
from api.console.day_histories import DayHistories
from api.console.listed_segments import ListedSegments, ListedSegmentsCache
from api.console.overview_rows import OverviewChannel, OverviewRows, OverviewSource
from api.http.addresses import PublicAddresses
from api.http.conditional import conditional
from api.injection import Clock, Injected
from api.session.answers import AnyRequest
from api.session.lease_renewal import LeaseRenewal
from api.session.views import optional_timestamp
from orchestrator.control.presence import is_running
from orchestrator.core.model import Desired, Phase, Provider, Session, Shown, SourceStatus
from orchestrator.core.presentation.event_payload import timestamp
from orchestrator.core.presentation.journal import position
from orchestrator.ports import ChannelRow, Journal, Operation, OrchestratorRow, Providers, Sessions

TAG = Tag("Overview", "Everything at a glance, for a wall screen.")

CHANNELS_MAX_AGE_S: Final = 2.0  # what the orchestrator writes about a source is published to that source's sessions only
VERSION: Final = version("hls-failover")
# On this route alone: Litestar's compression would hold back the messages of an event stream.
_COMPRESSION: Final = DefineMiddleware(
    CompressionMiddleware, config=CompressionConfig(backend="gzip", minimum_size=4096, gzip_compress_level=1)
)
_encode = msgspec.json.Encoder().encode


class OverviewSession(Struct, kw_only=True):
    id: str
    channel_id: str
    viewer: str
    viewers: int
    phase: Phase
    desired: Desired
    shown: Shown
    attempt: int | None
    source_id: str | None  # "slate": the slate; while the slate is shown it may be a source that is tried
    created_at: str
    attempt_started_at: str | None
    live_at: str | None  # of the attempt
    bitrate_bps: int | None
    segments: int | None  # that are listed now
    buffer_s: float | None  # their length
    last_segment_at: str | None


class OverviewOrchestrator(Struct, kw_only=True):
    seen_at: str | None  # null: there is none
    runs: bool  # it was seen lately; otherwise nothing starts, ends or fails over


class FullProvider(Struct, kw_only=True):
    """A provider that allows no further connection: its sources can be neither started, nor probed, nor switched to."""

    id: str
    name: str
    max_connections: int
    connections_in_use: int


class Overview(Struct, kw_only=True):
    at: str
    version: str
    public_url: str  # where clients reach this API: FAILOVER_PUBLIC_URL, or as it was asked
    draining_since: str | None
    orchestrator: OverviewOrchestrator
    store_answers: bool
    full_providers: list[FullProvider]  # by name
    cursor: int  # `after` of `/v1/events`
    channels: list[OverviewChannel]
    sessions: list[OverviewSession]


EXAMPLE = Overview(
    at="2025-06-01T21:04:12.000Z",
    version="0.1.0",
    public_url="https://tv.example.com",
    draining_since=None,
    orchestrator=OverviewOrchestrator(seen_at="2025-06-01T21:04:10.870Z", runs=True),
    store_answers=True,
    full_providers=[FullProvider(id="p-7c2m9x5t", name="Acme TV", max_connections=2, connections_in_use=2)],
    cursor=812345,
    channels=[
        OverviewChannel(
            id="c-3f8w2n6r", slug="news", name="News", number=1, group="Information", logo=None, enabled=True,
            profile="copy", hevc="copy", sharing="viewer", failback="when_stable", slate=True, failovers=[], sessions=1,
            strip="." * 95 + "g",
            sources=[
                OverviewSource(
                    id="x-9m2k4q7t", label="cdn.example.com/index.m3u8", priority=1, enabled=True, status=SourceStatus.HEALTHY,
                    provider_id=None, failure_count=1, stall_count=0, last_checked_at="2025-06-01T21:04:10.000Z",
                    last_failed_at=None, last_failure_reason=None, held_off_until=None, in_use=1,
                    video="h264", audio="aac", width=1280, height=720, bitrate_bps=1_500_000,
                )
            ],
        )
    ],
    sessions=[
        OverviewSession(
            id="s-1gj4r0c7k2m9x5t8w3q6", channel_id="c-3f8w2n6r", viewer="alice", viewers=1, phase=Phase.LIVE,
            desired=Desired.RUN, shown=Shown.SOURCE, attempt=1, source_id="x-9m2k4q7t", created_at="2025-06-01T21:04:09.870Z",
            attempt_started_at="2025-06-01T21:04:09.901Z", live_at="2025-06-01T21:04:10.113Z", bitrate_bps=1_600_000,
            segments=15, buffer_s=30.0, last_segment_at="2025-06-01T21:04:11.000Z",
        )
    ],
)  # fmt: skip


class OverviewReader:
    def __init__(
        self,
        *,
        sessions: Sessions,
        providers: Providers,
        operation: Operation,
        journal: Journal,
        leases: LeaseRenewal,
        channel_rows: SingleFlightCache[tuple[ChannelRow, ...]],
        day_histories: DayHistories,
        listed_segments: ListedSegmentsCache,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._providers = providers
        self._operation = operation
        self._journal = journal
        self._leases = leases
        self._channel_rows = channel_rows
        self._day_histories = day_histories
        self._listed_segments = listed_segments
        self._clock = clock
        self._rows = OverviewRows()
        self._making = asyncio.Lock()

    async def read(self, public_url: str) -> tuple[bytes, str]:
        """The document, and its ETag: a hash of everything but `at`."""
        now = self._clock()
        unended, rows, day_histories, newest, draining_since, orchestrators = await asyncio.gather(
            self._sessions.unended(),
            self._channel_rows.get(CHANNELS_MAX_AGE_S),
            self._day_histories.get(),
            self._journal.newest(),
            self._operation.draining_since(),
            self._operation.orchestrators(),
        )
        ids = [session.id for session in unended]
        viewers, listed, providers, in_use = await asyncio.gather(
            self._leases.viewers(ids),
            self._listed_segments.get(frozenset(ids)),
            self._providers.all(),
            self._providers.in_use(),
        )

        def make() -> tuple[bytes, str]:
            overview = Overview(
                at="",
                version=VERSION,
                public_url=public_url,
                draining_since=optional_timestamp(draining_since),
                orchestrator=_orchestrator(orchestrators, now),
                store_answers=self._listed_segments.store_answers,
                full_providers=_full(providers, in_use),
                cursor=position(newest, now),
                channels=self._rows.of(rows, day_histories, unended, now),
                sessions=[_session(each, viewers, listed) for each in unended],
            )
            etag = f'"{hashlib.blake2b(_encode(overview), digest_size=12).hexdigest()}"'
            overview.at = timestamp(now)
            return _encode(overview), etag

        async with self._making:
            return await asyncio.to_thread(make)  # thousands of rows: other requests are answered meanwhile


@get(
    "/v1/overview",
    summary="Everything at a glance",
    guards=[auth.admin],
    security=auth.ADMIN,
    middleware=[_COMPRESSION],
    media_type="application/json",
    responses={200: ResponseSpec(Overview, generate_examples=False)},
    answer=EXAMPLE,
)
async def read_overview(
    overview: Injected[OverviewReader], addresses: Injected[PublicAddresses], request: AnyRequest
) -> Response[bytes]:
    """Sources without addresses. Has an ETag of all but `at`."""
    document, etag = await overview.read(addresses.base_url(request))
    return conditional(request, etag, document, "application/json", {"Cache-Control": "private, no-cache"})


def _orchestrator(rows: Sequence[OrchestratorRow], now: float) -> OverviewOrchestrator:
    last = max(rows, key=lambda row: row.seen_at, default=None)
    if last is None:
        return OverviewOrchestrator(seen_at=None, runs=False)
    return OverviewOrchestrator(seen_at=timestamp(last.seen_at), runs=is_running(last, now))


def _full(providers: Sequence[Provider], in_use: Mapping[str, int]) -> list[FullProvider]:
    return [
        FullProvider(id=each.id, name=each.name, max_connections=each.max_connections, connections_in_use=in_use[each.id])
        for each in providers
        if each.max_connections is not None and in_use.get(each.id, 0) >= each.max_connections > 0
    ]


def _session(session: Session, viewers: Mapping[str, int], listed: Mapping[str, ListedSegments]) -> OverviewSession:
    attempt = session.attempt
    seen = listed.get(session.id)
    return OverviewSession(
        id=session.id,
        channel_id=session.channel_id,
        viewer=session.viewer,
        viewers=viewers.get(session.id, 0),
        phase=session.phase,
        desired=session.desired,
        shown=session.shown,
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


routes = Router(path="/", tags=[TAG.name], route_handlers=[read_overview])
