"""Which source plays, with the real control loop in the simulated world: failover channels, flapping, failback, edits."""

from __future__ import annotations

from itertools import pairwise

from msgspec.structs import replace

from orchestrator.app.settings import replaced
from orchestrator.core.model import EndReason, EventType, Phase, SourceStatus
from orchestrator.core.policy import Policy
from orchestrator.core.session.operator_switch import SAME
from orchestrator.core.source.hold_off import held_off_until, stayed_good_s
from orchestrator.ports import NewSource
from tests.orchestrator.simulated.agent import Fault
from tests.orchestrator.simulated.world import World
from transcoder import bucket


def reasons(world: World, session_id: str) -> list[str | None]:
    """Why each attempt was started."""
    rows = world.run(world.tables.sessions.attempts(session_id))
    return [row.start_reason for row in rows]


def plays(world: World, session_id: str, name: str) -> bool:
    """And everybody has taken note of it."""
    return world.session(session_id).phase is Phase.LIVE and world.playing(session_id) == name


# --- failover channels ------------------------------------------------------------------------------------------------


def test_a_failover_channel_goes_on_behind_the_same_playlist_and_the_own_source_is_returned_to() -> None:
    with World("a", behind={"sport": ("d",), "music": ("e",)}) as world:
        session_id = world.live()
        world.sources["a"].fault = world.sources["d"].fault = Fault.ENDS
        world.until(lambda: plays(world, session_id, "e"), 5.0)
        assert world.row("d").status is SourceStatus.PROBLEMATIC, "blamed where it is"
        assert world.row("e").status is SourceStatus.HEALTHY
        channel = world.run(world.tables.catalogue.channel(world.channel.id))
        assert channel.active_source_id == world.row("a").id, "the last good one of its own"
        world.sources["a"].fault = None
        world.until(lambda: plays(world, session_id, "a"), 95.0)
        assert world.told(session_id) == [EventType.SESSION_LIVE, EventType.STREAM_SWITCH, EventType.STREAM_SWITCH]
        assert world.events(session_id)[-1].fields["reason"] == "failback"
        assert world.events(session_id)[-1].fields["gap_ms"] == 0


def test_a_new_session_plays_a_failover_channel_where_no_own_source_works() -> None:
    with World("a", "b", behind={"sport": ("d",)}) as world:
        world.sources["a"].fault = world.sources["b"].fault = Fault.REFUSES
        session_id = world.live()
        assert world.playing(session_id) == "d"
        assert world.now - world.session(session_id).created_at < 1.0


def test_a_failover_channel_is_not_asked_while_an_own_source_works() -> None:
    with World("a", "b", behind={"sport": ("d",)}) as world:
        world.sources["a"].fault = Fault.REFUSES
        world.live()
        assert world.sources["d"].probes == 0


def test_edits_behind_a_running_session_are_found() -> None:
    with World("a", behind={"sport": ("d",), "music": ("e",)}) as world:
        session_id = world.live()
        world.sources["a"].fault = Fault.ENDS
        world.until(lambda: plays(world, session_id, "d"), 3.0)
        world.set_failovers("music")
        world.until(lambda: plays(world, session_id, "e"), 5.0)
        world.set_failovers("sport", "music")
        world.run(world.tables.catalogue.update_source(world.row("e").id, enabled=False))
        world.until(lambda: plays(world, session_id, "d"), 5.0)
        world.run(world.tables.catalogue.update_source(world.row("e").id, enabled=True))
        sport = replace(world.behind["sport"], enabled=False)
        world.run(world.tables.catalogue.update_channel(sport))
        world.until(lambda: plays(world, session_id, "e"), 5.0)
        assert world.session(session_id).phase is Phase.LIVE
        assert set(reasons(world, session_id)) == {"requested", "source ended", "source removed"}


def test_a_channel_that_is_disabled_ends_its_own_sessions_and_no_others() -> None:
    with World("a", behind={"sport": ("d",)}) as world:
        session_id = world.live()
        others = world.request("another", world.behind["sport"])
        world.until(lambda: world.session(others).phase is Phase.LIVE, 5.0)
        world.run(world.tables.catalogue.update_channel(replace(world.behind["sport"], enabled=False)))
        world.until(lambda: world.session(others).phase is Phase.ENDED, 5.0)
        assert world.events(others)[-1].fields["reason"] == "channel_disabled"
        assert world.session(session_id).phase is Phase.LIVE


# --- flapping ---------------------------------------------------------------------------------------------------------


def test_a_source_that_flaps_is_left_alone_for_longer_and_longer() -> None:
    """It answers every probe and ends a few seconds after each start: without a hold-off each failback would go back to it."""
    with World("a", "b") as world:
        world.set_policy(failback_stable_s=5.0)
        world.sources["a"].fault = Fault.FLAPS
        session_id = world.live()
        world.pass_s(1800.0)
        rows = world.run(world.tables.sessions.attempts(session_id))
        started = [row.started_at for row in rows if row.source_id == world.row("a").id]
        waits_s = [later - earlier for earlier, later in pairwise(started)]
        assert all(longer > 1.1 * shorter for shorter, longer in pairwise(waits_s[:4])), waits_s
        assert min(waits_s[-2:]) > 240.0, waits_s
        world.until(lambda: plays(world, session_id, "b"), 20.0)


def test_a_source_that_is_back_takes_over_at_once_though_held_off_where_the_other_one_fails() -> None:
    """One source after the other is killed within seconds; the first one works again before the second one fails."""
    world = World("a", "b", slates=True)
    world.settings = replaced(world.settings, reprobe_interval_s=2.0)
    with world:
        session_id = world.live()
        world.sources["a"].fault = Fault.REFUSES
        world.until(lambda: plays(world, session_id, "b"), 5.0)
        world.sources["a"].fault = None
        world.until(lambda: world.row("a").status is SourceStatus.RECOVERED, 5.0)
        world.sources["b"].fault = Fault.REFUSES
        failed_at = world.now
        world.until(lambda: plays(world, session_id, "a"), 5.0)
        assert held_off_until(world.row("a"), Policy()) > world.now, "it was not waited for"
        assert world.now - failed_at < 3.0
        assert world.attempts(session_id) == [1, 2, 3], "without a slate between"
        assert EventType.STREAM_UNAVAILABLE not in world.told(session_id)


def test_a_source_that_plays_steadily_again_is_forgiven() -> None:
    with World("a", "b") as world:
        world.set_policy(failback_stable_s=5.0)
        session_id = world.live()
        world.sources["a"].fault = Fault.ENDS
        world.until(lambda: plays(world, session_id, "b"), 5.0)
        world.sources["a"].fault = None
        assert world.row("a").failures_in_a_row == 1
        world.until(lambda: plays(world, session_id, "a"), 30.0)
        assert world.row("a").failures_in_a_row == 1
        world.until(lambda: world.row("a").failures_in_a_row == 0, 14.0)


def test_many_sessions_that_fail_together_fail_once() -> None:
    with World("a", "b") as world:
        sessions = [world.request(f"viewer-{n}") for n in range(20)]
        world.until(lambda: all(world.session(each).phase is Phase.LIVE for each in sessions), 5.0)
        world.pass_s(15.0)
        world.sources["a"].fault = Fault.ENDS
        world.until(lambda: all(world.playing(each) == "b" for each in sessions), 5.0)
        assert (world.row("a").failure_count, world.row("a").failures_in_a_row) == (20, 1)


def test_a_session_starts_on_the_last_good_source_where_probes_take_too_long() -> None:
    with World("a", "b") as world:
        world.sources["a"].fault = Fault.REFUSES
        first = world.live()
        assert world.playing(first) == "b"
        world.run(world.tables.sessions.stop(first, EndReason.STOPPED))
        world.pass_s(600.0)
        for source in world.sources.values():
            source.fault, source.answers_after_s = None, 4.0
        session_id = world.request()
        world.until(lambda: plays(world, session_id, "b"), 1.5)


# --- failback ---------------------------------------------------------------------------------------------------------


def test_a_better_source_is_probed_while_somebody_waits_for_it_and_no_longer() -> None:
    with World("a", "b") as world:
        world.sources["a"].fault = Fault.REFUSES
        session_id = world.live()
        world.sources["a"].fault = None
        before = world.sources["a"].probes
        world.until(lambda: plays(world, session_id, "a"), 95.0)
        assert 3 <= world.sources["a"].probes - before <= 5, "every half of the time for which it has to be stable"
        settled = world.sources["a"].probes, world.sources["b"].probes
        world.pass_s(600.0)
        assert (world.sources["a"].probes, world.sources["b"].probes) == settled


def test_nobody_waits_where_the_channel_never_fails_back() -> None:
    with World("a", "b") as world:
        world.set_policy(failback="never")
        session_id = world.live()
        world.run(world.tables.catalogue.order_sources(world.channel.id, [world.row("b").id, world.row("a").id]))
        probes = world.sources["b"].probes
        world.pass_s(600.0)
        assert (world.playing(session_id), world.sources["b"].probes) == ("a", probes)
        world.set_policy(failback="when_stable", failback_stable_s=10.0)
        world.until(lambda: plays(world, session_id, "b"), 20.0)


def test_what_the_operator_switched_to_is_not_taken_back() -> None:
    with World("a", "b") as world:
        session_id = world.live()
        world.run(world.tables.sessions.switch(session_id, world.row("b").id))
        world.until(lambda: plays(world, session_id, "b"), 5.0)
        probes = world.sources["a"].probes
        world.pass_s(600.0)
        assert (world.playing(session_id), world.sources["a"].probes) == ("b", probes)


def test_an_operators_choice_lasts_through_fresh_attempts_until_its_source_fails() -> None:
    world = World("a", "b")
    world.settings = replaced(world.settings, signature_s=250)
    with world:
        world.set_policy(failback_stable_s=20.0)
        session_id = world.live()
        world.run(world.tables.sessions.switch(session_id, world.row("b").id))
        world.until(lambda: plays(world, session_id, "b"), 5.0)
        world.run(world.tables.sessions.switch(session_id, SAME))
        world.pass_s(100.0)
        assert len(world.attempts(session_id)) == 3
        world.pass_s(300.0)
        assert len(world.attempts(session_id)) >= 4, "renewed, for its signatures run out"
        assert world.playing(session_id) == "b"
        world.sources["b"].fault = Fault.REFUSES
        world.until(lambda: plays(world, session_id, "a"), 10.0)
        world.sources["b"].fault = None
        world.sources["a"].fault = Fault.REFUSES
        world.until(lambda: plays(world, session_id, "b"), 10.0)
        world.sources["a"].fault = None
        world.until(lambda: plays(world, session_id, "a"), 300.0)


def test_a_failback_leaves_no_gap_and_the_old_attempt_publishes_until_the_new_one_has_taken_over() -> None:
    with World("a", "b") as world:
        world.set_policy(failback_stable_s=5.0)
        world.sources["a"].fault = Fault.REFUSES
        session_id = world.live()
        world.sources["a"].fault = None
        world.until(lambda: world.session(session_id).phase is Phase.SWITCHING, 30.0)
        assert set(world.runtime.running(session_id)) <= {1, 2}
        world.until(lambda: world.listed(session_id) == 2, 5.0)
        playlist = world.playlist(session_id)
        assert playlist is not None
        for before, after in pairwise(playlist.segments):
            assert abs(after.program_date_time - before.end_s) < 0.01
        assert {bucket.attempt_of(each.uri) for each in playlist.segments} == {1, 2}


def test_a_source_that_has_just_failed_in_another_session_is_not_returned_to() -> None:
    """This session remembers the source as it was; what it decides by memory is decided again by rows that are read anew."""
    with World("a", "b") as world:
        world.set_policy(failback_stable_s=20.0)
        session_id = world.live()
        world.sources["a"].fault = Fault.ENDS
        world.until(lambda: plays(world, session_id, "b"), 5.0)
        world.sources["a"].fault = None
        other = world.live("another")
        world.run(world.tables.sessions.switch(other, world.row("a").id))
        world.until(lambda: plays(world, other, "a"), 10.0)
        world.until(lambda: stayed_good_s(world.row("a")) >= 10.0, 40.0)
        world.pass_s(2.0)  # between two of its probes
        world.kill(session_id)  # what plays has to play for as long as the better source is stable
        world.until(lambda: world.attempts(session_id) == [1, 2, 3] and plays(world, session_id, "b"), 5.0)
        world.pass_s(19.0)
        assert stayed_good_s(world.row("a")) >= 20.0, "only the session itself has yet to wait"
        world.sources["a"].fault = Fault.ENDS
        world.until(lambda: world.row("a").status is SourceStatus.PROBLEMATIC, 1.0)
        world.pass_s(30.0)
        assert world.attempts(session_id) == [1, 2, 3]
        assert world.playing(session_id) == "b"


def test_a_failback_to_a_source_that_only_answers_probes_costs_the_viewer_nothing() -> None:
    with World("a", "b") as world:
        world.set_policy(failback_stable_s=5.0)
        world.sources["a"].fault = Fault.CRASHES_FFMPEG
        session_id = world.request()
        world.until(lambda: plays(world, session_id, "b"), 20.0)
        events = len(world.events(session_id))
        for _ in range(300):
            world.pass_s(1.0)
            assert world.playing(session_id) == "b"
        assert len(world.events(session_id)) == events
        assert 2 <= reasons(world, session_id).count("failback") <= 7, "each time later than the time before"


# --- edits ------------------------------------------------------------------------------------------------------------


def test_an_edited_address_is_taken_up_without_a_gap_and_without_a_nudge() -> None:
    with World("a", "b") as world:
        session_id = world.live()
        moved = world.sources["a"].moved()
        world.run(world.tables.catalogue.update_source(world.row("a").id, url=moved))
        world.until(lambda: world.listed(session_id) == 2, 5.0)
        agent = world.agent(session_id)
        assert agent is not None and agent.url == moved
        assert (world.playing(session_id), reasons(world, session_id)) == ("a", ["requested", "source changed"])
        assert world.events(session_id)[-1].fields["gap_ms"] == 0
        world.run(world.tables.catalogue.update_source(world.row("a").id, headers={"Referer": "http://x.test/"}))
        world.until(lambda: world.listed(session_id) == 3, 5.0)
        world.pass_s(30.0)
        assert world.listed(session_id) == 3


def test_the_playing_source_is_deleted_and_another_one_added() -> None:
    with World("a") as world:
        session_id = world.live()
        world.sources["b"] = type(world.sources["a"])("b")
        world.run(world.tables.catalogue.add_source(world.channel.id, NewSource(url=world.sources["b"].url)))
        world.run(world.tables.catalogue.delete_source(world.row("a").id))
        world.until(lambda: plays(world, session_id, "b"), 5.0)
        assert world.session(session_id).phase is Phase.LIVE


def test_a_switch_to_a_source_that_is_deleted_meanwhile_is_refused_by_an_event_and_the_picture_goes_on() -> None:
    with World("a", "b") as world:
        session_id = world.live()
        source_id = world.row("b").id
        world.run(world.tables.catalogue.delete_source(source_id))
        world.run(world.tables.sessions.switch(session_id, source_id))
        world.until(lambda: world.told(session_id)[-1] is EventType.SWITCH_REFUSED, 3.0)
        reason = "no longer a source of the channel, nor of those behind it"
        assert world.events(session_id)[-1].fields == {"to": source_id, "reason": reason}
        world.pass_s(1.0)
        assert [event.type for event, _ in world.bus.published] == world.told(session_id)
        assert (world.attempts(session_id), world.playing(session_id)) == ([1], "a")
