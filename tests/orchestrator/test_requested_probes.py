"""Probes that a person asks for, through the whole control loop on simulated time: the providers themselves count."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from orchestrator.app.settings import replaced
from orchestrator.core.model import EndReason, Phase, SourceStatus
from tests.orchestrator.simulated.agent import Fault
from tests.orchestrator.simulated.world import World

ACME = "provider acme: its only connection is in use"


def refused(world: World, name: str) -> str | None:
    answer = world.probe_answer(name)
    return None if answer is None else answer.refused


def test_it_is_probed_at_once_and_who_waits_is_told() -> None:
    with World("a", "b") as world:
        world.sources["b"].fault = Fault.REFUSES
        world.ask_probe("a", "b")
        world.until(lambda: world.probe_answer("a") and world.probe_answer("b"), 0.5)
        assert (world.row("a").status, world.row("b").status) == (SourceStatus.HEALTHY, SourceStatus.PROBLEMATIC)
        assert (world.sources["a"].probes, world.sources["b"].probes) == (1, 1)
        assert world.bus.changes_told == 2


def test_while_a_session_holds_the_only_connection_there_is_no_probe_and_no_blame() -> None:
    with World() as world:
        world.accounts.open("acme", 1)
        session_id = world.request(channel=world.add_channel("one", "a@acme", "b@acme"))
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 5.0)
        before, probes = world.row("b"), world.sources["b"].probes
        asked_at = world.now
        world.ask_probe("b")
        world.until(lambda: refused(world, "b"), 5.0)
        assert 2.0 <= world.now - asked_at <= 3.5, "a moment: the session may just be ending"
        assert refused(world, "b") == ACME
        assert (world.row("b"), world.sources["b"].probes) == (before, probes)
        world.ask_probe("b")
        world.run(world.tables.sessions.stop(session_id, EndReason.STOPPED))
        world.nudge(session_id)
        world.until(lambda: world.probe_answer("b"), 3.0)
        assert (refused(world, "b"), world.row("b").status) == (None, SourceStatus.HEALTHY)
        assert world.accounts.most["acme"] == 1


def test_an_ask_whose_nudge_is_lost_is_found() -> None:
    with World("a") as world:
        world.ask_probe("a", nudge=False)
        world.until(lambda: world.probe_answer("a"), 1.5)
        assert world.row("a").status is SourceStatus.HEALTHY


def test_what_is_asked_while_no_orchestrator_runs_is_done_by_the_next() -> None:
    with World() as world:
        world.accounts.open("acme", 1)
        world.add_channel("one", "a@acme")
        world.stop_orchestrator()
        world.ask_probe("a")
        world.pass_s(60.0)
        assert world.probe_answer("a") is None
        world.start_orchestrator()
        world.until(lambda: world.probe_answer("a"), 0.5)
        assert world.row("a").status is SourceStatus.HEALTHY


def test_a_probe_that_a_crash_cuts_off_is_made_again() -> None:
    with World("a") as world:
        world.sources["a"].fault = Fault.FROZEN
        world.ask_probe("a")
        world.pass_s(1.0)
        world.stop_orchestrator()
        world.start_orchestrator()
        world.until(lambda: world.probe_answer("a"), 6.0)
        assert (world.row("a").status, world.sources["a"].probes) == (SourceStatus.PROBLEMATIC, 2)


def test_it_waits_its_turn_behind_other_probes_and_is_not_refused_for_them() -> None:
    with World() as world:
        world.accounts.open("acme", 1)
        world.add_channel("one", "a@acme", "b@acme", "c@acme")
        world.sources["a"].fault = world.sources["b"].fault = Fault.FROZEN
        world.ask_probe("a", "b", "c")
        world.until(lambda: all(world.probe_answer(name) for name in "abc"), 20.0)
        assert [refused(world, name) for name in "abc"] == [None] * 3
        assert [world.sources[name].probes for name in "abc"] == [1, 1, 1]
        assert world.accounts.most["acme"] == 1


def test_a_session_does_not_wait_for_it() -> None:
    with World() as world:
        world.accounts.open("acme", 1)
        world.add_channel("one", "b@acme")
        world.sources["b"].fault = Fault.FROZEN
        world.ask_probe("b")
        world.until(lambda: world.sources["b"].probes, 1.0)
        session_id = world.request(channel=world.add_channel("two", "a@acme"))
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 1.5)
        assert world.row("b").last_checked_at is None, "a probe that was cut off says nothing"
        world.until(lambda: refused(world, "b") == ACME, 5.0)
        assert world.accounts.most["acme"] == 1


def test_whoever_edits_a_limit_and_then_asks_is_answered_by_the_new_one() -> None:
    with World() as world:
        world.accounts.open("acme", 1)
        session_id = world.request(channel=world.add_channel("one", "a@acme", "b@acme"))
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 5.0)
        world.accounts.allow("acme", 2)
        world.ask_probe("b")
        world.until(lambda: world.probe_answer("b"), 0.5)
        assert refused(world, "b") is None
        world.accounts.open("beta", 1)  # nobody has read of it yet
        world.add_channel("two", "c@beta", "d@beta")
        world.ask_probe("c", "d")
        world.until(lambda: world.probe_answer("c") and world.probe_answer("d"), 3.0)
        assert world.accounts.most["beta"] == 1


def test_a_source_that_is_moved_while_it_is_probed_is_judged_by_its_new_address() -> None:
    """It was broken, recovery hangs on it, and the operator mends it and asks."""
    with World("a") as world:
        world.stop_orchestrator()
        world.settings = replaced(world.settings, reprobe_interval_s=3.0)
        world.start_orchestrator()
        world.tables.catalogue._put(replace(world.row("a"), status=SourceStatus.PROBLEMATIC))
        world.sources["a"].fault = Fault.FROZEN
        world.until(lambda: world.sources["a"].probes, 4.0)
        world.sources["a"].fault = None
        world.run(world.tables.catalogue.update_source(world.row("a").id, url=world.sources["a"].moved()))
        world.ask_probe("a")
        world.until(lambda: world.probe_answer("a"), 2.0)
        assert (world.row("a").status, world.sources["a"].probes) == (SourceStatus.HEALTHY, 2)


def test_while_the_engine_is_silent_what_is_in_use_is_unknown_and_a_limited_source_waits() -> None:
    with World("free") as world:
        world.stop_orchestrator()
        world.accounts.open("acme", 1)
        world.add_channel("one", "a@acme")
        world.runtime.unavailable = True
        world.start_orchestrator()
        world.ask_probe("a", "free")
        world.until(lambda: world.probe_answer("free"), 1.0)
        world.pass_s(10.0)
        assert (world.probe_answer("a"), world.sources["a"].probes) == (None, 0)
        world.runtime.unavailable = False
        world.until(lambda: world.probe_answer("a"), 1.5)


def test_while_the_database_is_away_nothing_is_lost() -> None:
    with World("a") as world:
        world.sources["a"].fault = Fault.FROZEN
        world.ask_probe("a")
        world.pass_s(1.0)
        world.tables.refusing = True
        world.pass_s(10.0)
        world.tables.refusing = False
        assert world.probe_answer("a") is None
        world.until(lambda: world.probe_answer("a"), 7.0)
        assert world.row("a").status is SourceStatus.PROBLEMATIC


@pytest.mark.parametrize("provider", ["", "@acme"])
def test_a_crowd_is_probed_a_few_at_once_and_who_asks_then_comes_next(provider: str) -> None:
    with World() as world:
        world.accounts.open("acme", 3)
        names = [f"s{number}" for number in range(20)]
        world.add_channel("crowd", *(f"{name}{provider}" for name in names))
        world.add_channel("late", f"late{provider}")
        for name in names:
            world.sources[name].fault = Fault.FROZEN
        world.ask_probe(*names)
        world.pass_s(0.5)
        at_once = sum(world.sources[name].probes for name in names)
        assert at_once == (3 if provider else 8)
        world.ask_probe("late")
        world.until(lambda: world.probe_answer("late"), 6.0)
        world.until(lambda: all(world.probe_answer(name) for name in names), 60.0)
        assert [world.sources[name].probes for name in names] == [1] * 20
        assert world.accounts.most["acme"] == (3 if provider else 0)
