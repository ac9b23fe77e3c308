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

    async def refused_jobs(self, since: float) -> tuple[AttemptRow, ...]:
        """Attempts started since then whose job the agent refused (exit code 31), the newest first; a hundred at most."""

    async def known(self, session_ids: Collection[str]) -> frozenset[str]:
        """Those of the ids that have a row, whatever its phase."""

    async def forget_ended(self, before: float, limit: int) -> int:
        """Deletes sessions that ended before then, the oldest first, with their attempts and events: about `limit` rows in
        one transaction. Returns how many; 0: nothing is left."""
