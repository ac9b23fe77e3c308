"""A job that the agent refuses is our fault: it is told with its field, blames no source, and is not tried again in a loop."""

from __future__ import annotations

from orchestrator.core.model import EventType, Phase, SourceStatus
from tests.orchestrator.core.playbook import REQUESTED_AT, Playbook, ended, start, started, stop
from transcoder.ending import Ending

FIELD = "expected.channels is not a whole number"
BAD = f"bad job: {FIELD}"


def refuses(play: Playbook, attempt: int) -> Playbook:
    return play.exits(attempt, Ending.BAD_JOB, detail=FIELD)


def test_the_next_source_is_taken_at_once_and_the_field_is_told() -> None:
    play = Playbook("a", "b").starting()
    refuses(play, 1).then(
        start(2, "b"), stop(1), records=[ended(1, Ending.BAD_JOB, BAD), started(2, "b", BAD)], phase=Phase.STARTING
    )
    assert play.sources["a"].status is SourceStatus.HEALTHY, "it has done nothing"


def test_an_agent_of_another_release_that_names_no_field() -> None:
    play = Playbook("a", "b").starting()
    play.exits(1, Ending.BAD_JOB).then(start(2, "b"), stop(1), records=[ended(1, 31, "bad job"), started(2, "b", "bad job")])


def test_it_is_never_failed_back_to() -> None:
    play = Playbook("a", "b").starting()
    refuses(play, 1).look()
    play.goes_live()
    for _ in range(100):
        play.after(60.0).answers("a", "b").lists(2).nothing()


def test_the_next_incident_passes_it_over_although_it_is_healthy() -> None:
    play = Playbook("a", "b", "c").starting()
    refuses(play, 1).look()
    play.goes_live().after(60.0).lists(2).exits(2, Ending.SOURCE_REFUSED).then(start(3, "c"), stop(2))
    play.goes_live().after(60.0).answers("a").lists(3).exits(3, 137).then(start(4, "c"), stop(3))
    play.goes_live().after(5.0).lists(4).exits(4, 137)
    assert [each for each in play.look().actions if getattr(each, "source_id", None) == "a"] == []


def test_where_every_job_is_refused_it_is_asked_ever_more_rarely() -> None:
    """Never sooner than after ten seconds, and fewer than twenty times in the first hour."""
    play = Playbook("a").starting()
    refuses(play, 1)
    decision = play.look()
    assert play.session.phase is Phase.UNAVAILABLE
    assert play.of(EventType.STREAM_UNAVAILABLE, decision)["reason"] == BAD
    waits, number = [], 1
    while play.elapsed < 3600.0:
        before = play.elapsed
        play.engine_answers()
        while not any(type(each).__name__ == "StartAttempt" for each in decision.actions):
            assert decision.wake_at is not None
            assert decision.wake_at > play.now
            play.at(decision.wake_at - REQUESTED_AT).answers("a")  # a probe that finds it well changes nothing
            decision = play.look()
        waits.append(play.elapsed - before)
        number += 1
        decision = refuses(play, number).look()
    assert len(waits) < 20
    assert waits == sorted(waits)
    assert waits[0] >= 10.0
    assert waits[-1] <= play.policy.refused_max_s + play.policy.retry_max_s


def test_an_edited_source_is_another_job() -> None:
    play = Playbook("a").starting()
    refuses(play, 1).look()
    play.engine_answers().after(5.0)
    play.source("a", url="http://elsewhere/")
    play.then(start(2, "a"))


def test_what_the_agent_takes_after_all_is_not_refused_any_more() -> None:
    play = Playbook("a", "b").starting()
    refuses(play, 1).look()
    play.goes_live().wants(switch_to="a").look()
    assert play.session.attempt is not None
    assert play.session.attempt.source_id == "a", "an operator may ask for it"
    play.goes_live()
    assert play.session.refused == ()


def test_the_next_one_that_an_operator_asks_for_is_not_one_that_is_refused() -> None:
    play = Playbook("a", "b", "c").starting()
    refuses(play, 1).look()
    play.goes_live().wants(switch_to="next").look()
    assert play.session.attempt is not None
    assert play.session.attempt.source_id == "c"


def test_a_planned_swap_that_is_refused_is_not_planned_again() -> None:
    play = Playbook("a", "b").live()
    play.exits(1, Ending.SOURCE_REFUSED).look()
    play.goes_live().after(30.0).answers("a").lists(2)
    swapped = False
    for _ in range(100):
        play.after(20.0).answers("a", "b").lists(2)
        actions = play.look().actions
        if any(type(each).__name__ == "StartAttempt" for each in actions):
            assert not swapped, "once"
            swapped = True
            refuses(play, play.session.last_attempt).look()
            play.engine_answers(2)
    assert swapped


def test_an_edit_to_what_the_agent_refuses_is_tried_once_while_the_old_address_plays_on() -> None:
    play = Playbook("a").live()
    play.source("a", url="http://elsewhere/").look()
    assert play.session.attempt is not None
    assert play.session.attempt.number == 2
    refuses(play.runs(2), 2).look()
    play.engine_answers(1)
    for _ in range(100):
        play.after(60.0).answers("a").lists(1).nothing()


def test_a_round_of_retries_ends_without_the_one_that_is_refused() -> None:
    play = Playbook("a", "b").starting()
    refuses(play, 1).look()
    play.goes_live().after(60.0).lists(2).exits(2, Ending.SOURCE_STALLED).look()
    assert play.session.phase is Phase.UNAVAILABLE
    assert play.session.tried == (), "the next round"
