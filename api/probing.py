"""Waiting for a probe that was asked for. Law: the API connects to no source; the orchestrator does, who counts connections."""

from __future__ import annotations

import asyncio
import logging

from api.wakes import wakes_of_changes
from api.world import World
from orchestrator.control.presence import absence
from orchestrator.control.requested_probes import answer_limit_s
from orchestrator.core.model import Source
from orchestrator.errors import BusUnavailable, NoConnectionLeft, NotFound, Temporary
from orchestrator.ports import PROBES

log = logging.getLogger(__name__)

_NOBODY_S = 5.0  # an orchestrator that is being restarted is back within
_FIRST_LOOK_S = 0.25  # the bus tells at once; looks are for what it loses, and they thin out
_SLOWEST_LOOK_S = 1.0


class NotProbed(Temporary):
    """Nobody has answered in time. What was asked for is still asked for."""

    title = "The source has not been probed yet"


class NoVerdict(Temporary):
    """The probe was made and cannot tell, by what it lacks itself."""

    title = "The probe cannot tell whether the source works"


async def probed(world: World, source_id: str) -> Source:
    """The source as it is since a probe that ended after this was called.

    Raises NotFound, NoConnectionLeft, NoVerdict, NotProbed.
    """
    loop, asked_at = asyncio.get_running_loop(), world.clock()
    began, limit_s = loop.time(), answer_limit_s(world.settings)
    pause_s = _FIRST_LOOK_S
    async with wakes_of_changes(world) as wake:
        await ask_for_probe(world, source_id)
        while True:
            answers = await world.probes.answers([source_id])
            if source_id not in answers:
                raise NotFound("no such source")  # deleted meanwhile
            answer = answers[source_id]
            if answer is not None:
                if answer.refused is not None:
                    was_made = (answer.source.last_checked_at or 0.0) >= asked_at
                    raise NoVerdict(answer.refused) if was_made else NoConnectionLeft(answer.refused)
                return answer.source
            waited_s = loop.time() - began
            if waited_s >= _NOBODY_S and (why := await _absence(world)):
                raise NotProbed(f"{why}; it will be probed as soon as one does")
            if waited_s >= limit_s:
                raise NotProbed(f"the orchestrator has not come to it within {waited_s:.0f} s; it will be probed in its turn")
            if world.closing.begun:
                raise NotProbed("this server stops; it will be probed nevertheless")
            await wake.within(min(pause_s, limit_s - waited_s))
            pause_s = min(pause_s * 1.5, _SLOWEST_LOOK_S)


async def ask_for_probe(world: World, source_id: str) -> None:
    """Without waiting for it."""
    await world.probes.ask([source_id], world.clock())
    try:
        await world.bus.nudge(PROBES)
    except BusUnavailable as error:
        log.warning("a probe is asked for without a nudge (%s); the orchestrator finds the row", error)


async def _absence(world: World) -> str | None:
    return absence(await world.operation.orchestrators(), world.clock())
