"""Removes containers that belong to no session: those of sessions that have ended, and those whose session has no row.

Rule: a container without a row is removed only after a grace period, because the container may be younger than what was read.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable

from orchestrator.core.model import Container, Phase
from orchestrator.errors import EngineUnavailable, NotFound
from orchestrator.ports import ContainerRuntime, Sessions

log = logging.getLogger(__name__)

_STOP_GRACE_S = 1.0


class OrphanContainers:
    """`wake` is called with the id of a session that has not ended, though this process does not work on it yet."""

    def __init__(
        self,
        sessions: Sessions,
        runtime: ContainerRuntime,
        *,
        grace_s: float,
        may_act: Callable[[], Awaitable[None]],
        wake: Callable[[str], None],
        now: Callable[[], float],
    ) -> None:
        self._sessions = sessions
        self._runtime = runtime
        self._grace_s = grace_s
        self._may_act = may_act
        self._wake = wake
        self._now = now

    async def remove(self, unclaimed: Iterable[Container]) -> None:
        """Of these containers, of sessions that this process does not work on, removes the orphans. Raises DatabaseUnavailable,
        NotLeading."""
        for container in unclaimed:
            if not await self._is_orphan(container):
                continue
            await self._may_act()
            log.info("%s: the container of attempt %s belongs to no session", container.session_id, container.attempt)
            try:
                await self._runtime.stop(container.session_id, container.attempt, _STOP_GRACE_S)
            except EngineUnavailable as error:  # the others are removed all the same
                log.warning("%s: attempt %s not removed: %s", container.session_id, container.attempt, error)

    async def _is_orphan(self, container: Container) -> bool:
        try:
            row = await self._sessions.get(container.session_id)
        except NotFound:
            return self._now() - container.created_at >= self._grace_s
        if row.session.phase is Phase.ENDED:
            return True
        self._wake(container.session_id)
        return False
