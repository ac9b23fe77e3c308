"""Reads an HLS source's own playlists: its target duration, why there are no media, and whether the playlist advances.

An HLS source's media arrive in bursts as long as its segments. FFmpeg does not tell the target duration, and little about a
server's answer; so the playlist is read once more beside the probe.

Rule: reading is bounded in time and in bytes. What no FFmpeg can play (DRM) is refused by its name, even where a probe finds
media.
"""

from __future__ import annotations

import asyncio
import re
from hashlib import blake2b
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import httpx

from orchestrator.adapters.http.bounded_http import BoundedAnswer, BoundedClient, Unreadable
from orchestrator.core.model import Cause, Why
from transcoder.input import SourceInput

_LIMIT_BYTES = 8 << 20  # a day of segments of two seconds; more is not read
_FRONT_BYTES = 64 * 1024  # a playlist's beginning, which has all tags that are looked for
_TARGET_DURATION = re.compile(r"^#EXT-X-TARGETDURATION:(\d{1,4})\b", re.MULTILINE)
_LONGEST_CADENCE_S = 120.0  # a longer target duration is a mistake, or the source is not live
_TOLD = ("of no type", "text/html", "text/plain", "text/xml", "application/xml", "application/json", "application/octet-stream",
         "application/dash+xml", "video/mp2t", "video/mp4", "image/jpeg", "image/png")  # fmt: skip
_FIRST_VARIANT = re.compile(r"^#EXT-X-STREAM-INF:.*\n+([^#\s].*)$", re.MULTILINE)
_KEY = re.compile(r"^#EXT-X-(?:SESSION-)?KEY:(.*)$", re.MULTILINE)
_METHOD = re.compile(r"\bMETHOD=([A-Z0-9-]+)")
_KEY_FORMAT = re.compile(r'\bKEYFORMAT="([^"]*)"')
_DRM = {
    "com.apple.streamingkeydelivery": "FairPlay",
    "com.microsoft.playready": "PlayReady",
    "urn:uuid:9a04f079-9840-4286-ab92-e65be0885f95": "PlayReady",
    "urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed": "Widevine",
}
_SEQUENCE = re.compile(rb"^#EXT-X-MEDIA-SEQUENCE:(\d{1,20})", re.MULTILINE)
_LAST_SEGMENT = re.compile(rb"^([^#\s][^?\s]*)", re.MULTILINE)
_BOM = b"\xef\xbb\xbf"

_CADENCES, _WAY_S, _LONGEST_S = 1.5, 1.0, 20.0  # a live playlist changes within 1.5 target durations and 1 s for requests


class Look(NamedTuple):
    """`cadence_s`: the target duration. `complaint`: why there may be no media, for an operator. `refusal`: why it cannot be
    played, whatever FFmpeg finds in it. None: not known, which is no failure."""

    cadence_s: float | None = None
    complaint: Why | None = None
    refusal: Why | None = None
    url: str = ""  # of the media playlist
    mark: bytes = b""  # a digest of what it lists: it changes when the list does
    ended: bool = False  # it has EXT-X-ENDLIST


def status_words(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP status {status}"


def why_of_status(status: int) -> Why:
    """Of an answer that is an error."""
    return Why(Cause.UNREACHABLE if 500 <= status < 600 else Cause.REFUSES, status_words(status))


async def look(source: SourceInput, visitor: BoundedClient, timeout_s: float) -> Look:
    """Reads the media playlist; where the source is a multivariant playlist, that of the first variant."""
    refusal = None
    try:
        async with asyncio.timeout(timeout_s):
            answer, text = await _read(source, source.url, visitor)
            refusal = _encryption(text)
            variant = _FIRST_VARIANT.search(text)
            if variant is not None and urlsplit(address := urljoin(answer.url, variant[1].strip())).scheme in ("http", "https"):
                answer, text = await _read(source, address, visitor)
    except _NotAPlaylist as error:
        return Look(complaint=error.why, refusal=refusal)
    except TimeoutError:
        return Look(complaint=Why(Cause.UNREACHABLE, f"no answer within {timeout_s:g} s"), refusal=refusal)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return Look(refusal=refusal)  # FFmpeg's own message tells more
    refusal = refusal or _encryption(text)
    if "#EXTINF" not in text:
        return Look(complaint=Why(Cause.UNPLAYABLE, "empty playlist"), refusal=refusal)
    ended = b"#EXT-X-ENDLIST" in answer.body
    return Look(_cadence_s(text), None, refusal, answer.url, _mark(answer), ended)


async def name(source: SourceInput, visitor: BoundedClient, timeout_s: float) -> Why | None:
    """What the server sends instead of media: DASH, a web page, an error. None: unknown."""
    try:
        async with asyncio.timeout(timeout_s):
            await _read(source, source.url, visitor)
    except _NotAPlaylist as error:
        return error.why
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None
    return None


async def advances(source: SourceInput, before: Look, visitor: BoundedClient) -> bool:
    """Whether the media playlist changes within the time in which a live one must (RFC 8216, 6.2.2). True for one that has
    ended."""
    if not before.mark or before.cadence_s is None or before.ended:
        return True
    limit_s = min(_CADENCES * before.cadence_s + _WAY_S, _LONGEST_S)
    try:
        async with asyncio.timeout(limit_s):
            while True:
                await asyncio.sleep(before.cadence_s / 4)  # four times as often as a player may ask
                answer, _ = await _read(source, before.url, visitor)
                if _mark(answer) != before.mark:
                    return True
    except (TimeoutError, _NotAPlaylist, httpx.HTTPError):
        return False


class _NotAPlaylist(Exception):
    """The message tells what the server has sent instead."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.text)
        self.why = why


async def _read(source: SourceInput, url: str, visitor: BoundedClient) -> tuple[BoundedAnswer, str]:
    """The answer, and the beginning of its text."""
    headers = {"User-Agent": source.user_agent or "Lavf", **source.headers}
    try:
        answer = await visitor.get(url, headers, limit_bytes=_LIMIT_BYTES, goes_on=_may_be_a_playlist)
    except Unreadable as error:
        raise _NotAPlaylist(Why(Cause.UNPLAYABLE, str(error))) from None
    if answer.status >= 400:
        raise _NotAPlaylist(why_of_status(answer.status))
    if answer.body.startswith(b"#EXTM3U"):
        return answer, answer.body[:_FRONT_BYTES].decode(errors="replace")
    raise _NotAPlaylist(_what_it_is(answer))


def _may_be_a_playlist(begun: bytes) -> bool:
    """Whether to read on: of anything else the first bytes are enough, and it may be a stream that does not end."""
    return b"#EXTM3U".startswith(begun[:7])


def _what_it_is(answer: BoundedAnswer) -> Why:
    body, kind = answer.body[:4096], answer.content_type
    if body.startswith(_BOM + b"#EXTM3U"):
        return Why(Cause.UNPLAYABLE, "a playlist that begins with a byte order mark, which HLS forbids (RFC 8216, 4.1)")
    if b"<MPD" in body or kind.lower() == "application/dash+xml":
        return Why(Cause.UNPLAYABLE, "DASH (an MPD), not HLS")
    kind = kind.lower() or "of no type"
    kind = kind if kind in _TOLD else "of another type"  # any other text of a server is not repeated
    return Why(Cause.UNPLAYABLE, f"not media ({kind})") if body else Why(Cause.UNREACHABLE, "an empty answer")


def _encryption(text: str) -> Why | None:
    """Why it cannot be decrypted; None: it can be, or is not encrypted. FFmpeg decrypts AES-128 with a key that can be
    fetched."""
    refusal = None
    for key in _KEY.finditer(text):
        method = found[1] if (found := _METHOD.search(key[1])) else ""
        form = found[1].lower() if (found := _KEY_FORMAT.search(key[1])) else "identity"
        if method == "NONE":
            continue
        if form != "identity":
            refusal = Why(Cause.UNPLAYABLE, f"protected by {_DRM.get(form, 'a DRM system')}")
        elif method.startswith("SAMPLE-AES"):
            refusal = refusal or Why(Cause.UNPLAYABLE, "encrypted by SAMPLE-AES")
        else:
            return None  # one way to decrypt it is enough
    return refusal


def _cadence_s(text: str) -> float | None:
    found = _TARGET_DURATION.search(text)
    cadence_s = float(found[1]) if found else 0.0
    return cadence_s if 0.0 < cadence_s <= _LONGEST_CADENCE_S else None


def _mark(answer: BoundedAnswer) -> bytes:
    """A digest of which segments are listed. Not of the whole text: a server that signs its addresses writes different ones
    each time, though no segment has been added."""
    body = answer.body
    sequence = _SEQUENCE.search(body)
    last = b""
    for each in _LAST_SEGMENT.finditer(body, max(0, body.rfind(b"#EXTINF"))):
        last = each[1].rpartition(b"/")[2]
    listed = b"%d %d " % (body.count(b"#EXTINF"), body.count(b"#EXT-X-PART:"))
    return blake2b(listed + (sequence[1] if sequence else b"") + b" " + last, digest_size=16).digest()
