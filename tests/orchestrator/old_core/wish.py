# ruff: noqa
# mypy: ignore-errors
"""The operator's wish: another source, the next one, or a fresh attempt on the one that plays.

Law: every wish is answered, by the switch or by `switch.refused` and a reason. What plays is none the worse for one that cannot
be granted.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

<<<<<<<< HEAD:tests/orchestrator/old_core/wish.py
from tests.orchestrator.old_core import choose, slate, steps
from tests.orchestrator.old_core.model import (
========
from orchestrator.core.model import (
>>>>>>>> main:orchestrator/core/session/operator_switch.py
    Attempt,
    Decision,
    EventType,
    Happened,
    Observation,
    Phase,
    Record,
    Session,
    Source,
    SourceStatus,
    Unknown,
)
<<<<<<<< HEAD:tests/orchestrator/old_core/wish.py
from tests.orchestrator.old_core.policy import Policy
========
from orchestrator.core.policy import Policy
from orchestrator.core.session import choice, slate, steps
>>>>>>>> main:orchestrator/core/session/operator_switch.py

NEXT = "next"  # `switch_to`: whichever source comes next
SAME = "same"  # a fresh attempt on the source that plays
ROLLED = "rolled"  # the reason of a swap to one


def switch_is_asked_for(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """A rule: a planned swap, the old attempt publishes until the new one has taken over. Where nothing plays, what is asked
    for is the next one to be tried."""
    asked = session.switch_to
    if asked is None or isinstance(seen.containers, Unknown):
        return None
    shown = session.attempt if slate.nothing_is_tried(session) else None
    playing = session.attempt if session.phase is Phase.LIVE else None
    if playing is None and not slate.nothing_is_tried(session):
        return None  # what is under way comes first
    if asked == SAME:
        meant = [each for each in seen.sources if playing is not None and each.id == playing.source_id]
    elif asked == NEXT:
        others = [each for each in seen.sources if playing is None or each.id != playing.source_id]
        meant = list(choice.not_refused(session, others)) or others
    else:
        meant = [each for each in seen.sources if each.id == asked]
    usable = [each for each in choice.enabled(meant) if each.id not in seen.full]
    source = choice.sound(usable, now, policy) or choice.for_retry(usable, session.tried, now, policy)
    answered = replace(session, switch_to=None)
    if source is None:
        reason = "nothing plays" if asked == SAME and playing is None else _why_none(asked, meant, seen)
        return Decision(session=answered, records=(_refused(asked, reason),), wake_at=now)
    if playing is None:
        return steps.start(answered, seen, source, choice.OPERATOR, Phase.UNAVAILABLE, now, policy, previous=shown)
    reason = ROLLED if asked == SAME else choice.OPERATOR
    return steps.swap(answered, seen, source, reason, now, policy)


def failed(session: Session, attempt: Attempt, reason: str) -> tuple[Record, ...]:
    """What is told where the session's attempt has failed: that it was the operator's, if it was and never played."""
    if attempt.live_at is not None:
        return ()
    to = {choice.OPERATOR: attempt.source_id, ROLLED: SAME}.get(choice.cause(session.reason))
    return () if to is None else (_refused(to, reason),)


def _why_none(asked: str, meant: Sequence[Source], seen: Observation) -> str:
    """Why none of those that are meant can be had."""
    in_use = [seen.full[each.id] for each in choice.enabled(meant) if each.id in seen.full]
    if in_use:
        return in_use[0]
    if asked == NEXT:
        return "no other source"
    if any(each.status is SourceStatus.DISABLED for each in meant):
        return "the source is disabled"
    return "no longer a source of the channel, nor of those behind it"


def _refused(to: str, reason: str) -> Happened:
    return Happened(EventType.SWITCH_REFUSED, {"to": to, "reason": reason})
