"""Asks the orchestrator to probe sources, and waits for the results. Rule: the API itself connects to no source, because only
the orchestrator counts the providers' connections."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from api.changes.server_stop import ServerStop
from api.changes.signals import Signals
from api.injection import Clock
from orchestrator.app.settings import Settings
from orchestrator.control.presence import absence
from orchestrator.control.probes.requested import answer_limit_s
from orchestrator.core.model import Source
from orchestrator.errors import BusUnavailable, NoConnectionLeft, NotFound, Temporary
from orchestrator.ports import PROBES, EventBus, Operation, Probes

log = logging.getLogger(__name__)

_RESTART_S = 5.0  # an orchestrator that is being restarted is back within
# The bus says at once; the polls are for the messages that it loses, and their interval grows.
_FIRST_POLL_S: Final = 0.25
_SLOWEST_POLL_S: Final = 1.0


class NotProbed(Temporary):
    """No orchestrator has probed in time. The request stays recorded."""

    title = "The source has not been probed yet"


class NoVerdict(Temporary):
    """The probe was made and cannot tell, for a reason of its own (no ffprobe, for example)."""

    title = "The probe cannot tell whether the source works"


class ProbeRequests:
    def __init__(
        self,
        probes: Probes,
        operation: Operation,
        bus: EventBus,
        signals: Signals,
        server_stop: ServerStop,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._probes = probes
        self._operation = operation
        self._bus = bus
        self._signals = signals
        self._server_stop = server_stop
        self._clock = clock
        self._settings = settings

    async def ask(self, source_id: str) -> None:
        """Records the request, without waiting for the result."""
        await self._probes.ask([source_id], self._clock())
        try:
            await self._bus.nudge(PROBES)
        except BusUnavailable as error:
            log.warning("a probe is requested without a nudge (%s); the orchestrator finds the row", error)

    async def probed(self, source_id: str) -> Source:
        """The source after a probe that ended after this was called.

        Raises NotFound, NoConnectionLeft, NoVerdict, NotProbed.
        """
        loop, asked_at = asyncio.get_running_loop(), self._clock()
        began, limit_s = loop.time(), answer_limit_s(self._settings)
        poll_s = _FIRST_POLL_S
        async with self._signals.of_catalogue() as signal:
            await self.ask(source_id)
            while True:
                answers = await self._probes.answers([source_id])
                if source_id not in answers:
                    raise NotFound("no such source")  # deleted meanwhile
                answer = answers[source_id]
                if answer is not None:
                    if answer.refused is not None:
                        was_made = (answer.source.last_checked_at or 0.0) >= asked_at
                        raise NoVerdict(answer.refused) if was_made else NoConnectionLeft(answer.refused)
                    return answer.source
                waited_s = loop.time() - began
                if waited_s >= _RESTART_S and (why := await self._absence()):
                    raise NotProbed(f"{why}; it will be probed as soon as one does")
                if waited_s >= limit_s:
                    raise NotProbed(f"no orchestrator has probed it within {waited_s:.0f} s; the request stays recorded")
                if self._server_stop.begun:
                    raise NotProbed("this server stops; the source will be probed nevertheless")
                await signal.wait(min(poll_s, limit_s - waited_s))
                poll_s = min(poll_s * 1.5, _SLOWEST_POLL_S)

    async def _absence(self) -> str | None:
        return absence(await self._operation.orchestrators(), self._clock())
