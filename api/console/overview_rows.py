"""The overview's rows of channels and sources. A source's row is cached until the source, its use or its hold-off changes: of
thousands of sources few differ from one overview to the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from api.console.day_histories import NOTHING
from api.console.source_label import label_of
from api.session.views import optional_timestamp
from orchestrator.core.model import Failback, Hevc, Profile, Session, Sharing, Source, SourceStatus
from orchestrator.core.policy import Policy
from orchestrator.core.source.hold_off import held_off_until
from orchestrator.ports import ChannelRow

_POLICY: Final = Policy()  # of hold-offs, which no setting changes


class OverviewSource(Struct, kw_only=True):
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
    in_use: int  # attempts that read it now
    video: str | None
    audio: str | None
    width: int | None
    height: int | None
    bitrate_bps: int | None


class OverviewChannel(Struct, kw_only=True):
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
    strip: str  # 96 quarter hours, oldest first: the worst state of each, in the letters of `/v1/channels/{channel}/history`
    sources: list[OverviewSource]


class _CachedRow(Struct, frozen=True):
    source: Source
    in_use: int
    until: float | None  # it is held off until then, and shown to be
    row: OverviewSource


class OverviewRows:
    """Not thread-safe: one call at a time."""

    def __init__(self) -> None:
        self._cached: dict[str, _CachedRow] = {}

    def of(
        self, rows: Sequence[ChannelRow], strips: Mapping[str, str], unended: Sequence[Session], now: float
    ) -> list[OverviewChannel]:
        counts = Counter(session.channel_id for session in unended)
        in_use = Counter(attempt.source_id for session in unended for attempt in session.attempts)
        cached = {each.id: self._source(each, in_use.get(each.id, 0), now) for row in rows for each in row.sources}
        self._cached = cached
        return [
            OverviewChannel(
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
                sources=[cached[each.id].row for each in row.sources],
            )
            for row in rows
            for channel in (row.channel,)
        ]

    def _source(self, source: Source, in_use: int, now: float) -> _CachedRow:
        before = self._cached.get(source.id)
        if before is not None and _is_current(before, source, in_use, now):
            return before
        held_off = held_off_until(source, _POLICY)
        until = held_off if held_off > now else None
        return _CachedRow(source, in_use, until, _row(source, in_use, until))


def _is_current(before: _CachedRow, source: Source, in_use: int, now: float) -> bool:
    same = before.in_use == in_use and (before.source is source or before.source == source)
    return same and (before.until is None or before.until > now)


def _row(source: Source, in_use: int, until: float | None) -> OverviewSource:
    media = source.media
    return OverviewSource(
        id=source.id,
        label=label_of(source.url),
        priority=source.priority,
        enabled=source.status is not SourceStatus.DISABLED,
        status=source.status,
        provider_id=source.provider_id,
        failure_count=source.failure_count,
        stall_count=source.stall_count,
        last_checked_at=optional_timestamp(source.last_checked_at),
        last_failed_at=optional_timestamp(source.last_failed_at),
        last_failure_reason=source.last_failure_reason,
        held_off_until=optional_timestamp(until),
        in_use=in_use,
        video=media.video if media else None,
        audio=media.audio if media else None,
        width=media.width if media else None,
        height=media.height if media else None,
        bitrate_bps=media.bitrate_bps if media else None,
    )
