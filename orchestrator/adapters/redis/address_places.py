"""`ports.AddressPlaces` in Redis: two sorted sets for each address. Each operation is one script, and uses Redis's own clock.

`starts` is sorted by the time of each start. `places` is sorted by the time until which a place is only reserved; 0 once its
session runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from orchestrator.app.settings import PREFIX
from orchestrator.errors import BadSetting, BusUnavailable
from orchestrator.ports import Bound, Full, NoPlace
from orchestrator.ports.address_places import KEPT_S, MINUTE_S, RESERVED_S

_LIMIT_S: Final = 0.5
_CONNECTIONS: Final = 8

_NOW = "local t = redis.call('TIME'); local now = t[1] + t[2] / 1000000\n"
_TAKE: Final = f"""{_NOW}
local starts, places, place, start = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
redis.call('ZREMRANGEBYSCORE', starts, '-inf', now - {MINUTE_S})
if redis.call('ZCARD', starts) >= tonumber(ARGV[4]) then
  local first = redis.call('ZRANGE', starts, 0, 0, 'WITHSCORES')
  return {{'{Full.RATE}', tostring(first[2] + {MINUTE_S} - now)}}
end
if not redis.call('ZSCORE', places, place) and redis.call('ZCARD', places) >= tonumber(ARGV[3]) then
  return {{'{Full.SESSIONS}', '0'}}
end
redis.call('ZADD', starts, now, start)
redis.call('EXPIRE', starts, {MINUTE_S:.0f})
redis.call('ZADD', places, now + {RESERVED_S}, place)
redis.call('EXPIRE', places, {KEPT_S:.0f})
return false
"""
_TAKEN: Final = f"{_NOW}return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)"
_FREE: Final = f"""{_NOW}
for _, place in ipairs(ARGV) do
  local reserved = redis.call('ZSCORE', KEYS[1], place)
  if reserved and tonumber(reserved) <= now then redis.call('ZREM', KEYS[1], place) end
end
return false
"""


class RedisAddressPlaces:
    """Nothing connects before it is used. Raises BadSetting for a URL that is none."""

    def __init__(self, redis_url: str, deployment: str) -> None:
        try:
            pool = BlockingConnectionPool.from_url(
                redis_url, max_connections=_CONNECTIONS, timeout=_LIMIT_S,
                socket_connect_timeout=_LIMIT_S, socket_timeout=_LIMIT_S, retry=Retry(NoBackoff(), 1),
            )  # fmt: skip
        except ValueError as error:
            raise BadSetting(f"{PREFIX}REDIS_URL: {error}") from None
        self._redis: Redis = Redis(connection_pool=pool)
        self._deployment = deployment

    async def take(self, address: str, place: str, start: str, bound: Bound) -> NoPlace | None:
        keys = self._starts(address), self._places(address)
        refused = await self._eval(_TAKE, keys, place, start, bound.sessions, bound.new_per_minute)
        return None if refused is None else NoPlace(Full(refused[0].decode()), max(0.0, float(refused[1])))

    async def keep(self, address: str, place: str) -> None:
        await self._answer(self._redis.zadd(self._places(address), {place: 0.0}, xx=True))

    async def give_back(self, address: str, place: str, start: str) -> None:
        async with self._redis.pipeline(transaction=True) as both:
            both.zrem(self._starts(address), start)
            both.zrem(self._places(address), place)
            await self._answer(both.execute())

    async def taken(self, address: str) -> tuple[str, ...]:
        return tuple(each.decode() for each in await self._eval(_TAKEN, (self._places(address),)))

    async def free(self, address: str, places: Collection[str]) -> None:
        await self._eval(_FREE, (self._places(address),), *places)

    async def close(self) -> None:
        await self._redis.aclose(close_connection_pool=True)

    def _starts(self, address: str) -> str:
        return f"{self._deployment}.address.{address}.starts"

    def _places(self, address: str) -> str:
        return f"{self._deployment}.address.{address}.places"

    async def _eval(self, script: str, keys: tuple[str, ...], *arguments: str | int) -> Any:
        return await self._answer(self._redis.eval(script, len(keys), *keys, *map(str, arguments)))

    async def _answer(self, command: Any) -> Any:
        try:
            async with asyncio.timeout(_LIMIT_S):
                return await command
        except TimeoutError:
            raise BusUnavailable(f"no answer within {_LIMIT_S:g} s") from None
        except (RedisError, OSError) as error:
            raise BusUnavailable(str(error)) from error
