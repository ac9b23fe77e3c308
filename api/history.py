"""What became of a channel: its day in quarter hours, and what happened last. It outlives sessions, not their retention."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from api import auth
from api.channels import TAG
from api.events import SWITCHED
from api.overview import CHANNELS_KEPT_S
from api.strips import of_channel
from api.world import World
from orchestrator.core.reading import event_payload
from orchestrator.core.reading.timeline import QUARTER_S, QUARTERS, Quarter, State

_EVENTS = 100


class QuarterView(Struct, kw_only=True):
    at: str  # its begin
    state: State
    swaps: int  # of all kinds
    failures: int  # attempts that failed

    @classmethod
    def of(cls, quarter: Quarter) -> QuarterView:
        return cls(at=event_payload.timestamp(quarter.at), state=quarter.state, swaps=quarter.swaps, failures=quarter.failures)


class ChannelHistory(Struct, kw_only=True):
    channel_id: str
    quarters: list[QuarterView]  # 96, oldest first
    recent: list[dict[str, Any]]  # events of its sessions, newest first: each as in an SSE message's data


@get(
    "/v1/channels/{channel:str}/history",
    summary="A channel's day",
    answer=ChannelHistory(
        channel_id="c-3f8w2n6r",
        quarters=[QuarterView(at="2025-06-01T21:00:00.000Z", state=State.LOWER, swaps=1, failures=1)],
        recent=[SWITCHED],
    ),
)
async def read_channel_history(world: NamedDependency[World], channel: FromPath[str]) -> ChannelHistory:
    """By quarter hour the worst that happened to its sessions: `.` no session, `g` its first choice all the time, `a` a source
    behind it or a swap, `s` the slate, `r` unavailable, `?` not known."""
    found = await world.channel(channel)
    now = world.clock()
    since = float((now // QUARTER_S - QUARTERS + 1) * QUARTER_S)
    rows, deliveries, events = await asyncio.gather(
        world.channels.get(CHANNELS_KEPT_S),
        world.journal.deliveries(since, found.id),
        world.journal.of_channel(found.id, _EVENTS),
    )
    quarters = await asyncio.to_thread(of_channel, rows, found.id, deliveries, since, now)
    return ChannelHistory(
        channel_id=found.id,
        quarters=[QuarterView.of(each) for each in quarters],
        recent=[event_payload.document(event, world.origin_url) for event in events],
    )


routes = Router(path="/", guards=[auth.admin], security=auth.ADMIN, tags=[TAG.name], route_handlers=[read_channel_history])
