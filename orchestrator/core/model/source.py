"""A source of a channel: what the operator has entered, and what is known of its health. Data only.

Times are unix seconds.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b

from msgspec import Struct

from orchestrator.core.model.cause import Why


class SourceStatus(StrEnum):
    UNKNOWN = "unknown"  # never probed or played
    HEALTHY = "healthy"
    PROBLEMATIC = "problematic"  # failed; not chosen until a probe succeeds, or nothing else is left
    RECOVERED = "recovered"  # failed once, and a probe has succeeded since
    DISABLED = "disabled"  # by the operator


class Media(Struct, frozen=True):
    """What a probe saw. Codec names are FFmpeg's; None where there is no such track."""

    video: str | None = None
    audio: str | None = None
    channels: int | None = None
    width: int | None = None
    height: int | None = None
    bitrate_bps: int | None = None
    cadence_s: float | None = None  # how far apart the media arrive: an HLS source's target duration


class Source(Struct, frozen=True, kw_only=True):
    """The fields from `status` on are its health: `core.source.health` alone computes them."""

    id: str
    channel_id: str
    provider_id: str | None = None
    url: str
    priority: int = 1  # 1 is tried first
    user_agent: str | None = None
    headers: dict[str, str] = {}
    status: SourceStatus = SourceStatus.UNKNOWN
    failure_count: int = 0
    stall_count: int = 0
    failures_in_a_row: int = 0  # while it played; ends when it has played steadily
    last_checked_at: float | None = None  # last probe, or last time seen playing
    last_failed_at: float | None = None
    last_failure: Why | None = None
    healthy_since: float | None = None  # the first ...
    healthy_at: float | None = None  # ... and the last of the probes that have all succeeded
    media: Media | None = None
    problematic_since: float | None = None  # without a break; of no meaning in another status

    @property
    def enabled(self) -> bool:
        return self.status is not SourceStatus.DISABLED

    @property
    def last_failure_reason(self) -> str | None:
        """Why it last failed, in words."""
        return self.last_failure.text if self.last_failure else None

    @property
    def address(self) -> str:
        """A digest of where and how it is fetched: sessions keep this, and no password belongs there."""
        return address_of(self.url, self.user_agent, self.headers)


def address_of(url: str, user_agent: str | None, headers: dict[str, str]) -> str:
    return blake2b(repr((url, user_agent, sorted(headers.items()))).encode(errors="surrogatepass"), digest_size=8).hexdigest()
