"""The wall screen in one document: every channel with its sources and its day, and every session that runs.

It is made of what is kept for all who look (channels, strips, what is listed) and of what is read anew: which sessions run.
Made for a thousand channels: what is the same as a moment ago is answered with 304, what is not, compressed.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Final

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.openapi.spec import Tag
from msgspec import Struct

from api import auth
from api.glances import ChannelGlance, SourceGlance
from api.on_air import Listed
from api.sessions import AnyRequest
from api.views import optional_timestamp
from api.world import World
from orchestrator.control.presence import is_there
from orchestrator.core.model import Desired, Phase, Provider, Session, SourceStatus
from orchestrator.core.policy import Policy
from orchestrator.core.reading.event_payload import timestamp
from orchestrator.core.reading.journal import position
from orchestrator.ports import OrchestratorRow

TAG = Tag("Overview", "Everything at a glance, for a wall screen.")

CHANNELS_KEPT_S: Final = 2.0  # the orchestrator writes on sources, and tells nobody but their sessions
VERSION: Final = version("hls-failover")
_POLICY: Final = Policy()  # of hold-offs, which no setting changes
_COMPRESSED_FROM: Final = 4096  # bytes
_encode = msgspec.json.Encoder().encode


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
    runs: bool  # it has been seen lately; where it has not, nothing starts, ends or fails over


class FullProvider(Struct, kw_only=True):
    """One that allows no further connection: its sources can be neither started, nor probed, nor swapped to."""

    id: str
    name: str
    max_connections: int
    connections_in_use: int


class Overview(Struct, kw_only=True):
    at: str
    version: str
    public_url: str  # where clients reach this API: FAILOVER_PUBLIC_URL, or as it was asked
    draining_since: str | None
    orchestrator: OrchestratorGlance
    store_answers: bool
    full_providers: list[FullProvider]  # by name
    cursor: int  # `after` of `/v1/events`
    channels: list[ChannelGlance]
    sessions: list[SessionGlance]


EXAMPLE = Overview(
    at="2025-06-01T21:04:12.000Z",
    version="0.1.0",
    public_url="https://tv.example.com",
    draining_since=None,
    orchestrator=OrchestratorGlance(seen_at="2025-06-01T21:04:10.870Z", runs=True),
    store_answers=True,
    full_providers=[FullProvider(id="p-7c2m9x5t", name="Acme TV", max_connections=2, connections_in_use=2)],
    cursor=812345,
    channels=[
        ChannelGlance(
            id="c-3f8w2n6r", slug="news", name="News", number=1, group="Information", logo=None, enabled=True,
            profile="copy", hevc="copy", sharing="viewer", failback="when_stable", slate=True, failovers=[], sessions=1,
            strip="." * 95 + "g",
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
    viewers, listed, providers, in_use = await asyncio.gather(
        world.sessions.viewers(ids, now - world.idle_timeout_s),
        world.on_air.get(frozenset(ids)),
        world.providers.all(),
        world.providers.in_use(),
    )
    public_url = world.base_url(request)
    known, gzips = request.headers.get("if-none-match", ""), _gzips(request)

    def make() -> Response[bytes]:
        overview = Overview(
            at="",
            version=VERSION,
            public_url=public_url,
            draining_since=optional_timestamp(draining_since),
            orchestrator=_orchestrator(orchestrators, now),
            store_answers=world.on_air.answers,
            full_providers=_full(providers, in_use),
            cursor=position(newest, now),
            channels=world.glances.of(rows, strips, unended, now),
            sessions=[_session(each, viewers, listed) for each in unended],
        )
        return _answer(overview, now, known, gzips)

    async with world.making:
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


def _orchestrator(rows: Sequence[OrchestratorRow], now: float) -> OrchestratorGlance:
    last = max(rows, key=lambda row: row.seen_at, default=None)
    if last is None:
        return OrchestratorGlance(seen_at=None, runs=False)
    return OrchestratorGlance(seen_at=timestamp(last.seen_at), runs=is_there(last, now))


def _full(providers: Sequence[Provider], in_use: Mapping[str, int]) -> list[FullProvider]:
    return [
        FullProvider(id=each.id, name=each.name, max_connections=each.max_connections, connections_in_use=in_use[each.id])
        for each in providers
        if each.max_connections is not None and in_use.get(each.id, 0) >= each.max_connections > 0
    ]


def _gzips(request: AnyRequest) -> bool:
    return any(each.partition(";")[0].strip() == "gzip" for each in request.headers.get("accept-encoding", "").split(","))


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


routes = Router(path="/", tags=[TAG.name], route_handlers=[read_overview])
