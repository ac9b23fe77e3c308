"""Route of a channel's history: the states of its last 96 quarter hours, and its newest events. Kept for as long as the
sessions' rows are retained."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Router, get
from litestar.params import FromPath
from msgspec import Struct

from api import auth
from api.catalogue_lookup import CatalogueLookup
from api.changes.single_flight import SingleFlightCache
from api.console.day_histories import of_channel
from api.console.overview import CHANNELS_MAX_AGE_S
from api.http.addresses import PublicAddresses
from api.injection import Clock, Injected
from api.routes.channels import TAG
from api.routes.session_events import SWITCHED
from orchestrator.core.presentation import event_payload
from orchestrator.core.presentation.day_history import QUARTER_S, QUARTERS, Quarter, State
from orchestrator.ports import ChannelRow, Journal

_EVENTS = 100


class QuarterView(Struct, kw_only=True):
    at: str  # when it begins
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
async def read_channel_history(
    lookup: Injected[CatalogueLookup],
    journal: Injected[Journal],
    channel_rows: Injected[SingleFlightCache[tuple[ChannelRow, ...]]],
    addresses: Injected[PublicAddresses],
    clock: Injected[Clock],
    channel: FromPath[str],
) -> ChannelHistory:
    """The worst state of its sessions in each quarter hour: `.` no session, `g` its first choice all the time, `a` a source
    behind it or a swap, `s` the slate, `r` unavailable, `?` not known."""
    found = await lookup.channel(channel)
    now = clock()
    since = float((now // QUARTER_S - QUARTERS + 1) * QUARTER_S)
    rows, deliveries, events = await asyncio.gather(
        channel_rows.get(CHANNELS_MAX_AGE_S),
        journal.deliveries(since, found.id),
        journal.of_channel(found.id, _EVENTS),
    )
    quarters = await asyncio.to_thread(of_channel, rows, found.id, deliveries, since, now)
    return ChannelHistory(
        channel_id=found.id,
        quarters=[QuarterView.of(each) for each in quarters],
        recent=[event_payload.document(event, addresses.origin_url) for event in events],
    )


routes = Router(path="/", guards=[auth.admin], security=auth.ADMIN, tags=[TAG.name], route_handlers=[read_channel_history])
