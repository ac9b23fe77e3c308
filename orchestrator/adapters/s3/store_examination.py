"""What a store does with probe objects: whether it keeps the rules that continuity and privacy rest on (laws 4, 5 and 8).

Nothing is concluded from what a store says of itself: it is written to, read from as anybody, and asked what it must refuse.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Protocol

import urllib3

from orchestrator.ports import StoreReport

_MEDIA = b"a probe of failover doctor"
_PLAYLIST = {"Content-Type": "application/vnd.apple.mpegurl"}
_ORIGIN = "https://player.example"


class Target(Protocol):
    """One bucket, and the right to write to it."""

    def url(self, key: str = "") -> str:
        """Anybody's address of an object, or of the bucket."""

    def origin(self, key: str) -> str | None:
        """Where viewers read an object, if that is not at the store itself."""

    def signed(self, method: str, key: str) -> str: ...

    def post_fields(self, session_id: str) -> dict[str, str]:
        """Of a policy for the first attempt's segments, as a container gets it."""


class Probes(NamedTuple):
    """The keys that an examination writes; its caller deletes them."""

    session_id: str

    @property
    def playlist(self) -> str:
        return f"playlists/{self.session_id}/index.m3u8"

    @property
    def segment(self) -> str:
        return f"segments/{self.session_id}/1/main/0.ts"

    @property
    def log(self) -> str:
        return f"logs/{self.session_id}/1.log"

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.playlist, self.segment, self.log)


def probes() -> Probes:
    return Probes(f"doctor-{secrets.token_hex(6)}")


def examine(http: urllib3.PoolManager, target: Target, probe: Probes) -> StoreReport:
    """Blocks. Raises urllib3's errors where the store does not answer."""

    def put(key: str, **headers: str) -> Any:
        conditions = {name.replace("_", "-"): value for name, value in headers.items()}
        return http.request("PUT", target.signed("PUT", key), body=_MEDIA, headers=_PLAYLIST | conditions)

    def as_anybody(key: str) -> Iterator[Any]:
        """What the store answers, and what the CDN does. One that cannot be reached from here says nothing of viewers."""
        yield http.request("GET", target.url(key), headers={"Origin": _ORIGIN})
        if (url := target.origin(key)) is not None and not unreachable:
            try:
                yield http.request("GET", url, headers={"Origin": _ORIGIN})
            except urllib3.exceptions.HTTPError as error:
                unreachable.append(error)

    unreachable: list[Exception] = []
    asked_at = time.time()
    first = put(probe.playlist, If_None_Match="*")
    clock_skew_s = _skew_s(first.headers.get("Date"), asked_at, time.time())
    etag = first.headers.get("ETag", "")
    again = put(probe.playlist, If_None_Match="*")
    stale = put(probe.playlist, If_Match='"00000000000000000000000000000000"')
    current = put(probe.playlist, If_Match=etag)
    posted = http.request(
        "POST", target.url(), fields={**target.post_fields(probe.session_id), "key": probe.segment, "file": ("0.ts", _MEDIA)}
    )
    put(probe.log)
    keys = {"playlists/": probe.playlist, "segments/": probe.segment, "logs/": probe.log}
    read = {prefix: [answer for answer in as_anybody(key) if answer.status == 200] for prefix, key in keys.items()}
    return StoreReport(
        clock_skew_s=clock_skew_s,
        writable="" if first.status == 200 else _words(first),
        refuses_overwrite=again.status == 412,
        refuses_stale=stale.status == 412,
        accepts_current=current.status == 200,
        post_policy="" if posted.status in (200, 201, 204) else _words(posted),
        public=tuple(prefix for prefix, answers in read.items() if answers),
        listable=http.request("GET", f"{target.url()}?list-type=2&max-keys=1").status == 200,
        cors=any(each.headers.get("Access-Control-Allow-Origin") in ("*", _ORIGIN) for each in read["playlists/"]),
    )


def _skew_s(date: str | None, asked_at: float, answered_at: float) -> float | None:
    """The store's clock ahead of ours. The header has whole seconds: half of one is the best guess."""
    if date is None:
        return None
    try:
        theirs = parsedate_to_datetime(date).timestamp() + 0.5
    except ValueError:
        return None
    return theirs - (asked_at + answered_at) / 2


def _words(answer: Any) -> str:
    return f"{answer.status} {answer.data[:200].decode(errors='replace')}".strip()
