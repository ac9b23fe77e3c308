"""Events of all sessions as they happen, and that channels or sources have changed, over SSE: what the console lives on.

Rows first, then the bus, and rows again every two seconds, as for one session (api/events.py). An event's id is its cursor in
the journal, by which a client that comes back misses nothing. A `change` has no id and is not replayed: it follows from
comparing what channels and sources are with what they were at the look before. So it needs neither Redis nor anybody who
announces it, and also tells what the orchestrator found out about a source.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.response import ServerSentEvent, ServerSentEventMessage
from msgspec import Struct

from api import auth
from api.events import KEEP_ALIVE_S, LOOK_S, RETRY_MS, SWITCHED, After, LastEventId, seen_by
from api.overview import TAG
from api.wakes import wakes_of_all
from api.world import World
from orchestrator.core.reading import event_payload
from orchestrator.core.reading.journal import Entry, position, settled
from orchestrator.errors import Temporary
from orchestrator.ports import ChannelRow

log = logging.getLogger(__name__)

CHANNELS_LOOK_S = 5.0  # where nobody says that they have changed
_PAGE = 500
_GAP_LOOK_S = 0.1  # a commit is under way
_BURST_S = 0.05  # what comes in a burst is read at once
_encode = msgspec.json.Encoder().encode


class Changed(Struct, frozen=True):
    """The channel, one of its sources, or its failover channels; or it has come or gone."""

    channel_id: str


async def follow_all(world: World, after: int | None) -> AsyncIterator[Entry | Changed | None]:
    """Entries behind `after` (None: from now on) in order, and changes from now on, until the server closes; None where nothing
    has come for a while."""
    loop = asyncio.get_running_loop()
    told_at = loop.time()
    before = await _channels(world, 0.0)
    async with wakes_of_all(world) as wake:
        while not world.closing.begun:
            look_s = LOOK_S
            try:
                if after is None:
                    after = position(await world.journal.newest(), world.clock())
                entries = await world.journal.entries(after, _PAGE)
                ready = settled(entries, after, world.clock())
            except Temporary as error:
                log.info("the journal waits: %s", error)
                entries = ready = ()
            for entry in ready:
                yield entry
                after, told_at = entry.cursor, loop.time()
            if len(ready) == _PAGE:
                continue
            if len(ready) < len(entries):
                look_s = _GAP_LOOK_S
            now = await _channels(world, CHANNELS_LOOK_S)
            for change in _changes(before, now):
                yield change
                told_at = loop.time()
            before = before if now is None else now
            if loop.time() - told_at >= KEEP_ALIVE_S:
                yield None
                told_at = loop.time()
            await wake.within(look_s)
            await asyncio.sleep(_BURST_S)


async def _channels(world: World, max_age_s: float) -> Sequence[ChannelRow] | None:
    """None: not known."""
    try:
        return await world.channels.get(max_age_s)
    except Temporary as error:
        log.info("channels are not looked at: %s", error)
        return None


def _changes(before: Sequence[ChannelRow] | None, now: Sequence[ChannelRow] | None) -> Iterator[Changed]:
    if before is None or now is None or now is before:
        return
    was, here = ({row.channel.id: row for row in rows} for rows in (before, now))
    for channel_id in [*here, *(was.keys() - here.keys())]:
        if here.get(channel_id) != was.get(channel_id):
            yield Changed(channel_id)


_EXAMPLE = _encode({**SWITCHED, "channel_id": "c-3f8w2n6r"}).decode()


@get(
    "/v1/events",
    summary="Events of all sessions (SSE)",
    guards=[auth.admin],
    security=auth.ADMIN,
    media_type="text/event-stream",
    answer=f'id: 812346\nevent: stream.switch\ndata: {_EXAMPLE}\n\nevent: change\ndata: {{"channel_id":"c-3f8w2n6r"}}\n\n',
)
async def stream_all_events(
    world: NamedDependency[World], after: After = None, last_event_id: LastEventId = None
) -> Response[Any]:
    """Each event is named after its type; its id is a cursor, greater than those before it, as `cursor` of `/v1/overview` is.
    Without one only what happens from now on is told. The data are those of the session's own stream, and `channel_id`. A
    `change` says that a channel or its sources are to be read again."""
    return ServerSentEvent(_messages(world, seen_by(after, last_event_id)), headers={"Cache-Control": "no-store"})


async def _messages(world: World, after: int | None) -> AsyncIterator[ServerSentEventMessage]:
    async with contextlib.aclosing(follow_all(world, after)) as told:  # type: ignore[type-var]
        async for each in told:
            match each:
                case None:
                    yield ServerSentEventMessage(data=None, comment="keep-alive")
                case Changed(channel_id):
                    yield ServerSentEventMessage(event="change", data=_encode({"channel_id": channel_id}), retry=RETRY_MS)
                case Entry(cursor, channel_id, event):
                    document = {**event_payload.document(event, world.origin_url), "channel_id": channel_id}
                    yield ServerSentEventMessage(id=cursor, event=event.type.value, data=_encode(document), retry=RETRY_MS)


routes = Router(path="/", tags=[TAG.name], route_handlers=[stream_all_events])
