"""Channels, sources and sessions in memory, with the meaning of `orchestrator.adapters.sql` and a switch for faults."""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Mapping, Sequence
from typing import NoReturn, assert_never

from msgspec.structs import replace

from orchestrator.core.catalogue.failover_channels import Signature, behind, signature
from orchestrator.core.model import (
    SHARED,
    AttemptEnded,
    AttemptLive,
    AttemptStarted,
    AttemptSteady,
    Channel,
    Decision,
    Desired,
    EndReason,
    Event,
    Happened,
    Leg,
    LegsChanged,
    Phase,
    Profile,
    Record,
    ReportRead,
    Session,
    Source,
    SourceFailed,
    SourceStatus,
)
from orchestrator.core.session.limits import NO_LIMITS, Limits, Load, reached
from orchestrator.core.session.operator_switch import NEXT
from orchestrator.core.source import health
from orchestrator.errors import (
    AlreadyExists,
    DatabaseUnavailable,
    InvalidInput,
    LimitReached,
    NotFound,
    Stale,
    ViewerLimitReached,
)
from orchestrator.ports import (
    FRESH_S,
    LEASE_KEPT_S,
    AttemptRow,
    ChannelRow,
    LatestRenewals,
    Lease,
    LineUp,
    NewSource,
    ProbeResult,
    SessionRow,
)
from tests.fakes.journal import FakeJournal
from tests.fakes.operation import FakeOperation
from tests.fakes.playlist_imports import FakeImports, FakeProviders
from tests.fakes.probes import FakeProbes


class FakeTables:
    """The fakes, as `open_tables` gives the adapters. While `refusing`, every call raises DatabaseUnavailable."""

    def __init__(self, catalogue: FakeCatalogue | None = None) -> None:
        self.catalogue = catalogue or FakeCatalogue()
        self.imports = FakeImports(self.catalogue)
        self.probes = FakeProbes(self.catalogue)
        self.providers = FakeProviders(self.catalogue, self.imports)
        self.sessions = FakeSessions(self.catalogue)
        self.operation = FakeOperation(lambda: self.sessions)
        self.sessions.operation = self.operation
        self.journal = FakeJournal(lambda: self.sessions)

    @property
    def sessions(self) -> FakeSessions:
        return self._sessions

    @sessions.setter
    def sessions(self, sessions: FakeSessions) -> None:
        self._sessions = self.providers.sessions = sessions

    @property
    def refusing(self) -> bool:
        return self.catalogue.refusing and self.sessions.refusing

    @refusing.setter
    def refusing(self, refusing: bool) -> None:
        self.catalogue.refusing = self.sessions.refusing = refusing
        self.providers.refusing = self.imports.refusing = self.operation.refusing = self.journal.refusing = refusing
        self.probes.refusing = refusing

    async def close(self) -> None:
        await self.sessions.close()


class FakeCatalogue:
    """`ports.Catalogue` in memory."""

    def __init__(self) -> None:
        self.refusing = False
        self._channels: dict[str, Channel] = {}
        self._sources: dict[str, Source] = {}
        self._failovers: dict[str, tuple[str, ...]] = {}
        self.probe_asked_at: dict[str, float] = {}
        self.probe_refused: dict[str, str] = {}
        self._numbers = itertools.count(1)

    def _answer(self) -> None:
        if self.refusing:
            raise DatabaseUnavailable("refusing")

    async def add_channel(self, channel: Channel, sources: Sequence[NewSource]) -> Channel:
        self._answer()
        self._unique(channel.slug, None)
        now = time.time()
        channel = replace(channel, id=f"c-{next(self._numbers)}", active_source_id=None, created_at=now, updated_at=now)
        self._channels[channel.id] = channel
        for priority, source in enumerate(sources, start=1):
            self._add(channel.id, source, priority)
        return channel

    async def channel(self, channel: str) -> Channel:
        self._answer()
        by_slug = next((each for each in self._channels.values() if each.slug == channel), None)
        return self._channels.get(channel) or by_slug or self._missing("channel", channel)

    async def channels(self, *, limit: int = 100, after: str | None = None, search: str | None = None) -> tuple[Channel, ...]:
        self._answer()
        listed = sorted(self._channels.values(), key=_place)
        if after is not None:
            if after not in self._channels:
                raise InvalidInput("after", "no such channel")
            listed = [each for each in listed if _place(each) > _place(self._channels[after])]
        if search:
            listed = [each for each in listed if search.casefold() in _words(each)]
        return tuple(listed[:limit])

    async def update_channel(self, channel: Channel) -> Channel:
        self._answer()
        before = self._channels.get(channel.id) or self._missing("channel", channel.id)
        self._unique(channel.slug, channel.id)
        self._channels[channel.id] = replace(
            channel, active_source_id=before.active_source_id, created_at=before.created_at, updated_at=time.time()
        )
        return self._channels[channel.id]

    async def delete_channel(self, channel_id: str) -> None:
        self._answer()
        if self._channels.pop(channel_id, None) is None:
            self._missing("channel", channel_id)
        self._sources = {key: each for key, each in self._sources.items() if each.channel_id != channel_id}
        self._failovers.pop(channel_id, None)
        for key, line in self._failovers.items():
            self._failovers[key] = tuple(each for each in line if each != channel_id)

    async def sources(self, channel_id: str) -> tuple[Source, ...]:
        self._answer()
        return self._of(channel_id)

    async def source(self, source_id: str) -> Source:
        self._answer()
        return self._sources.get(source_id) or self._missing("source", source_id)

    async def add_source(self, channel_id: str, source: NewSource, priority: int | None = None) -> Source:
        self._answer()
        if channel_id not in self._channels:
            self._missing("channel", channel_id)
        before = self._of(channel_id)
        place = len(before) if priority is None else min(max(priority, 1), len(before) + 1) - 1
        added = self._add(channel_id, source, 0)
        self._order((*before[:place], added, *before[place:]))
        return self._sources[added.id]

    async def update_source(
        self, source_id: str, *, url: str | None = None, user_agent: str | None = None,
        headers: dict[str, str] | None = None, enabled: bool | None = None, provider_id: str | None = None,
    ) -> Source:  # fmt: skip
        self._answer()
        source = self._sources.get(source_id) or self._missing("source", source_id)
        source = health.edited(source, time.time(), url=url, enabled=enabled)
        if user_agent is not None:
            source = replace(source, user_agent=user_agent or None)
        if headers is not None:
            source = replace(source, headers=headers)
        if provider_id is not None:
            source = replace(source, provider_id=provider_id or None)
        return self._put(source)

    async def delete_source(self, source_id: str) -> None:
        self._answer()
        source = self._sources.pop(source_id, None) or self._missing("source", source_id)
        channel = self._channels[source.channel_id]
        if channel.active_source_id == source_id:
            self._channels[channel.id] = replace(channel, active_source_id=None)
        self._order(self._of(channel.id))

    async def order_sources(self, channel_id: str, source_ids: Sequence[str]) -> tuple[Source, ...]:
        self._answer()
        if channel_id not in self._channels:
            self._missing("channel", channel_id)
        if sorted(source_ids) != sorted(each.id for each in self._of(channel_id)):
            raise InvalidInput("source_ids", "must name each source of the channel exactly once")
        self._order([self._sources[source_id] for source_id in source_ids])
        return self._of(channel_id)

    async def record_probe(self, source_id: str, result: ProbeResult, now: float) -> Source:
        self._answer()
        source = self._sources.get(source_id) or self._missing("source", source_id)
        self.probe_asked_at.pop(source_id, None)
        self.probe_refused.pop(source_id, None)
        if not result.verdict and result.reason is not None:
            self.probe_refused[source_id] = result.reason
        return self._put(health.after(source, result.happening, now))

    async def failovers(self, channel_id: str) -> tuple[Channel, ...]:
        self._answer()
        return tuple(self._channels[each] for each in self._failovers.get(channel_id, ()))

    async def set_failovers(self, channel_id: str, channel_ids: Sequence[str]) -> tuple[Channel, ...]:
        self._answer()
        if channel_id in channel_ids or len(set(channel_ids)) < len(channel_ids):
            raise InvalidInput("channels", "the channel itself, or one twice")
        if channel_id not in self._channels:
            self._missing("channel", channel_id)
        if not set(channel_ids) <= set(self._channels):
            raise InvalidInput("channels", "no such channel")
        self._failovers[channel_id] = tuple(channel_ids)
        return await self.failovers(channel_id)

    async def lineup(self, channel: str) -> LineUp:
        own = await self.channel(channel)
        enabled = {
            key: [each for each in line if self._channels[each].enabled] for key, line in self._failovers.items()
        }  # what is behind a disabled one is reached by no other way either
        line = behind(own.id, enabled)
        return LineUp(own, tuple(source for each in line for source in self._of(each)))

    async def lineups(self, channel_ids: Collection[str]) -> Mapping[str, Signature]:
        self._answer()
        known = [await self.lineup(each) for each in channel_ids if each in self._channels and self._channels[each].enabled]
        return {each.channel.id: signature(each.channel.policy, each.sources) for each in known}

    async def whole(self) -> tuple[ChannelRow, ...]:
        every = await self.channels(limit=len(self._channels))
        return tuple([ChannelRow(each, await self.sources(each.id), self._failovers.get(each.id, ())) for each in every])

    async def problematic_sources(self) -> tuple[Source, ...]:
        self._answer()
        return tuple(each for each in self._sources.values() if each.status is SourceStatus.PROBLEMATIC)

    def profile(self, channel_id: str) -> Profile:
        channel = self._channels.get(channel_id)
        return "copy" if channel is None else channel.policy.profile

    def played(self, channel_id: str, source_id: str, now: float) -> None:
        """What an AttemptLive record says of the source and its channel."""
        self.happened(source_id, health.Listed(), now)
        source, channel = self._sources.get(source_id), self._channels.get(channel_id)
        if source is not None and channel is not None and source.channel_id == channel_id:
            self._channels[channel_id] = replace(channel, active_source_id=source_id)

    def happened(self, source_id: str, what: health.Happening, now: float) -> None:
        """Nothing, where it has been deleted."""
        source = self._sources.get(source_id)
        if source is not None:
            self._put(health.after(source, what, now))

    def _missing(self, noun: str, key: str) -> NoReturn:
        raise NotFound(f"{noun} {key}")

    def _unique(self, slug: str, own_id: str | None) -> None:
        if any(each.slug == slug and each.id != own_id for each in self._channels.values()):
            raise AlreadyExists(f"channel {slug}")

    def _of(self, channel_id: str) -> tuple[Source, ...]:
        own = (each for each in self._sources.values() if each.channel_id == channel_id)
        return tuple(sorted(own, key=lambda each: each.priority))

    def _add(self, channel_id: str, new: NewSource, priority: int) -> Source:
        source = Source(
            id=f"x-{next(self._numbers)}",
            channel_id=channel_id,
            provider_id=new.provider_id,
            url=new.url,
            priority=priority,
            user_agent=new.user_agent,
            headers=new.headers,
        )
        self._sources[source.id] = source
        return source

    def _order(self, sources: Sequence[Source]) -> None:
        for priority, source in enumerate(sources, start=1):
            self._sources[source.id] = replace(source, priority=priority)

    def _put(self, source: Source) -> Source:
        self._sources[source.id] = source
        return source


class FakeSessions:
    """`ports.Sessions` in memory, over the catalogue whose sources it blames and praises."""

    def __init__(self, catalogue: FakeCatalogue) -> None:
        self.refusing = False
        self._catalogue = catalogue
        self._rows: dict[str, SessionRow] = {}  # without anybody's lease; `renewed_at` as at the start
        self._leases: dict[str, dict[str, Lease]] = {}  # session, viewer
        self._can_renew_at: float | None = None
        self._attempts: dict[tuple[str, int], AttemptRow] = {}
        self._events: dict[str, list[Event]] = {}
        self._journal: list[Event] = []
        self._numbers = itertools.count(1)
        self.operation: FakeOperation | None = None  # whether new sessions may start

    async def request(
        self, channel_id: str, viewer: str, token_hash: str, now: float,
        *, shared: bool = False, profile: Profile = "copy", limits: Limits = NO_LIMITS,
    ) -> tuple[SessionRow, bool]:  # fmt: skip
        self._answer()
        lease = Lease(viewer=viewer, token_hash=token_hash, renewed_at=now)
        whose = SHARED if shared else viewer
        for row in self._rows.values():
            session = row.session
            if (session.viewer, session.channel_id) == (whose, channel_id) and _running(session):
                if self._get(session.id).renewed_at < now - FRESH_S:
                    self._write(replace(session, version=session.version + 1))
                leases = self._leases[session.id]
                self._leases[session.id] = {
                    name: each
                    for name, each in (leases | {viewer: lease}).items()
                    if viewer in leases or each.renewed_at >= now - LEASE_KEPT_S
                }
                return replace(self._get(session.id), lease=lease), False
        if self.operation is not None:
            self.operation.refuse_while_draining()
        self._admit(limits, profile, channel_id, viewer, now)
        session = Session(id=f"s-{next(self._numbers)}", channel_id=channel_id, viewer=whose, created_at=now)
        self._rows[session.id] = SessionRow(session=session, renewed_at=now)
        self._leases[session.id] = {viewer: lease}
        self._events[session.id] = []
        return replace(self._rows[session.id], lease=lease), True

    def _admit(self, limits: Limits, profile: Profile, channel_id: str, viewer: str, now: float) -> None:
        running = [row.session for row in self._rows.values() if _running(row.session)]
        profiles = [self._catalogue.profile(session.channel_id) for session in running]
        load = Load(
            sessions=len(running),
            of_channel=sum(session.channel_id == channel_id for session in running),
            of_viewer=sum(
                each.viewer == viewer and each.renewed_at >= now - limits.lease_s
                for session in running
                for each in self._leases[session.id].values()
            ),
            of_profile={each: profiles.count(each) for each in profiles},
        )
        full = reached(limits, load, profile)
        if full is not None:
            raise (ViewerLimitReached if full.by_viewer else LimitReached)(full.limit, full.words)

    async def get(self, session_id: str, token_hash: str | None = None) -> SessionRow:
        self._answer()
        row = self._get(session_id)
        leases = self._leases[session_id].values()
        return replace(row, lease=next((each for each in leases if each.token_hash == token_hash), None))

    async def unended(self) -> tuple[Session, ...]:
        self._answer()
        return tuple(row.session for row in self._rows.values() if row.session.phase is not Phase.ENDED)

    async def versions(self) -> Mapping[str, int]:
        return {session.id: session.version for session in await self.unended()}

    async def recent(self, *, limit: int = 100, phase: Phase | None = None) -> tuple[SessionRow, ...]:
        self._answer()
        rows = sorted(map(self._get, self._rows), key=lambda row: (row.session.created_at, row.session.id), reverse=True)
        return tuple(row for row in rows if phase in (None, row.session.phase))[:limit]

    async def stop(self, session_id: str, reason: EndReason) -> None:
        self._answer()
        session = self._get(session_id).session
        if _running(session):
            self._write(replace(session, desired=Desired.STOP, end_reason=reason, version=session.version + 1))

    async def switch(self, session_id: str, source_id: str | None) -> None:
        self._answer()
        session = self._get(session_id).session
        if _running(session):
            self._write(replace(session, switch_to=source_id or NEXT, version=session.version + 1))

    async def renew(self, session_id: str, now: float, viewer: str | None = None) -> None:
        self._answer()
        self._get(session_id)
        leases = self._leases[session_id]
        if viewer not in (None, *leases):
            raise NotFound(f"viewer {viewer} of session {session_id}")
        for name in leases if viewer is None else (viewer,):
            leases[name] = replace(leases[name], renewed_at=now)

    async def leave(self, session_id: str, viewer: str) -> None:
        self._answer()
        leases = self._leases.get(session_id, {})
        if viewer not in leases:
            raise NotFound(f"viewer {viewer} of session {session_id}")
        if len(leases) == 1:
            await self.stop(session_id, EndReason.STOPPED)
        else:
            del leases[viewer]

    async def viewers(self, session_ids: Collection[str], since: float) -> Mapping[str, int]:
        self._answer()
        counts = {
            session_id: sum(each.renewed_at > since for each in self._leases.get(session_id, {}).values())
            for session_id in session_ids
        }
        return {session_id: count for session_id, count in counts.items() if count}

    async def runs(self, channel_id: str, viewer: str) -> bool:
        self._answer()
        sessions = (row.session for row in self._rows.values())
        return any(_running(each) and (each.channel_id, each.viewer) == (channel_id, viewer) for each in sessions)

    async def held(self, places: Collection[tuple[str, str]], since: float) -> frozenset[tuple[str, str]]:
        self._answer()
        running = (row.session for row in self._rows.values() if _running(row.session))
        leases = ((each.channel_id, lease) for each in running for lease in self._leases[each.id].values())
        return frozenset(places) & {(channel, lease.viewer) for channel, lease in leases if lease.renewed_at >= since}

    async def can_renew(self, now: float) -> None:
        self._answer()
        self._can_renew_at = now

    async def renewals(self) -> LatestRenewals:
        unended = await self.unended()
        return LatestRenewals(
            last_at={session.id: self._get(session.id).renewed_at for session in unended}, written_at=self._can_renew_at
        )

    async def commit(self, before: Session, decision: Decision, now: float) -> tuple[Event, ...]:
        self._answer()
        row = self._rows.get(before.id)
        if row is None or row.session.version != before.version:
            raise Stale(f"session {before.id} is no longer at version {before.version}")
        self._write(replace(decision.session, version=before.version + 1))
        return self._record(before.id, decision.records, now, {each.number: each.legs for each in decision.session.attempts})

    async def events(self, session_id: str, after: int = 0, limit: int = 1000) -> tuple[Event, ...]:
        self._answer()
        return tuple(event for event in self._events.get(session_id, ()) if event.id > after)[:limit]

    async def attempts(self, session_id: str) -> tuple[AttemptRow, ...]:
        self._answer()
        own = (row for (of, _), row in self._attempts.items() if of == session_id)
        return tuple(sorted(own, key=lambda row: row.number))

    async def check(self) -> None:
        self._answer()

    async def close(self) -> None:
        pass

    def _answer(self) -> None:
        if self.refusing:
            raise DatabaseUnavailable("refusing")

    def _get(self, session_id: str) -> SessionRow:
        if session_id not in self._rows:
            raise NotFound(f"session {session_id}")
        latest = max((each.renewed_at for each in self._leases[session_id].values()), default=None)
        row = self._rows[session_id]
        return row if latest is None else replace(row, renewed_at=latest)

    def _write(self, session: Session) -> None:
        self._rows[session.id] = replace(self._rows[session.id], session=session)

    def _record(
        self, session_id: str, records: Sequence[Record], now: float, legs: Mapping[int, tuple[Leg, ...]]
    ) -> tuple[Event, ...]:
        channel_id = self._rows[session_id].session.channel_id
        told = self._events[session_id]
        before = len(told)
        for record in records:
            match record:
                case AttemptStarted():
                    self._attempts[session_id, record.attempt] = AttemptRow(
                        session_id=session_id,
                        number=record.attempt,
                        source_id=record.source_id,
                        started_at=now,
                        start_reason=record.why.text,
                        start_cause=record.why.cause,
                        legs=legs.get(record.attempt),
                    )
                case AttemptLive():
                    row = self._attempts.get((session_id, record.attempt))
                    if row is not None and row.first_segment_at is None:
                        self._attempts[session_id, record.attempt] = replace(
                            row, first_segment_at=now, legs=legs.get(record.attempt, row.legs)
                        )
                    self._catalogue.played(channel_id, record.source_id, now)
                case AttemptSteady():
                    self._catalogue.happened(record.source_id, health.PlayedSteadily(), now)
                case AttemptEnded():
                    row = self._attempts.get((session_id, record.attempt))
                    if row is not None:
                        self._attempts[session_id, record.attempt] = replace(
                            row,
                            ended_at=now,
                            exit_code=record.exit_code,
                            end_reason=record.why.text,
                            end_cause=record.why.cause,
                        )
                case LegsChanged():
                    row = self._attempts.get((session_id, record.attempt))
                    if row is not None:
                        self._attempts[session_id, record.attempt] = replace(row, legs=record.legs)
                case ReportRead():
                    pass
                case SourceFailed():
                    failed = health.Failed(record.why, record.stalled, record.in_a_row, record.at)
                    self._catalogue.happened(record.source_id, failed, now)
                case Happened():
                    event = Event(
                        id=len(told) + 1, session_id=session_id, type=record.type, at=now, fields=dict(record.fields),
                        causes=record.causes,
                    )  # fmt: skip
                    told.append(event)
                    self._journal.append(event)
                case _:
                    assert_never(record)
        return tuple(told[before:])


def _running(session: Session) -> bool:
    return session.phase is not Phase.ENDED and session.desired is Desired.RUN


def _place(channel: Channel) -> tuple[bool, int, str, str]:
    return channel.number is None, channel.number or 0, channel.name, channel.id


def _words(channel: Channel) -> str:
    words = (channel.name, channel.slug, channel.group, channel.tvg_id, channel.tvg_name, channel.number)
    return "\n".join(str(word) for word in words if word is not None).casefold()
