"""What an HLS source's own playlists say: how far apart its media arrive, why there are none, whether there will be more.

Media come in bursts of the source's segments' length, its target duration, which FFmpeg does not tell; and of a server's answer
FFmpeg tells little. So the playlist is read once more, beside the probe. Bounded in time and size.
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import httpx

from transcoder import job

_TOLD = ("of no type", "text/html", "text/plain", "text/xml", "application/xml", "application/json", "application/octet-stream",
         "application/dash+xml", "video/mp2t", "video/mp4", "image/jpeg", "image/png")  # fmt: skip
_LIMIT_BYTES = 256 * 1024
_TARGET_DURATION = re.compile(r"^#EXT-X-TARGETDURATION:(\d+)", re.MULTILINE)
_FIRST_VARIANT = re.compile(r"^#EXT-X-STREAM-INF:.*\n+([^#\s].*)$", re.MULTILINE)


_CADENCES, _WAY_S, _LONGEST_S = 1.5, 1.0, 20.0  # within which a playlist that is alive has changed


class Look(NamedTuple):
    """`cadence_s`: the target duration. `complaint`: in words for an operator. None: not known, which is no fault."""

    cadence_s: float | None = None
    complaint: str | None = None
    url: str = ""  # of the media playlist
    text: str = ""


def client() -> httpx.AsyncClient:
    # Nothing of the environment: FFmpeg is not told of it either.
    return httpx.AsyncClient(trust_env=False, follow_redirects=True, max_redirects=4)


def status_words(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP status {status}"


async def look(source: job.Source, http: httpx.AsyncClient, timeout_s: float) -> Look:
    """Reads the media playlist, through one multivariant playlist if need be."""
    try:
        async with asyncio.timeout(timeout_s):
            url, text = await _read(source, source.url, http)
            variant = _FIRST_VARIANT.search(text)
            if variant is not None and urlsplit(address := urljoin(url, variant[1].strip())).scheme in ("http", "https"):
                url, text = await _read(source, address, http)
    except _NotAPlaylist as error:
        return Look(complaint=str(error))
    except TimeoutError:
        return Look(complaint=f"no answer within {timeout_s:g} s")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return Look()  # FFmpeg has words for these
    if "#EXTINF" not in text:
        return Look(complaint="empty playlist")
    found = _TARGET_DURATION.search(text)
    return Look(float(found[1]) if found else None, None, url, text)


async def advances(source: job.Source, before: Look, http: httpx.AsyncClient) -> bool:
    """Whether the media playlist changes while a live one must (RFC 8216, 6.2.2); one that has ended need not."""
    if not before.text or before.cadence_s is None or "#EXT-X-ENDLIST" in before.text:
        return True
    limit_s = min(_CADENCES * before.cadence_s + _WAY_S, _LONGEST_S)
    try:
        async with asyncio.timeout(limit_s):
            while True:
                await asyncio.sleep(before.cadence_s / 4)  # a quarter of what a player may ask at
                if (await _read(source, before.url, http))[1] != before.text:
                    return True
    except (TimeoutError, _NotAPlaylist, httpx.HTTPError):
        return False


class _NotAPlaylist(Exception):
    """What the server answered instead."""


async def _read(source: job.Source, url: str, http: httpx.AsyncClient) -> tuple[str, str]:
    """The address that answered, and the text."""
    headers = {"User-Agent": source.user_agent or "Lavf", **source.headers}
    body = bytearray()
    async with http.stream("GET", url, headers=headers) as answer:
        if answer.is_error:
            raise _NotAPlaylist(status_words(answer.status_code))
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > _LIMIT_BYTES:
                break
    text = body.decode(errors="replace")
    if not text.removeprefix("\ufeff").startswith("#EXTM3U"):
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower() or "of no type"
        kind = kind if kind in _TOLD else "of another type"  # a server may write there what it likes
        raise _NotAPlaylist(f"not media ({kind})" if body else "an empty answer")
    return str(answer.url), text
