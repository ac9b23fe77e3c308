"""Proxy of channels' logos, with a cache: viewers' browsers request them from this API, so that no third party learns who
watches what.

Rule: only a small picture is passed on, and an address is fetched at most once per hour. The address comes from an operator or
a provider's list; any other answer (a page, a script, a service in our own network) is not passed on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from orchestrator.errors import InvalidInput, NotFound
from orchestrator.ports import Download

log = logging.getLogger(__name__)

BYTES: Final = 256 << 10
LIMIT_S: Final = 5.0  # of one download
MAX_AGE_S: Final = 3600.0
MISS_MAX_AGE_S: Final = 300.0  # of an address without a logo
_CACHED: Final = 128
_AT_ONCE: Final = 4

# No SVG: it is a document, which may hold scripts.
_SIGNATURES: Final = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))


class Logo(NamedTuple):
    content: bytes
    media_type: str


class Logos:
    """Single-flight per address; misses are cached as well."""

    def __init__(self, download: Download, clock: Callable[[], float]) -> None:
        self._download = download
        self._clock = clock
        self._cached: OrderedDict[str, tuple[float, asyncio.Task[Logo | None]]] = OrderedDict()
        self._downloads = asyncio.Semaphore(_AT_ONCE)

    async def get(self, url: str) -> Logo:
        """Raises NotFound where the address has no picture, or none that may be passed on."""
        until, fetching = self._cached.get(url, (0.0, None))
        now = self._clock()
        if fetching is None or (fetching.done() and until <= now):
            fetching = asyncio.create_task(self._fetch(url), name="logo")
            self._cache(url, now + MAX_AGE_S, fetching)
        logo = await asyncio.shield(fetching)  # shared: the request that began it may be cancelled
        if logo is None:
            if until <= now:
                self._cache(url, now + MISS_MAX_AGE_S, fetching)
            raise NotFound("the channel's logo cannot be had")
        return logo

    def _cache(self, url: str, until: float, fetching: asyncio.Task[Logo | None]) -> None:
        self._cached[url] = (until, fetching)
        self._cached.move_to_end(url)
        while len(self._cached) > _CACHED:
            self._cached.popitem(last=False)

    async def _fetch(self, url: str) -> Logo | None:
        try:
            async with self._downloads:
                content = await self._download(url)
        except InvalidInput:
            return None
        except Exception:  # cached as a miss: the task's error would be raised to every request for an hour
            log.exception("a logo cannot be fetched")
            return None
        media_type = media_type_of(content)
        return None if media_type is None or len(content) > BYTES else Logo(content, media_type)


def media_type_of(content: bytes) -> str | None:
    """By the content's signature, whatever its server says; None for anything but a picture."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((media_type for signature, media_type in _SIGNATURES if content.startswith(signature)), None)
