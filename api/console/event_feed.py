"""Route of the events of all sessions, and of changes to channels and sources, over SSE: the console stays current by it.

It reads rows, then waits for the bus, and reads the rows again at least every two seconds, as for one session
(api/routes/session_events.py). An event's id is its cursor in the journal, by which a client that reconnects misses nothing. A
`change` has no id and is not replayed: it is found by comparing the channels and sources with those of the previous read. So it
needs neither Redis nor an announcement, and also reports what the orchestrator has written about a source.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import msgspec
from litestar import Response, Router, get
from litestar.response import ServerSentEvent, ServerSentEventMessage
from msgspec import Struct

from api import auth
from api.changes.server_stop import ServerStop
from api.changes.signals import Signals
from api.changes.single_flight import SingleFlightCache
from api.console.overview import TAG
from api.http.addresses import PublicAddresses
from api.injection import Clock, Injected
from api.routes.session_events import KEEP_ALIVE_S, POLL_S, RETRY_MS, SWITCHED, After, LastEventId, seen_by
from orchestrator.core.presentation import event_payload
from orchestrator.core.presentation.journal import JournalEntry, position, settled
from orchestrator.errors import Temporary
from orchestrator.ports import ChannelRow, Journal

log = logging.getLogger(__name__)

CHANNELS_POLL_S = 5.0  # where no change is announced
_PAGE = 500
_GAP_POLL_S = 0.1  # after a gap in the journal: a commit is under way
_BURST_S = 0.05  # messages that come together cost one read
_encode = msgspec.json.Encoder().encode


class CatalogueChange(Struct, frozen=True):
    """The channel, one of its sources or its failover channels has changed; or it was created or deleted."""

    channel_id: str


class EventFeed:
    def __init__(
        self,
        journal: Journal,
        channel_rows: SingleFlightCache[tuple[ChannelRow, ...]],
        signals: Signals,
        server_stop: ServerStop,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._channel_rows = channel_rows
        self._signals = signals
        self._server_stop = server_stop
        self._clock = clock

    async def follow(self, after: int | None) -> AsyncIterator[JournalEntry | CatalogueChange | None]:
        """Entries behind `after` (None: from now on) in order, and changes from now on, until the server stops; None after each
        KEEP_ALIVE_S without one."""
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        before = await self._channels(0.0)
        async with self._signals.of_everything() as signal:
            while not self._server_stop.begun:
                poll_s = POLL_S
                try:
                    if after is None:
                        after = position(await self._journal.newest(), self._clock())
                    entries = await self._journal.entries(after, _PAGE)
                    ready = settled(entries, after, self._clock())
                except Temporary as error:
                    log.info("the journal waits: %s", error)
                    entries = ready = ()
                for entry in ready:
                    yield entry
                    after, sent_at = entry.cursor, loop.time()
                if len(ready) == _PAGE:
                    continue
                if len(ready) < len(entries):
                    poll_s = _GAP_POLL_S
                now = await self._channels(CHANNELS_POLL_S)
                for change in _changes(before, now):
                    yield change
                    sent_at = loop.time()
                before = before if now is None else now
                if loop.time() - sent_at >= KEEP_ALIVE_S:
                    yield None
                    sent_at = loop.time()
                await signal.wait(poll_s)
                await asyncio.sleep(_BURST_S)

    async def _channels(self, max_age_s: float) -> Sequence[ChannelRow] | None:
        """None: they cannot be read now."""
        try:
            return await self._channel_rows.get(max_age_s)
        except Temporary as error:
            log.info("channels are not read: %s", error)
            return None


def _changes(before: Sequence[ChannelRow] | None, now: Sequence[ChannelRow] | None) -> Iterator[CatalogueChange]:
    if before is None or now is None or now is before:
        return
    was, here = ({row.channel.id: row for row in rows} for rows in (before, now))
    for channel_id in [*here, *(was.keys() - here.keys())]:
        if here.get(channel_id) != was.get(channel_id):
            yield CatalogueChange(channel_id)


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
    event_feed: Injected[EventFeed],
    addresses: Injected[PublicAddresses],
    after: After = None,
    last_event_id: LastEventId = None,
) -> Response[Any]:
    """Each event is named after its type; its id is a cursor, greater than those before it, as `cursor` of `/v1/overview` is.
    Without `after` only events from now on are sent. The data are those of the session's own stream, and `channel_id`. A
    `change` says that a channel or its sources are to be read again."""
    messages = _messages(event_feed.follow(seen_by(after, last_event_id)), addresses.origin_url)
    return ServerSentEvent(messages, headers={"Cache-Control": "no-store"})


async def _messages(
    following: AsyncIterator[JournalEntry | CatalogueChange | None], origin_url: str
) -> AsyncIterator[ServerSentEventMessage]:
    async with contextlib.aclosing(following) as feed:  # type: ignore[type-var]
        async for each in feed:
            match each:
                case None:
                    yield ServerSentEventMessage(data=None, comment="keep-alive")
                case CatalogueChange(channel_id):
                    yield ServerSentEventMessage(event="change", data=_encode({"channel_id": channel_id}), retry=RETRY_MS)
                case JournalEntry(cursor, channel_id, event):
                    document = {**event_payload.document(event, origin_url), "channel_id": channel_id}
                    yield ServerSentEventMessage(id=cursor, event=event.type.value, data=_encode(document), retry=RETRY_MS)


routes = Router(path="/", tags=[TAG.name], route_handlers=[stream_all_events])
