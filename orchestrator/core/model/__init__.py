"""The nouns of the core: what is desired, what is observed, what is decided. Data only; no rule lives here.

Times are unix seconds (float). Every struct is frozen: a new state is a new value.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b
from math import inf
from typing import Annotated, Literal

from msgspec import Meta, Struct


class Desired(StrEnum):
    """What the client wants of a session; only the API writes it."""

    RUN = "run"
    STOP = "stop"


class Phase(StrEnum):
    """Where a session is; only the orchestrator writes it."""

    REQUESTED = "requested"  # a row, nothing runs yet
    STARTING = "starting"  # the first attempt runs, nothing listed yet
    LIVE = "live"  # the current attempt has listed a segment
    SWITCHING = "switching"  # a later attempt runs, it has listed nothing yet
    UNAVAILABLE = "unavailable"  # no source works; retrying
    ENDED = "ended"  # final


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
    last_failure_reason: str | None = None
    healthy_since: float | None = None  # the first ...
    healthy_at: float | None = None  # ... and the last of the probes that have all succeeded
    media: Media | None = None
    problematic_since: float | None = None  # without a break; of no meaning in another status

    @property
    def enabled(self) -> bool:
        return self.status is not SourceStatus.DISABLED

    @property
    def address(self) -> str:
        """Where and how it is fetched, as a digest: it is kept with sessions, where no password belongs."""
        return address_of(self.url, self.user_agent, self.headers)


def address_of(url: str, user_agent: str | None, headers: dict[str, str]) -> str:
    return blake2b(repr((url, user_agent, sorted(headers.items()))).encode(errors="surrogatepass"), digest_size=8).hexdigest()


SLATE = "slate"
"""Where a source's id stands: the attempt shows the slate. No source has this id (theirs begin with a letter and a hyphen)."""


class Attempt(Struct, frozen=True):
    """One container run of a session. `number` is the fencing token (law 4)."""

    number: int
    source_id: str
    started_at: float
    live_at: float | None = None  # when its first listed segment was seen
    address: str | None = None  # of its source when it was started; None: started by an earlier release


SHARED = "*"  # the viewer of a session that all viewers of its channel share; no viewer can be called so


class Session(Struct, frozen=True, kw_only=True):
    """The state of a session as the orchestrator keeps it: one row."""

    id: str
    channel_id: str
    viewer: str  # SHARED: all of the channel's
    desired: Desired = Desired.RUN
    phase: Phase = Phase.REQUESTED
    version: int = 0
    created_at: float
    target_duration_s: int | None = None  # fixed at the first attempt; a playlist's target duration never changes (law 5)
    last_attempt: int = 0  # the highest number ever given
    attempt: Attempt | None = None  # the current one
    previous: Attempt | None = None  # in a planned swap: still publishing until the current one takes over
    switch_to: str | None = None  # a source the operator asked for; the API writes it
    reason: str | None = None  # why the current attempt was started; goes into `stream.switch`
    from_source_id: str | None = None  # the source before the current swap
    chosen: str | None = None  # by an operator: nothing better is returned to for as long as it is what plays
    tried: tuple[str, ...] = ()  # sources that failed since the session was last live, or in this round of retries
    refused: tuple[str, ...] = ()  # addresses of sources (`Source.address`) whose job the agent refuses: our fault
    fault_at: float | None = None  # the last failure that was not the source's ...
    faults: int = 0  # ... and how many within the policy's memory
    unavailable_since: float | None = None
    retries: int = 0  # since an attempt last proved itself: they make the delays grow
    retry_at: float | None = None
    slate_at: float | None = None  # a slate is not started again before that ...
    slate_faults: int = 0  # ... which so many that failed in a row make later
    ended_at: float | None = None
    end_reason: str | None = None

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Those that are to run: the current one, and in a planned swap the one before."""
        return tuple(each for each in (self.attempt, self.previous) if each is not None)


# --- how a channel is to be played -------------------------------------------------------------------------------------


Profile = Literal["copy", "h264"]
Hevc = Literal["copy", "h264"]
Sharing = Literal["viewer", "channel"]
Failback = Literal["never", "when_stable"]
StableTime = Annotated[float, Meta(ge=1.0, le=86_400.0)]  # seconds


class ChannelPolicy(Struct, frozen=True, kw_only=True):
    """How a channel's sessions behave."""

    profile: Profile = "copy"
    hevc: Hevc = "copy"  # what becomes of a source that sends HEVC, where a session begins with it and `profile` is "copy"
    sharing: Sharing = "viewer"  # a session for each viewer, or one for all of the channel's
    failback: Failback = "when_stable"  # back to a better source ...
    failback_stable_s: StableTime = 60.0  # ... that has been healthy for so long
    slate: bool = True  # a generated picture goes on where no source works

    @property
    def costs_as(self) -> Profile:
        """What one of its sessions may cost: whether a source sends HEVC is known only when it plays."""
        return "h264" if "h264" in (self.profile, self.hevc) else "copy"


# --- what is observed -------------------------------------------------------------------------------------------------


class Unknown(Struct, frozen=True, tag=True):
    """It did not answer. Says nothing (law 3)."""

    reason: str = ""


class Corrupt(Unknown, frozen=True, tag=True):
    """It answered, with what is no playlist. Says nothing of the stream either; but nothing is left there to be finished."""


class Absent(Struct, frozen=True, tag=True):
    """It answered: there is none. Silence counts only from `since` to `at`, in which the store has always answered."""

    since: float = 0.0
    at: float = inf


class ContainerState(StrEnum):
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    EXITED = "exited"
    REFUSED = "refused"  # the engine would not start it; `detail` says why


HOLDING = frozenset({ContainerState.CREATED, ContainerState.RUNNING, ContainerState.PAUSED})
"""In these a container may have its source open."""


class Container(Struct, frozen=True, kw_only=True):
    """One container (or child process) of a session."""

    id: str
    session_id: str
    attempt: int
    state: ContainerState
    exit_code: int | None = None
    oom_killed: bool = False
    healthy: bool | None = None  # None: no verdict yet
    created_at: float = 0.0
    detail: str = ""  # why the engine would not start it; or which field of its job the agent refuses


class Playlist(Struct, frozen=True, tag=True):
    """A session's media playlist, as the sweep has followed it."""

    attempt: int  # that listed the last segment
    changed_at: float  # when the sweep last saw it change
    gap_s: float = 0.0  # programme skipped where the last attempt took over; negative: repeated
    ended: bool = False  # it has EXT-X-ENDLIST
    target_duration_s: int | None = None  # None: not read
    since: float = 0.0  # as for Absent
    at: float = inf


class Renewed(Struct, frozen=True, tag=True):
    """Somebody watches, or did: the latest renewal of all the session's leases. Silence counts only from `since`, since when
    renewals could always be written."""

    last_at: float
    since: float = 0.0


class Observation(Struct, frozen=True, kw_only=True):
    channel_enabled: bool = True  # False: disabled or deleted
    channel_policy: ChannelPolicy = ChannelPolicy()
    last_good: str | None = None  # the source of the channel that last played, in whichever session
    sources: tuple[Source, ...] = ()  # the line-up, in the order to try: the channel's own, then those of its failover channels
    containers: tuple[Container, ...] | Unknown = ()
    playlist: Playlist | Absent | Unknown = Absent()
    renewed: Renewed | Unknown = Unknown()
    asked_at: float | None = None  # since when somebody looks after the session; None: since it was requested
    # Of sources whose provider limits its connections (orchestrator/control/connection_ledger.py), by id:
    full: dict[str, str] = {}  # why there is none left for this session
    awaited: dict[str, str] = {}  # why there was none, at some time since the session's last attempt
    handed_on: frozenset[str] = frozenset()  # there is only the one that the session's own containers hold: these end first

    @property
    def slate(self) -> bool:
        """Whether a slate goes on where no source works."""
        return self.channel_policy.slate


# --- what is decided --------------------------------------------------------------------------------------------------


class StartAttempt(Struct, frozen=True, tag=True):
    """Run a container for this attempt. Idempotent: the container's name is the attempt's."""

    attempt: int
    source_id: str
    after: tuple[int, ...] = ()  # attempts whose containers are stopped first: there is no connection beside theirs
    grace_s: float = 0.0  # for these


class StopAttempt(Struct, frozen=True, tag=True):
    """Stop and remove this attempt's container. Idempotent."""

    attempt: int
    grace_s: float = 1.0


class ProbeSources(Struct, frozen=True, tag=True):
    """Probe these, several at once; results are written to their rows and wake the session."""

    source_ids: tuple[str, ...]


class FinishPlaylist(Struct, frozen=True, tag=True):
    """Put EXT-X-ENDLIST, after the session's containers have gone."""


Action = StartAttempt | StopAttempt | ProbeSources | FinishPlaylist


class AttemptStarted(Struct, frozen=True, tag=True, tag_field="record"):
    attempt: int
    source_id: str
    reason: str


class AttemptLive(Struct, frozen=True, tag=True, tag_field="record"):
    attempt: int
    source_id: str  # a source whose media were listed is healthy


class AttemptSteady(Struct, frozen=True, tag=True, tag_field="record"):
    """It has listed for so long that its source has proved itself: the failures in a row are over."""

    attempt: int
    source_id: str


class AttemptEnded(Struct, frozen=True, tag=True, tag_field="record"):
    attempt: int
    exit_code: int | None
    reason: str


class SourceFailed(Struct, frozen=True, tag=True, tag_field="record"):
    """The source's own fault (law 7)."""

    source_id: str
    reason: str
    stalled: bool = False
    in_a_row: int = 1  # failures in a row, this one included


Fields = dict[str, str | bool | int | float | dict[str, str] | None]
"""An event's own fields."""


class EventType(StrEnum):
    SESSION_LIVE = "session.live"
    STREAM_SWITCH = "stream.switch"
    STREAM_UNAVAILABLE = "stream.unavailable"
    STREAM_RECOVERED = "stream.recovered"
    SWITCH_REFUSED = "switch.refused"  # what the operator asked for came to nothing; what plays plays on
    SESSION_ENDED = "session.ended"


class Happened(Struct, frozen=True, tag=True, tag_field="record"):
    """An event to be written with the state and then told to the session's clients."""

    type: EventType
    fields: Fields = {}


Record = AttemptStarted | AttemptLive | AttemptSteady | AttemptEnded | SourceFailed | Happened


class Decision(Struct, frozen=True, kw_only=True):
    """`session` and `records` are committed together, by compare-and-swap on the version; only then `actions` are applied."""

    session: Session
    records: tuple[Record, ...] = ()
    actions: tuple[Action, ...] = ()
    wake_at: float | None = None  # decide again at this time, even if nothing happens


# --- channels, providers, and events as rows --------------------------------------------------------------------------


class Channel(Struct, frozen=True, kw_only=True):
    id: str
    slug: str
    name: str
    number: int | None = None
    group: str | None = None
    logo: str | None = None
    tvg_id: str | None = None
    tvg_name: str | None = None
    enabled: bool = True
    policy: ChannelPolicy = ChannelPolicy()
    active_source_id: str | None = None
    created_at: float = 0.0
    updated_at: float = 0.0


class Provider(Struct, frozen=True, kw_only=True):
    """An account that sources come from."""

    id: str
    name: str
    max_connections: int | None = None  # that it allows at the same time; None: any number
    created_at: float = 0.0

    @property
    def in_use(self) -> str:
        """What is said where there is none left."""
        what = "its only connection is" if self.max_connections == 1 else f"all {self.max_connections} connections are"
        return f"provider {self.name}: {what} in use"


class Event(Struct, frozen=True, kw_only=True):
    """A row of `events`: what is broadcast is read from here, so a client can replay."""

    id: int  # increasing in a session, from 1
    session_id: str
    type: EventType
    at: float
    fields: Fields = {}
