"""Providers' limits through the whole control loop, on simulated parts and time: the providers themselves count."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from orchestrator.app.settings import replaced
from orchestrator.core.model import Desired, Ended, EndReason, EventType, Phase, Source, SourceStatus
from tests.orchestrator.simulated.agent import Fault
from tests.orchestrator.simulated.world import World

ACME = "provider acme: its only connection is in use"


def reasons(world: World, session_id: str) -> list[str | None]:
    rows = world.run(world.tables.sessions.attempts(session_id))
    return [row.start_reason for row in rows]


def two_channels(world: World, *second: str, limit: int | None = 1) -> tuple[str, str]:
    """Sessions of two viewers: the first plays `a` of acme, the second asks for a channel with `b` of acme before others."""
    world.accounts.open("acme", limit)
    one, two = world.add_channel("one", "a@acme"), world.add_channel("two", "b@acme", *second)
    first = world.request("first", one)
    world.until(lambda: world.session(first).phase is Phase.LIVE, 5.0)
    return first, world.request("second", two)


def test_what_would_be_one_too_many_is_taken_from_the_next_source_and_the_reason_says_so() -> None:
    with World() as world:
        _, second = two_channels(world, "c")
        world.until(lambda: world.session(second).phase is Phase.LIVE, 5.0)
        assert world.playing(second) == "c"
        assert reasons(world, second) == [f"requested; {ACME}"]
        assert world.events(second)[-1].fields["reason"] == f"requested; {ACME}"
        assert (world.row("b").status, world.row("b").last_failure_reason) == (SourceStatus.UNKNOWN, None)
        assert world.sources["b"].probes == 0
        assert world.accounts.most["acme"] == 1


def test_a_request_that_no_connection_is_left_for_is_refused_with_the_providers_name() -> None:
    with World() as world:
        first, second = two_channels(world)
        asked_at = world.now
        world.until(lambda: world.session(second).phase is Phase.ENDED, 5.0)
        assert world.now - asked_at < 2.5
        (event,) = world.events(second)
        assert event.fields == {"reason": "no_healthy_source", "sources": {world.row("b").id: ACME}}
        assert world.session(first).phase is Phase.LIVE
        assert world.row("b").status is SourceStatus.UNKNOWN


def test_a_viewer_who_changes_channels_gets_the_connection_that_he_leaves() -> None:
    with World() as world:
        first, second = two_channels(world)
        world.run(world.tables.sessions.stop(first, EndReason.STOPPED))
        world.nudge(first)
        world.until(lambda: world.session(second).phase is Phase.LIVE, 2.0)
        assert world.playing(second) == "b"


def test_without_a_limit_any_number_may_connect() -> None:
    with World() as world:
        first, second = two_channels(world, limit=None)
        world.until(lambda: world.session(second).phase is Phase.LIVE, 5.0)
        assert world.accounts.connected("acme") == 2
        assert world.session(first).phase is Phase.LIVE


def test_two_requests_at_once_do_not_both_take_the_last_connection() -> None:
    with World() as world:
        world.accounts.open("acme", 1)
        channels = [world.add_channel(f"c{n}", f"a{n}@acme", f"b{n}") for n in range(5)]
        sessions = [world.request(f"v{n}", channel) for n, channel in enumerate(channels)]
        world.until(lambda: all(world.session(each).phase is Phase.LIVE for each in sessions), 20.0)
        assert sorted((world.playing(each) or "")[0] for each in sessions) == ["a", "b", "b", "b", "b"]
        assert world.accounts.most["acme"] == 1


def test_a_dead_containers_connection_is_its_successors() -> None:
    with World() as world:
        world.accounts.open("acme", 1)
        session_id = world.request(channel=world.add_channel("one", "a@acme", "b@acme"))
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 5.0)
        world.pass_s(20.0)
        world.sources["a"].fault = Fault.ENDS
        world.until(lambda: world.listed(session_id) == 2, 2.0)
        world.until(lambda: world.playing(session_id) == "b", 2.0)
        assert EventType.STREAM_UNAVAILABLE not in world.told(session_id)


def test_a_hung_container_is_gone_before_its_successor_connects() -> None:
    with World() as world:
        world.accounts.open("acme", 1)
        session_id = world.request(channel=world.add_channel("one", "a@acme"))
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 5.0)
        world.pass_s(20.0)
        agent = world.agent(session_id)
        assert agent is not None
        agent.hung = True
        world.until(lambda: world.listed(session_id) == 2, 10.0)
        assert world.accounts.most["acme"] == 1
        assert EventType.STREAM_UNAVAILABLE not in world.told(session_id)


@pytest.mark.parametrize("limit", [1, 2])
def test_a_planned_swap_between_sources_of_one_provider(limit: int) -> None:
    """With a second connection without a gap; with one the old attempt ends first."""
    with World() as world:
        world.accounts.open("acme", limit)
        session_id = world.request(channel=world.add_channel("one", "a@acme", "b@acme"))
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 5.0)
        world.pass_s(20.0)
        world.run(world.tables.sessions.switch(session_id, world.row("b").id))
        world.nudge(session_id)
        world.until(lambda: world.playing(session_id) == "b", 3.0)
        world.until(lambda: world.told(session_id)[-1] is EventType.STREAM_SWITCH, 1.0)
        assert world.events(session_id)[-1].fields["gap_ms"] == 0
        assert world.accounts.most["acme"] == limit
        world.pass_s(1.0)
        assert world.accounts.connected("acme") == 1
        rows = world.run(world.tables.sessions.attempts(session_id))
        ended = "ended for its successor (operator): no connection for both" if limit == 1 else "replaced: operator"
        assert rows[0].end_reason == ended


def test_a_free_connection_wakes_who_waits_for_it() -> None:
    with World() as world:
        first, second = two_channels(world, "c")
        world.until(lambda: world.session(second).phase is Phase.LIVE, 5.0)
        world.pass_s(20.0)
        world.sources["c"].fault = Fault.REFUSES
        world.until(lambda: world.session(second).phase is Phase.UNAVAILABLE, 10.0)
        event = world.events(second)[-1]
        assert event.fields["sources"] == {world.row("b").id: ACME, world.row("c").id: "source refused"}
        world.pass_s(100.0)  # the delays between retries have grown
        world.run(world.tables.sessions.stop(first, EndReason.STOPPED))
        world.nudge(first)
        world.until(lambda: world.session(second).phase is Phase.LIVE, 2.0)
        assert world.playing(second) == "b"
        assert world.told(second)[-1] is EventType.STREAM_RECOVERED


def test_a_raised_limit_wakes_who_waits_and_a_lowered_one_ends_nobody() -> None:
    with World() as world:
        first, second = two_channels(world, "c")
        world.until(lambda: world.session(second).phase is Phase.LIVE, 5.0)
        world.sources["c"].fault = Fault.REFUSES
        world.until(lambda: world.session(second).phase is Phase.UNAVAILABLE, 10.0)
        world.pass_s(100.0)
        world.accounts.allow("acme", 2)
        world.until(lambda: world.session(second).phase is Phase.LIVE, 4.0)
        world.accounts.allow("acme", 1)
        world.pass_s(60.0)
        assert [world.session(each).phase for each in (first, second)] == [Phase.LIVE] * 2
        assert world.accounts.connected("acme") == 2
        world.kill(second)
        world.until(lambda: world.session(second).phase is Phase.UNAVAILABLE, 5.0)
        assert world.accounts.connected("acme") == 1


def test_a_restarted_orchestrator_knows_who_is_connected() -> None:
    with World() as world:
        first, second = two_channels(world, "c")
        world.until(lambda: world.session(second).phase is Phase.LIVE, 5.0)
        world.stop_orchestrator()
        world.pass_s(5.0)
        third = world.request("third", world.add_channel("three", "d@acme", "e"))
        world.start_orchestrator()
        world.until(lambda: world.session(third).phase is Phase.LIVE, 5.0)
        assert world.playing(third) == "e"
        assert world.accounts.most["acme"] == 1
        assert world.session(first).phase is Phase.LIVE


def test_while_the_engine_is_silent_nobody_gives_a_connection_back() -> None:
    with World() as world:
        first, second = two_channels(world, "c")
        world.until(lambda: world.session(second).phase is Phase.LIVE, 5.0)
        world.runtime.unavailable = True
        world.stop_orchestrator()
        world.start_orchestrator()
        world.run(world.tables.sessions.stop(first, EndReason.STOPPED))
        third = world.request("third", world.add_channel("three", "d@acme", "e"))
        world.pass_s(3.0)
        assert world.accounts.connected("acme") == 1
        world.runtime.unavailable = False
        world.until(lambda: world.session(third).phase is Phase.LIVE, 5.0)
        assert world.accounts.most["acme"] == 1


def test_a_container_of_nobody_holds_its_connection_until_it_is_gone() -> None:
    """It runs on though its session has ended: the orchestrator was away when its engine lost the stop."""
    with World() as world:
        first, second = two_channels(world, "c")
        world.until(lambda: world.session(second).phase is Phase.LIVE, 5.0)
        world.stop_orchestrator()
        session = world.session(first)

        world.tables.sessions._write(replace(session, desired=Desired.STOP, state=Ended(0.0)))
        third = world.request("third", world.add_channel("three", "d@acme", "e"))
        world.start_orchestrator()
        world.until(lambda: world.session(third).phase is Phase.LIVE, 5.0)
        assert world.playing(third) == "e"
        world.until(lambda: world.accounts.connected("acme") == 0, 10.0)
        world.pass_s(6.0)
        fourth = world.request("fourth", world.add_channel("four", "f@acme", "g"))
        world.until(lambda: world.playing(fourth) == "f", 8.0)


# --- probes -----------------------------------------------------------------------------------------------------------


def test_recovery_probes_only_with_a_free_connection_and_blames_nobody_without() -> None:
    with World() as world:
        world.stop_orchestrator()
        world.settings = replaced(world.settings, reprobe_interval_s=5.0)
        world.start_orchestrator()
        first, _ = two_channels(world, "c")
        b = world.row("b")
        world.run(world.tables.catalogue.update_source(b.id, enabled=True))
        world.tables.catalogue._put(_problematic(world, "b"))
        world.pass_s(30.0)
        assert world.sources["b"].probes == 0
        assert (world.row("b").status, world.row("b").last_checked_at) == (SourceStatus.PROBLEMATIC, None)
        world.run(world.tables.sessions.stop(first, EndReason.STOPPED))
        world.nudge(first)
        world.until(lambda: world.row("b").status is SourceStatus.RECOVERED, 10.0)
        assert world.accounts.most["acme"] == 1


def test_a_session_does_not_wait_for_a_probe_that_nobody_waits_for() -> None:
    """Recovery hangs on a frozen source with the only connection; a failover needs it now."""
    with World() as world:
        world.stop_orchestrator()
        world.settings = replaced(world.settings, reprobe_interval_s=4.0)
        world.start_orchestrator()
        world.accounts.open("acme", 1)
        session_id = world.request(channel=world.add_channel("one", "c", "a@acme"))
        world.until(lambda: world.playing(session_id) == "c", 5.0)
        world.add_channel("two", "b@acme")
        world.sources["b"].fault = Fault.FROZEN
        world.tables.catalogue._put(_problematic(world, "b"))
        world.until(lambda: world.sources["b"].probes, 10.0)
        assert world.accounts.connected("acme") == 1
        world.sources["c"].fault = Fault.REFUSES
        failed_at = world.now
        world.until(lambda: world.playing(session_id) == "a", 3.0)
        assert world.now - failed_at < 1.5
        assert world.row("b").last_checked_at is None, "a probe that was cut off says nothing"


def test_with_one_connection_sources_are_probed_one_after_the_other() -> None:
    with World() as world:
        world.accounts.open("acme", 1)
        channel = world.add_channel("one", "a@acme", "b@acme", "c@acme")
        world.sources["a"].fault = world.sources["b"].fault = Fault.REFUSES
        session_id = world.request(channel=channel)
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 3.0)
        assert world.playing(session_id) == "c"
        assert world.accounts.most["acme"] == 1


def test_a_request_whose_probe_finds_no_connection_comes_before_recovery() -> None:
    with World() as world:
        world.stop_orchestrator()
        world.settings = replaced(world.settings, reprobe_interval_s=4.0)
        world.start_orchestrator()
        world.accounts.open("acme", 1)
        world.add_channel("two", "b@acme")
        world.sources["b"].fault = Fault.FROZEN
        world.tables.catalogue._put(_problematic(world, "b"))
        world.until(lambda: world.sources["b"].probes, 10.0)
        session_id = world.request(channel=world.add_channel("one", "a@acme"))
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 1.5)


def _problematic(world: World, name: str) -> Source:
    return replace(world.row(name), status=SourceStatus.PROBLEMATIC)
