"""Sessions, their attempts and events, as rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from msgspec import Struct

from orchestrator.core.model import Cause, Decision, EndReason, Event, Leg, Phase, Profile, Session
from orchestrator.core.session.limits import NO_LIMITS, Limits


class AttemptRow(Struct, frozen=True, kw_only=True):
    """A line of a session's history."""

    session_id: str
    number: int
    source_id: str | None
    started_at: float
    first_segment_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    start_reason: str | None = None  # in words
    end_reason: str | None = None
    start_cause: Cause | None = None  # None: an earlier release has written none
    end_cause: Cause | None = None
    legs: tuple[Leg, ...] | None = None


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


class LatestRenewals(Struct, frozen=True, kw_only=True):
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

    async def stop(self, session_id: str, reason: EndReason) -> None:
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

    async def runs(self, channel_id: str, viewer: str) -> bool:
        """Whether a session that can be joined runs: the viewer's own, or all viewers' (SHARED)."""

    async def held(self, places: Collection[tuple[str, str]], since: float) -> frozenset[tuple[str, str]]:
        """Of these channels' ids with a viewer each, those where the viewer has a lease, not older than `since`, of a session
        that runs."""

    async def can_renew(self, now: float) -> None:
        """An API says that it can write renewals: whoever does not renew from now on does not want to."""

    async def renewals(self) -> LatestRenewals:
        """Of all sessions that have not ended."""

    async def commit(self, before: Session, decision: Decision, now: float) -> tuple[Event, ...]:
        """One transaction: the session row (where version = before.version; the new version is +1), attempts, sources,
        events. Intent columns (desired, switch_to) are written too, which is safe because their writers bump the version.
        Returns the events written, with their ids. Raises Stale."""

    async def events(self, session_id: str, after: int = 0, limit: int = 1000) -> tuple[Event, ...]:
        """In order, ids greater than `after`."""

    async def attempts(self, session_id: str) -> tuple[AttemptRow, ...]: ...

    async def check(self) -> None:
        """Raises DatabaseUnavailable."""

    async def close(self) -> None: ...
