"""The law of sharing over random histories: viewers ask, renew, fall silent and leave, the channel's policy is edited while its
sessions run, and whatever else fails.

All who share watch one session; nobody's leaving ends it for the others; nobody who watches is idle; and left alone, who
watches sees something and what nobody watches has ended.
"""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant

from orchestrator.core.model import SHARED, Desired, EndReason, Phase
from orchestrator.core.session.operator_switch import NEXT, SAME
from orchestrator.errors import LimitReached, NotFound
from tests.orchestrator.simulated.agent import Fault
from tests.orchestrator.simulated.fixed_histories import fixed
from tests.orchestrator.simulated.history import History, happening
from tests.orchestrator.simulated.world import World

NAMES = ("a", "b")
VIEWERS = ("u", "v", "w")
REST_S = 240.0  # longer than the longest delay before a retry, and than a lease

viewers = st.sampled_from(VIEWERS)
sources = st.sampled_from(NAMES)
faults = st.sampled_from((Fault.REFUSES, Fault.FROZEN, Fault.ENDS))
seconds = st.sampled_from((0.1, 0.5, 1.0, 7.0, 20.0, 45.0, 75.0))
happens = happening(seconds)


class Audience(History):
    """Three viewers of one channel, most of the time with one session for all."""

    switches = False

    def __init__(self) -> None:
        super().__init__()
        self.world = World(*NAMES, switches=self.switches)
        self.world.__enter__()
        self.world.api_runs = True
        self.granted: dict[str, str] = {}  # by viewer: the session, until it is left
        self.asked: set[str] = set()  # sessions whose end somebody has asked for

    @initialize(sharing=st.sampled_from(("channel", "channel", "viewer")))
    def begun(self, sharing: str) -> None:
        self.world.set_policy(sharing=sharing)

    def teardown(self) -> None:
        try:
            self.comes_to_rest()
        finally:
            self.world.__exit__(None)

    # --- viewers ------------------------------------------------------------------------------------------------------

    @happens(viewer=viewers, nudge=st.booleans())
    def viewer_comes(self, viewer: str, nudge: bool) -> None:
        with contextlib.suppress(LimitReached):  # while it drains
            self._grant(viewer, nudge=nudge)

    @happens()
    def all_come_at_once(self) -> None:
        for viewer in VIEWERS:
            with contextlib.suppress(LimitReached):
                self._grant(viewer)

    @happens(viewer=viewers, nudge=st.booleans())
    def viewer_leaves(self, viewer: str, nudge: bool) -> None:
        session_id = self.granted.pop(viewer, None)
        if session_id is None:
            return
        self.world.watchers.discard((session_id, viewer))
        others = self.world.tables.sessions._leases[session_id].keys() - {viewer}
        before = self.world.session(session_id).desired
        with contextlib.suppress(NotFound):  # its lease was given up
            self.world.run(self.world.tables.sessions.leave(session_id, viewer))
        desired = self.world.session(session_id).desired
        if others:
            assert desired is before, f"{viewer} has ended it for {others}"
        else:
            self.asked.add(session_id)
        if nudge:
            self.world.nudge(session_id)

    @happens(viewer=viewers, watches=st.booleans())
    def viewer_falls_silent_or_is_back(self, viewer: str, watches: bool) -> None:
        if viewer in self.granted:
            change = self.world.watchers.add if watches else self.world.watchers.discard
            change((self.granted[viewer], viewer))

    # --- operators ----------------------------------------------------------------------------------------------------

    @happens(sharing=st.sampled_from(("channel", "viewer")), slate=st.booleans())
    def operator_sets_policy(self, sharing: str, slate: bool) -> None:
        self.world.set_policy(sharing=sharing, slate=slate)

    @happens(viewer=viewers, asked=st.sampled_from((NEXT, SAME)))
    def operator_switches(self, viewer: str, asked: str) -> None:
        if viewer in self.granted:
            self.world.run(self.world.tables.sessions.switch(self.granted[viewer], asked))

    @happens(viewer=viewers, really=st.booleans())
    def operator_stops(self, viewer: str, really: bool) -> None:
        if really and viewer in self.granted:
            self.asked.add(self.granted[viewer])
            self.world.run(self.world.tables.sessions.stop(self.granted[viewer], EndReason.OPERATOR))

    @happens(on=st.booleans())
    def operator_drains(self, on: bool) -> None:
        self.world.run(self.world.tables.operation.drain(self.world.now if on else None))

    # --- what fails ---------------------------------------------------------------------------------------------------

    @happens(away=st.just(0.0) | seconds)
    def orchestrator_is_killed_and_restarted(self, away: float) -> None:
        self.world.stop_orchestrator()
        self.world.pass_s(away)
        self.world.start_orchestrator()

    @happens(name=sources, fault=st.none() | faults)
    def source_fails_or_works_again(self, name: str, fault: Fault | None) -> None:
        self.world.sources[name].fault = fault

    @happens(runs=st.booleans())
    def api_runs_or_is_down(self, runs: bool) -> None:
        self.world.api_runs = runs

    @happens(span=seconds)
    def tables_are_locked(self, span: float) -> None:
        self.world.tables.refusing = True
        self.world.pass_s(span)
        self.world.tables.refusing = False

    # --- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def one_session_is_shared(self) -> None:
        wanted = [row.session for row in self.world.tables.sessions._rows.values() if row.session.desired is Desired.RUN]
        shared = [each.id for each in wanted if each.viewer == SHARED and each.phase is not Phase.ENDED]
        assert len(shared) <= 1, shared

    @invariant()
    def who_watches_is_not_sent_away(self) -> None:
        for session_id, viewer in self.world.watchers:
            session = self.world.session(session_id)
            if session.desired is Desired.RUN or session_id in self.asked:
                continue
            # Whether it was idle is judged where it is written, by all leases (laws.py); a viewer may come back too late
            reasons = ("no_healthy_source", "idle")
            assert session.end_reason in reasons, f"{viewer} was sent away: {self.world.story()}"

    def comes_to_rest(self) -> None:
        """Healed and left alone: who watches sees a source that works; what nobody watches has ended."""
        world = self.world
        world.api_runs, world.tables.refusing = True, False
        for source in world.sources.values():
            source.fault = None
        world.pass_s(REST_S)
        watched = {session_id for session_id, _ in world.watchers}
        for row in tuple(world.tables.sessions._rows.values()):
            session = row.session
            if session.phase is Phase.ENDED:
                assert world.runtime.running(session.id) == [], world.story()
                continue
            assert session.id in watched, f"nobody watches {session.id}: {world.story()}"
            assert (session.phase, session.desired) == (Phase.LIVE, Desired.RUN), world.story()
            assert session.attempt is not None
            assert world.runtime.running(session.id) == [session.attempt.number], world.story()
            assert world.playing(session.id) is not None, world.story()

    def _grant(self, viewer: str, *, nudge: bool = True) -> None:
        """As the API asks for it: whether the session is shared is the policy's to say, at that moment."""
        world = self.world
        channel = world.run(world.tables.catalogue.channel(world.channel.id))
        shared = channel.policy.sharing == "channel"
        session_id = world.request(viewer, nudge=nudge, shared=shared)
        session = world.session(session_id)
        assert session.viewer == (SHARED if shared else viewer)
        assert session.desired is Desired.RUN
        left = self.granted.get(viewer)
        if left is not None:
            world.watchers.discard((left, viewer))
        self.granted[viewer] = session_id
        world.watchers.add((session_id, viewer))


class AudienceWithInputSwitches(Audience):
    """Attempts go on with another source by themselves."""

    switches = True


Audience.TestCase.settings = settings(max_examples=settings().max_examples // 10)
TestAudience = pytest.mark.timeout(1800)(Audience.TestCase)
AudienceWithInputSwitches.TestCase.settings = fixed(Audience.TestCase.settings)
TestAudienceWithInputSwitches = pytest.mark.timeout(1800)(AudienceWithInputSwitches.TestCase)
