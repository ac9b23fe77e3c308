"""The control loop end to end on simulated parts and simulated time. The laws are watched on the way (simulated/laws.py)."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import msgspec
import pytest

from orchestrator.app.settings import replaced
from orchestrator.control.observer import Observer
from orchestrator.core.model import ContainerState, Decision, EndReason, Event, EventType, Phase, Session, Source, SourceStatus
from orchestrator.errors import DatabaseUnavailable, EngineUnavailable, Stale
from orchestrator.ports import ProbeResult, SessionRow
from tests.fakes.object_store import FakeObjectStore
from tests.orchestrator.simulated.agent import SEGMENT_S, Agent, Fault
from tests.orchestrator.simulated.parts import SimulatedProber
from tests.orchestrator.simulated.world import World
from transcoder import bucket
from transcoder.ending import Ending


def agent(world: World, session_id: str) -> Agent:
    found = world.agent(session_id)
    assert found is not None
    return found


def finished(world: World, session_id: str) -> bool:
    playlist = world.playlist(session_id)
    return playlist is not None and playlist.ended


# --- start, failover, end ---------------------------------------------------------------------------------------------


def test_a_session_starts_plays_and_ends() -> None:
    with World("a", "b") as world:
        session_id = world.request()
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 1.0)
        assert world.playing(session_id) == "a"
        assert world.row("a").status is SourceStatus.HEALTHY
        job = json.loads(world.runtime.launches[0].job)
        assert (job["session"], job["attempt"], job["source"]["url"]) == (session_id, 1, world.sources["a"].url)
        assert job["expected"] == {"video": "h264", "audio": "aac", "channels": 2}
        world.pass_s(20.0)
        world.run(world.tables.sessions.stop(session_id, EndReason.STOPPED))
        world.nudge(session_id)
        world.until(lambda: world.session(session_id).phase is Phase.ENDED, 1.0)
        assert finished(world, session_id)
        assert world.runtime.engine.containers == {}
        assert world.told(session_id) == [EventType.SESSION_LIVE, EventType.SESSION_ENDED]
        assert world.session(session_id).end_reason == "stopped"


def test_a_source_that_fails_costs_no_more_than_the_next_ones_start() -> None:
    with World("a", "b") as world:
        session_id = world.live()
        world.pass_s(30.0)
        world.sources["a"].fault = Fault.REFUSES
        world.until(lambda: world.laws.exits, 1.0)
        failed_at = world.now
        world.until(lambda: world.listed(session_id) == 2, 1.0)
        assert world.now - failed_at < 0.6, "0.1 s for the start, a tick of the agent"
        world.until(lambda: world.told(session_id)[-1] is EventType.STREAM_SWITCH, 0.5)
        row = world.row("a")
        assert (row.status, row.failure_count, row.last_failure_reason) == (SourceStatus.PROBLEMATIC, 1, "source refused")
        assert world.events(session_id)[-1].fields["gap_ms"] == 0
        world.pass_s(1.0)
        assert [number for _, _, number in world.runtime.engine.containers] == [2]


def test_every_event_is_published_as_it_stands_in_its_row() -> None:
    with World("a", "b") as world:
        session_id = world.live()
        world.sources["a"].fault = world.sources["b"].fault = Fault.ENDS
        world.until(lambda: world.session(session_id).phase is Phase.UNAVAILABLE, 10.0)
        world.sources["b"].fault = None
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 10.0)
        world.pass_s(1.0)
        published = [msgspec.json.decode(payload) for _, payload in world.bus.published]
        assert [each["type"] for each in published] == ["session.live", "stream.unavailable", "stream.recovered"]
        assert [each["id"] for each in published] == [1, 2, 3]
        for sent, event in zip(published, world.events(session_id), strict=True):
            assert sent["session_id"] == session_id
            assert sent["playlist_url"] == f"http://cdn.test/hls/playlists/{session_id}/index.m3u8"
            assert {name: sent[name] for name in event.fields} == event.fields


def test_a_refused_session_names_each_sources_reason() -> None:
    with World("a", "b") as world:
        world.sources["a"].fault, world.sources["b"].fault = Fault.REFUSES, Fault.FROZEN
        session_id = world.request()
        world.until(lambda: world.session(session_id).phase is Phase.ENDED, 6.0)
        (event,) = world.events(session_id)
        assert event.fields["reason"] == "no_healthy_source"
        assert event.fields["sources"] == {world.row("a").id: "refuses", world.row("b").id: "frozen"}
        assert world.runtime.launches == []


def test_requests_at_once_share_one_probe_of_each_source() -> None:
    with World("a", "b") as world:
        sessions = [world.request(f"viewer-{n}") for n in range(20)]
        world.until(lambda: all(world.session(each).phase is Phase.LIVE for each in sessions), 5.0)
        assert {name: source.probes for name, source in world.sources.items()} == {"a": 1, "b": 1}


def test_an_agent_that_hangs_is_found_by_its_playlist() -> None:
    with World("a", "b") as world:
        session_id = world.live()
        world.pass_s(10.0)
        agent(world, session_id).hung = True
        silent_since = world.now
        world.until(lambda: world.listed(session_id) == 2, 10.0)
        assert 5.5 - SEGMENT_S < world.now - silent_since < 5.5 + 1.0 + 0.6, "a look a second, and the start"
        assert world.row("a").status is SourceStatus.HEALTHY, "who hangs does not say why"


def test_a_paused_container_is_replaced_at_once() -> None:
    with World("a") as world:
        session_id = world.live()
        world.runtime.pause(session_id, 1)
        world.until(lambda: world.listed(session_id) == 2, 1.0)
        world.pass_s(1.0)
        assert world.runtime.running(session_id) == [2]
        assert (session_id, 1) not in {(own, number) for _, own, number in world.runtime.engine.containers}


def test_containers_that_die_are_found_though_the_event_stream_is_broken() -> None:
    with World("a") as world:
        session_id = world.live()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(world.runtime.engine, "listeners", {})
            world.kill(session_id)
        world.until(lambda: world.listed(session_id) == 2, 6.0)


def test_a_broken_event_stream_is_opened_again() -> None:
    with World("a") as world:
        session_id = world.live()
        world.runtime.break_events()
        world.pass_s(1.5)
        world.kill(session_id)
        world.until(lambda: world.listed(session_id) == 2, 0.6)


def test_a_session_outlives_its_signatures_without_a_gap() -> None:
    world = World("a")
    world.settings = replaced(world.settings, signature_s=250)
    with world:
        session_id = world.live()
        world.pass_s(900.0)
        assert len(world.attempts(session_id)) == 5
        switches = world.events(session_id)[1:]
        assert {event.type for event in switches} == {EventType.STREAM_SWITCH}
        assert {event.fields["gap_ms"] for event in switches} == {0}
        assert world.runtime.running(session_id) == [5]


# --- restart ----------------------------------------------------------------------------------------------------------


def test_a_restarted_orchestrator_adopts_what_runs() -> None:
    with World("a", "b") as world:
        sessions = [world.live(f"viewer-{n}") for n in range(5)]
        world.stop_orchestrator()
        world.pass_s(90.0)
        assert all(world.playing(each) == "a" for each in sessions), "containers play on without it"
        world.start_orchestrator()
        world.pass_s(90.0)
        assert all(world.attempts(each) == [1] for each in sessions)
        assert all(world.told(each) == [EventType.SESSION_LIVE] for each in sessions)
        assert len(world.runtime.launches) == 5
        world.kill(sessions[0])
        world.until(lambda: world.listed(sessions[0]) == 2, 1.0)


def test_an_adopted_session_is_watched_like_any_other() -> None:
    with World("a") as world:
        session_id = world.live()
        world.stop_orchestrator()
        world.start_orchestrator()
        world.pass_s(10.0)
        agent(world, session_id).hung = True
        world.until(lambda: world.listed(session_id) == 2, 8.0)


def test_what_died_while_the_orchestrator_was_away_is_replaced_as_soon_as_it_is_back() -> None:
    with World("a", "b") as world:
        session_id = world.live()
        world.stop_orchestrator()
        world.sources["a"].fault = Fault.ENDS
        world.pass_s(5.0)
        world.start_orchestrator()
        world.until(lambda: world.playing(session_id) == "b", 1.0)
        assert world.row("a").last_failure_reason == "source ended"


@pytest.mark.parametrize("how", ["crash before", "crash after"])
def test_a_crash_between_the_decision_and_its_execution_is_repaired_by_looking_again(how: str) -> None:
    with World("a") as world:
        world.runtime.lost = how
        session_id = world.request()
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 3.0)
        expected = {"crash before": [1, 2], "crash after": [1]}[how]
        assert world.attempts(session_id) == expected
        assert world.runtime.running(session_id) == expected[-1:]


@pytest.mark.parametrize(("how", "expected"), [("request", 2), ("reply", 1)])
def test_a_create_that_was_lost_is_found_again_by_looking(how: str, expected: int) -> None:
    with World("a") as world:
        world.runtime.lost = how
        session_id = world.request()
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 3.0)
        assert world.listed(session_id) == expected
        world.pass_s(60.0)
        assert world.runtime.running(session_id) == [expected]


# --- what does not answer ---------------------------------------------------------------------------------------------


def test_an_engine_that_is_silent_at_the_start_is_waited_for() -> None:
    with World("a") as world:
        world.runtime.unavailable = True
        session_id = world.request()
        world.pass_s(60.0)
        assert world.session(session_id).phase is Phase.REQUESTED
        assert world.row("a").status is SourceStatus.HEALTHY, "probes need no engine"
        world.runtime.unavailable = False
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 2.0)
        assert world.attempts(session_id) == [1]


def test_an_engine_that_falls_silent_changes_nothing() -> None:
    with World("a", "b") as world:
        session_id = world.live()
        world.runtime.unavailable = True
        world.pass_s(120.0)
        assert world.playing(session_id) == "a"
        world.runtime.unavailable = False
        world.pass_s(30.0)
        assert world.attempts(session_id) == [1]


def test_a_container_that_died_while_the_engine_was_silent_is_replaced_when_it_answers() -> None:
    with World("a", "b") as world:
        session_id = world.live()
        world.runtime.unavailable = True
        world.pass_s(1.0)
        world.sources["a"].fault = Fault.FROZEN
        world.pass_s(60.0)
        assert world.session(session_id).phase is Phase.LIVE
        world.runtime.unavailable = False
        world.until(lambda: world.listed(session_id) == 2, 2.0)
        assert world.playing(session_id) == "b"
        assert world.row("a").stall_count == 1, "the agent's exit code was still there to be read"


def test_who_waits_for_a_silent_engine_costs_one_look_a_second_for_all() -> None:
    with World("a") as world:
        sessions = [world.live(f"viewer-{n}") for n in range(30)]
        world.runtime.unavailable = True
        for each in sessions:
            world.nudge(each)
        world.pass_s(1.0)
        world.runtime.looks.clear()
        world.pass_s(60.0)
        assert world.runtime.looks[None] <= 75
        assert set(world.runtime.looks) == {None}


def test_an_engine_that_refuses_every_container_is_told_and_retried_with_delays() -> None:
    with World("a", "b") as world:
        world.runtime.image_missing = True
        session_id = world.request()
        world.until(lambda: world.session(session_id).phase is Phase.UNAVAILABLE, 3.0)
        reason = "container refused: the transcoder image is missing"
        fields = world.events(session_id)[-1].fields
        assert fields == {"reason": reason, "sources": dict.fromkeys((world.row("a").id, world.row("b").id), reason)}
        assert world.row("a").status is world.row("b").status is SourceStatus.HEALTHY
        world.pass_s(600.0)
        assert 20 <= len(world.attempts(session_id)) <= 30
        world.runtime.image_missing = False
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 31.0)


@pytest.mark.parametrize("silence", ["refusing", "hanging"])
def test_a_store_that_is_silent_for_less_than_the_agents_patience_costs_no_attempt(silence: str) -> None:
    with World("a", "b") as world:
        session_id = world.live()
        setattr(world.store, silence, True)
        if silence == "hanging":
            world.store.refusing = True  # the agents' own requests
            world.pass_s(0.1)
        world.pass_s(90.0)
        world.store.refusing = world.store.hanging = False
        world.pass_s(60.0)
        assert world.attempts(session_id) == [1]
        assert world.playing(session_id) == "a"
        assert world.told(session_id) == [EventType.SESSION_LIVE]


def test_a_store_that_hangs_while_playlists_advance_is_nobodys_stall() -> None:
    """The poller sees nothing for longer than a stall takes, though every agent goes on publishing."""
    with World("a", "b") as world:
        sessions = [world.live(f"viewer-{n}") for n in range(3)]
        for _ in range(5):
            world.store.hanging = True
            world.pass_s(6.5)
            world.store.hanging = False
            world.pass_s(3.0)
        assert all(world.attempts(each) == [1] for each in sessions)


def test_after_a_long_outage_of_the_store_nobody_is_blamed_and_all_play_again() -> None:
    with World("a", "b") as world:
        sessions = [world.live(f"viewer-{n}") for n in range(3)]
        world.store.refusing = True
        world.pass_s(600.0)
        world.store.refusing = False
        world.until(lambda: all(world.playing(each) for each in sessions), 45.0)
        assert world.row("a").failure_count == world.row("a").stall_count == 0
        assert world.row("b").failure_count == world.row("b").stall_count == 0


def test_silence_counts_from_when_the_store_answers_again() -> None:
    with World("a") as world:
        session_id = world.live()
        agent(world, session_id).hung = True
        world.store.refusing = True
        world.pass_s(100.0)
        assert world.attempts(session_id) == [1]
        world.store.refusing = False
        answered_at = world.now
        world.until(lambda: world.session(session_id).last_attempt == 2, 8.0)
        assert world.now - answered_at >= 5.5


def test_tables_that_are_locked_hold_decisions_and_nothing_else() -> None:
    with World("a", "b") as world:
        session_id, other = world.live(), world.live("other")
        world.tables.refusing = True
        world.sources["a"].fault = Fault.ENDS
        world.pass_s(20.0)
        assert len(world.runtime.launches) == 2, "nothing is done that could not be written down"
        world.tables.refusing = False
        world.until(lambda: world.playing(session_id) == world.playing(other) == "b", 3.0)
        assert world.row("a").failure_count == 2


def test_a_commit_that_fails_is_decided_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with World("a") as world:
        commit = world.tables.sessions.commit
        outcomes: list[Exception] = [Stale("somebody was first"), DatabaseUnavailable("locked")]

        async def fails_twice(before: Session, decision: Decision, now: float) -> tuple[Event, ...]:
            if outcomes:
                raise outcomes.pop()
            return await commit(before, decision, now)

        monkeypatch.setattr(world.tables.sessions, "commit", fails_twice)
        session_id = world.request()
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 3.0)
        assert world.attempts(session_id) == [1]


def test_an_intent_that_comes_while_a_decision_is_made_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit would overwrite it: the version says so."""
    with World("a", "b") as world:
        session_id = world.live()
        commit = world.tables.sessions.commit
        intents = [
            lambda: world.tables.sessions.stop(session_id, EndReason.STOPPED),
            lambda: world.tables.sessions.switch(session_id, None),
        ]

        async def intent_comes_first(before: Session, decision: Decision, now: float) -> tuple[Event, ...]:
            if intents:
                await intents.pop()()
            return await commit(before, decision, now)

        monkeypatch.setattr(world.tables.sessions, "commit", intent_comes_first)
        world.kill(session_id)
        world.until(lambda: world.session(session_id).phase is Phase.ENDED, 5.0)
        assert world.session(session_id).end_reason == "stopped"


def test_without_redis_everything_works_and_no_event_is_lost() -> None:
    with World("a", "b") as world:
        world.bus.refusing = True
        session_id = world.request()
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 2.0)
        world.sources["a"].fault = Fault.ENDS
        world.until(lambda: world.playing(session_id) == "b", 3.0)
        world.sources["a"].fault = None
        world.run(world.tables.sessions.switch(session_id, None))
        world.pass_s(3.0)
        assert [event.id for event in world.events(session_id)] == [1, 2, 3]
        assert world.bus.published == []


def test_a_lost_nudge_is_found_by_the_resync() -> None:
    with World("a", "b") as world:
        session_id = world.request(nudge=False)
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 2.0)
        world.run(world.tables.sessions.switch(session_id, world.row("b").id))
        world.until(lambda: world.playing(session_id) == "b", 2.5)
        world.run(world.tables.sessions.stop(session_id, EndReason.STOPPED))
        world.until(lambda: world.session(session_id).phase is Phase.ENDED, 2.5)


def test_what_is_disabled_behind_a_running_session_is_found_without_a_nudge() -> None:
    with World("a", "b") as world:
        session_id = world.live()
        world.run(world.tables.catalogue.update_source(world.row("a").id, enabled=False))
        world.until(lambda: world.playing(session_id) == "b", 4.0)
        world.run(world.tables.catalogue.delete_source(world.row("b").id))
        world.pass_s(10.0)
        assert world.playing(session_id) == "b", "nothing else works: it plays on"
        world.run(world.tables.catalogue.update_channel(msgspec.structs.replace(world.channel, enabled=False)))
        world.until(lambda: world.session(session_id).phase is Phase.ENDED, 4.0)
        assert world.session(session_id).end_reason == "channel_disabled"


def test_a_channel_that_is_deleted_ends_its_sessions() -> None:
    with World("a") as world:
        session_id = world.live()
        world.run(world.tables.catalogue.delete_channel(world.channel.id))
        world.until(lambda: world.session(session_id).phase is Phase.ENDED, 4.0)
        assert finished(world, session_id)


def test_a_stop_waits_for_the_store_to_finish_the_playlist() -> None:
    with World("a") as world:
        session_id = world.live()
        world.store.refusing = True
        world.run(world.tables.sessions.stop(session_id, EndReason.STOPPED))
        world.nudge(session_id)
        world.pass_s(60.0)
        assert world.runtime.engine.containers == {}, "it costs nothing while it waits"
        assert world.session(session_id).phase is not Phase.ENDED
        world.store.refusing = False
        world.until(lambda: world.session(session_id).phase is Phase.ENDED, 3.0)
        assert finished(world, session_id)


# --- what is left over ------------------------------------------------------------------------------------------------


def test_a_session_whose_playlist_is_corrupt_ends_all_the_same() -> None:
    with World("a") as world:
        session_id = world.live()
        agent(world, session_id).hung = True
        FakeObjectStore.put(world.store, bucket.media_playlist_key(session_id), b"half a dis")
        world.run(world.tables.sessions.stop(session_id, EndReason.STOPPED))
        world.nudge(session_id)
        world.until(lambda: world.session(session_id).phase is Phase.ENDED, 5.0)
        assert world.runtime.engine.containers == {}
        assert world.told(session_id)[-1] is EventType.SESSION_ENDED


def test_an_orchestrator_is_seen_while_it_runs_and_says_goodbye() -> None:
    with World("a") as world:
        (seen,) = world.run(world.tables.operation.orchestrators())
        world.pass_s(60.0)
        (later,) = world.run(world.tables.operation.orchestrators())
        assert (later.id, later.started_at) == (seen.id, seen.started_at)
        assert world.now - later.seen_at < 5.0
        world.stop_orchestrator()
        assert world.run(world.tables.operation.orchestrators()) == ()


def test_a_container_that_belongs_to_nobody_is_removed_when_it_is_old_enough() -> None:
    with World("a") as world:
        session_id = world.live()
        theirs = world.runtime.engine.containers["test", session_id, 1]
        for name, age_s in (("s-young", 0.0), ("s-old", 120.0)):
            orphan = msgspec.structs.replace(theirs, session_id=name, created_at=world.now - age_s)
            world.runtime.engine.containers["test", name, 1] = orphan
        world.pass_s(12.0)
        assert {own for _, own, _ in world.runtime.engine.containers} == {session_id, "s-young"}
        world.pass_s(60.0)
        assert {own for _, own, _ in world.runtime.engine.containers} == {session_id}


def test_one_that_cannot_be_removed_keeps_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    with World("a") as world:
        session_id = world.live()
        theirs = world.runtime.engine.containers["test", session_id, 1]
        stop = world.runtime.stop
        for name in ("s-1", "s-2", "s-3"):
            orphan = msgspec.structs.replace(theirs, session_id=name, created_at=world.now - 120.0)
            world.runtime.engine.containers["test", name, 1] = orphan

        async def stops(session_id: str, attempt: int, grace_s: float) -> None:
            if session_id == "s-1":
                raise EngineUnavailable("device or resource busy")
            await stop(session_id, attempt, grace_s)

        monkeypatch.setattr(world.runtime, "stop", stops)
        world.pass_s(12.0)
        assert {own for _, own, _ in world.runtime.engine.containers} == {session_id, "s-1"}
        monkeypatch.undo()
        world.pass_s(6.0)
        assert {own for _, own, _ in world.runtime.engine.containers} == {session_id}


def test_a_container_of_a_session_that_has_ended_is_removed() -> None:
    with World("a") as world:
        session_id = world.live()
        late = world.runtime.engine.containers["test", session_id, 1]
        world.run(world.tables.sessions.stop(session_id, EndReason.STOPPED))
        world.until(lambda: world.session(session_id).phase is Phase.ENDED, 3.0)
        world.pass_s(5.0)
        world.runtime.engine.containers["test", session_id, 1] = late  # a create that took its time
        world.pass_s(6.0)
        assert world.runtime.engine.containers == {}


def test_an_engine_that_cannot_stop_a_container_is_asked_again_now_and_then() -> None:
    with World("a") as world:
        session_id = world.live()
        world.runtime.stop_fails = True
        world.kill(session_id)
        world.pass_s(30.0)
        assert world.playing(session_id) == "a"
        assert world.runtime.looks[session_id] < 60
        world.runtime.stop_fails = False
        world.pass_s(2.0)
        assert [number for _, _, number in world.runtime.engine.containers] == [2]


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_while_nothing_is_wrong_nobody_looks() -> None:
    with World("a") as world:
        for n in range(10):
            world.live(f"viewer-{n}")
        world.pass_s(10.0)
        world.runtime.looks.clear()
        reads = world.store.reads
        world.pass_s(600.0)
        assert set(world.runtime.looks) == {None}, "one list for all, and no single look"
        assert world.runtime.looks[None] <= 121
        assert world.store.reads == reads, "a LIST says enough"


def test_a_start_reads_its_rows_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the request, for what a probe has found, and for the first listing; what follows from its own doing and from its
    container's start, a glance tells."""
    with World("a") as world:
        read = world.tables.sessions.get
        looks: list[str] = []

        async def counted(session_id: str, token_hash: str | None = None) -> SessionRow:
            looks.append(session_id)
            return await read(session_id, token_hash)

        monkeypatch.setattr(world.tables.sessions, "get", counted)
        session_id = world.live()
        world.pass_s(1.0)
        assert looks == [session_id] * 3


def test_sessions_that_have_ended_cost_nothing() -> None:
    with World("a") as world:
        for n in range(10):
            session_id = world.live(f"viewer-{n}")
            world.run(world.tables.sessions.stop(session_id, EndReason.STOPPED))
        world.pass_s(10.0)
        world.runtime.looks.clear()
        reads = world.store.reads
        world.pass_s(120.0)
        assert set(world.runtime.looks) == {None}
        assert world.store.reads == reads


def test_a_thousand_playlists_of_others_are_nobodys_business() -> None:
    with World("a") as world:
        session_id = world.live()
        theirs = world.store.objects_by_key[bucket.media_playlist_key(session_id)]
        for n in range(1000):
            world.store.objects_by_key[f"playlists/s-old-{n}/main.m3u8"] = theirs
        reads = world.store.reads
        world.pass_s(10.0)
        assert world.store.reads == reads


def test_two_hundred_at_once_and_one_whose_start_hangs() -> None:
    with World("a") as world:
        hung = world.request("hung")
        world.runtime.hangs_for.add(hung)
        sessions = [world.request(f"viewer-{n}") for n in range(200)]
        world.until(lambda: all(world.session(each).phase is Phase.LIVE for each in sessions), 3.0)
        assert world.session(hung).phase is Phase.STARTING
        world.kill(sessions[100])
        world.until(lambda: world.listed(sessions[100]) == 2, 1.0)


def test_in_a_rush_the_first_play_before_the_last_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    with World("a") as world:
        read = world.tables.sessions.get
        one = asyncio.Semaphore(1)

        async def slow(session_id: str, token_hash: str | None = None) -> SessionRow:
            async with one:
                await asyncio.sleep(0.01)
            return await read(session_id, token_hash)

        monkeypatch.setattr(world.tables.sessions, "get", slow)
        sessions = [world.request(f"viewer-{n}") for n in range(200)]
        world.until(lambda: any(world.session(each).phase is Phase.LIVE for each in sessions), 10.0)
        untouched = sum(world.session(each).phase is Phase.REQUESTED for each in sessions)
        assert untouched >= 60
        world.until(lambda: all(world.session(each).phase is Phase.LIVE for each in sessions), 20.0)


def test_sessions_on_a_hung_source_take_nothing_from_the_others() -> None:
    with World("dead") as world:
        world.sources["dead"].fault = Fault.FROZEN
        good = [world.add_channel(f"good-{n}", f"good-{n}") for n in range(20)]
        stuck = [world.request(f"viewer-{n}") for n in range(30)]
        started_at = world.now
        sessions = [world.request("viewer", channel) for channel in good]
        world.until(lambda: all(world.session(each).phase is Phase.LIVE for each in sessions), 3.0)
        assert world.now - started_at < 1.0
        assert not any(world.session(each).phase is Phase.LIVE for each in stuck)


def test_a_bug_in_one_step_does_not_cost_a_session_its_supervision(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with World("a") as world:
        session_id = world.live()
        lineup = world.tables.catalogue.lineup
        bugs = [ZeroDivisionError("a bug")]

        async def raises_once(channel_id: str) -> Any:
            if bugs:
                raise bugs.pop()
            return await lineup(channel_id)

        monkeypatch.setattr(world.tables.catalogue, "lineup", raises_once)
        world.laws.bugs.setLevel(logging.CRITICAL)
        world.kill(session_id)
        world.until(lambda: world.listed(session_id) == 2, 3.0)
        assert any(record.exc_info and record.levelno == logging.ERROR for record in caplog.records)


def test_a_bug_where_a_timer_fires_does_not_cost_a_session_its_supervision(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What a timer calls is supervised by nobody: the session would never be looked at again."""
    with World("a") as world:
        session_id = world.live()
        remembered = Observer.remembered
        bugs = [ZeroDivisionError("a bug")]

        def raises_once(self: Observer, *arguments: Any) -> Any:
            if bugs:
                raise bugs.pop()
            return remembered(self, *arguments)

        monkeypatch.setattr(Observer, "remembered", raises_once)
        world.laws.bugs.setLevel(logging.CRITICAL)
        agent(world, session_id).hung = True
        world.until(lambda: world.listed(session_id) == 2, 30.0)
        assert not bugs
        assert any(record.exc_info and record.levelno == logging.ERROR for record in caplog.records)


def test_a_probe_that_raises_ends_no_round_of_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    with World("a", "b", "c") as world:
        session_id = world.live()
        for name in ("a", "b"):
            world.sources[name].fault = Fault.ENDS
            world.until(lambda gone=name: world.playing(session_id) not in (None, gone), 10.0)  # type: ignore[misc]
        for name in ("a", "b"):
            world.sources[name].fault = None
        probe, bad = SimulatedProber.probe, world.row("a").url

        async def raises(self: SimulatedProber, source: Source) -> ProbeResult:
            if source.url == bad:
                raise ZeroDivisionError("a bug")
            return await probe(self, source)

        monkeypatch.setattr(SimulatedProber, "probe", raises)
        world.laws.bugs.setLevel(logging.CRITICAL)
        world.until(lambda: world.row("b").status in (SourceStatus.RECOVERED, SourceStatus.HEALTHY), 250.0)
        assert world.row("a").status is SourceStatus.PROBLEMATIC


def test_a_stopped_orchestrator_leaves_no_task_and_no_timer() -> None:
    with World("a", "b") as world:
        session_id = world.live()
        world.request("being started")
        world.stop_orchestrator()
        before = world.session(session_id)
        world.runtime.pause(session_id, 1)
        world.pass_s(60.0)
        assert world.session(session_id) == before
        assert {task.get_name() for task in asyncio.all_tasks(world.loop)} == {"world", "api"}


# --- recovery ---------------------------------------------------------------------------------------------------------


def test_a_problematic_source_that_works_again_is_marked_recovered() -> None:
    with World("a", "b") as world:
        session_id = world.live()
        world.sources["a"].fault = Fault.ENDS
        world.until(lambda: world.playing(session_id) == "b", 3.0)
        world.pass_s(130.0)
        assert world.row("a").status is SourceStatus.PROBLEMATIC
        world.sources["a"].fault = None
        world.until(lambda: world.row("a").status is SourceStatus.RECOVERED, 125.0)
        assert world.playing(session_id) == "b"


def test_a_session_that_waits_is_woken_by_the_recovery_of_a_source() -> None:
    with World("a", "b") as world:
        session_id = world.live()
        world.sources["a"].fault = world.sources["b"].fault = Fault.ENDS
        world.pass_s(1000.0)
        assert world.session(session_id).phase is Phase.UNAVAILABLE
        world.sources["a"].fault = None
        world.until(lambda: world.playing(session_id) == "a", 62.0)
        assert world.told(session_id)[-1] is EventType.STREAM_RECOVERED


def test_phases_are_counted() -> None:
    with World("a") as world:
        world.live()
        world.runtime.unavailable = True
        world.request("another")
        world.pass_s(1.0)
        assert world.supervisor is not None
        counts = {phase: count for phase, count in world.supervisor.phases.items() if count}
        assert counts == {Phase.LIVE: 1, Phase.REQUESTED: 1}


def test_the_simulated_world_is_what_the_tests_think() -> None:
    """A zombie whose container the engine forgot is fenced by its successor, and says so."""
    with World("a") as world:
        session_id = world.live()
        zombie = agent(world, session_id)
        zombie.hidden = True
        world.runtime.vanish(session_id, 1)
        world.until(lambda: world.listed(session_id) == 2, 2.0)
        world.until(lambda: zombie.over, 3.0)
        assert world.laws.exits[session_id, 1][0] is Ending.FENCED
        assert world.runtime.engine.containers["test", session_id, 2].state is ContainerState.RUNNING
