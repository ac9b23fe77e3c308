"""Start or join a session, and wait until it is live or refused: what every way to ask for a session comes down to.

Whatever can be known to be refused is refused before anything is stored.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec
from msgspec.structs import replace

from api import leases
from api.auth import token_hash
from api.disclosure import Disclosure
from api.wakes import wakes
from api.world import World
from orchestrator.core.model import Cause, Channel, EndReason, EventType, Phase, SourceStatus
from orchestrator.errors import NoHealthySource, Permanent, Temporary
from orchestrator.ports import SessionRow

log = logging.getLogger(__name__)

# The bus tells at once; looks are for what it loses, and they thin out: fifty waiting clients must not cost the orchestrator
# its core.
_FIRST_LOOK_S = 0.25
_SLOWEST_LOOK_S = 1.0
_PLAYABLE = (Phase.LIVE, Phase.SWITCHING)


class NotPlayable(Permanent):
    """The channel is disabled, or has no source that may be played. The operator's to mend."""

    status = 409
    title = "The channel cannot be played"


class SessionEnded(Permanent):
    """The session ended, on request or with its channel, while it was waited for."""

    status = 409
    title = "The session has ended"


class Viewing(msgspec.Struct, frozen=True, kw_only=True):
    """A viewer's session on a channel."""

    channel: Channel
    row: SessionRow
    token: str
    is_new: bool


async def join(world: World, channel: str, viewer: str) -> Viewing:
    """The viewer's running session on the channel, or the one that the channel's viewers share, or a new one. Raises NotFound,
    NotPlayable, LimitReached."""
    lineup = await world.lineup(channel)
    found = lineup.channel
    if not found.enabled:
        raise NotPlayable("the channel is disabled")
    if not lineup.sources:
        raise NotPlayable("the channel has no source")
    if all(source.status is SourceStatus.DISABLED for source in lineup.sources):
        raise NotPlayable("every source of the channel is disabled")
    token = world.keys.token(found.id, viewer)
    row, is_new = await world.sessions.request(
        found.id,
        viewer,
        token_hash(token),
        world.clock(),
        shared=found.policy.sharing == "channel",
        profile=found.policy.costs_as,
        limits=world.limits,
    )
    if is_new:
        await world.nudge(row.session.id)
    return Viewing(channel=found, row=row, token=token, is_new=is_new)


async def settled(world: World, row: SessionRow, wait_s: float) -> SessionRow:
    """The session as it is once it plays, or as it is after `wait_s`. Raises NoHealthySource, SessionEnded."""
    session_id, lease = row.session.id, row.lease
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    pause_s = _FIRST_LOOK_S
    async with wakes(world, session_id) as wake, leases.kept(world, row):
        while True:
            try:
                row = replace(await world.sessions.get(session_id), lease=lease)
            except Temporary as error:
                log.info("session %s: waiting goes on: %s", session_id, error)
            left_s = deadline - loop.time()
            if row.session.phase in _PLAYABLE or row.session.phase is Phase.ENDED or left_s <= 0 or world.closing.begun:
                break
            await wake.within(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, _SLOWEST_LOOK_S)
    if row.session.phase is Phase.ENDED:
        raise await _refusal(world, row)
    return row


async def _refusal(world: World, row: SessionRow) -> Permanent:
    session = row.session
    if session.end_reason is not EndReason.NO_HEALTHY_SOURCE:
        return SessionEnded(session.end_reason or "it was stopped")
    reasons: dict[str, str] = {}
    causes: dict[str, Cause] = {}
    for event in await world.sessions.events(session.id):
        given = event.fields.get("sources")
        if event.type is EventType.SESSION_ENDED and isinstance(given, dict):
            reasons, causes = given, event.causes.sources
    seen = Disclosure(world, row)
    return NoHealthySource(seen.labelled(reasons), seen.labelled(causes))
