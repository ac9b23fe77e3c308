"""The laws of the design over random histories: whatever fails, in whatever order, and whoever crashes meanwhile.

The world (simulated/) judges every decision, every commit and every playlist that is written, at the end of each step. What is
asked here besides: that a world that is healed and left alone comes to rest in the right state, and that retries stay few.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.core.model import ContainerState, Desired, Phase, SourceStatus
from tests.orchestrator.simulated.agent import Fault
from tests.orchestrator.simulated.world import World

NAMES = ("a", "b", "c")
REST_S = 240.0  # longer than the longest delay before a retry, for each source in turn
PROVOKED = 4  # attempts that one thing that happens may cost: each source once, and once more
UNPROVOKED = 16  # attempts in a minute that nobody provokes: sources that flap for ever

sources = st.sampled_from(NAMES)
seconds = st.sampled_from((0.1, 0.5, 1.0, 2.0, 5.0, 11.0, 30.0, 70.0))


class Histories(RuleBasedStateMachine):
    """One session on a channel of three sources."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(*NAMES)
        self.world.__enter__()
        self.happened: list[float] = []
        self.session_id = ""

    @initialize(dead=st.sets(sources, max_size=3), faults=st.lists(st.sampled_from(Fault), min_size=3, max_size=3))
    def requested(self, dead: set[str], faults: list[Fault]) -> None:
        for name, fault in zip(NAMES, faults, strict=True):
            self.world.sources[name].fault = fault if name in dead else None
        self.session_id = self.world.request()

    def teardown(self) -> None:
        try:
            if self.session_id:
                self.comes_to_rest()
        finally:
            self.world.__exit__(None)

    # --- time, and who looks --------------------------------------------------------------------------------------------

    @rule(span=seconds)
    def time_passes(self, span: float) -> None:
        self.world.pass_s(span)

    @rule()
    def orchestrator_is_killed_and_restarted(self) -> None:
        self._happens()
        self.world.stop_orchestrator()
        self.world.start_orchestrator()

    @rule(span=seconds)
    def orchestrator_is_away(self, span: float) -> None:
        self._happens()
        self.world.stop_orchestrator()
        self.world.pass_s(span)
        self.world.start_orchestrator()

    # --- sources ------------------------------------------------------------------------------------------------------

    @rule(name=sources, fault=st.sampled_from(Fault))
    def source_fails(self, name: str, fault: Fault) -> None:
        self._happens()
        self.world.sources[name].fault = fault

    @rule(name=sources)
    def source_works_again(self, name: str) -> None:
        self._happens()
        self.world.sources[name].fault = None

    @rule(name=sources, enabled=st.booleans())
    def operator_sets_source(self, name: str, enabled: bool) -> None:
        self._happens()
        self.world.run(self.world.tables.catalogue.update_source(self.world.row(name).id, enabled=enabled))

    # --- containers and their engine ------------------------------------------------------------------------------------

    @rule(exit_code=st.sampled_from((137, 143, 1, 0)))
    def container_is_killed(self, exit_code: int) -> None:
        if (agent := self.world.agent(self.session_id)) is not None and not agent.over and not agent.hidden:
            self._happens()
            self.world.runtime.die(agent.session_id, agent.attempt, exit_code)

    @rule()
    def agent_hangs(self) -> None:
        if (agent := self.world.agent(self.session_id)) is not None:
            self._happens()
            agent.hung = True

    @rule()
    def container_is_paused(self) -> None:
        if (agent := self.world.agent(self.session_id)) is not None and agent.container_state is ContainerState.RUNNING:
            self._happens()
            self.world.runtime.pause(agent.session_id, agent.attempt)

    @rule()
    def engine_loses_sight_of_a_container_that_runs_on(self) -> None:
        """A node is cut off: its containers are not listed any more, and still publish."""
        if (agent := self.world.agent(self.session_id)) is not None and agent.runs and not agent.hidden:
            self._happens()
            agent.hidden = True
            self.world.runtime.vanish(agent.session_id, agent.attempt)

    @rule(how=st.sampled_from(("request", "reply", "crash before", "crash after")))
    def next_start_is_lost(self, how: str) -> None:
        self._happens()
        self.world.runtime.lost = how

    @rule(silent=st.booleans())
    def engine_is_silent(self, silent: bool) -> None:
        self._happens()
        self.world.runtime.unavailable = silent

    @rule()
    def engine_events_break(self) -> None:
        self.world.runtime.break_events()

    # --- the store, the bus, the tables ---------------------------------------------------------------------------------

    @rule(silent=st.sampled_from(("refusing", "hanging", "")))
    def store_is_silent(self, silent: str) -> None:
        self._happens()
        self.world.store.refusing = silent == "refusing"
        self.world.store.hanging = silent == "hanging"

    @rule(silent=st.booleans())
    def bus_is_silent(self, silent: bool) -> None:
        self.world.bus.refusing = silent

    @rule(span=st.sampled_from((0.5, 6.0, 30.0)))
    def tables_are_locked(self, span: float) -> None:
        self._happens()
        self.world.tables.refusing = True
        self.world.pass_s(span)
        self.world.tables.refusing = False

    # --- intent -------------------------------------------------------------------------------------------------------

    @rule(name=st.none() | sources, nudge=st.booleans())
    def operator_switches(self, name: str | None, nudge: bool) -> None:
        self._happens()
        source_id = None if name is None else self.world.row(name).id
        self.world.run(self.world.tables.sessions.switch(self.session_id, source_id))
        if nudge:
            self.world.nudge(self.session_id)

    @precondition(lambda self: self.world.session(self.session_id).desired is Desired.RUN)
    @rule(mercy=st.integers(0, 4))
    def viewer_leaves(self, mercy: int) -> None:
        if mercy == 0:  # rarely: nothing happens afterwards
            self._happens()
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
        for source in world.sources.values():
            source.fault = None
        world.runtime.unavailable = world.runtime.stop_fails = False
        world.runtime.lost = None
        world.store.refusing = world.store.hanging = world.tables.refusing = False
        usable = [name for name in NAMES if world.row(name).status is not SourceStatus.DISABLED]
        if not usable:
            world.run(world.tables.catalogue.update_source(world.row("a").id, enabled=True))
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
        assert world.listed(self.session_id) == attempt.number
        assert world.playing(self.session_id) is not None, world.story()

    def _happens(self) -> None:
        self.happened.append(self.world.now)


TestHistories = Histories.TestCase
