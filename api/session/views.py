"""The answers about a session and its attempts, as a client reads them."""

from __future__ import annotations

from typing import Any, Self

from litestar.connection import ASGIConnection
from msgspec import Struct

from api.http.addresses import PublicAddresses
from api.session.disclosure import Disclosure
from orchestrator.core.model import Channel, Desired, Leg, Phase, Shown
from orchestrator.core.presentation.event_payload import playlist_url, timestamp
from orchestrator.ports import AttemptRow, SessionRow


def optional_timestamp(at: float | None) -> str | None:
    return None if at is None else timestamp(at)


class ChannelName(Struct, kw_only=True):
    id: str
    slug: str | None  # null: the channel has been deleted
    name: str | None


class SessionView(Struct, kw_only=True):
    id: str
    viewer: str  # the viewer that asks; to the operator "*" where all of the channel's viewers share the session
    viewers: int  # that watch now
    channel: ChannelName
    phase: Phase
    desired: Desired
    shown: Shown
    source_id: str | None  # that plays or is being started; a label for viewers of /watch
    attempt: int | None
    playlist_url: str  # never changes
    events_url: str
    ws_url: str
    created_at: str
    renewed_at: str
    ended_at: str | None
    end_reason: str | None

    @classmethod
    def of(
        cls,
        row: SessionRow,
        channel: Channel | None,
        viewers: int,
        *,
        addresses: PublicAddresses,
        connection: ASGIConnection[Any, Any, Any, Any],
        to: Disclosure,
        **more: str,
    ) -> Self:
        """`channel` is None where it has been deleted."""
        session = row.session
        base_url = f"{addresses.base_url(connection)}/v1/sessions/{session.id}"
        return cls(
            id=session.id,
            viewer=session.viewer if row.lease is None else row.lease.viewer,
            viewers=viewers,
            channel=ChannelName(
                id=session.channel_id, slug=channel.slug if channel else None, name=channel.name if channel else None
            ),
            phase=session.phase,
            desired=session.desired,
            shown=session.shown,
            source_id=to.source(session.attempt.source_id) if session.attempt else None,
            attempt=session.attempt.number if session.attempt else None,
            playlist_url=playlist_url(addresses.origin_url, session.id),
            events_url=f"{base_url}/events",
            ws_url=f"ws{base_url.removeprefix('http')}/ws",
            created_at=timestamp(session.created_at),
            renewed_at=timestamp(row.renewed_at),
            ended_at=optional_timestamp(session.ended_at),
            end_reason=session.end_reason,
            **more,
        )


class GrantedSession(SessionView, kw_only=True):
    token: str  # for this session's routes: as a Bearer credential, or `?token=`


class LegView(Struct, kw_only=True):
    """What one input played in an attempt."""

    number: int  # from 1 in its attempt
    source_id: str | None
    started_at: str
    first_segment_at: str | None
    ended_at: str | None  # an input switch has ended it; null: it plays, or has ended with its attempt
    start_reason: str | None
    end_reason: str | None

    @classmethod
    def of(cls, leg: Leg, to: Disclosure) -> LegView:
        return cls(
            number=leg.number,
            source_id=to.source(leg.input),
            started_at=timestamp(leg.started_at),
            first_segment_at=optional_timestamp(leg.live_at),
            ended_at=optional_timestamp(leg.ended_at),
            start_reason=to.reason(leg.why.text, leg.why.cause),
            end_reason=None if leg.ended is None else to.reason(leg.ended.text, leg.ended.cause),
        )


class AttemptView(Struct, kw_only=True):
    number: int
    source_id: str | None
    started_at: str
    first_segment_at: str | None
    ended_at: str | None
    exit_code: int | None
    start_reason: str | None
    end_reason: str | None
    legs: list[LegView]  # empty: started by a release that has kept none

    @classmethod
    def of(cls, row: AttemptRow, to: Disclosure) -> AttemptView:
        return cls(
            number=row.number,
            source_id=to.source(row.source_id),
            started_at=timestamp(row.started_at),
            first_segment_at=optional_timestamp(row.first_segment_at),
            ended_at=optional_timestamp(row.ended_at),
            exit_code=row.exit_code,
            start_reason=to.reason(row.start_reason, row.start_cause),
            end_reason=to.reason(row.end_reason, row.end_cause),
            legs=[LegView.of(leg, to) for leg in row.legs or ()],
        )


_MEMBERS: dict[str, Any] = {
    "id": "s-1gj4r0c7k2m9x5t8w3q6",
    "viewer": "alice",
    "viewers": 1,
    "channel": ChannelName(id="c-3f8w2n6r", slug="news", name="News"),
    "phase": Phase.LIVE,
    "desired": Desired.RUN,
    "shown": Shown.SOURCE,
    "source_id": "x-9m2k4q7t",
    "attempt": 1,
    "playlist_url": "https://cdn.example.com/playlists/s-1gj4r0c7k2m9x5t8w3q6/index.m3u8",
    "events_url": "https://api.example.com/v1/sessions/s-1gj4r0c7k2m9x5t8w3q6/events",
    "ws_url": "wss://api.example.com/v1/sessions/s-1gj4r0c7k2m9x5t8w3q6/ws",
    "created_at": "2025-06-01T21:04:09.870Z",
    "renewed_at": "2025-06-01T21:04:09.870Z",
    "ended_at": None,
    "end_reason": None,
}
SESSION = SessionView(**_MEMBERS)
GRANTED = GrantedSession(**_MEMBERS | {"token": "oV3pJ0m9Yk2c7RrTq1sW8uXzA4bN6dHfGgLlKk5e0Qw"})
ATTEMPT = AttemptView(
    number=1,
    source_id="x-9m2k4q7t",
    started_at="2025-06-01T21:04:09.901Z",
    first_segment_at="2025-06-01T21:04:10.113Z",
    ended_at="2025-06-01T21:09:31.870Z",
    exit_code=13,
    start_reason="requested",
    end_reason="source stalled",
    legs=[
        LegView(
            number=1,
            source_id="x-9m2k4q7t",
            started_at="2025-06-01T21:04:09.901Z",
            first_segment_at="2025-06-01T21:04:10.113Z",
            ended_at=None,
            start_reason="requested",
            end_reason=None,
        )
    ],
)
