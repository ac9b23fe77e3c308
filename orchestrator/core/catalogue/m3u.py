"""IPTV playlists: extended M3U with the attributes and the request headers that players of such lists know.

Rule: whatever a playlist holds, reading it does not fail: what cannot be used is reported with the number of its line, and the
rest is read. Both directions go line by line, so a long list costs no more memory than what is made of it.

There is no standard. The attributes are those of Kodi's PVR IPTV Simple Client (README, "Supported M3U and XMLTV elements"),
`#EXTVLCOPT` is VLC's, `#KODIPROP` and the headers behind a `|` are Kodi's (wiki: "HTTP", "InputStream Properties").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, unquote

from msgspec import Struct

from orchestrator.core import bounds

BYTES: Final = 32 << 20  # of a playlist that is sent or fetched
LINE: Final = 16384  # characters
HEADER: Final = "#EXTM3U"


class PlaylistEntry(Struct, frozen=True, kw_only=True, gc=False):
    """One address of a playlist, and what it is said to be."""

    line: int = 0  # of the address; from 1
    name: str
    url: str
    tvg_id: str | None = None
    tvg_name: str | None = None
    logo: str | None = None
    number: int | None = None
    group: str | None = None
    user_agent: str | None = None
    headers: dict[str, str] = {}


class PlaylistFault(Struct, frozen=True):
    """What could not be used, in words for an operator. Addresses are not repeated: they hold passwords."""

    line: int
    reason: str


_DURATION = re.compile(r"\s*-?[0-9]*\.?[0-9]*")
_ATTRIBUTE = re.compile(r"""([A-Za-z0-9_-]+)=(?:"([^"]*)"|'([^']*)'|([^\s,"']*))""")
_SPACE_OR_COMMA = re.compile(r"[\s,]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_IN_NO_ADDRESS = re.compile(r"[\x00-\x20\x7f]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_VLC_HEADERS = {"http-user-agent": "User-Agent", "http-referrer": "Referer", "http-referer": "Referer", "http-origin": "Origin"}
_KODI_HEADERS = ("inputstream.adaptive.stream_headers", "inputstream.adaptive.manifest_headers")
_WELL_KNOWN = {"user-agent": "User-Agent", "referer": "Referer", "referrer": "Referer"}
_HLS = ("#EXT-X-TARGETDURATION", "#EXT-X-STREAM-INF")


def text_lines(lines: Iterable[bytes]) -> Iterator[str]:
    """Lines of text without their ends: UTF-8, with or without a byte order mark; a line that is not is taken as Latin-1."""
    for number, line in enumerate(lines):
        line = line.rstrip(b"\r\n")
        if number == 0:
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            yield line.decode()
        except UnicodeDecodeError:
            yield line.decode("latin-1")


def parse(lines: Iterable[str]) -> Iterator[PlaylistEntry | PlaylistFault]:
    """Entries, and what cannot be used, in the order in which they are known."""
    draft = _EntryDraft()
    number = 0
    for number, raw in enumerate(lines, start=1):
        line = raw.removeprefix("\ufeff").strip() if number == 1 else raw.strip()
        tag, _, value = line.partition(":")
        if len(line) > LINE:
            yield PlaylistFault(number, f"longer than {LINE} characters")
            draft = _EntryDraft(spoiled=True)
        elif not line:
            continue
        elif not line.startswith("#"):
            entry = draft.entry(number, line)
            yield from draft.faults
            if entry is not None:
                yield entry
            draft = _EntryDraft()
        elif tag.upper() == "#EXTINF":
            if draft.extinf_line:
                yield from draft.without_address()
                draft = _EntryDraft()
            draft.extinf(number, value)
        elif tag.upper() == "#EXTGRP":
            draft.group = value
        elif tag.upper() in ("#EXTVLCOPT", "#KODIPROP"):
            draft.option(number, tag.upper(), value)
        elif tag.upper() in _HLS:
            yield PlaylistFault(number, "this is the HLS playlist of one channel, not a list of channels")
    if draft.extinf_line:
        yield from draft.without_address()


def render(entries: Iterable[PlaylistEntry]) -> Iterator[str]:
    """The lines of a playlist, without their ends. `parse` reads them as they were, but for a quotation mark in an attribute,
    which the format cannot hold: it becomes an apostrophe."""
    yield HEADER
    for entry in entries:
        attributes = {
            "tvg-id": entry.tvg_id,
            "tvg-name": entry.tvg_name,
            "tvg-chno": entry.number,
            "tvg-logo": entry.logo,
            "group-title": entry.group,
        }
        given = "".join(f' {name}="{_quotable(value)}"' for name, value in attributes.items() if value is not None)
        yield f"#EXTINF:-1{given},{entry.name}"
        headers = ({"User-Agent": entry.user_agent} if entry.user_agent else {}) | entry.headers
        suffix = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in headers.items())
        yield f"{entry.url}|{suffix}" if suffix else entry.url


class _EntryDraft:
    """The attributes and headers that the lines before an address give it."""

    def __init__(self, *, spoiled: bool = False) -> None:
        self.extinf_line = 0
        self.group = ""
        self.faults: list[PlaylistFault] = []
        self._spoiled = spoiled  # reported already: its address goes with it
        self._name = ""
        self._attributes: dict[str, str] = {}
        self._headers: dict[str, str] = {}

    def extinf(self, line: int, text: str) -> None:
        self.extinf_line = line
        self._attributes, title = _taken_apart(text)
        self._name = _plain(title) or _plain(self._attributes.get("tvg-name", ""))
        if not self._name:
            self._spoil(line, "#EXTINF without a name")
        elif len(self._name) > bounds.NAME:
            self._spoil(line, f"the name is longer than {bounds.NAME} characters")

    def option(self, line: int, tag: str, text: str) -> None:
        name, _, value = text.partition("=")
        name = name.strip().lower()
        if tag == "#EXTVLCOPT" and name in _VLC_HEADERS:
            self._header(line, _VLC_HEADERS[name], value.strip().strip('"'))
        elif tag == "#KODIPROP" and name in _KODI_HEADERS:
            self._encoded_headers(line, value.strip())

    def entry(self, line: int, text: str) -> PlaylistEntry | None:
        if self._spoiled:
            return None
        url, _, suffix = text.partition("|")
        url = url.strip()
        if fault := "no #EXTINF stands before it" if not self.extinf_line else _url_fault(url):
            self._report(line, fault)
            return None
        self._encoded_headers(line, suffix)
        headers = dict(self._headers)
        return PlaylistEntry(
            line=line,
            name=self._name,
            url=url,
            tvg_id=self._text("tvg-id", bounds.TEXT),
            tvg_name=self._text("tvg-name", bounds.TEXT),
            logo=self._text("tvg-logo", bounds.URL, space="%20"),
            number=self._number(),
            group=self._text("group-title", bounds.TEXT) or self._plain_group(),
            user_agent=headers.pop("User-Agent", None) or None,
            headers=headers,
        )

    def without_address(self) -> Iterator[PlaylistFault]:
        """The faults of an entry that no address follows."""
        if not self._spoiled:
            self._report(self.extinf_line, "no address follows")
        yield from self.faults

    def _text(self, name: str, longest: int, space: str = " ") -> str | None:
        text = _plain(self._attributes.get(name, "")).replace(" ", space)
        if len(text) > longest:
            self._report(self.extinf_line, f"{name} is longer than {longest} characters: left out")
            return None
        return text or None

    def _plain_group(self) -> str | None:
        return _plain(self.group)[: bounds.TEXT].strip() or None

    def _number(self) -> int | None:
        text = self._attributes.get("tvg-chno", "").strip()
        if text and not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) <= bounds.NUMBER):
            self._report(self.extinf_line, f"tvg-chno is not a number up to {bounds.NUMBER}: left out")
            return None
        return int(text) if text else None

    def _encoded_headers(self, line: int, text: str) -> None:
        """`User-Agent=Player%2F1.0&Referer=http%3A%2F%2Fa.example%2F`"""
        for part in filter(None, text.split("&")):
            name, _, value = part.partition("=")
            self._header(line, unquote(name).strip(), unquote(value).strip())

    def _header(self, line: int, name: str, value: str) -> None:
        name = _WELL_KNOWN.get(name.lower(), name)
        longest = bounds.USER_AGENT if name == "User-Agent" else bounds.HEADER_VALUE
        if not _TOKEN.fullmatch(name) or len(name) > bounds.HEADER_NAME:
            self._report(line, "a request header without a proper name: left out")
        elif len(value) > longest or not value or _CONTROL.search(value):
            self._report(line, f"the value of the request header {name} is empty, too long or not plain: left out")
        elif len(self._headers) >= bounds.HEADERS and name not in self._headers:
            self._report(line, f"more than {bounds.HEADERS} request headers: {name} is left out")
        else:
            self._headers[name] = value

    def _report(self, line: int, reason: str) -> None:
        self.faults.append(PlaylistFault(line, reason))

    def _spoil(self, line: int, reason: str) -> None:
        self._spoiled = True
        self._report(line, reason)


def _taken_apart(text: str) -> tuple[dict[str, str], str]:
    """`-1 tvg-id="a" group-title="B, C",Name, with a comma` → its attributes, by lower-case name, and its title. What is
    neither (a stray quotation mark) is stepped over."""
    attributes: dict[str, str] = {}
    duration = _DURATION.match(text)
    offset = duration.end() if duration else 0
    while offset < len(text):
        if text[offset] == ",":
            return attributes, text[offset + 1 :]
        if attribute := _ATTRIBUTE.match(text, offset):
            name, double, single, bare = attribute.groups()
            attributes.setdefault(name.lower(), double or single or bare or "")
            offset = attribute.end()
        elif text[offset].isspace():
            offset += 1
        else:
            further = _SPACE_OR_COMMA.search(text, offset)
            offset = further.start() if further else len(text)
    return attributes, ""


def _url_fault(url: str) -> str | None:
    if len(url) > bounds.URL:
        return f"the address is longer than {bounds.URL} characters"
    if _IN_NO_ADDRESS.search(url):
        return "the address has a space or a control character in it"
    fault = bounds.address_fault(url)
    return fault.reason if fault else None


def _plain(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()


def _quotable(value: str | int) -> str:
    return str(value).replace('"', "'")
