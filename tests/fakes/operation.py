"""What concerns a whole deployment, in memory, with the meaning of `orchestrator.adapters.tables.operation`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from msgspec.structs import replace

from orchestrator import migrations
from orchestrator.core.model import Phase
from orchestrator.errors import DatabaseUnavailable, LimitReached
from orchestrator.ports import DRAIN_RETRY_S, DRAINING, AttemptRow, OrchestratorRow
from transcoder.ending import Ending

if TYPE_CHECKING:
    from tests.fakes.tables import FakeSessions

_DAY_S = 24 * 3600.0


class FakeOperation:
    """`ports.Operation` over the sessions that are there when it is asked."""

    def __init__(self, sessions: Callable[[], FakeSessions]) -> None:
        self.refusing = False
        self.schema: str | None = migrations.head()
        self._sessions = sessions
        self._orchestrators: dict[str, OrchestratorRow] = {}
        self._draining_since: float | None = None

    async def beat(self, orchestrator: OrchestratorRow) -> None:
        self._answer()
        before = self._orchestrators.get(orchestrator.id, orchestrator)
        self._orchestrators[orchestrator.id] = replace(before, seen_at=orchestrator.seen_at)
        long_ago = orchestrator.seen_at - _DAY_S
        self._orchestrators = {key: each for key, each in self._orchestrators.items() if each.seen_at >= long_ago}

    async def leave(self, orchestrator_id: str) -> None:
        self._answer()
        self._orchestrators.pop(orchestrator_id, None)

    async def orchestrators(self) -> tuple[OrchestratorRow, ...]:
        self._answer()
        return tuple(sorted(self._orchestrators.values(), key=lambda each: (-each.seen_at, each.id)))

    async def drain(self, at: float | None) -> None:
        self._answer()
        self._draining_since = None if at is None else at if self._draining_since is None else self._draining_since

    async def draining_since(self) -> float | None:
        self._answer()
        return self._draining_since

    async def revision(self) -> str | None:
        self._answer()
        return self.schema

    async def refused_jobs(self, since: float) -> tuple[AttemptRow, ...]:
        self._answer()
        rows = self._sessions()._attempts.values()
        refused = [row for row in rows if row.exit_code == Ending.BAD_JOB and row.started_at >= since]
        return tuple(sorted(refused, key=lambda row: -row.started_at)[:100])

    async def known(self, session_ids: Collection[str]) -> frozenset[str]:
        self._answer()
        return frozenset(session_ids) & self._sessions()._rows.keys()

    async def forget_ended(self, before: float, limit: int) -> int:
        self._answer()
        kept = self._sessions()
        over = sorted(
            (row.session for row in kept._rows.values() if row.session.phase is Phase.ENDED),
            key=lambda session: session.ended_at or 0.0,
        )
        gone = 0
        for session in over:
            if gone >= limit or session.ended_at is None or session.ended_at >= before:
                break
            own = [key for key in kept._attempts if key[0] == session.id]
            gone += 1 + len(own) + len(kept._events.pop(session.id, ()))
            for key in own:
                del kept._attempts[key]
            del kept._rows[session.id]
        return gone

    def refuse_while_draining(self) -> None:
        if self._draining_since is not None:
            raise LimitReached("draining", DRAINING, DRAIN_RETRY_S)

    def _answer(self) -> None:
        if self.refusing:
            raise DatabaseUnavailable("refusing")
