"""Sessions that nobody watches, in the simulated world: who is idle, and what is not idleness."""

from __future__ import annotations

from collections import Counter

from orchestrator.core.model import EventType, Phase
from orchestrator.core.policy import Policy
from tests.orchestrator.simulated.world import World

IDLE_S = Policy().idle_timeout_s
LATE_S = 12.0  # from the end of a lease to the end of its session, at most


def watched(world: World, viewer: str = "viewer") -> str:
    world.api_runs = True
    session_id = world.live(viewer)
    world.watched.add(session_id)
    return session_id


def test_a_session_lives_while_it_is_watched_and_ends_after() -> None:
    with World("a") as world:
        session_id = watched(world)
        world.pass_s(5 * IDLE_S)
        assert world.session(session_id).phase is Phase.LIVE
        world.watched.clear()
        world.pass_s(IDLE_S - 5.0)
        assert world.session(session_id).phase is Phase.LIVE
        world.until(lambda: world.session(session_id).phase is Phase.ENDED, 5.0 + LATE_S)
        assert world.told(session_id)[-1] is EventType.SESSION_ENDED
        assert world.events(session_id)[-1].fields == {"reason": "idle"}
        playlist = world.playlist(session_id)
        assert playlist is not None
        assert playlist.ended
        assert world.runtime.engine.containers == {}


def test_a_session_that_is_asked_for_and_never_watched_ends() -> None:
    with World("a") as world:
        world.api_runs = True
        session_id = world.live()
        world.until(lambda: world.session(session_id).phase is Phase.ENDED, IDLE_S + LATE_S)
        assert world.session(session_id).end_reason == "idle"


def test_without_an_api_nobody_is_idle() -> None:
    with World("a") as world:
        session_id = watched(world)
        world.pass_s(20.0)
        world.api_runs = False
        world.pass_s(10 * IDLE_S)
        assert world.session(session_id).phase is Phase.LIVE
        world.watched.clear()
        world.api_runs = True
        world.pass_s(IDLE_S - 1.0)
        assert world.session(session_id).phase is Phase.LIVE, "after the outage there is the whole time again"
        world.until(lambda: world.session(session_id).phase is Phase.ENDED, 1.0 + LATE_S)


def test_while_the_tables_do_not_answer_nobody_is_idle() -> None:
    with World("a") as world:
        session_id = watched(world)
        world.pass_s(20.0)
        world.tables.refusing = True
        world.pass_s(3 * IDLE_S)
        world.tables.refusing = False
        world.pass_s(3 * IDLE_S)
        assert world.session(session_id).phase is Phase.LIVE
        assert world.attempts(session_id) == [1]


def test_an_orchestrator_that_comes_back_gives_everybody_the_whole_time() -> None:
    with World("a") as world:
        session_id = watched(world)
        world.watched.clear()
        world.pass_s(IDLE_S - 2.0)
        world.stop_orchestrator()
        world.pass_s(IDLE_S)
        world.start_orchestrator()
        world.pass_s(IDLE_S - 2.0)
        assert world.session(session_id).phase is Phase.LIVE
        world.until(lambda: world.session(session_id).phase is Phase.ENDED, 2.0 + LATE_S)


def test_who_comes_back_in_the_last_moment_keeps_its_session() -> None:
    with World("a") as world:
        session_id = watched(world)
        world.watched.clear()
        world.pass_s(IDLE_S - 1.0)
        again = world.request()
        world.watched.add(again)
        assert again == session_id
        world.pass_s(3 * IDLE_S)
        assert world.session(session_id).phase is Phase.LIVE


def test_renewals_wake_no_session() -> None:
    with World("a") as world:
        sessions = [watched(world, f"viewer-{n}") for n in range(20)]
        world.pass_s(20.0)
        before = Counter(world.runtime.looks)
        world.pass_s(5 * IDLE_S)
        looks = Counter(world.runtime.looks) - before
        assert sum(looks[session_id] for session_id in sessions) == 0
        assert {world.session(session_id).phase for session_id in sessions} == {Phase.LIVE}
