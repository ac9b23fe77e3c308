"""Channels' logos, fetched by us: a page that asks us alone tells nobody else who watches what.

Law: what is passed on is a picture, small, and was asked for once in a while. An address comes from an operator or from a
provider's list; whatever else is found there (a page, a script, a service in our own network) is nobody's to see.
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
LIMIT_S: Final = 5.0
KEPT_S: Final = 3600.0
MISSED_S: Final = 300.0
_KEPT: Final = 128
_AT_ONCE: Final = 4

# No SVG: it is a document, which may hold scripts.
_SIGNATURES: Final = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))


class Logo(NamedTuple):
    content: bytes
    media_type: str


class Logos:
    """What was fetched lately, and what could not be."""

    def __init__(self, download: Download, clock: Callable[[], float]) -> None:
        self._download = download
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, asyncio.Task[Logo | None]]] = OrderedDict()
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def get(self, url: str) -> Logo:
        """Raises NotFound where there is no picture at that address, or none that may be passed on."""
        until, fetching = self._kept.get(url, (0.0, None))
        now = self._clock()
        if fetching is None or (fetching.done() and until <= now):
            fetching = asyncio.create_task(self._fetch(url), name="logo")
            self._keep(url, now + KEPT_S, fetching)
        logo = await asyncio.shield(fetching)  # who asked first may leave first
        if logo is None:
            if until <= now:
                self._keep(url, now + MISSED_S, fetching)
            raise NotFound("the channel's logo cannot be had")
        return logo

    def _keep(self, url: str, until: float, fetching: asyncio.Task[Logo | None]) -> None:
        self._kept[url] = (until, fetching)
        self._kept.move_to_end(url)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    async def _fetch(self, url: str) -> Logo | None:
        try:
            async with self._turn:
                content = await self._download(url)
        except InvalidInput:
            return None
        except Exception:  # kept like any other miss: else it would be raised to everybody who asks, for an hour
            log.exception("a logo cannot be fetched")
            return None
        media_type = media_type_of(content)
        return None if media_type is None or len(content) > BYTES else Logo(content, media_type)


def media_type_of(content: bytes) -> str | None:
    """By what it is, not by what its server says; None for anything that is no picture."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((media_type for signature, media_type in _SIGNATURES if content.startswith(signature)), None)
