"""Operation: what concerns the whole deployment, as rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from msgspec import Struct

from orchestrator.ports.sessions import AttemptRow


class OrchestratorRow(Struct, frozen=True, kw_only=True):
    """An orchestrator, as it last announced itself."""

    id: str  # of one process, from its start to its end
    node: str
    started_at: float
    seen_at: float


class Challenger(Struct, frozen=True, kw_only=True):
    """An orchestrator that was refused the lease, because another one acts."""

    id: str
    node: str
    ago_s: float


class Leader(Struct, frozen=True, kw_only=True):
    """The holder of the leader lease. Times are of the database's clock, because the nodes' clocks may differ."""

    id: str
    node: str
    expires_at: float  # of its lease; it changes with each renewal
    process: str  # the process identity (app/process_identity.py)
    left_s: float  # 0 or less: the lease has expired, and another orchestrator may take it
    refused: Challenger | None = None  # the last one that was refused


DRAIN_RETRY_S = 30.0  # a draining deployment asks new clients to try again after so long
DRAINING = "the deployment is draining: it takes no new sessions"


class Operation(Protocol):
    """What concerns the whole deployment. All raise DatabaseUnavailable."""

    async def announce(self, orchestrator: OrchestratorRow) -> None:
        """The orchestrator is running: writes its row, or its `seen_at`. Rows that are a day old are deleted."""

    async def leave(self, orchestrator_id: str) -> None:
        """The orchestrator ends: deletes its row; a no-op where there is none."""

    async def orchestrators(self) -> tuple[OrchestratorRow, ...]:
        """The one that was seen last comes first. Those that were killed are among them for some time."""

    async def lead(
        self, orchestrator_id: str, node: str, lease_s: float, *, process: str = "", ended: str | None = None
    ) -> Leader:
        """Takes the lease if no other orchestrator has one that has not expired, or renews it; returns the holder then.
        `ended`: an orchestrator that is known to have ended, whose lease is ignored. The row of an orchestrator whose lease was
        taken over is deleted. Raises Stale where two take the very first lease at once."""

    async def step_down(self, orchestrator_id: str) -> None:
        """Gives the lease back; a no-op where another orchestrator holds it."""

    async def note_refusal(self, orchestrator_id: str, node: str) -> None:
        """Notes in the leader's row that this orchestrator was refused."""

    async def leader(self) -> Leader | None:
        """None: no orchestrator has led yet, or the last one has stepped down."""

    async def drain(self, at: float | None) -> None:
        """Intent: from `at` on no new session starts (`Sessions.request` raises LimitReached); None: sessions start again."""

    async def draining_since(self) -> float | None: ...

    async def revision(self) -> str | None:
        """The schema's revision, as the migrations name it; None: there is no schema yet."""

    async def refused_jobs(self, since: float) -> tuple[AttemptRow, ...]:
        """Attempts started since then whose job the agent refused (exit code 31), the newest first; a hundred at most."""

    async def known(self, session_ids: Collection[str]) -> frozenset[str]:
        """Those of the ids that have a row, whatever its phase."""

    async def forget_ended(self, before: float, limit: int) -> int:
        """Deletes sessions that ended before then, the oldest first, with their attempts and events: about `limit` rows in
        one transaction. Returns how many; 0: nothing is left."""
