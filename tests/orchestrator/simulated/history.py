"""Random histories of a simulated world: something happens, and then some time passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.orchestrator.simulated.world import World

Step = Callable[..., None]
Rule = Callable[[Step], Step]


class History(RuleBasedStateMachine):
    """A machine whose rules are made by `happening`."""

    world: World

    def has_happened(self, then_s: float) -> None:
        """Lets time pass after a rule."""
        self.world.pass_s(then_s)


def happening(seconds: st.SearchStrategy[float]) -> Callable[..., Rule]:
    """Decorators for rules of what is drawn by name, each followed by so many seconds."""

    def happens(**drawn: st.SearchStrategy[Any]) -> Rule:
        def decorate(event: Step) -> Step:
            def step(self: History, then: float, **values: Any) -> None:
                event(self, **values)
                self.has_happened(then)

            step.__name__ = event.__name__
            any_rule: Any = rule  # its overloads know no strategies by name
            decorated: Step = any_rule(then=seconds, **drawn)(step)
            return decorated

        return decorate

    return happens
