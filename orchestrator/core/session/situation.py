"""Everything that a rule decides from: the session, what is observed of it, the time, the policy. A rule is a pure function of
a situation (law 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.core.model import Action, Decision, Observation, Record, Session, State
from orchestrator.core.policy import Policy

S = TypeVar("S", bound=State)


class Situation(Struct, frozen=True):
    """`now`: unix seconds."""

    session: Session
    seen: Observation
    now: float
    policy: Policy

    def changed(self, **changes: Any) -> Situation:
        """The same, with these fields of the session changed."""
        return replace(self, session=replace(self.session, **changes))

    def stays(self, wake_at: float | None, *actions: Action) -> Decision:
        """The session stays as it is until somebody looks again."""
        return Decision(session=self.session, actions=actions, wake_at=wake_at)

    def becomes(self, state: State, *records: Record, wake_at: float | None = None) -> Decision:
        """The session goes into this state."""
        return Decision(session=replace(self.session, state=state), records=records, wake_at=wake_at)


Rule = Callable[[S, Situation], Decision | None]
"""A rule of one state: its decision, or None where the rule does not apply."""
