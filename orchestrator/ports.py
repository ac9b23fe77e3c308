"""What the orchestrator and the API need of the world. Nothing here knows how it is done.

Every method may raise the errors it names and no other error of an outside library: adapters translate. `Temporary` errors
become `Unknown` observations (law 3).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from orchestrator.core.failover import Signature
from orchestrator.core.imports import ChannelPlan, KnownChannel
from orchestrator.core.limits import NO_LIMITS, Limits
from orchestrator.core.model import (
    Channel,
    Container,
    Decision,
    Event,
    Media,
    Phase,
    Profile,
    Provider,
    Record,
    Session,
    Source,
)
from transcoder.media_playlist import MediaPlaylist

# --- containers -------------------------------------------------------------------------------------------------------


class Launch(Struct, frozen=True, kw_only=True):
    """All that a runtime needs to run one attempt."""

    session_id: str
    attempt: int
    job: str  # the agent's job, JSON (docs/architecture.md)
    gives_way: bool = False  # to every other attempt, where they compete for the machine


class ContainerEvent(Struct, frozen=True):
    """Something happened to this session's container: look at it."""

    session_id: str
    attempt: int


class EngineReport(Struct, frozen=True, kw_only=True):
    """What an engine says of itself and of the transcoder image."""

    clock_skew_s: float | None = None  # its clock ahead of ours; None: it is ours
    image_revision: str | None = None  # None: the image has no such label, or there is no image
    directory: str | None = None  # where it keeps images and containers, on its own machine


class ContainerRuntime(Protocol):
    """Runs attempts. The name of a container is `{deployment}-{session}-{attempt}`; its labels carry all three."""

    @property
    def kind(self) -> str:
        """As `FAILOVER_RUNTIME` names it."""

    async def start(self, launch: Launch) -> None:
        """Create and start; a no-op where it runs already. Raises EngineUnavailable, ImageMissing."""

    async def stop(self, session_id: str, attempt: int, grace_s: float) -> None:
        """SIGTERM, `grace_s` later SIGKILL, then remove; a no-op where there is none. Raises EngineUnavailable."""

    async def containers(self, session_id: str | None = None) -> tuple[Container, ...]:
        """This deployment's containers, of one session or of all, running or not. Raises EngineUnavailable."""

    def events(self) -> AsyncIterator[ContainerEvent]:
        """Follows starts, deaths, pauses and health changes until it breaks (EngineUnavailable) or is closed."""

    async def check(self) -> None:
        """Raises EngineUnavailable or ImageMissing where `start` could not work."""

    async def examine(self) -> EngineReport:
        """Raises EngineUnavailable, ImageMissing."""

    async def close(self) -> None: ...


# --- object store -----------------------------------------------------------------------------------------------------


class Stamp(Struct, frozen=True):
    """What a LIST says of one session's media playlist."""

    etag: str
    modified_at: float


class StoredObject(Struct, frozen=True):
    key: str
    modified_at: float
    size: int


class StoreReport(Struct, frozen=True, kw_only=True):
    """What a store does with probe objects."""

    clock_skew_s: float | None  # its clock ahead of ours; None: it does not say
    writable: str = ""  # what it answered instead of taking an object
    refuses_overwrite: bool = True  # If-None-Match: * where there is an object
    refuses_stale: bool = True  # If-Match with another object's ETag
    accepts_current: bool = True  # If-Match with this one's
    post_policy: str = ""  # what it answered instead of taking a segment
    public: tuple[str, ...] = ("playlists/", "segments/")  # prefixes that anybody may read
    listable: bool = False  # by anybody
    cors: bool = True  # a page of any origin may read playlists


class ObjectStore(Protocol):
    """The CDN's origin."""

    async def prepare(self) -> None:
        """Create the bucket where missing; set CORS and the read policy. Safe to repeat. Raises StoreUnavailable."""

    async def check(self) -> None:
        """Raises StoreUnavailable."""

    async def examine(self) -> StoreReport:
        """Tries with probe objects, and removes them. Raises StoreUnavailable."""

    def sign(self, session_id: str, attempt: int) -> dict[str, object]:
        """The `store` object of the agent's job: signed addresses for one attempt. No network call."""

    async def playlists(self) -> Mapping[str, Stamp]:
        """Session id → stamp of its `main.m3u8`, by one LIST (1,000 keys a page). Raises StoreUnavailable."""

    async def read_playlist(self, session_id: str) -> tuple[MediaPlaylist, str] | None:
        """The media playlist and its ETag; None where there is none. Raises StoreUnavailable; CorruptPlaylist where what is
        there cannot be read as one."""

    async def read_multivariant(self, session_id: str) -> str | None:
        """The text of `index.m3u8`; None where there is none. Raises StoreUnavailable."""

    async def finish_playlist(self, session_id: str) -> None:
        """Append EXT-X-ENDLIST, conditionally; a no-op where there is none or it has ended. Raises StoreUnavailable,
        CorruptPlaylist."""

    def objects(self, prefix: str) -> AsyncIterator[Sequence[StoredObject]]:
        """Every object under a prefix, page by page. Raises StoreUnavailable."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Bulk delete. Raises StoreUnavailable."""

    async def read_log(self, session_id: str, attempt: int) -> str | None:
        """The agent's log of an attempt that has ended; None where there is none. Raises StoreUnavailable."""

    async def close(self) -> None: ...


# --- events -----------------------------------------------------------------------------------------------------------


class EventBus(Protocol):
    """Redis: hints only. Every method that sends is best effort: it raises BusUnavailable and the caller goes on."""

    async def publish(self, event: Event, payload: bytes) -> None:
        """To `stream-session.{session_id}`."""

    def subscribe(self, session_id: str) -> AsyncIterator[bytes]:
        """Payloads of one session from now on. Reconnects by itself; a lost message is found in the rows."""

    async def nudge(self, session_id: str) -> None:
        """Tell the orchestrator to look at this session now."""

    def nudges(self) -> AsyncIterator[str]:
        """Session ids to look at. Reconnects by itself."""

    async def check(self) -> None:
        """Raises BusUnavailable."""

    async def close(self) -> None: ...


# --- probes -----------------------------------------------------------------------------------------------------------


class ProbeResult(Struct, frozen=True):
    """`media` where the source works; else `reason`, in words for an operator."""

    media: Media | None
    reason: str | None = None


class Prober(Protocol):
    async def probe(self, source: Source) -> ProbeResult:
        """Never raises for what the source does; bounded in time and in how many run at once."""

    async def close(self) -> None: ...


# --- tables -----------------------------------------------------------------------------------------------------------


class NewSource(Struct, frozen=True, kw_only=True):
    url: str
    provider_id: str | None = None
    user_agent: str | None = None
    headers: dict[str, str] = {}


class LineUp(Struct, frozen=True):
    """A channel, and all sources that its sessions may come to use in the order to try: its own by priority, then those of its
    failover channels, of theirs, and so on, the nearest first. What is behind a disabled channel does not count."""

    channel: Channel
    sources: tuple[Source, ...]


class Catalogue(Protocol):
    """Channels and their ordered sources. All raise DatabaseUnavailable; lookups by slug or id."""

    async def add_channel(self, channel: Channel, sources: Sequence[NewSource]) -> Channel:
        """Ids and times are given here (those in `channel` are ignored). Raises AlreadyExists for a taken slug."""

    async def channel(self, channel: str) -> Channel:
        """By id or slug. Raises NotFound."""

    async def channels(self, *, limit: int = 100, after: str | None = None, search: str | None = None) -> tuple[Channel, ...]:
        """By number, then name; `after` is the id of the last one of the page before."""

    async def update_channel(self, channel: Channel) -> Channel:
        """Writes the editable fields. Raises NotFound, AlreadyExists."""

    async def delete_channel(self, channel_id: str) -> None:
        """Sources go with it; sessions stay as history. Raises NotFound."""

    async def sources(self, channel_id: str) -> tuple[Source, ...]:
        """By priority."""

    async def source(self, source_id: str) -> Source:
        """Raises NotFound."""

    async def add_source(self, channel_id: str, source: NewSource, priority: int | None = None) -> Source:
        """At the end, or at `priority` (the rest moves down). Raises NotFound."""

    async def update_source(
        self, source_id: str, *, url: str | None = None, user_agent: str | None = None,
        headers: dict[str, str] | None = None, enabled: bool | None = None, provider_id: str | None = None,
    ) -> Source:  # fmt: skip
        """Only what is given changes; a changed URL or `enabled=True` sets the status to unknown, with no failure in a row.
        Raises NotFound."""

    async def delete_source(self, source_id: str) -> None:
        """Raises NotFound."""

    async def order_sources(self, channel_id: str, source_ids: Sequence[str]) -> tuple[Source, ...]:
        """Priorities 1, 2, 3 ... in this order; all of the channel's ids exactly once, else InvalidInput('source_ids')."""

    async def record_probe(self, source_id: str, result: ProbeResult, now: float) -> Source:
        """Healthy: unknown → healthy, problematic → recovered; `healthy_since` is set where it was not. Failed: →
        problematic, with the reason, and healthy no more; counters untouched. A disabled source stays disabled. Raises
        NotFound."""

    async def failovers(self, channel_id: str) -> tuple[Channel, ...]:
        """Whose sources are used when the channel's own are down, in order."""

    async def set_failovers(self, channel_id: str, channel_ids: Sequence[str]) -> tuple[Channel, ...]:
        """In this order, instead of what was there. Raises NotFound; InvalidInput('channels') for one that does not exist,
        that is the channel itself, or that stands there twice."""

    async def lineup(self, channel: str) -> LineUp:
        """By id or slug. Raises NotFound."""

    async def lineups(self, channel_ids: Collection[str]) -> Mapping[str, Signature]:
        """Of these channels, those that are there and enabled, each with its line-up's signature: by few queries, what the
        orchestrator compares with what it knows."""

    async def problematic_sources(self) -> tuple[Source, ...]:
        """Of all channels: what the recovery job probes."""


class OrchestratorRow(Struct, frozen=True, kw_only=True):
    """An orchestrator, as it has last said that it is there."""

    id: str  # of one process's life
    node: str
    started_at: float
    seen_at: float


DRAIN_RETRY_S = 30.0  # a draining deployment asks who comes anew to come back after so long
DRAINING = "the deployment is draining: it takes no new sessions"


class Operation(Protocol):
    """What concerns the whole deployment. All raise DatabaseUnavailable."""

    async def beat(self, orchestrator: OrchestratorRow) -> None:
        """It is there: a new row, or the same one's `seen_at`. Rows of a day ago go."""

    async def leave(self, orchestrator_id: str) -> None:
        """It is not there any more; a no-op where there is no such row."""

    async def orchestrators(self) -> tuple[OrchestratorRow, ...]:
        """The one seen last comes first; those that were killed are among them."""

    async def drain(self, at: float | None) -> None:
        """Intent: from `at` on no new session starts (`Sessions.request` raises LimitReached); None: they do again."""

    async def draining_since(self) -> float | None: ...

    async def revision(self) -> str | None:
        """The schema's, as migrations name it; None: nothing has been migrated."""

    async def known(self, session_ids: Collection[str]) -> frozenset[str]:
        """Those of the ids that have a row, whatever its phase."""

    async def forget_ended(self, before: float, limit: int) -> int:
        """Deletes sessions that ended before then, the oldest first, with their attempts and events: about `limit` rows in
        one transaction. Returns how many; 0: nothing is left."""


class Providers(Protocol):
    """Accounts that sources come from. All raise DatabaseUnavailable."""

    async def add(self, name: str, max_connections: int | None) -> Provider:
        """Raises AlreadyExists for a taken name."""

    async def get(self, provider: str) -> Provider:
        """By id or name. Raises NotFound."""

    async def all(self) -> tuple[Provider, ...]:
        """By name."""

    async def update(self, provider: Provider) -> Provider:
        """Writes name and limit. Raises NotFound, AlreadyExists."""

    async def in_use(self) -> Mapping[str, int]:
        """Provider id → connections that the attempts of sessions hold, as far as rows tell: probes, and containers that are
        still being stopped, are known to the orchestrator alone."""

    async def of_attempts(self, attempts: Collection[tuple[str, int]]) -> Mapping[tuple[str, int], str]:
        """(session id, number) → the provider of the attempt's source, where it has one."""

    async def delete(self, provider_id: str) -> None:
        """Its sources go with it, and the channels that its imports brought where they have no source left. Raises NotFound."""


class Download(Protocol):
    async def __call__(self, url: str) -> bytes:
        """A playlist, by http or https, bounded in time and size. Raises InvalidInput('url')."""


class Imports(Protocol):
    """What imports know and write of channels and sources. All raise DatabaseUnavailable."""

    async def lineup(self) -> tuple[KnownChannel, ...]:
        """Every channel, as an import knows it; in the order in which they came."""

    async def apply(self, provider_id: str, planned: Sequence[ChannelPlan]) -> int:
        """One transaction: these channels become what is planned; new sources are the provider's. A channel that has changed
        since it was planned stays as it is. Returns how many were written. Raises Stale where nothing was, because the
        provider has gone or a slug was taken meanwhile."""


class AttemptRow(Struct, frozen=True, kw_only=True):
    """A line of a session's history."""

    session_id: str
    number: int
    source_id: str | None
    started_at: float
    first_segment_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    start_reason: str | None = None
    end_reason: str | None = None


LEASE_KEPT_S = 3600.0  # a lease that has run out stays so long in a session that is shared: its viewer may come back
FRESH_S = 10.0  # a session that was renewed within so long is not about to end


class Lease(Struct, frozen=True, kw_only=True):
    """A viewer's hold on a session."""

    viewer: str
    token_hash: str
    renewed_at: float  # last heartbeat or read


class SessionRow(Struct, frozen=True, kw_only=True):
    """A session as the API shows it: the orchestrator's state and what only the API keeps."""

    session: Session
    renewed_at: float  # the latest renewal of all its leases
    lease: Lease | None = None  # of whoever asks


class Renewals(Struct, frozen=True, kw_only=True):
    """What the rows say of who watches."""

    last_at: Mapping[str, float]  # id of each session that has not ended → the latest renewal of all its leases
    written_at: float | None  # when an API last said that it can write renewals; None: never


class Sessions(Protocol):
    """Sessions, attempts, events. All raise DatabaseUnavailable."""

    async def request(
        self, channel_id: str, viewer: str, token_hash: str, now: float,
        *, shared: bool = False, profile: Profile = "copy", limits: Limits = NO_LIMITS,
    ) -> tuple[SessionRow, bool]:  # fmt: skip
        """The viewer's running session on the channel, where `shared` all viewers', or a new row; True: new. Either way the
        viewer has a fresh lease of it, with this `token_hash`. Simultaneous requests give one session; of those that would
        take the last place one gets it. Raises LimitReached, ViewerLimitReached, and then nothing was written.

        Who joins where nobody has renewed lately bumps the version: a decision to end the session is stale."""

    async def get(self, session_id: str, token_hash: str | None = None) -> SessionRow:
        """`lease` is the one with this token. Raises NotFound for the session alone."""

    async def unended(self) -> tuple[Session, ...]:
        """Every session whose phase is not `ended`, or that wants to stop and has not; the oldest first."""

    async def versions(self) -> Mapping[str, int]:
        """Of the same sessions, each one's version by its id: what the resync looks at every second."""

    async def recent(self, *, limit: int = 100, phase: Phase | None = None) -> tuple[SessionRow, ...]:
        """Newest first."""

    async def stop(self, session_id: str, reason: str) -> None:
        """Intent: desired = stop. Bumps the version. Raises NotFound."""

    async def switch(self, session_id: str, source_id: str | None) -> None:
        """Intent: `switch_to` (None: the next one in order; stored as "next"; "same": a fresh attempt on the current one).
        Bumps the version. Raises NotFound."""

    async def renew(self, session_id: str, now: float, viewer: str | None = None) -> None:
        """The viewer's lease, or all of the session's: does not touch the version. Raises NotFound."""

    async def leave(self, session_id: str, viewer: str) -> None:
        """Intent: the viewer's lease is over. The last one stays, and the session stops. Raises NotFound."""

    async def viewers(self, session_ids: Collection[str], since: float) -> Mapping[str, int]:
        """How many leases of each were renewed after `since`; what has none is not named."""

    async def can_renew(self, now: float) -> None:
        """An API says that it can write renewals: whoever does not renew from now on does not want to."""

    async def renewals(self) -> Renewals:
        """Of all sessions that have not ended."""

    async def commit(self, before: Session, decision: Decision, now: float) -> tuple[Event, ...]:
        """One transaction: the session row (where version = before.version; the new version is +1), attempts, sources,
        events. Intent columns (desired, switch_to) are written too, which is safe because their writers bump the version.
        Returns the events written, with their ids. Raises Stale."""

    async def record(self, session_id: str, records: Sequence[Record], now: float) -> tuple[Event, ...]:
        """Records without a change of state."""

    async def events(self, session_id: str, after: int = 0, limit: int = 1000) -> tuple[Event, ...]:
        """In order, ids greater than `after`."""

    async def attempts(self, session_id: str) -> tuple[AttemptRow, ...]: ...

    async def check(self) -> None:
        """Raises DatabaseUnavailable."""

    async def close(self) -> None: ...


class Tables(Protocol):
    """Everything that SQL holds, opened together."""

    @property
    def catalogue(self) -> Catalogue: ...

    @property
    def providers(self) -> Providers: ...

    @property
    def imports(self) -> Imports: ...

    @property
    def sessions(self) -> Sessions: ...

    @property
    def operation(self) -> Operation: ...

    async def close(self) -> None: ...
