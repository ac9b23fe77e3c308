"""Fetches a playlist. Law: what comes is bounded in time and in size, by http and https alone, also behind a redirect."""

from __future__ import annotations

import asyncio
from typing import Final

import httpx

from orchestrator.core.m3u import BYTES
from orchestrator.errors import InvalidInput

LIMIT_S: Final = 60.0  # some providers make their lists on request
_REDIRECTS = 5


async def download(url: str, *, limit_bytes: int = BYTES, limit_s: float = LIMIT_S) -> bytes:
    """Raises InvalidInput('url') with the reason; the address is not repeated: it holds the account's password."""
    if not url.lower().startswith(("http://", "https://")):
        raise InvalidInput("url", "the scheme must be http or https")
    try:
        async with asyncio.timeout(limit_s):
            return await _fetched(url, limit_bytes)
    except TimeoutError:
        raise InvalidInput("url", f"it was not complete within {limit_s:g} s") from None
    except (httpx.InvalidURL, ValueError):
        raise InvalidInput("url", "not a URL") from None
    except httpx.HTTPError as error:
        raise InvalidInput("url", f"cannot be fetched: {type(error).__name__}") from None


async def _fetched(url: str, limit_bytes: int) -> bytes:
    # No compression: a small answer would become a large one
    headers = {"Accept-Encoding": "identity", "Accept": "audio/x-mpegurl, application/vnd.apple.mpegurl, text/plain, */*"}
    async with (
        httpx.AsyncClient(follow_redirects=True, max_redirects=_REDIRECTS, timeout=10.0) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            raise InvalidInput("url", f"the server answered {answer.status_code} {answer.reason_phrase}")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise InvalidInput("url", "the server answered compressed, which was not asked for")
        body = bytearray()
        async for part in answer.aiter_raw():
            body += part
            if len(body) > limit_bytes:
                raise InvalidInput("url", f"more than {limit_bytes >> 20} MiB")
        return bytes(body)
