"""What concerns a whole deployment, in memory, with the meaning of `orchestrator.adapters.sql.operation`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from msgspec.structs import replace

from orchestrator import migrations
from orchestrator.core.model import Phase
from orchestrator.errors import DatabaseUnavailable, LimitReached
from orchestrator.ports import DRAIN_RETRY_S, DRAINING, AttemptRow, Challenger, Leader, OrchestratorRow
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
        self._leader: Leader | None = None
        self._refused_at = 0.0

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

    async def lead(
        self, orchestrator_id: str, node: str, lease_s: float, *, process: str = "", ended: str | None = None
    ) -> Leader:
        self._answer()
        now = asyncio.get_running_loop().time()
        before = self._leader
        if before is None or before.id in (orchestrator_id, ended) or before.expires_at <= now:
            refused = None if before is None else before.refused
            if before is not None and before.id != orchestrator_id:
                self._orchestrators.pop(before.id, None)
            expires_at = now + lease_s
            self._leader = Leader(
                id=orchestrator_id, node=node, process=process, expires_at=expires_at, left_s=lease_s, refused=refused
            )
        leader = await self.leader()
        assert leader is not None
        return leader

    async def step_down(self, orchestrator_id: str) -> None:
        self._answer()
        if self._leader is not None and self._leader.id == orchestrator_id:
            self._leader = None

    async def note_refusal(self, orchestrator_id: str, node: str) -> None:
        self._answer()
        if self._leader is not None and self._leader.id != orchestrator_id:
            self._refused_at = asyncio.get_running_loop().time()
            self._leader = replace(self._leader, refused=Challenger(id=orchestrator_id, node=node, ago_s=0.0))

    async def leader(self) -> Leader | None:
        self._answer()
        if self._leader is None:
            return None
        now = asyncio.get_running_loop().time()
        refused = self._leader.refused and replace(self._leader.refused, ago_s=now - self._refused_at)
        return replace(self._leader, left_s=self._leader.expires_at - now, refused=refused)

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
