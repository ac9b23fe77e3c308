"""What concerns the whole deployment, as rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from msgspec import Struct

from orchestrator.ports.sessions import AttemptRow


class OrchestratorRow(Struct, frozen=True, kw_only=True):
    """An orchestrator, as it has last said that it is there."""

    id: str  # of one process's life
    node: str
    started_at: float
    seen_at: float


class Challenger(Struct, frozen=True, kw_only=True):
    """An orchestrator that was refused, since another one acts."""

    id: str
    node: str
    ago_s: float


class Leader(Struct, frozen=True, kw_only=True):
    """The one orchestrator that may act. Times are of the database's clock, since the nodes' clocks may differ."""

    id: str
    node: str
    expires_at: float  # of its lease; another value after each renewal
    process: str  # as orchestrator/app/process_identity.py names it
    left_s: float  # 0 or less: the lease has run out, and whoever comes next may act
    refused: Challenger | None = None  # the last that was


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

    async def lead(
        self, orchestrator_id: str, node: str, lease_s: float, *, process: str = "", ended: str | None = None
    ) -> Leader:
        """Takes the lease where nobody else has one that still runs, or renews it; returns whoever has it then. `ended`: an
        orchestrator that is known to have ended, so that its lease counts no more. The heartbeat of one whose lease was taken
        over is forgotten. Raises Stale where two take the first one at once."""

    async def step_down(self, orchestrator_id: str) -> None:
        """Gives the lease back; a no-op for who has none."""

    async def note_refusal(self, orchestrator_id: str, node: str) -> None:
        """Leaves word in the leader's row that this one was refused."""

    async def leader(self) -> Leader | None:
        """None: nobody has led yet, or the last one has stepped down."""

    async def drain(self, at: float | None) -> None:
        """Intent: from `at` on no new session starts (`Sessions.request` raises LimitReached); None: they do again."""

    async def draining_since(self) -> float | None: ...

    async def revision(self) -> str | None:
        """The schema's, as migrations name it; None: nothing has been migrated."""

    async def refused_jobs(self, since: float) -> tuple[AttemptRow, ...]:
        """Attempts started since then whose job the agent refused (exit code 31), the newest first; a hundred at most."""

    async def known(self, session_ids: Collection[str]) -> frozenset[str]:
        """Those of the ids that have a row, whatever its phase."""

    async def forget_ended(self, before: float, limit: int) -> int:
        """Deletes sessions that ended before then, the oldest first, with their attempts and events: about `limit` rows in
        one transaction. Returns how many; 0: nothing is left."""
