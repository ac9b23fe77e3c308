"""Conformance check of a store: does it honour conditional writes, form policies and the bucket's rules (laws 4, 5 and 8)?

Nothing is concluded from what a store says about itself: objects are written, read without a signature, and requests are sent
that the store must refuse.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Protocol

import urllib3

from orchestrator.ports import StoreReport
from transcoder import bucket

_MEDIA = b"a probe of failover doctor"
_PLAYLIST = {"Content-Type": bucket.PLAYLIST_TYPE}
_ORIGIN = "https://player.example"


class Target(Protocol):
    """A bucket, with signatures that allow writing to it."""

    def url(self, key: str = "") -> str:
        """The unsigned address of an object, or of the bucket."""

    def origin(self, key: str) -> str | None:
        """Where viewers read an object (a CDN); None: at the store itself."""

    def signed(self, method: str, key: str) -> str: ...

    def post_fields(self, session_id: str) -> dict[str, str]:
        """The form fields that a container gets for the first attempt's segments."""

    def post_report_fields(self, session_id: str) -> dict[str, str]:
        """The form fields that a container gets for the first attempt's reports."""


class ConformanceObjects(NamedTuple):
    """The keys that a check writes; its caller deletes them."""

    session_id: str

    @property
    def playlist(self) -> str:
        return bucket.multivariant_key(self.session_id)

    @property
    def segment(self) -> str:
        return bucket.segment_key(self.session_id, 1, 0)

    @property
    def log(self) -> str:
        return bucket.log_key(self.session_id, 1)

    @property
    def orders(self) -> str:
        return bucket.orders_key(self.session_id, 1)

    @property
    def report(self) -> str:
        return bucket.report_key(self.session_id, 1, 1)

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.playlist, self.segment, self.log, self.orders, self.report)


def objects(name: str) -> ConformanceObjects:
    """Of a session that does not exist, and whose id begins with this name."""
    return ConformanceObjects(f"{name}-{secrets.token_hex(6)}")


def examine(http: urllib3.PoolManager, target: Target, objects: ConformanceObjects) -> StoreReport:
    """Runs the whole check. Blocks. Raises urllib3's errors where the store does not answer."""

    def put(key: str, **headers: str) -> Any:
        conditions = {name.replace("_", "-"): value for name, value in headers.items()}
        return http.request("PUT", target.signed("PUT", key), body=_MEDIA, headers=_PLAYLIST | conditions)

    def unsigned(key: str) -> Iterator[Any]:
        """The store's answer without a signature, and the CDN's. A CDN that cannot be reached from here may still be reachable
        for viewers, so that is no finding."""
        yield http.request("GET", target.url(key), headers={"Origin": _ORIGIN})
        if (url := target.origin(key)) is not None and not unreachable:
            try:
                yield http.request("GET", url, headers={"Origin": _ORIGIN})
            except urllib3.exceptions.HTTPError as error:
                unreachable.append(error)

    unreachable: list[Exception] = []
    asked_at = time.time()
    first = put(objects.playlist, If_None_Match="*")
    clock_skew_s = _skew_s(first.headers.get("Date"), asked_at, time.time())
    etag = first.headers.get("ETag", "")
    again = put(objects.playlist, If_None_Match="*")
    stale = put(objects.playlist, If_Match='"00000000000000000000000000000000"')
    current = put(objects.playlist, If_Match=etag)
    form: dict[str, Any] = {**target.post_fields(objects.session_id), "key": objects.segment, "file": ("0.ts", _MEDIA)}
    posted = http.request("POST", target.url(), fields=form)
    put(objects.log)
    keys = {bucket.PLAYLISTS: objects.playlist, bucket.SEGMENTS: objects.segment, bucket.LOGS: objects.log}
    read = {prefix: [answer for answer in unsigned(key) if answer.status == 200] for prefix, key in keys.items()}
    return StoreReport(
        clock_skew_s=clock_skew_s,
        write_fault=None if first.status == 200 else words(first),
        refuses_overwrite=again.status == 412,
        refuses_stale=stale.status == 412,
        accepts_current=current.status == 200,
        post_policy_fault=None if posted.status in (200, 201, 204) else words(posted),
        public=tuple(prefix for prefix, answers in read.items() if answers),
        listable=http.request("GET", f"{target.url()}?list-type=2&max-keys=1").status == 200,
        cors=any(each.headers.get("Access-Control-Allow-Origin") in ("*", _ORIGIN) for each in read[bucket.PLAYLISTS]),
    )


def _skew_s(date: str | None, asked_at: float, answered_at: float) -> float | None:
    """How far the store's clock is ahead of ours. The header has whole seconds, so half a second is added."""
    if date is None:
        return None
    try:
        theirs = parsedate_to_datetime(date).timestamp() + 0.5
    except ValueError:
        return None
    return theirs - (asked_at + answered_at) / 2


def words(answer: Any) -> str:
    return f"{answer.status} {answer.data[:200].decode(errors='replace')}".strip()
