"""The laws of the design over random histories: whatever fails, in whatever order, and whoever crashes meanwhile.

The world (simulated/) judges every decision, every commit and every playlist that is written, at the end of each step. What is
asked here besides: that a world that is healed and left alone comes to rest in the right state, and that retries stay few.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator.core.model import ContainerState, Desired, Phase, SourceStatus
from tests.orchestrator.simulated.agent import Agent, Fault
from tests.orchestrator.simulated.world import World

NAMES = ("a", "b", "c")
REST_S = 240.0  # longer than the longest delay before a retry, for each source in turn
PROVOKED = 4  # attempts that one thing that happens may cost: each source once, and once more
UNPROVOKED = 16  # attempts in a minute that nobody provokes: sources that flap for ever

sources = st.sampled_from(NAMES)
faults = st.sampled_from(Fault)
seconds = st.sampled_from((0.1, 0.3, 1.0, 3.0, 7.0, 16.0, 40.0, 90.0))
Step = Callable[..., None]


def happens(**drawn: st.SearchStrategy[Any]) -> Callable[[Step], Step]:
    """A rule: something happens, and then some time passes."""

    def decorate(event: Step) -> Step:
        def step(self: Histories, then: float, **values: Any) -> None:
            event(self, **values)
            self.happened.append(self.world.now)
            self.world.pass_s(then)

        step.__name__ = event.__name__
        any_rule: Any = rule  # its overloads know no strategies by name
        decorated: Step = any_rule(then=seconds, **drawn)(step)
        return decorated

    return decorate


class Histories(RuleBasedStateMachine):
    """One session on a channel of three sources."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(*NAMES)
        self.world.__enter__()
        self.happened: list[float] = []
        self.healed: set[str] = set()
        self.session_id = ""

    @initialize(dead=st.dictionaries(sources, faults, max_size=3), healed=st.sets(sources, min_size=1), then=seconds)
    def requested(self, dead: dict[str, Fault], healed: set[str], then: float) -> None:
        self.healed = healed
        for name, fault in dead.items():
            self.world.sources[name].fault = fault
        self.world.api_runs = True
        self.session_id = self.world.request()
        self.world.watched.add(self.session_id)
        self.world.pass_s(then)

    def teardown(self) -> None:
        try:
            if self.session_id:
                self.comes_to_rest()
        finally:
            self.world.__exit__(None)

    # --- the orchestrator ---------------------------------------------------------------------------------------------

    @happens(away=st.just(0.0) | seconds)
    def orchestrator_is_killed_and_restarted(self, away: float) -> None:
        self.world.stop_orchestrator()
        self.world.pass_s(away)
        self.world.start_orchestrator()

    # --- sources ------------------------------------------------------------------------------------------------------

    @happens(name=sources, fault=faults)
    def source_fails(self, name: str, fault: Fault) -> None:
        self.world.sources[name].fault = fault

    @happens(fault=faults)
    def every_source_fails(self, fault: Fault) -> None:
        for source in self.world.sources.values():
            source.fault = fault

    @happens(name=sources)
    def source_works_again(self, name: str) -> None:
        self.world.sources[name].fault = None

    @happens(name=sources, enabled=st.booleans())
    def operator_sets_source(self, name: str, enabled: bool) -> None:
        self.world.run(self.world.tables.catalogue.update_source(self.world.row(name).id, enabled=enabled))

    # --- containers and their engine ----------------------------------------------------------------------------------

    @happens(exit_code=st.sampled_from((137, 143, 1, 0)), all_of_them=st.booleans())
    def container_is_killed(self, exit_code: int, all_of_them: bool) -> None:
        for agent in self._running() if all_of_them else self._current():
            if not agent.hidden:
                self.world.runtime.die(agent.session_id, agent.attempt, exit_code)

    @happens()
    def agent_hangs(self) -> None:
        for agent in self._current():
            agent.hung = True

    @happens()
    def container_is_paused(self) -> None:
        for agent in self._current():
            if agent.container_state is ContainerState.RUNNING:
                self.world.runtime.pause(agent.session_id, agent.attempt)

    @happens()
    def engine_loses_sight_of_a_container_that_runs_on(self) -> None:
        """A node is cut off: its containers are not listed any more, and still publish."""
        for agent in self._current():
            if not agent.hidden:
                agent.hidden = True
                self.world.runtime.vanish(agent.session_id, agent.attempt)

    @happens(how=st.sampled_from(("request", "reply", "crash before", "crash after")))
    def next_start_is_lost(self, how: str) -> None:
        self.world.runtime.lost = how

    @happens(silent=st.booleans())
    def engine_is_silent(self, silent: bool) -> None:
        self.world.runtime.unavailable = silent

    @happens(why=st.sampled_from(("", "no space left")))
    def engine_refuses(self, why: str) -> None:
        self.world.runtime.refusing = why

    @happens()
    def engine_events_break(self) -> None:
        self.world.runtime.break_events()

    # --- the store, the bus, the tables -------------------------------------------------------------------------------

    @happens(silence=st.sampled_from(("refusing", "hanging", "")))
    def store_is_silent(self, silence: str) -> None:
        self.world.store.refusing = silence == "refusing"
        self.world.store.hanging = silence == "hanging"

    @happens(silent=st.booleans())
    def bus_is_silent(self, silent: bool) -> None:
        self.world.bus.refusing = silent

    @happens(span=seconds)
    def tables_are_locked(self, span: float) -> None:
        self.world.tables.refusing = True
        self.world.pass_s(span)
        self.world.tables.refusing = False

    # --- intent -------------------------------------------------------------------------------------------------------

    @happens(name=st.none() | sources, nudge=st.booleans())
    def operator_switches(self, name: str | None, nudge: bool) -> None:
        source_id = None if name is None else self.world.row(name).id
        self.world.run(self.world.tables.sessions.switch(self.session_id, source_id))
        if nudge:
            self.world.nudge(self.session_id)

    @happens(watches=st.booleans())
    def viewer_watches_or_is_away(self, watches: bool) -> None:
        (self.world.watched.add if watches else self.world.watched.discard)(self.session_id)

    @happens(runs=st.booleans())
    def api_runs_or_is_down(self, runs: bool) -> None:
        self.world.api_runs = runs

    @happens(really=st.integers(0, 4))
    def viewer_leaves(self, really: int) -> None:
        if really == 4:  # rarely: nothing happens afterwards
            self.world.run(self.world.tables.sessions.stop(self.session_id, "left"))

    # --- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def retries_stay_few(self) -> None:
        starts = sum(at > self.world.now - 60.0 for at, _ in self.world.laws.starts)
        lately = sum(at > self.world.now - 120.0 for at in self.happened)
        assert starts <= UNPROVOKED + PROVOKED * lately, self.world.story()

    def comes_to_rest(self) -> None:
        """Healed and left alone, the session plays from a source that works, or has ended where it was to end."""
        world = self.world
        for name, source in world.sources.items():
            if name in self.healed or source.fault is Fault.FLAPS:
                source.fault = None
        world.api_runs = True
        world.watched.add(self.session_id)
        world.runtime.unavailable, world.runtime.refusing, world.runtime.lost = False, "", None
        world.store.refusing = world.store.hanging = world.tables.refusing = False
        for name in self.healed:
            if world.row(name).status is SourceStatus.DISABLED:
                world.run(world.tables.catalogue.update_source(world.row(name).id, enabled=True))
        world.pass_s(REST_S)
        session = world.session(self.session_id)
        attempt = session.attempt
        running = world.runtime.running(self.session_id)
        if session.phase is Phase.ENDED:
            assert session.desired is Desired.STOP
            assert running == []
            playlist = world.playlist(self.session_id)
            assert playlist is None or playlist.ended
            assert not [agent for agent in world.agents if agent.runs and not agent.hung], "somebody publishes after the end"
            return
        assert session.desired is Desired.RUN, f"never ended: {world.story()}"
        assert session.phase is Phase.LIVE, world.story()
        assert attempt is not None
        assert running == [attempt.number], world.story()
        assert world.listed(self.session_id) == attempt.number, world.story()
        assert world.playing(self.session_id) is not None, world.story()

    def _current(self) -> list[Agent]:
        agent = self.world.agent(self.session_id)
        return [agent] if agent is not None and agent.runs else []

    def _running(self) -> list[Agent]:
        return [agent for agent in self.world.agents if agent.runs]


# A history is long: fewer of them than of other examples, and with HYPOTHESIS_PROFILE=thorough more time.
Histories.TestCase.settings = settings(max_examples=settings().max_examples // 4)
TestHistories = pytest.mark.timeout(1800)(Histories.TestCase)
