"""Downloads a playlist or a picture from an untrusted server.

Rule: a download is bounded in time and in bytes, uses http and https only, also after a redirect, and is never decompressed.
The body of a redirect or of an error is not read.
"""

from __future__ import annotations

import asyncio
from typing import Final

import httpx

from orchestrator.adapters.http.hls_source import status_words
from orchestrator.core.bounds import InputFault
from orchestrator.core.catalogue.m3u import BYTES
from orchestrator.errors import InvalidInput

LIMIT_S: Final = 60.0  # some providers generate their playlists on request
_REDIRECTS = 5


async def download(url: str, *, limit_bytes: int = BYTES, limit_s: float = LIMIT_S) -> bytes:
    """Raises InvalidInput('url') with the reason, which does not repeat the address, because that contains the account's
    password."""
    if not url.lower().startswith(("http://", "https://")):
        raise InvalidInput("url", "the scheme must be http or https", InputFault.SCHEME, ("http", "https"))
    try:
        async with asyncio.timeout(limit_s):
            return await _fetched(url, limit_bytes)
    except TimeoutError:
        raise InvalidInput("url", f"it was not complete within {limit_s:g} s") from None
    except (httpx.InvalidURL, ValueError):
        raise InvalidInput("url", "not a URL", InputFault.NOT_AN_ADDRESS) from None
    except httpx.HTTPError as error:
        raise InvalidInput("url", f"cannot be fetched: {type(error).__name__}") from None


async def _fetched(url: str, limit_bytes: int) -> bytes:
    # Without compression, by which a small answer could become a large one
    headers = {"Accept-Encoding": "identity", "Accept": "audio/x-mpegurl, application/vnd.apple.mpegurl, text/plain, */*"}
    async with httpx.AsyncClient(timeout=10.0) as client:
        request = client.build_request("GET", url, headers=headers)
        for _ in range(_REDIRECTS + 1):
            answer = await client.send(request, stream=True)
            try:
                if answer.next_request is None:
                    return await _body(answer, limit_bytes)
            finally:
                await answer.aclose()
            # Redirects are followed here: httpx would first read and decompress the whole body of a redirect
            request = answer.next_request
    raise InvalidInput("url", f"more than {_REDIRECTS} redirects")


async def _body(answer: httpx.Response, limit_bytes: int) -> bytes:
    if answer.status_code != httpx.codes.OK:
        raise InvalidInput("url", f"the server answered {status_words(answer.status_code)}")
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise InvalidInput("url", "the server answered compressed, which was not asked for")
    body = bytearray()
    async for part in answer.aiter_raw():
        body += part
        if len(body) > limit_bytes:
            raise InvalidInput(
                "url", f"more than {limit_bytes >> 20} MiB" if limit_bytes >> 20 else f"more than {limit_bytes >> 10} KiB"
            )
    return bytes(body)
