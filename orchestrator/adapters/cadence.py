"""How far apart a source's media arrive: an HLS source comes in bursts of its own segments' length, its target duration.

FFmpeg does not tell it, so the playlist is read once more, beside the probe. Bounded in time and size; not to know is no fault.
"""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urljoin, urlsplit

import httpx

from transcoder import job
from transcoder.argv import is_playlist

_LIMIT_BYTES = 256 * 1024
_TARGET_DURATION = re.compile(r"^#EXT-X-TARGETDURATION:(\d+)", re.MULTILINE)
_FIRST_VARIANT = re.compile(r"^#EXT-X-STREAM-INF:.*\n+([^#\s].*)$", re.MULTILINE)


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, follow_redirects=True, max_redirects=4)


async def of(source: job.Source, http: httpx.AsyncClient, timeout_s: float) -> float | None:
    """Seconds; None where the source is not HLS, or does not say."""
    if not is_playlist(source):
        return None
    try:
        async with asyncio.timeout(timeout_s):
            url, text = await _read(source, source.url, http)
            variant = _FIRST_VARIANT.search(text)
            if variant is not None and urlsplit(address := urljoin(url, variant[1].strip())).scheme in ("http", "https"):
                _, text = await _read(source, address, http)
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None
    found = _TARGET_DURATION.search(text)
    return float(found[1]) if found else None


async def _read(source: job.Source, url: str, http: httpx.AsyncClient) -> tuple[str, str]:
    headers = dict(source.headers)
    if source.user_agent:
        headers["User-Agent"] = source.user_agent
    body = bytearray()
    async with http.stream("GET", url, headers=headers) as answer:
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > _LIMIT_BYTES:
                break
    return str(answer.url), body.decode(errors="replace")
