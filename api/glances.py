"""Channels and sources as the wall screen shows them. What has not changed since it was last shown is not made again: of
thousands of sources a look finds a few that are different.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from api.strips import NOTHING
from orchestrator.core.model import Failback, Hevc, Profile, Session, Sharing, Source, SourceStatus
from orchestrator.core.policy import Policy
from orchestrator.core.reading.event_payload import timestamp
from orchestrator.core.source.hold_off import held_off_until
from orchestrator.ports import ChannelRow

_POLICY: Final = Policy()  # of hold-offs, which no setting changes
# http://host/USER/PASSWORD and rtmp://host/live/KEY end otherwise
_NAME: Final = re.compile(r"[\w.-]{1,40}\.(?:m3u8?|ts|mpd|mp4|m4s|aac|flv|sdp)|\d{1,10}", re.ASCII)


class SourceGlance(Struct, kw_only=True):
    id: str
    label: str  # host and, where it is a file's name or a number, the last part of the path
    priority: int
    enabled: bool
    status: SourceStatus
    provider_id: str | None
    failure_count: int
    stall_count: int
    last_checked_at: str | None
    last_failed_at: str | None
    last_failure_reason: str | None
    held_off_until: str | None
    in_use: int  # attempts that have it open
    video: str | None
    audio: str | None
    width: int | None
    height: int | None
    bitrate_bps: int | None


class ChannelGlance(Struct, kw_only=True):
    id: str
    slug: str
    name: str
    number: int | None
    group: str | None
    logo: str | None
    enabled: bool
    profile: Profile
    hevc: Hevc
    sharing: Sharing
    failback: Failback
    slate: bool
    failovers: list[str]  # ids of channels
    sessions: int  # that have not ended
    strip: str  # 96 quarter hours, oldest first, the worst of each: . none, ? not known, g, a, s(late), r
    sources: list[SourceGlance]


class _Shown(Struct, frozen=True):
    source: Source
    in_use: int
    until: float | None  # it is held off until then, and shown to be
    glance: SourceGlance


class Glances:
    """Not to be used by two threads at once."""

    def __init__(self) -> None:
        self._shown: dict[str, _Shown] = {}

    def of(
        self, rows: Sequence[ChannelRow], strips: Mapping[str, str], unended: Sequence[Session], now: float
    ) -> list[ChannelGlance]:
        counts = Counter(session.channel_id for session in unended)
        in_use = Counter(attempt.source_id for session in unended for attempt in session.attempts)
        shown = {each.id: self._source(each, in_use.get(each.id, 0), now) for row in rows for each in row.sources}
        self._shown = shown
        return [
            ChannelGlance(
                id=channel.id,
                slug=channel.slug,
                name=channel.name,
                number=channel.number,
                group=channel.group,
                logo=channel.logo,
                enabled=channel.enabled,
                profile=channel.policy.profile,
                hevc=channel.policy.hevc,
                sharing=channel.policy.sharing,
                failback=channel.policy.failback,
                slate=channel.policy.slate,
                failovers=list(row.failovers),
                sessions=counts.get(channel.id, 0),
                strip=strips.get(channel.id, NOTHING),
                sources=[shown[each.id].glance for each in row.sources],
            )
            for row in rows
            for channel in (row.channel,)
        ]

    def _source(self, source: Source, in_use: int, now: float) -> _Shown:
        before = self._shown.get(source.id)
        if before is not None and _is_still_so(before, source, in_use, now):
            return before
        held_off = held_off_until(source, _POLICY)
        until = held_off if held_off > now else None
        return _Shown(source, in_use, until, _glance(source, in_use, until))


def _is_still_so(before: _Shown, source: Source, in_use: int, now: float) -> bool:
    same = before.in_use == in_use and (before.source is source or before.source == source)
    return same and (before.until is None or before.until > now)


def _optional(at: float | None) -> str | None:
    return None if at is None else timestamp(at)


def _glance(source: Source, in_use: int, until: float | None) -> SourceGlance:
    media = source.media
    return SourceGlance(
        id=source.id,
        label=label_of(source.url),
        priority=source.priority,
        enabled=source.status is not SourceStatus.DISABLED,
        status=source.status,
        provider_id=source.provider_id,
        failure_count=source.failure_count,
        stall_count=source.stall_count,
        last_checked_at=_optional(source.last_checked_at),
        last_failed_at=_optional(source.last_failed_at),
        last_failure_reason=source.last_failure_reason,
        held_off_until=None if until is None else timestamp(until),
        in_use=in_use,
        video=media.video if media else None,
        audio=media.audio if media else None,
        width=media.width if media else None,
        height=media.height if media else None,
        bitrate_bps=media.bitrate_bps if media else None,
    )


def label_of(url: str) -> str:
    """What a person knows a source by: no user info, no query, and of the path, in which accounts stand, the last part alone,
    where that is a file's name or a number."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "not an address"
    host = parts.netloc.rpartition("@")[2]
    name = parts.path.rstrip("/").rpartition("/")[2]
    return f"{host}/{name}" if _NAME.fullmatch(name) else host
