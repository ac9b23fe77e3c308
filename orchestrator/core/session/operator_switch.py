"""The operator's switch: to another source, to the next one, or to a fresh attempt on the one that plays.

Rule: every requested switch is answered, by the switch or by the event `switch.refused` with a reason. A switch that cannot be
made does not affect what plays.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from orchestrator.core.model import (
    Cause,
    Causes,
    Decision,
    EventType,
    Happened,
    Leg,
    Live,
    Observation,
    Record,
    Source,
    SourceStatus,
    Unavailable,
    Why,
)
from orchestrator.core.session import choice, planned_swap, start_attempt
from orchestrator.core.session.situation import Situation

NEXT = "next"  # `switch_to`: whichever source comes next
SAME = "same"  # a fresh attempt on the source that plays


def switch_is_asked_for(state: Live | Unavailable, situation: Situation) -> Decision | None:
    """A rule: a planned swap. Where no source plays, the source that is asked for is the next one to be tried."""
    session, seen, asked = situation.session, situation.seen, situation.session.switch_to
    if asked is None:
        return None
    playing = state.attempt.leg.input if isinstance(state, Live) else None
    if asked == SAME:
        meant = [each for each in seen.sources if each.id == playing]
    elif asked == NEXT:
        others = [each for each in seen.sources if each.id != playing]
        meant = list(choice.not_refused(session, others)) or others
    else:
        meant = [each for each in seen.sources if each.id == asked]
    usable = [each for each in choice.not_disabled(meant) if each.id not in seen.full]
    source = choice.best_usable(usable, situation.now, situation.policy)
    source = source or choice.for_retry(usable, session.tried, situation.now, situation.policy)
    answered = situation.changed(switch_to=None)
    if source is None:
        why = Why(Cause.NOTHING_PLAYS) if asked == SAME and playing is None else _why_none(asked, meant, seen)
        return Decision(session=answered.session, records=(_refused(asked, why),), wake_at=situation.now)
    if isinstance(state, Live):
        return planned_swap.swap(state, answered, source, Cause.ROLLED if asked == SAME else Cause.OPERATOR)
    return start_attempt.on_source(
        answered, source, Why(Cause.OPERATOR), lambda new: replace(state, trying=new), tried=state.tried
    )


def other_source_is_asked_for(state: Live, situation: Situation) -> Decision | None:
    """A rule, while the attempt switches inputs by itself: a fresh attempt on what plays waits until it is known what plays."""
    return None if situation.session.switch_to == SAME else switch_is_asked_for(state, situation)


def failed(leg: Leg, why: Why) -> tuple[Record, ...]:
    """The event for a leg that has failed, if an operator had asked for it and it never played; else none. It was told already
    where a report had said that the leg has ended."""
    if leg.live_at is not None or leg.ended is not None:
        return ()
    match leg.why.cause:
        case Cause.OPERATOR:
            return (_refused(leg.input, why),)
        case Cause.ROLLED:
            return (_refused(SAME, why),)
        case _:
            return ()


def _why_none(asked: str, meant: Sequence[Source], seen: Observation) -> Why:
    """Why none of those that are meant can be had."""
    in_use = [seen.full[each.id] for each in choice.not_disabled(meant) if each.id in seen.full]
    if in_use:
        return Why(Cause.PROVIDER_FULL, in_use[0])
    if asked == NEXT:
        return Why(Cause.NO_OTHER_SOURCE)
    if any(each.status is SourceStatus.DISABLED for each in meant):
        return Why(Cause.SOURCE_DISABLED)
    return Why(Cause.SOURCE_UNKNOWN)


def _refused(to: str, why: Why) -> Happened:
    return Happened(EventType.SWITCH_REFUSED, {"to": to, "reason": why.text}, Causes(why.cause))
