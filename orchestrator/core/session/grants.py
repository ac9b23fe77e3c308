"""Grants: which sources an attempt may play by itself, where its own one fails (an input switch).

Rule: what is not granted is not opened. A grant holds while nobody is there to ask, so it is for sources without a limit on
connections; only the source that the attempt begins with may have one, because that connection is counted.
"""

from __future__ import annotations

from typing import Final

from orchestrator.core.model import Live, Source
from orchestrator.core.session import choice
from orchestrator.core.session.situation import Situation
from orchestrator.core.source.hold_off import held_off_until
from transcoder.orders import MOST_INPUTS

RESERVES: Final = MOST_INPUTS - 1


def granted(situation: Situation, first: Source, tried: tuple[str, ...] = ()) -> tuple[Source, ...]:
    """The sources that a new attempt is granted: the first is played at once, the others in this order where one fails. Empty:
    it gets no orders. `tried`: sources that have failed in the incident under way.

    Behind the first one comes what plays, where this attempt is to take over from it: the switch may fail, and that is known to
    work. Then come the sources that a new attempt would be started on, one after the other. Those that have failed a moment ago
    come last; they are granted all the same, because a grant lasts as long as its attempt.
    """
    session, seen, now, policy = situation.session, situation.seen, situation.now, situation.policy
    if not seen.input_switches:
        return ()
    usable = [
        each
        for each in choice.not_refused(session, choice.not_disabled(seen.sources))
        if each.id != first.id and each.id not in seen.limited
    ]
    playing = session.state.attempt.leg.input if isinstance(session.state, Live) else None
    reserves = [each for each in usable if each.id == playing and each.id not in tried]
    spent = (*tried, *(each.id for each in reserves))
    while len(reserves) < RESERVES and (source := choice.after_failure(usable, spent, now, policy)) is not None:
        reserves.append(source)
        spent = (*spent, source.id)
    resting = sorted((each for each in usable if each not in reserves), key=lambda each: held_off_until(each, policy))
    return (first, *(*reserves, *resting)[:RESERVES])
