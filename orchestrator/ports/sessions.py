"""Sessions with their attempts, events and leases, as rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from msgspec import Struct

from orchestrator.core.model import Cause, Decision, EndReason, Event, Leg, Phase, Profile, Session
from orchestrator.core.session.limits import NO_LIMITS, Limits


class AttemptRow(Struct, frozen=True, kw_only=True):
    """An attempt in a session's history."""

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


LEASE_KEPT_S = 3600.0  # in a shared session an expired lease is kept for so long, because its viewer may come back
FRESH_S = 10.0  # a session that was renewed within so long is not about to end


class Lease(Struct, frozen=True, kw_only=True):
    """A viewer's hold on a session."""

    viewer: str
    token_hash: str
    renewed_at: float  # when the viewer last sent a heartbeat, or read the session


class SessionRow(Struct, frozen=True, kw_only=True):
    """A session as the API shows it: the orchestrator's state and what only the API keeps."""

    session: Session
    renewed_at: float  # the latest renewal of all its leases
    lease: Lease | None = None  # of the viewer whose token was given


class LatestRenewals(Struct, frozen=True, kw_only=True):
    """When sessions were last renewed."""

    last_at: Mapping[str, float]  # id of each session that has not ended → the latest renewal of all its leases
    written_at: float | None  # when an API last wrote that it can write renewals; None: never


class Sessions(Protocol):
    """Sessions, attempts, events. All raise DatabaseUnavailable."""

    async def request(
        self, channel_id: str, viewer: str, token_hash: str, now: float,
        *, shared: bool = False, profile: Profile = "copy", limits: Limits = NO_LIMITS,
    ) -> tuple[SessionRow, bool]:  # fmt: skip
        """The viewer's running session on the channel (with `shared`: that of all viewers), or a new one; True: it is new. The
        viewer gets a new lease of it, with this `token_hash`. Simultaneous requests get the same session, and the limits hold
        exactly. Raises LimitReached, ViewerLimitReached: then nothing has been written.

        Joining a session that has not been renewed lately bumps the version, so that a decision to end it is stale."""

    async def get(self, session_id: str, token_hash: str | None = None) -> SessionRow:
        """`lease` is the one with this token, if there is one. Raises NotFound where there is no such session."""

    async def unended(self) -> tuple[Session, ...]:
        """Every session that has not ended, including those that are to stop; the oldest first."""

    async def versions(self) -> Mapping[str, int]:
        """Of the same sessions, id → version. The orchestrator polls this every second."""

    async def recent(self, *, limit: int = 100, phase: Phase | None = None) -> tuple[SessionRow, ...]:
        """Newest first."""

    async def stop(self, session_id: str, reason: EndReason) -> None:
        """Intent: desired = stop. Bumps the version. Raises NotFound."""

    async def switch(self, session_id: str, source_id: str | None) -> None:
        """Intent: `switch_to` (None: the next one in order; stored as "next"; "same": a fresh attempt on the current one).
        Bumps the version. Raises NotFound."""

    async def renew(self, session_id: str, now: float, viewer: str | None = None) -> None:
        """Renews the viewer's lease, or all leases of the session. The version stays the same. Raises NotFound."""

    async def leave(self, session_id: str, viewer: str) -> None:
        """Intent: ends the viewer's lease. Where it is the last one it stays, and the session stops. Raises NotFound."""

    async def viewers(self, session_ids: Collection[str], since: float) -> Mapping[str, int]:
        """Session id → how many of its leases were renewed after `since`; sessions with none are left out."""

    async def runs(self, channel_id: str, viewer: str) -> bool:
        """Whether a session runs that the viewer can join; with SHARED: the session of all viewers."""

    async def held(self, places: Collection[tuple[str, str]], since: float) -> frozenset[tuple[str, str]]:
        """Of these pairs of channel id and viewer, those where the viewer has a lease of a running session that was renewed at
        or after `since`."""

    async def can_renew(self, now: float) -> None:
        """An API writes that it can write renewals: a lease that is not renewed from now on is not renewed on purpose."""

    async def renewals(self) -> LatestRenewals:
        """The latest renewals of all sessions that have not ended."""

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
