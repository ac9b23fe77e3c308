"""The slate under the real control loop: agents that list, sources that fail and come back, orchestrators that crash."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from orchestrator.core.model import SLATE, EndReason, EventType, Live, Phase, Unavailable
from tests.orchestrator.simulated.agent import SEGMENT_S, Fault
from tests.orchestrator.simulated.world import World
from transcoder.input import SlateInput
from transcoder.job import parse


@pytest.fixture
def world() -> Iterator[World]:
    with World("a", "b", slates=True) as world:
        yield world


def dark(world: World) -> str:
    """A session whose sources have all failed, and whose slate plays."""
    session_id = world.live()
    world.pass_s(10.0)
    for name in ("a", "b"):
        world.sources[name].fault = Fault.REFUSES
    world.until(lambda: world.playing(session_id) == SLATE, 10.0)
    return session_id


def test_the_slate_plays_while_nothing_works_and_gives_way_to_what_works_again(world: World) -> None:
    session_id = dark(world)
    assert world.session(session_id).phase is Phase.UNAVAILABLE
    for _ in range(60):
        world.pass_s(2.0)
        assert world.session(session_id).phase is Phase.UNAVAILABLE
        assert world.playing(session_id) == SLATE, "whatever is tried beside it"
    assert len(world.laws.slates) == 1
    assert len(world.laws.starts) > 5, "sources were tried meanwhile"
    world.sources["b"].fault = None
    world.until(lambda: world.session(session_id).phase is Phase.LIVE, 70.0)
    assert world.playing(session_id) == "b"
    world.pass_s(2.0)
    attempt = world.session(session_id).attempt
    assert attempt is not None
    assert world.runtime.running(session_id) == [attempt.number]
    expected = [EventType.SESSION_LIVE, EventType.STREAM_UNAVAILABLE, EventType.STREAM_RECOVERED]
    told = world.events(session_id)
    assert [event.type for event in told] == expected
    assert told[-2].fields["slate"] is True
    assert (told[-1].fields["from"], told[-1].fields["to"]) == (world.row("a").id, world.row("b").id)


def test_a_probe_that_succeeds_ends_it_at_once(world: World) -> None:
    session_id = dark(world)
    world.pass_s(120.0)  # retries have become rare
    world.sources["a"].fault = None
    assert world.supervisor is not None
    world.run(world.supervisor._interpreter._probes.probe(world.row("a")))
    world.nudge(session_id)
    world.until(lambda: world.playing(session_id) == "a", 2.0 + SEGMENT_S)


def test_without_the_policy_nothing_is_listed_while_nothing_works() -> None:
    with World("a", slates=False) as world:
        session_id = world.live()
        world.sources["a"].fault = Fault.REFUSES
        world.until(lambda: world.session(session_id).phase is Phase.UNAVAILABLE, 10.0)
        world.pass_s(60.0)
        assert world.laws.slates == []
        assert world.playing(session_id) is None
        assert "slate" not in world.events(session_id)[-1].fields


def test_a_session_that_never_was_live_gets_no_slate(world: World) -> None:
    session_id = world.request()
    world.until(lambda: world.session(session_id).phase is Phase.STARTING, 5.0)
    for source in world.sources.values():
        source.fault = Fault.REFUSES
    world.pass_s(30.0)
    assert world.laws.slates == []
    assert world.playlist(session_id) is None


def test_a_restarted_orchestrator_adopts_it(world: World) -> None:
    session_id = dark(world)
    number = world.listed(session_id)
    world.stop_orchestrator()
    world.pass_s(20.0)
    assert world.playing(session_id) == SLATE, "it needs no orchestrator"
    world.start_orchestrator()
    world.pass_s(10.0)
    assert world.listed(session_id) == number
    world.sources["a"].fault = None
    world.until(lambda: world.playing(session_id) == "a", 70.0)


@pytest.mark.parametrize("how", ["crash before", "crash after", "request", "reply"])
def test_a_start_that_was_lost_is_made_up_for(world: World, how: str) -> None:
    session_id = world.live()
    world.pass_s(10.0)
    for source in world.sources.values():
        source.fault = Fault.REFUSES
    world.until(lambda: world.session(session_id).phase is Phase.UNAVAILABLE, 10.0)
    world.runtime.lost = how
    world.until(lambda: world.playing(session_id) == SLATE, 20.0)


def test_a_slate_that_is_killed_or_hangs_is_replaced(world: World) -> None:
    session_id = dark(world)
    world.pass_s(30.0)
    number = world.listed(session_id)
    world.runtime.die(session_id, number, 137)
    world.until(lambda: world.listed(session_id) > number, 5.0)
    assert world.playing(session_id) == SLATE
    world.pass_s(30.0)
    number = world.listed(session_id)
    agent = next(each for each in world.agents if each.attempt == number)
    agent.hung = True
    world.until(lambda: world.listed(session_id) > number, 40.0)
    assert world.playing(session_id) == SLATE
    assert world.session(session_id).phase is Phase.UNAVAILABLE


def test_slates_that_all_fail_are_tried_ever_more_rarely_and_do_not_keep_sources_from_their_turn(world: World) -> None:
    session_id = dark(world)
    world.slate.fault = Fault.CRASHES_FFMPEG
    before = len(world.laws.slates)
    world.pass_s(300.0)
    assert 5 < len(world.laws.slates) - before < 20
    world.sources["b"].fault = None
    world.until(lambda: world.playing(session_id) == "b", 70.0)


def test_an_engine_that_refuses_everything_is_asked_ever_more_rarely(world: World) -> None:
    session_id = world.live()
    world.pass_s(10.0)
    world.runtime.refusing = "no space left"
    world.kill(session_id)
    world.pass_s(300.0)
    assert len(world.laws.slates) < 20
    assert [world.row(name).failure_count for name in ("a", "b")] == [0, 0]
    world.runtime.refusing = ""
    world.until(lambda: world.session(session_id).phase is Phase.LIVE, 70.0)


@pytest.mark.parametrize("by", ["viewer", "channel"])
def test_it_ends_with_its_session(world: World, by: str) -> None:
    session_id = dark(world)
    if by == "viewer":
        world.run(world.tables.sessions.stop(session_id, EndReason.STOPPED))
    else:
        world.run(world.tables.catalogue.delete_channel(world.channel.id))
    world.until(lambda: world.session(session_id).phase is Phase.ENDED, 10.0)
    playlist = world.playlist(session_id)
    assert playlist is not None
    assert playlist.ended
    assert world.runtime.running(session_id) == []


def test_the_operators_switch_is_tried_beside_it(world: World) -> None:
    session_id = dark(world)
    world.pass_s(60.0)
    world.sources["b"].fault = None
    world.run(world.tables.sessions.switch(session_id, world.row("b").id))
    world.nudge(session_id)
    world.until(lambda: world.playing(session_id) == "b", 2.0 + SEGMENT_S)


def test_it_is_renewed_without_a_gap_before_its_signatures_run_out(world: World) -> None:
    session_id = dark(world)
    number = world.listed(session_id)
    assert world.supervisor is not None
    life_s = world.supervisor._policy.attempt_life_s
    world.pass_s(60.0)
    world.run(_aged(world, session_id, life_s))
    world.until(lambda: world.listed(session_id) > number, 60.0)
    assert world.playing(session_id) == SLATE
    assert world.session(session_id).phase is Phase.UNAVAILABLE


async def _aged(world: World, session_id: str, by_s: float) -> None:
    """The current attempt was started so much earlier."""
    session = world.session(session_id)
    state = session.state
    assert isinstance(state, Live | Unavailable)
    slate = isinstance(state, Unavailable)
    attempt = state.shown if isinstance(state, Unavailable) else state.attempt
    assert attempt is not None
    signed_at, started_at = attempt.signed_at - by_s, attempt.leg.started_at - by_s
    older = replace(attempt, signed_at=signed_at, legs=(replace(attempt.leg, started_at=started_at),))
    aged = replace(state, shown=older) if slate else replace(state, attempt=older)
    world.tables.sessions._write(replace(session, state=aged, version=session.version + 1))


def test_its_job_names_the_channel_and_nothing_else(world: World) -> None:
    channel = world.run(world.tables.catalogue.channel(world.channel.id))
    world.run(world.tables.catalogue.update_channel(replace(channel, name="First\n\x00Channel 1")))
    dark(world)
    launch = next(each for each in world.runtime.launches if '"slate"' in each.job)
    job = parse(launch.job)
    assert job.first.source == SlateInput("First  Channel 1")
    assert job.first.expected is None


def test_its_attempts_stand_in_the_history(world: World) -> None:
    session_id = dark(world)
    world.pass_s(5.0)
    rows = world.run(world.tables.sessions.attempts(session_id))
    (slate,) = (row for row in rows if row.source_id == SLATE)
    assert slate.first_segment_at is not None
    assert slate.ended_at is None
    assert slate.first_segment_at - slate.started_at < 2.0
