"""What is observed of a session: its containers, its playlist, who renews it, and what its channel offers. Data only.

Law: what does not answer is `Unknown`, never `Absent` (law 3). Times are unix seconds.
"""

from __future__ import annotations

from enum import StrEnum
from math import inf

from msgspec import Struct

from orchestrator.core.model.channel import ChannelPolicy
from orchestrator.core.model.source import Source
from transcoder.report import Report


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
    healthy: bool | None = None  # None: not known yet
    created_at: float = 0.0
    detail: str = ""  # why the engine would not start it; or which field of its job the agent refuses


class Playlist(Struct, frozen=True, tag=True):
    """A session's media playlist, as the playlist poller has followed it."""

    attempt: int  # that listed the last segment
    changed_at: float  # when the poller last saw it change
    gap_s: float = 0.0  # programme skipped where the last attempt took over; negative: repeated
    ended: bool = False  # it has EXT-X-ENDLIST
    target_duration_s: int | None = None  # None: not read
    since: float = 0.0  # as for Absent
    at: float = inf
    leg: int = 1  # of the attempt that listed the last segment: which of its legs did


class Renewed(Struct, frozen=True, tag=True):
    """Somebody watches, or did: the latest renewal of all the session's leases. Silence counts only from `since`, since when
    renewals could always be written."""

    last_at: float
    since: float = 0.0


class Mail(Struct, frozen=True):
    """A report of an attempt, as found in the store (`transcoder.report`). A container wrote it, so it is not trusted."""

    attempt: int
    posted_at: float  # when the store took it; the ages in the report count back from here
    report: Report


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
    mail: tuple[Mail, ...] = ()  # reports that are not recorded yet, in the order of attempts and numbers
    distrusted: frozenset[int] = frozenset()  # attempts whose reports are malformed or too many
    input_switches: bool = False  # a new attempt can be granted inputs: setting, image and store allow it
    limited: frozenset[str] = frozenset()  # sources whose provider limits its connections: never granted as a reserve
    handed_on: frozenset[str] = frozenset()  # there is only the one that the session's own containers hold: these end first

    @property
    def slate(self) -> bool:
        """Whether a slate goes on where no source works."""
        return self.channel_policy.slate

    @property
    def known_containers(self) -> tuple[Container, ...]:
        """None where the engine does not answer."""
        return () if isinstance(self.containers, Unknown) else self.containers

    def container(self, attempt: int) -> Container | None:
        """This attempt's."""
        return next((each for each in self.known_containers if each.attempt == attempt), None)

    def source(self, source_id: str) -> Source | None:
        """The one with this id, where the line-up still has it."""
        return next((each for each in self.sources if each.id == source_id), None)
