"""Object store: the origin of the CDN, with playlists, segments and logs in one bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from transcoder import bucket
from transcoder.publish.media_playlist import MediaPlaylist


class Stamp(Struct, frozen=True):
    """What a LIST tells about one session's media playlist."""

    etag: str
    modified_at: float


class StoredObject(Struct, frozen=True):
    key: str
    modified_at: float
    size: int


class PrivateReport(Struct, frozen=True, kw_only=True):
    """What the canary has found under the prefixes that only the store's key may read. Empty: nothing is wrong."""

    readable: tuple[str, ...] = ()  # prefixes that somebody without a signature can read
    unwritable: dict[str, str] = {}  # prefix → what the store answered instead of storing an object there, or giving it back

    @property
    def is_private(self) -> bool:
        """Whether orders and reports work there, and nobody else can read them."""
        return not self.readable and not self.unwritable

    @property
    def words(self) -> str:
        """What is wrong."""
        open_ = [f"anybody can read {prefix}" for prefix in self.readable]
        return "; ".join((*open_, *(f"{prefix} cannot be used: {answer}" for prefix, answer in self.unwritable.items())))


class StoreReport(Struct, frozen=True, kw_only=True):
    """What the conformance check of a store has found."""

    clock_skew_s: float | None  # how far its clock is ahead of ours; None: it does not tell
    write_fault: str | None = None  # what it answered instead of storing an object; None: it stored it
    refuses_overwrite: bool = True  # If-None-Match: * where there is an object
    refuses_stale: bool = True  # If-Match with another object's ETag
    accepts_current: bool = True  # If-Match with this one's
    post_policy_fault: str | None = None  # what it answered instead of storing a segment; None: it stored it
    public: tuple[str, ...] = bucket.PUBLIC_PREFIXES  # prefixes that anybody may read
    listable: bool = False  # by anybody
    cors: bool = True  # a page of any origin may read playlists
    private: PrivateReport = PrivateReport()


class ObjectStore(Protocol):
    """Playlists, segments and logs of all sessions."""

    async def prepare(self) -> None:
        """Creates the bucket if it is missing; sets CORS and the read policy. Safe to repeat. Raises StoreUnavailable."""

    async def check(self) -> None:
        """Raises StoreUnavailable."""

    async def examine(self) -> StoreReport:
        """Runs the conformance check with objects of its own, and deletes them. Raises StoreUnavailable."""

    async def examine_private(self) -> PrivateReport:
        """Writes canaries under `orders/` and `inbox/` as the orchestrator and an agent would, reads them with and without a
        signature, also where viewers read, and deletes them. Raises StoreUnavailable."""

    def sign(self, session_id: str, attempt: int, *, with_orders: bool = False) -> dict[str, object]:
        """The `store` object of the agent's job: signed addresses for one attempt. `with_orders`: also to read its orders and
        to post reports. No network call."""

    async def reports(self, *, session_id: str = "", after: str = "") -> Sequence[StoredObject]:
        """The first 1,000 reports in the order of their keys, by one LIST: of one session or of all, those behind the key
        `after`. Containers choose the keys below their prefix. Raises StoreUnavailable."""

    async def read_report(self, key: str) -> bytes | None:
        """A report, or of a longer object the first `transcoder.report.LIMIT_BYTES` + 1 bytes; None where there is none. Raises
        StoreUnavailable."""

    async def playlists(self) -> Mapping[str, Stamp]:
        """Session id → stamp of its media playlist, by one LIST (1,000 keys a page). Raises StoreUnavailable."""

    async def read_playlist(self, session_id: str) -> tuple[MediaPlaylist, str] | None:
        """The media playlist and its ETag; None where there is none. Raises StoreUnavailable; CorruptPlaylist where what is
        there cannot be read as one."""

    async def read_multivariant(self, session_id: str) -> str | None:
        """The text of the multivariant playlist; None where there is none. Raises StoreUnavailable."""

    async def read_segment(self, session_id: str, uri: str, limit_bytes: int) -> bytes | None:
        """The beginning of a segment, by its URI as the session's media playlist lists it. None where there is none, or where
        the URI leads out of the session's segments. Raises StoreUnavailable."""

    async def finish_playlist(self, session_id: str) -> None:
        """Appends EXT-X-ENDLIST by a conditional write; a no-op where there is no playlist or it has ended. Raises
        StoreUnavailable, CorruptPlaylist."""

    def objects(self, prefix: str) -> AsyncIterator[Sequence[StoredObject]]:
        """Every object under a prefix, page by page. Raises StoreUnavailable."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Bulk delete. Raises StoreUnavailable."""

    async def read_log(self, session_id: str, attempt: int) -> str | None:
        """The agent's log of an attempt; of one that is running, as it was some seconds ago. None where there is none. Raises
        StoreUnavailable."""

    async def close(self) -> None: ...
