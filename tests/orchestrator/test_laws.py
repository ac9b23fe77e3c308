"""The laws of the design over random histories: whatever fails, in whatever order, and whoever crashes meanwhile.

The world (simulated/) judges every decision, every commit and every playlist that is written, at the end of each step. What is
asked here besides: that a world that is healed and left alone comes to rest in the right state, and that retries stay few.
"""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant
from msgspec.structs import replace

from orchestrator.core.model import ContainerState, Desired, EndReason, Failback, Phase, SourceStatus
from orchestrator.core.session.operator_switch import NEXT, SAME
from orchestrator.errors import StoreUnavailable
from orchestrator.ports import NewSource
from tests.orchestrator.simulated.agent import Agent, Fault
from tests.orchestrator.simulated.fixed_histories import fixed
from tests.orchestrator.simulated.history import History, happening
from tests.orchestrator.simulated.world import World
from transcoder import bucket

OWN = ("a", "b", "c")
BEHIND = {"sport": ("d",), "music": ("e",)}
NAMES = (*OWN, "d", "e")
REST_S = 240.0  # longer than the longest delay before a retry, for each source in turn
HOME_S = 900.0  # longer than the longest hold-off, the time to prove itself, and a few failbacks that fail
PROVOKED = 4  # attempts that one thing that happens may cost: each source once, and once more
UNPROVOKED = 16  # attempts in a minute that nobody provokes: sources that flap for ever

sources = st.sampled_from(NAMES)
own_sources = st.sampled_from(OWN)
faults = st.sampled_from(Fault)
seconds = st.sampled_from((0.1, 0.3, 1.0, 3.0, 7.0, 16.0, 40.0, 90.0))
happens = happening(seconds)


class Histories(History):
    """One session on a channel of three sources, with two failover channels of one source each. `switches`: its attempts go on
    with another source by themselves."""

    switches = False

    def __init__(self) -> None:
        super().__init__()
        self.world = World(*OWN, behind=BEHIND, switches=self.switches)
        self.world.__enter__()
        self.happened: list[float] = []
        self.healed: set[str] = set()
        self.gone = False  # the channel has been deleted
        self.session_id = ""

    def has_happened(self, then_s: float) -> None:
        self.happened.append(self.world.now)
        super().has_happened(then_s)

    @initialize(
        dead=st.dictionaries(sources, faults, max_size=5),
        healed=st.sets(own_sources, min_size=1),
        slates=st.booleans(),
        then=seconds,
    )
    def requested(self, dead: dict[str, Fault], healed: set[str], slates: bool, then: float) -> None:
        self.world.set_policy(slate=slates)
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
        if self.world.has(name):
            self.world.run(self.world.tables.catalogue.update_source(self.world.row(name).id, enabled=enabled))

    @happens(fault=st.none() | st.sampled_from((Fault.FROZEN, Fault.ENDS, Fault.FLAPS, Fault.CRASHES_FFMPEG)))
    def slate_fails(self, fault: Fault | None) -> None:
        self.world.slate.fault = fault

    @happens(order=st.permutations(OWN))
    def operator_orders_sources(self, order: list[str]) -> None:
        ids = [self.world.row(name).id for name in order if self.world.has(name)]
        if not self.gone:
            self.world.run(self.world.tables.catalogue.order_sources(self.world.channel.id, ids))

    @happens(name=sources)
    def operator_moves_source(self, name: str) -> None:
        if not self.world.has(name):
            return
        url = self.world.sources[name].moved()
        self.world.run(self.world.tables.catalogue.update_source(self.world.row(name).id, url=url))

    @happens(name=sources)
    def operator_deletes_source(self, name: str) -> None:
        if self.world.has(name):
            self.world.run(self.world.tables.catalogue.delete_source(self.world.row(name).id))

    @happens(name=sources)
    def operator_deletes_source_and_adds_it_again(self, name: str) -> None:
        if not self.world.has(name):
            return
        source, catalogue = self.world.row(name), self.world.tables.catalogue
        self.world.run(catalogue.delete_source(source.id))
        self.world.pass_s(3.0 if name < "c" else 0.0)  # some of them are missed
        self.world.run(catalogue.add_source(source.channel_id, NewSource(url=source.url)))

    @happens(order=st.lists(st.sampled_from(sorted(BEHIND)), unique=True))
    def operator_sets_failover_channels(self, order: list[str]) -> None:
        if not self.gone:
            self.world.set_failovers(*(slug for slug in order if slug in self.world.behind))

    @happens(slug=st.sampled_from(sorted(BEHIND)), enabled=st.booleans())
    def operator_sets_failover_channel(self, slug: str, enabled: bool) -> None:
        if slug in self.world.behind:
            channel = replace(self.world.behind[slug], enabled=enabled)
            self.world.run(self.world.tables.catalogue.update_channel(channel))

    @happens(slug=st.sampled_from(sorted(BEHIND)), really=st.integers(0, 2))
    def operator_deletes_failover_channel(self, slug: str, really: int) -> None:
        if really == 2 and slug in self.world.behind:
            self.world.run(self.world.tables.catalogue.delete_channel(self.world.behind.pop(slug).id))

    @happens(how=st.sampled_from(("deleted", "disabled", "disabled for a moment")), really=st.integers(0, 4))
    def operator_takes_the_channel_away(self, how: str, really: int) -> None:
        if really < 4 or self.gone:  # rarely: nothing happens afterwards
            return
        catalogue = self.world.tables.catalogue
        if how == "deleted":
            self.gone = True
            self.world.run(catalogue.delete_channel(self.world.channel.id))
            return
        channel = self.world.run(catalogue.channel(self.world.channel.id))
        self.world.run(catalogue.update_channel(replace(channel, enabled=False)))
        if how != "disabled":
            self.world.pass_s(0.5)
            self.world.run(catalogue.update_channel(replace(channel, enabled=True)))

    @happens(
        failback=st.sampled_from(("never", "when_stable")), stable_s=st.sampled_from((1.0, 20.0, 60.0)), slate=st.booleans()
    )
    def operator_sets_policy(self, failback: Failback, stable_s: float, slate: bool) -> None:
        if not self.gone:
            self.world.set_policy(failback=failback, failback_stable_s=stable_s, slate=slate)

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

    @happens(name=st.sampled_from((NEXT, SAME)) | sources, nudge=st.booleans())
    def operator_switches(self, name: str, nudge: bool) -> None:
        source_id = self.world.row(name).id if name in NAMES and self.world.has(name) else name
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
            self.world.run(self.world.tables.sessions.stop(self.session_id, EndReason.STOPPED))

    # --- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def retries_stay_few(self) -> None:
        starts = sum(at > self.world.now - 60.0 for at, _ in self.world.laws.starts)
        lately = sum(at > self.world.now - 120.0 for at in self.happened)
        assert starts <= UNPROVOKED + PROVOKED * lately, self.world.story()
        slates = sum(at > self.world.now - 60.0 for at, _ in self.world.laws.slates)
        assert slates <= UNPROVOKED + PROVOKED * lately, self.world.story()

    def comes_to_rest(self) -> None:
        """Healed and left alone, the session plays from a source that works, or has ended where it was to end."""
        world = self.world
        for name, source in world.sources.items():
            if name in self.healed or source.fault in (Fault.FLAPS, Fault.CRASHES_FFMPEG):
                source.fault = None
        world.api_runs = True
        world.watched.add(self.session_id)
        world.runtime.unavailable, world.runtime.refusing, world.runtime.lost = False, "", None
        world.store.refusing = world.store.hanging = world.tables.refusing = False
        for name in () if self.gone else self.healed:
            if not world.has(name):
                world.run(world.tables.catalogue.add_source(world.channel.id, NewSource(url=world.sources[name].url)))
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
        agent = world.agent(self.session_id)
        assert agent is not None
        assert world.has(agent.source.name), "its source was deleted"
        assert agent.url == world.row(agent.source.name).url, "the address was edited"
        self.comes_home()

    def comes_home(self) -> None:
        """Left alone for longer, it plays from the best source that works, unless the operator wants it otherwise."""
        world = self.world
        world.set_policy(failback="when_stable", failback_stable_s=20.0)
        session = world.session(self.session_id)
        chosen = session.attempt is not None and session.attempt.source_id == session.chosen
        before = world.playing(self.session_id)
        world.pass_s(HOME_S)
        lineup = world.run(world.tables.catalogue.lineup(world.channel.id)).sources
        names = [world.source_at(each.url).name for each in lineup if each.status is not SourceStatus.DISABLED]
        best = before if chosen else next(name for name in names if world.sources[name].fault is None)
        assert world.playing(self.session_id) == best, world.story()

    def _current(self) -> list[Agent]:
        agent = self.world.agent(self.session_id)
        return [agent] if agent is not None and agent.runs else []

    def _running(self) -> list[Agent]:
        return [agent for agent in self.world.agents if agent.runs]


class HistoriesWithInputSwitches(Histories):
    switches = True

    @happens(mute=st.booleans())
    def agent_reports_or_does_not(self, mute: bool) -> None:
        for agent in self._current():
            agent.mute = mute

    @happens()
    def agent_posts_what_is_no_report(self) -> None:
        for agent in self._current():
            with contextlib.suppress(StoreUnavailable):
                for n in range(900_000, 900_003):
                    self.world.store.put(bucket.report_key(agent.session_id, agent.attempt, n), b"no report")

    @happens(takes_s=st.sampled_from((0.0, 0.0, 1.0, 4.0, 12.0)), twice=st.booleans())
    def reports_are_slow_or_come_twice(self, takes_s: float, twice: bool) -> None:
        self.world.mail_takes_s, self.world.mail_comes_twice = takes_s, twice


# A history is long: fewer of them than of other examples, and with HYPOTHESIS_PROFILE=thorough more time.
Histories.TestCase.settings = settings(max_examples=settings().max_examples // 4)
TestHistories = pytest.mark.timeout(1800)(Histories.TestCase)
HistoriesWithInputSwitches.TestCase.settings = fixed(Histories.TestCase.settings)
TestHistoriesWithInputSwitches = pytest.mark.timeout(1800)(HistoriesWithInputSwitches.TestCase)
