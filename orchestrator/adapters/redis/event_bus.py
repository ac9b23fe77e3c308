"""Event bus on Redis pub/sub. Messages are notifications only (law 1): what is lost here is found in the rows.

One connection receives for all listeners of this process. It subscribes to all sessions' channels by one pattern, because
events are few, and passes messages on in memory, so that Redis has nothing to do when a viewer comes or goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from orchestrator.app.settings import PREFIX
from orchestrator.core.model import Event
from orchestrator.errors import BadSetting, BusUnavailable

log = logging.getLogger(__name__)

_SEND_LIMIT_S = 0.5
_CONNECTIONS = 16
_QUEUE_LIMIT = 1000  # a listener that is further behind misses messages, and reads the rows
_IDLE_S = 5.0  # after so long without a message a ping is sent; after twice as long without an answer, it connects anew
_BACKOFF_S = (0.1, 2.0)  # the first pause and the longest
_EVENTS = "stream-session."
_ALL_EVENTS = f"{_EVENTS}*"

_Queue = asyncio.Queue[bytes | None]


class RedisEventBus:
    """ports.EventBus. Nothing connects before it is used. Raises BadSetting for a URL that is none."""

    def __init__(self, redis_url: str, deployment: str) -> None:
        try:
            pool = BlockingConnectionPool.from_url(
                redis_url, max_connections=_CONNECTIONS, timeout=_SEND_LIMIT_S,
                socket_connect_timeout=_SEND_LIMIT_S, socket_timeout=_SEND_LIMIT_S, socket_keepalive=True,
                retry=Retry(NoBackoff(), 1),  # a connection from before a restart of Redis fails once
            )  # fmt: skip
        except ValueError as error:
            raise BadSetting(f"{PREFIX}REDIS_URL: {error}") from None
        self._redis: Redis = Redis(connection_pool=pool)
        self._nudges = f"{deployment}.nudge"
        self._changes = f"{deployment}.change"
        self._queues: dict[str, set[_Queue]] = defaultdict(set)
        self._receiver: asyncio.Task[None] | None = None

    # --- sending ------------------------------------------------------------------------------------------------------

    async def publish(self, event: Event, payload: bytes) -> None:
        await self._send(self._redis.publish(f"{_EVENTS}{event.session_id}", payload))

    async def nudge(self, subject: str) -> None:
        await self._send(self._redis.publish(self._nudges, subject))

    async def changed(self) -> None:
        await self._send(self._redis.publish(self._changes, b""))

    async def check(self) -> None:
        await self._send(self._redis.ping())

    async def _send(self, command: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(_SEND_LIMIT_S):
                await command
        except TimeoutError:
            raise BusUnavailable(f"no answer within {_SEND_LIMIT_S:g} s") from None
        except (RedisError, OSError) as error:
            raise BusUnavailable(str(error)) from error

    # --- listening ----------------------------------------------------------------------------------------------------

    async def subscribe(self, session_id: str) -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(self._listen(f"{_EVENTS}{session_id}")) as messages:
            async for message in messages:
                yield message

    async def all_events(self) -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(self._listen(_ALL_EVENTS)) as messages:
            async for message in messages:
                yield message

    async def changes(self) -> AsyncGenerator[None, None]:
        async with contextlib.aclosing(self._listen(self._changes)) as messages:
            async for _ in messages:
                yield None

    async def nudges(self) -> AsyncGenerator[str, None]:
        async with contextlib.aclosing(self._listen(self._nudges)) as messages:
            async for message in messages:
                yield message.decode(errors="replace")

    async def _listen(self, channel: str) -> AsyncGenerator[bytes, None]:
        """Ends when the bus is closed."""
        queue: _Queue = asyncio.Queue(_QUEUE_LIMIT)
        self._queues[channel].add(queue)
        if self._receiver is None:
            self._receiver = asyncio.create_task(self._receive(), name="event bus")
        try:
            while (message := await queue.get()) is not None:
                yield message
        finally:
            self._queues[channel].discard(queue)
            if not self._queues[channel]:
                del self._queues[channel]

    async def _receive(self) -> None:
        """Receives until it is cancelled. Where Redis goes away it connects again, with exponential backoff that begins anew
        after each successful subscription."""
        first_s, longest_s = _BACKOFF_S
        pause_s = first_s
        while True:
            pubsub = self._redis.pubsub()
            try:
                await pubsub.subscribe(self._nudges, self._changes)
                await pubsub.psubscribe(_ALL_EVENTS)
                pause_s = first_s
                await self._deal(pubsub)
            except (RedisError, OSError, TimeoutError) as error:
                log.log(logging.WARNING if pause_s == first_s else logging.DEBUG, "Redis does not answer: %s", error)
            except Exception:  # without this, one unexpected error would end all notifications
                log.exception("event bus")
            finally:
                await pubsub.aclose()  # type: ignore[no-untyped-call]
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, longest_s)

    async def _deal(self, pubsub: PubSub) -> None:
        """Raises RedisError where the connection breaks or goes silent."""
        asked = False
        while True:
            message = await pubsub.get_message(timeout=_IDLE_S)
            if message is None:
                if asked:
                    raise RedisError(f"silent for {2 * _IDLE_S:g} s")
                await pubsub.ping()
            asked = message is None
            if message is not None and message["type"] in ("message", "pmessage"):
                for name in (message["channel"], message["pattern"]):
                    for queue in self._queues.get(name.decode(), ()) if name is not None else ():
                        with contextlib.suppress(asyncio.QueueFull):
                            queue.put_nowait(message["data"])

    async def close(self) -> None:
        if self._receiver is not None:
            self._receiver.cancel()
            await asyncio.gather(self._receiver, return_exceptions=True)
        for queues in self._queues.values():
            for queue in queues:
                if queue.full():
                    queue.get_nowait()
                queue.put_nowait(None)
        await self._redis.aclose(close_connection_pool=True)
