"""Leader lease: of all orchestrators on one database, one acts at a time. The lease is a row in SQL with an expiry by the
database's clock.

Rule: only the holder of the lease acts. It renews the lease every second. Before each act the process checks the lease by its
own clocks; it queries the database only where the last renewal is not recent. A process that was stopped and goes on (SIGSTOP,
a suspended machine) finds its lease expired there, and asks the database before it acts. An act that had passed the check just
before the process was stopped does no harm: the commit is a compare-and-swap on the session's version, and the attempt's number
is a fencing token (law 4).

A second orchestrator takes over at once where it can see that the holder's process has ended, which it can only within the same
PID namespace. Otherwise it waits: a lease that is not renewed expires within LEASE_S. Where it is renewed meanwhile, the holder
is alive; the second orchestrator then refuses to act, logs that, and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from orchestrator.app.process_identity import has_ended
from orchestrator.errors import NotLeading, Temporary
from orchestrator.ports import Leader, Operation

log = logging.getLogger(__name__)

LEASE_S: Final = 3.0
RENEW_S: Final = 1.0
_LOOK_S: Final = 0.25  # between two reads of another one's lease
_MARGIN_S: Final = 0.5  # so long before the expiry nothing is started any more
_STEP_DOWN_LIMIT_S: Final = 2.0


class Leadership:
    """The lease, seen from one orchestrator.

    `process`: this process, as process_identity.py names it. `displaced` is called once, when another orchestrator is found to
    act: from then on this one never does.
    """

    def __init__(
        self,
        operation: Operation,
        orchestrator_id: str,
        node: str,
        now: Callable[[], float],
        displaced: Callable[[NotLeading], None],
        process: str = "",
    ) -> None:
        self._operation = operation
        self._id = orchestrator_id
        self._node = node
        self._now = now
        self._displaced = displaced
        self._process = process
        self._until = 0.0  # on the loop's clock
        self._renewed_at = 0.0  # unix seconds: the loop's clock may stand still while the machine is suspended
        self._led = False
        self._other: tuple[str, float] | None = None  # the other holder that was seen last, and the expiry of its lease
        self._refusal: str | None = None
        self._claiming: asyncio.Task[None] | None = None

    @property
    def held(self) -> bool:
        """Whether the lease is held, as far as can be known without a query."""
        left_s = self._until - asyncio.get_running_loop().time()
        return left_s > 0.0 and 0.0 <= self._now() - self._renewed_at < LEASE_S

    async def begin(self) -> None:
        """Waits until the lease is held. Where the database does not answer it returns at once, and each act asks for the lease
        again. Raises NotLeading where another orchestrator renews it."""
        while True:
            try:
                return await self.confirm()
            except NotLeading:
                if self._refusal is not None:
                    raise
            except Temporary as error:
                log.warning("leadership: %s", error)
                return None
            await asyncio.sleep(_LOOK_S)

    async def confirm(self) -> None:
        """To be called before every act. Raises NotLeading, DatabaseUnavailable: then nothing may be done."""
        if not self.held:
            await self.renew()

    async def renew(self) -> None:
        """Renews or takes the lease (single-flight). Raises as `confirm`."""
        if self._refusal is not None:
            raise NotLeading(self._refusal)
        if self._claiming is None or self._claiming.done():
            self._claiming = asyncio.create_task(self._claim(), name="leadership")
            self._claiming.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._claiming)

    async def step_down(self) -> None:
        """Best effort, so that the next orchestrator need not wait for the expiry."""
        with contextlib.suppress(Temporary, TimeoutError):
            async with asyncio.timeout(_STEP_DOWN_LIMIT_S):
                if self._claiming is not None:
                    # A renewal under way would else write the lease again afterwards: it is waited for, never cancelled
                    await asyncio.wait((self._claiming,))
                await self._operation.step_down(self._id)

    async def _claim(self) -> None:
        asked_at, renewed_at = asyncio.get_running_loop().time(), self._now()
        leader = await self._operation.lead(self._id, self._node, LEASE_S, process=self._process)
        if leader.id != self._id and has_ended(leader.process):
            log.info("%s on %s, which had the lease, has ended", leader.id, leader.node)
            leader = await self._operation.lead(self._id, self._node, LEASE_S, process=self._process, ended=leader.id)
        if leader.id == self._id:
            self._led, self._other = True, None
            self._until, self._renewed_at = asked_at + LEASE_S - _MARGIN_S, renewed_at
            return
        self._until = 0.0
        lease = (leader.id, leader.expires_at)
        lives = self._other not in (None, lease)
        if self._other is None:
            log.info("%s on %s has the lease for another %.1f s", leader.id, leader.node, leader.left_s)
        self._other = lease
        if self._led or lives:
            await self._give_up(leader)
        raise NotLeading(f"{leader.id} on {leader.node} has a lease that has not run out")

    async def _give_up(self, leader: Leader) -> None:
        self._refusal = (
            f"{leader.id} on {leader.node}; this one ({self._id} on {self._node}) does nothing and ends. Stop one of the two; "
            "two deployments need a database each"
        )
        error = NotLeading(self._refusal)
        log.error("%s: %s", error.title, error)
        with contextlib.suppress(Temporary):
            await self._operation.note_refusal(self._id, self._node)
        self._displaced(error)
        raise error
