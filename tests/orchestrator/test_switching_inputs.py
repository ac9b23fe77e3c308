"""Input switches through the whole control loop, on simulated parts and simulated time: the agent goes on by itself, and its
reports make the same facts of it as a swap of containers would. The laws are watched on the way (simulated/laws.py)."""

from __future__ import annotations

import json

import pytest

from orchestrator.core.model import Cause, Event, EventType, Phase, Shown, SourceStatus
from tests.orchestrator.simulated.agent import Agent, Fault
from tests.orchestrator.simulated.world import World
from transcoder import bucket


def agent(world: World, session_id: str) -> Agent:
    found = world.agent(session_id)
    assert found is not None
    return found


def inbox(world: World) -> list[str]:
    return [key for key in world.store.objects_by_key if key.startswith(bucket.INBOX)]


def switches(world: World, session_id: str) -> list[Event]:
    return [each for each in world.events(session_id) if each.type is EventType.STREAM_SWITCH]


def test_a_job_grants_what_a_failure_would_choose() -> None:
    with World("a", "b", "c", "d", "e", switches=True) as world:
        world.live()
        orders = json.loads(world.runtime.launches[0].job)["orders"]
        assert [world.source_at(each["source"]["url"]).name for each in orders["inputs"]] == ["a", "b", "c", "d"]
        assert orders["play"] == {"request": 1, "input": world.row("a").id}


def test_where_the_setting_is_off_the_job_and_the_store_are_as_before() -> None:
    with World("a", "b") as world:
        world.live()
        world.pass_s(10.0)
        assert "orders" not in json.loads(world.runtime.launches[0].job)
        assert inbox(world) == []


def test_an_image_of_the_first_contract_gets_the_job_that_it_understands() -> None:
    with World("a", "b", switches=True) as world:
        world.runtime.agents_contract = 1
        world.pass_s(6.0)  # the image is looked at every five seconds
        session_id = world.live()
        assert "orders" not in json.loads(world.runtime.launches[0].job)
        world.sources["a"].fault = Fault.ENDS
        world.until(lambda: world.listed(session_id) == 2, 2.0)


def test_an_image_that_is_replaced_meanwhile_blames_no_source() -> None:
    with World("a", "b", switches=True) as world:
        world.runtime.agents_contract = 1
        session_id = world.live()
        assert [("orders" in json.loads(each.job)) for each in world.runtime.launches] == [False]
        assert world.row("a").failure_count == 0
        assert world.playing(session_id) == "a"


@pytest.mark.parametrize("fault", [Fault.REFUSES, Fault.UNREACHABLE, Fault.ENDS, Fault.FROZEN, Fault.GARBAGE])
def test_a_source_that_fails_is_answered_in_the_same_container(fault: Fault) -> None:
    with World("a", "b", switches=True) as world:
        session_id = world.live()
        world.pass_s(30.0)
        world.sources["a"].fault = fault
        world.until(lambda: world.playing(session_id) == "b", 6.0)
        world.until(lambda: switches(world, session_id), 2.0)
        (told,) = switches(world, session_id)
        assert (told.fields["from"], told.fields["to"]) == (world.row("a").id, world.row("b").id)
        assert (told.fields["attempt"], told.fields["leg"], told.fields["by"]) == (1, 2, "agent")
        assert "late" not in told.fields
        world.pass_s(5.0)
        assert world.attempts(session_id) == [1]
        assert world.session(session_id).phase is Phase.LIVE
        source = world.row("a")
        assert (source.status, source.failure_count + source.stall_count) == (SourceStatus.PROBLEMATIC, 1)
        assert world.row("b").status is SourceStatus.HEALTHY
        assert inbox(world) == [], "what is recorded is deleted"


def test_legs_stand_in_the_history_with_their_times() -> None:
    with World("a", "b", switches=True) as world:
        session_id = world.live()
        world.pass_s(20.0)
        world.sources["a"].fault = Fault.ENDS
        failed_at = world.now
        world.until(lambda: switches(world, session_id), 4.0)
        (row,) = world.run(world.tables.sessions.attempts(session_id))
        assert row.legs is not None
        first, second = row.legs
        assert (first.input, second.input) == (world.row("a").id, world.row("b").id)
        assert first.ended is not None
        assert first.ended.cause is Cause.SOURCE_ENDED
        assert first.ended_at == pytest.approx(failed_at, abs=0.5)
        assert second.live_at == pytest.approx(failed_at, abs=2.5)


def test_reports_of_a_container_that_dies_are_read_before_it_is_judged() -> None:
    """It has switched in the same moment: the row still names the source that failed."""
    with World("a", "b", switches=True) as world:
        session_id = world.live()
        world.pass_s(20.0)
        world.sources["a"].fault = Fault.ENDS
        world.until(lambda: inbox(world), 1.0)
        world.kill(session_id)
        world.until(lambda: world.listed(session_id) == 2, 3.0)
        world.pass_s(2.0)
        assert world.row("a").failure_count == 1
        assert world.row("b").failure_count == 0
        assert world.playing(session_id) == "b", "the container's death is answered on the source that it played"


def test_what_happened_without_an_orchestrator_is_told_late_and_once() -> None:
    with World("a", "b", "c", switches=True) as world:
        session_id = world.live()
        world.pass_s(20.0)
        world.stop_orchestrator()
        world.sources["a"].fault = Fault.ENDS
        world.pass_s(5.0)
        world.sources["b"].fault = Fault.ENDS
        world.pass_s(20.0)
        assert world.playing(session_id) == "c"
        world.start_orchestrator()
        world.until(lambda: len(switches(world, session_id)) == 2, 5.0)
        told = switches(world, session_id)
        assert [(each.fields["to"], each.fields["late"]) for each in told] == [
            (world.row("b").id, True), (world.row("c").id, True),
        ]  # fmt: skip
        world.pass_s(10.0)
        assert [world.row(name).failure_count for name in "abc"] == [1, 1, 0]
        assert world.attempts(session_id) == [1]
        assert inbox(world) == []


@pytest.mark.parametrize("fault", [Fault.REFUSES, Fault.UNREACHABLE, Fault.ENDS, Fault.FROZEN, Fault.GARBAGE])
def test_without_the_control_plane_viewers_go_on_and_nothing_is_switched_again_afterwards(fault: Fault) -> None:
    with World("a", "b", switches=True) as world:
        session_id = world.live()
        world.pass_s(20.0)
        world.stop_orchestrator()
        world.tables.refusing = True
        world.sources["a"].fault = fault
        world.until(lambda: world.playing(session_id) == "b", 6.0)
        world.pass_s(60.0)
        assert world.playing(session_id) == "b"
        world.tables.refusing = False
        world.start_orchestrator()
        world.until(lambda: switches(world, session_id), 5.0)
        world.pass_s(20.0)
        (told,) = switches(world, session_id)
        assert told.fields["late"] is True
        assert told.causes.reason is not None
        stalled = fault is Fault.FROZEN
        assert (world.row("a").failure_count, world.row("a").stall_count) == (not stalled, stalled)
        assert world.attempts(session_id) == [1]
        assert world.playing(session_id) == "b"


def test_ffmpeg_crashes_twice_and_nobody_is_blamed() -> None:
    with World("a", "b", switches=True) as world:
        session_id = world.live()
        world.pass_s(20.0)
        world.sources["a"].fault = Fault.CRASHES_FFMPEG
        world.until(lambda: world.playing(session_id) == "b", 6.0)
        world.pass_s(5.0)
        assert world.session(session_id).phase is Phase.LIVE
        (row,) = world.run(world.tables.sessions.attempts(session_id))
        assert row.legs is not None
        assert [each.input for each in row.legs] == [world.row("a").id, world.row("a").id, world.row("b").id]
        assert world.row("a").status is SourceStatus.HEALTHY


def test_a_crash_between_commit_and_deletion_blames_nobody_twice() -> None:
    with World("a", "b", switches=True) as world:
        session_id = world.live()
        world.pass_s(20.0)

        async def never(keys: object) -> None:
            return None

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(world.store, "delete", never)
            world.sources["a"].fault = Fault.ENDS
            world.until(lambda: switches(world, session_id), 4.0)
            world.stop_orchestrator()
        assert inbox(world)
        world.start_orchestrator()
        world.until(lambda: not inbox(world), 5.0)
        assert world.row("a").failure_count == 1
        assert len(switches(world, session_id)) == 1


def test_an_attempt_that_has_no_input_left_gives_way_to_the_slate_until_a_source_works() -> None:
    with World("a", "b", switches=True, slates=True) as world:
        session_id = world.live()
        world.pass_s(20.0)
        world.sources["a"].fault = world.sources["b"].fault = Fault.ENDS
        world.until(lambda: EventType.STREAM_UNAVAILABLE in world.told(session_id), 8.0)
        assert [world.row(name).failure_count for name in "ab"] == [1, 1]
        world.until(lambda: world.session(session_id).shown is Shown.SLATE, 8.0)
        world.pass_s(60.0)
        world.sources["b"].fault = world.sources["a"].fault = None
        world.until(lambda: world.playing(session_id) in ("a", "b"), 30.0)
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 5.0)


def test_an_agent_that_reports_nothing_is_replaced_when_it_falls_silent() -> None:
    with World("a", "b", switches=True) as world:
        session_id = world.live()
        world.pass_s(10.0)
        agent(world, session_id).hung = True
        silent_since = world.now
        world.until(lambda: world.listed(session_id) == 2, 10.0)
        assert world.now - silent_since < 8.0
        assert world.row("a").status is SourceStatus.HEALTHY


def test_a_leg_without_a_report_blames_nobody() -> None:
    with World("a", "b", switches=True) as world:
        session_id = world.live()
        world.pass_s(10.0)
        agent(world, session_id).mute = True
        world.sources["a"].fault = Fault.ENDS
        world.pass_s(30.0)
        attempt = world.session(session_id).attempt
        assert attempt is not None
        assert (attempt.number, attempt.leg.number, attempt.leg.input) == (1, 2, "unknown")
        assert world.row("a").failure_count == 0
        assert world.session(session_id).phase is Phase.LIVE


def test_a_distrusted_agent_is_replaced_and_nobody_is_blamed() -> None:
    with World("a", "b", switches=True) as world:
        session_id = world.live()
        world.pass_s(10.0)
        for n in range(500, 503):
            world.store.put(bucket.report_key(session_id, 1, n), b"no report")
        world.until(lambda: world.listed(session_id) == 2, 5.0)
        (first, *_) = world.run(world.tables.sessions.attempts(session_id))
        assert first.end_cause is Cause.AGENT_DISTRUSTED
        assert world.row("a").failure_count == 0
        assert world.playing(session_id) == "a"
        world.until(lambda: not [key for key in inbox(world) if ".1.0005" in key], 90.0)


def test_a_store_that_hangs_ends_no_attempt_that_may_have_reported() -> None:
    with World("a", "b", switches=True) as world:
        session_id = world.live()
        world.pass_s(10.0)
        world.store.hanging = True
        world.pass_s(30.0)
        world.store.hanging = False
        world.pass_s(10.0)
        assert world.attempts(session_id) == [1]
        assert world.playing(session_id) == "a"


def test_reserves_of_a_limited_provider_are_not_granted_and_connections_are_those_of_the_first_input() -> None:
    with World(switches=True) as world:
        world.accounts.open("acme", 1)
        world.accounts.open("free", None)
        channel = world.add_channel("mixed", "a@acme", "b@acme", "c@free", "d")
        session_id = world.request(channel=channel)
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 5.0)
        orders = json.loads(world.runtime.launches[-1].job)["orders"]
        assert [world.source_at(each["source"]["url"]).name for each in orders["inputs"]] == ["a", "c", "d"]
        world.sources["a"].fault = Fault.ENDS
        world.until(lambda: world.playing(session_id) == "c", 5.0)
        world.pass_s(5.0)
        assert world.attempts(session_id) == [1]
        assert world.accounts.most["acme"] == 1
