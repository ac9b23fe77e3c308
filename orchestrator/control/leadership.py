"""Leader lease: one orchestrator acts on a database at a time. A row in SQL (law 1), by the database's clock.

Law: only the holder acts. It renews the lease each second. Before each act the process checks the lease, on its own clocks,
without a query while the last renewal is recent. A process that was stopped and goes on (SIGSTOP, a suspended machine) sees
there that the lease has run out, and asks the database before it does anything. An act that had passed the check just before
the process was stopped is made harmless by what was there already: compare-and-swap on the session's version, and the attempt's
number (law 4).

A newcomer that sees that the holder's process has ended takes over at once; it can see that in the same PID namespace alone.
Else it waits for a lease that is not renewed: its holder was killed, and it runs out within LEASE_S. Where the lease is renewed
meanwhile the holder is alive: then the newcomer refuses to act, says so and ends.
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
_LOOK_S: Final = 0.25  # between two looks at a lease that may run out
_MARGIN_S: Final = 0.5  # before its end nothing is begun any more
_FAREWELL_S: Final = 2.0


class Leadership:
    """The lease as one orchestrator has it.

    `process`: as process_identity.py names the own one. `displaced` is called once, where another orchestrator acts: from then
    on this one never does.
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
        self._other: tuple[str, float] | None = None  # whose lease was seen last, and when it was to end
        self._refusal: str | None = None
        self._claiming: asyncio.Task[None] | None = None

    @property
    def held(self) -> bool:
        """Whether the lease has not run out, as far as can be known without asking."""
        left_s = self._until - asyncio.get_running_loop().time()
        return left_s > 0.0 and 0.0 <= self._now() - self._renewed_at < LEASE_S

    async def begin(self) -> None:
        """Waits until a lease that nobody renews has run out. Without the database it returns at once: each act asks for the
        lease again. Raises NotLeading where somebody else renews it."""
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
        """Before every act. Raises NotLeading, DatabaseUnavailable: then nothing may be done."""
        if not self.held:
            await self.renew()

    async def renew(self) -> None:
        """Raises as `confirm`. Who asks meanwhile gets the same answer."""
        if self._refusal is not None:
            raise NotLeading(self._refusal)
        if self._claiming is None or self._claiming.done():
            self._claiming = asyncio.create_task(self._claim(), name="leadership")
            self._claiming.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._claiming)

    async def step_down(self) -> None:
        """Best effort, so that the next one need not wait."""
        with contextlib.suppress(Temporary, TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                if self._claiming is not None:
                    await asyncio.wait((self._claiming,))  # or it would be written again after this
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
