"""The law of connections over random histories: viewers come and go, sources fail, limits change, the orchestrator crashes.

Never is one connection more open than a provider allows (the simulated providers count containers and probes, accounts.py), and
once the world is left alone nobody waits while a connection is free and a source works.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize
from msgspec.structs import replace

from orchestrator.app.settings import replaced
from orchestrator.core.model import Channel, ContainerState, Desired, EndReason, Phase, SourceStatus
from orchestrator.core.session.operator_switch import NEXT, SAME
from orchestrator.errors import LimitReached, Temporary
from tests.orchestrator.simulated.agent import Agent, Fault
from tests.orchestrator.simulated.fixed_histories import fixed
from tests.orchestrator.simulated.history import History, happening
from tests.orchestrator.simulated.world import World

LINEUPS = (("a1@acme", "b1@beta"), ("a2@acme", "a3@acme", "c2"), ("b3@beta", "a4@acme"))
PROVIDERS = ("acme", "beta")
NAMES = tuple(name.partition("@")[0] for lineup in LINEUPS for name in lineup)
VIEWERS = ("u", "v", "w")
REST_S = 240.0  # longer than the longest delay before a retry, for each source in turn

sources = st.sampled_from(NAMES)
faults = st.sampled_from([each for each in Fault if each is not Fault.CRASHES_FFMPEG])
limits = st.sampled_from((1, 1, 2, 3, None))
providers = st.sampled_from(PROVIDERS)
seconds = st.sampled_from((0.0, 0.05, 0.1, 0.3, 1.0, 3.0, 7.0, 16.0, 40.0))
happens = happening(seconds)


class Accounting(History):
    """Three viewers on three channels, whose sources are of two providers, and one of nobody."""

    switches = False

    def __init__(self) -> None:
        super().__init__()
        self.world = World(switches=self.switches)
        self.world.settings = replaced(self.world.settings, reprobe_interval_s=10.0)
        self.world.__enter__()
        self.channels: list[Channel] = []
        self.requested: set[str] = set()
        self.limit: dict[str, int | None] = {}

    @initialize(acme=limits, beta=limits, dead=st.dictionaries(sources, faults, max_size=3))
    def begun(self, acme: int | None, beta: int | None, dead: dict[str, Fault]) -> None:
        self.limit = {"acme": acme, "beta": beta}
        for name, limit in self.limit.items():
            self.world.accounts.open(name, limit)
        self.channels = [self.world.add_channel(f"c{number}", *lineup) for number, lineup in enumerate(LINEUPS)]
        for name, fault in dead.items():
            self.world.sources[name].fault = fault

    def teardown(self) -> None:
        try:
            if self.channels:
                self.nobody_starves()
        finally:
            self.world.__exit__(None)

    # --- viewers and operators ----------------------------------------------------------------------------------------

    @happens(viewer=st.sampled_from(VIEWERS), channel=st.sampled_from((0, 1, 2)), nudge=st.booleans())
    def viewer_comes(self, viewer: str, channel: int, nudge: bool) -> None:
        self._request(viewer, channel, nudge=nudge)

    @happens(channels=st.permutations((0, 1, 2)))
    def viewers_come_at_once(self, channels: list[int]) -> None:
        for viewer, channel in zip(VIEWERS, channels, strict=True):
            self._request(viewer, channel)

    @happens(viewer=st.sampled_from(VIEWERS), nudge=st.booleans())
    def viewer_leaves(self, viewer: str, nudge: bool) -> None:
        for session_id in self._unended():
            if self.world.session(session_id).viewer == viewer:
                self.world.run(self.world.tables.sessions.stop(session_id, EndReason.STOPPED))
                if nudge:
                    self.world.nudge(session_id)

    @happens(viewer=st.sampled_from(VIEWERS), asked=st.sampled_from((NEXT, SAME)))
    def operator_switches(self, viewer: str, asked: str) -> None:
        for session_id in self._unended():
            if self.world.session(session_id).viewer == viewer:
                self.world.run(self.world.tables.sessions.switch(session_id, asked))
                self.world.nudge(session_id)

    @happens(names=st.sets(sources, min_size=1), nudge=st.booleans())
    def operator_probes_now(self, names: set[str], nudge: bool) -> None:
        with contextlib.suppress(Temporary):
            self.world.ask_probe(*(each for each in sorted(names) if self.world.has(each)), nudge=nudge)

    @happens(name=sources, enabled=st.booleans())
    def operator_sets_source(self, name: str, enabled: bool) -> None:
        if self.world.has(name):
            self.world.run(self.world.tables.catalogue.update_source(self.world.row(name).id, enabled=enabled))

    @happens(name=sources, really=st.booleans())
    def operator_deletes_source(self, name: str, really: bool) -> None:
        if really and self.world.has(name):
            source = self.world.row(name)
            self.world.accounts.forget(source)
            self.world.run(self.world.tables.catalogue.delete_source(source.id))

    @happens(name=sources, to=st.none() | providers)
    def operator_moves_source_to_another_account(self, name: str, to: str | None) -> None:
        if self.world.has(name) and (to is None or to in self.limit):
            self.world.accounts.move(self.world.row(name), to)

    @happens(name=providers, really=st.integers(0, 3))
    def operator_deletes_provider(self, name: str, really: int) -> None:
        if really == 3 and name in self.limit:
            del self.limit[name]
            self.world.accounts.delete(name)

    @happens(channel=st.sampled_from((0, 1, 2)), how=st.sampled_from(("deleted", "disabled", "enabled", "left")))
    def operator_sets_channel(self, channel: int, how: str) -> None:
        row = self._channel(channel)
        if row is None or how == "left":
            return
        if how != "deleted":
            self.world.run(self.world.tables.catalogue.update_channel(replace(row, enabled=how == "enabled")))
            return
        for source in self.world.run(self.world.tables.catalogue.sources(row.id)):
            self.world.accounts.forget(source)
        self.world.run(self.world.tables.catalogue.delete_channel(row.id))

    @happens(on=st.booleans())
    def operator_drains(self, on: bool) -> None:
        self.world.run(self.world.tables.operation.drain(self.world.now if on else None))

    @happens(channel=st.sampled_from((0, 1, 2)), seed=st.randoms(use_true_random=False))
    def operator_orders_sources(self, channel: int, seed: Any) -> None:
        if self._channel(channel) is None:
            return
        ids = [each.id for each in self.world.run(self.world.tables.catalogue.sources(self.channels[channel].id))]
        seed.shuffle(ids)
        self.world.run(self.world.tables.catalogue.order_sources(self.channels[channel].id, ids))

    @happens(name=providers, limit=limits)
    def limit_changes(self, name: str, limit: int | None) -> None:
        if name not in self.limit:
            return
        self.limit[name] = limit
        self.world.accounts.allow(name, limit)

    # --- what fails ---------------------------------------------------------------------------------------------------

    @happens(away=st.just(0.0) | seconds)
    def orchestrator_is_killed_and_restarted(self, away: float) -> None:
        self.world.stop_orchestrator()
        self.world.pass_s(away)
        self.world.start_orchestrator()

    @happens(name=sources, fault=faults)
    def source_fails(self, name: str, fault: Fault) -> None:
        self.world.sources[name].fault = fault

    @happens(name=sources)
    def source_works_again(self, name: str) -> None:
        self.world.sources[name].fault = None

    @happens(which=st.integers(0, 2), how=st.sampled_from(("killed", "hung", "paused")))
    def container_fails(self, which: int, how: str) -> None:
        for agent in self._running()[which : which + 1]:
            match how:
                case "killed":
                    self.world.runtime.die(agent.session_id, agent.attempt, 137)
                case "hung":
                    agent.hung = True
                case _:
                    self.world.runtime.pause(agent.session_id, agent.attempt)

    @happens(how=st.sampled_from(("request", "reply", "crash before", "crash after")))
    def next_start_is_lost(self, how: str) -> None:
        self.world.runtime.lost = how

    @happens(silent=st.booleans())
    def engine_is_silent(self, silent: bool) -> None:
        self.world.runtime.unavailable = silent

    @happens(fails=st.booleans())
    def nothing_can_be_stopped(self, fails: bool) -> None:
        self.world.runtime.stop_fails = fails

    @happens(span=seconds)
    def tables_are_locked(self, span: float) -> None:
        self.world.tables.refusing = True
        self.world.pass_s(span)
        self.world.tables.refusing = False

    # --- what must hold -----------------------------------------------------------------------------------------------

    def nobody_starves(self) -> None:
        """Healed and left alone: who wants to play does, or there is no connection for any of the channel's sources."""
        world = self.world
        world.runtime.unavailable = world.runtime.stop_fails = world.tables.refusing = False
        world.runtime.lost = None
        for name, source in world.sources.items():
            source.fault = None
            if world.has(name) and world.row(name).status is SourceStatus.DISABLED:
                world.run(world.tables.catalogue.update_source(world.row(name).id, enabled=True))
        world.pass_s(REST_S)
        assert world.run(world.tables.probes.asked()) == (), f"asked for, and never answered: {world.story()}"
        for name, limit in self.limit.items():
            kept = sum(world.runtime.running(session_id) != [] for session_id in self._unended())
            assert limit is None or world.accounts.connected(name) <= max(limit, kept), world.story()
        for session_id in self._unended():
            session = world.session(session_id)
            assert session.desired is Desired.RUN, f"never ended: {world.story()}"
            if session.phase is Phase.LIVE:
                assert session.attempt is not None
                assert world.runtime.running(session_id) == [session.attempt.number], world.story()
                assert world.playing(session_id) is not None, world.story()
                continue
            assert session.phase is Phase.UNAVAILABLE, world.story()
            for left in world.run(world.tables.catalogue.sources(session.channel_id)):
                assert left.provider_id is not None, f"starves beside {left.url}: {world.story()}"
                name = next(name for name, own in world.accounts.ids.items() if own == left.provider_id)
                limit = self.limit[name]
                enough = limit is not None and world.accounts.connected_at_most(name) >= limit
                assert enough, f"starves beside {name}: {world.story()}"

    def _request(self, viewer: str, channel: int, *, nudge: bool = True) -> None:
        row = self._channel(channel)
        if row is None or not row.enabled:
            return  # the API says so
        with contextlib.suppress(LimitReached):  # while it drains
            self.requested.add(self.world.request(viewer, row, nudge=nudge))

    def _channel(self, number: int) -> Channel | None:
        """None: it has been deleted."""
        return self.world.tables.catalogue._channels.get(self.channels[number].id)

    def _unended(self) -> list[str]:
        return [each for each in sorted(self.requested) if self.world.session(each).phase is not Phase.ENDED]

    def _running(self) -> list[Agent]:
        return [agent for agent in self.world.agents if agent.container_state is ContainerState.RUNNING]


class AccountingWithInputSwitches(Accounting):
    """Attempts go on with another source by themselves. A provider's limit and a source's provider stay: what is granted is not
    taken back before its attempt ends."""

    switches = True
    limit_changes = None  # type: ignore[assignment]
    operator_moves_source_to_another_account = None  # type: ignore[assignment]


Accounting.TestCase.settings = settings(max_examples=settings().max_examples // 4)
TestAccounting = pytest.mark.timeout(1800)(Accounting.TestCase)
AccountingWithInputSwitches.TestCase.settings = fixed(Accounting.TestCase.settings)
TestAccountingWithInputSwitches = pytest.mark.timeout(1800)(AccountingWithInputSwitches.TestCase)
