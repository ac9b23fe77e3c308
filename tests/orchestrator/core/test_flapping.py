"""Sources that fail again and again, come back, or have been good before: who is left alone, for how long; who comes first."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.model import Phase, Source, SourceStatus
from orchestrator.core.policy import Policy
from orchestrator.core.source.hold_off import held_off_until, hold_off_s
from tests.orchestrator.core.playbook import REQUESTED_AT, Playbook, blamed, blames, ended, probe, start, started, steady, stop
from transcoder.ending import Ending

POLICY = Policy()
FAILED: dict[str, Any] = {"status": SourceStatus.PROBLEMATIC, "failures_in_a_row": 1, "healthy_since": None}


# --- hold-off ---------------------------------------------------------------------------------------------------------


@given(st.text(max_size=20), st.integers(1, 10_000))
def test_a_hold_off_grows_with_each_failure_up_to_its_maximum(source_id: str, failures: int) -> None:
    lasts_s, longer_s = (hold_off_s(source_id, count, POLICY) for count in (failures, failures + 1))
    doubled_s = min(POLICY.hold_off_max_s, POLICY.hold_off_s * 2.0 ** min(failures - 1, 32))
    assert 0.8 * doubled_s <= lasts_s <= doubled_s
    assert longer_s > lasts_s or longer_s >= 0.8 * POLICY.hold_off_max_s
    assert hold_off_s(source_id, failures, POLICY) == lasts_s, "decide has no randomness"


def test_sources_that_fail_together_are_not_all_tried_again_together() -> None:
    lengths = {round(hold_off_s(f"source-{n}", 1, POLICY), 1) for n in range(100)}
    assert len(lengths) > 10


def test_each_failure_in_a_row_is_counted_and_holds_the_source_off_for_longer() -> None:
    play = Playbook("a", "b").live()
    held_s = []
    for count in range(1, 8):
        number = play.session.last_attempt
        play.exits(number, Ending.SOURCE_ENDED)
        assert blamed("a", "source ended", in_a_row=count) in play.look().records
        held_s.append(held_off_until(play.sources["a"], POLICY) - REQUESTED_AT - play.elapsed)
        play.goes_live().after(400.0).lists(play.session.last_attempt)
        play.wants(switch_to="a").look()
        play.after(0.3).goes_live().after(1.0).lists(play.session.last_attempt)
    doubled_s = [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]
    assert all(0.8 * most <= held <= most for held, most in zip(held_s, doubled_s, strict=True))


def test_a_source_that_has_played_steadily_has_put_its_failures_behind_it() -> None:
    play = Playbook("a").live().source("a", failures_in_a_row=3, last_failed_at=REQUESTED_AT - 500.0)
    play.then(records=[steady(1, "a")], phase=Phase.LIVE)
    assert play.sources["a"].failures_in_a_row == 0
    play.nothing()


def test_steady_is_what_has_listed_for_so_long_since_it_last_failed() -> None:
    play = Playbook("a").source("a", failures_in_a_row=2, last_failed_at=REQUESTED_AT - 500.0).starting()
    play.after(1.0).lists(1).look()
    play.after(2.0).lists(1).then(records=[], wake_in=play.policy.stall_limit_s(3))
    for _ in range(3):
        play.after(2.0).lists(1).nothing()
    play.after(1.5).then(records=[], wake_in=0.5)
    play.source("a", last_failed_at=REQUESTED_AT + 5.0)  # in another session
    play.after(0.5).lists(1).then(records=[], wake_in=4.0)
    play.after(4.0).then(records=[])
    play.after(0.1).lists(1).then(records=[steady(1, "a")])


def test_what_is_known_of_the_store_alone_tells_that_a_source_is_steady() -> None:
    play = Playbook("a").live().source("a", failures_in_a_row=2, last_failed_at=REQUESTED_AT).store_is_silent()
    play.after(100.0).nothing()


def test_a_source_fails_anew_where_it_had_played_steadily() -> None:
    """Though nobody had the time to write it down."""
    play = Playbook("a", "b").live().source("a", failures_in_a_row=5, last_failed_at=REQUESTED_AT - 5.0)
    play.exits(1, Ending.SOURCE_ENDED)
    play.then(
        start(2, "b"),
        stop(1),
        records=[ended(1, 12, "source ended"), blamed("a", "source ended"), started(2, "b", "source ended")],
    )


def test_sessions_that_fail_together_count_as_one_failure() -> None:
    play = Playbook("a", "b").live(since_s=3.0)
    play.source("a", **FAILED, last_failed_at=REQUESTED_AT + play.elapsed)  # another session was faster
    play.after(0.1).exits(1, Ending.SOURCE_ENDED)
    assert blamed("a", "source ended", in_a_row=1) in play.look().records


def test_who_has_just_hiccuped_is_tried_before_who_has_long_been_dead() -> None:
    play = Playbook("a", "b", "c").live()
    for name, failures in (("b", 4), ("c", 1)):
        play.source(name, status=SourceStatus.PROBLEMATIC, failures_in_a_row=failures, last_failed_at=REQUESTED_AT - 60.0)
    play.source("b", last_failed_at=REQUESTED_AT - 3600.0)
    play.exits(1, Ending.SOURCE_ENDED).then(start(2, "c"), stop(1))


def test_who_did_not_even_answer_its_last_probe_is_the_least_likely_to_work() -> None:
    play = Playbook("a", "b", "c").live()
    play.source("b", **FAILED, last_failed_at=REQUESTED_AT, last_checked_at=REQUESTED_AT)
    play.source("c", **FAILED | {"failures_in_a_row": 2}, last_failed_at=REQUESTED_AT + 30.0)
    play.exits(1, Ending.SOURCE_ENDED).then(start(2, "c"), stop(1))


def test_of_equals_the_one_that_has_rested_longest_comes_first() -> None:
    play = Playbook("a", "b", "c").live()
    play.source("b", **FAILED, last_failed_at=REQUESTED_AT + 20.0).source("c", **FAILED, last_failed_at=REQUESTED_AT + 10.0)
    play.exits(1, Ending.SOURCE_ENDED).then(start(2, "c"), stop(1))


@pytest.mark.parametrize("status", [SourceStatus.RECOVERED, SourceStatus.HEALTHY])
def test_no_probe_ends_a_hold_off_while_another_source_works(status: SourceStatus) -> None:
    """A source that answers every probe and fails whenever it plays."""
    play = Playbook("a", "b", "c").live()
    play.source("b", status=status, failures_in_a_row=4, last_failed_at=REQUESTED_AT + 10.0, healthy_since=REQUESTED_AT + 20.0)
    play.exits(1, Ending.SOURCE_ENDED).then(start(2, "c"), stop(1))


def test_with_nothing_else_left_the_source_whose_hold_off_ends_first_is_used() -> None:
    play = Playbook("a", "b", "c").unavailable()
    ends = {name: held_off_until(each, POLICY) for name, each in play.sources.items()}
    play.after(0.5)
    play.then(start(play.session.last_attempt + 1, min(ends, key=ends.__getitem__)))


def test_a_source_that_answers_is_tried_at_once_though_held_off_where_no_other_one_works() -> None:
    play = Playbook("a", "b", "c").live()
    play.source("c", **FAILED, last_failed_at=REQUESTED_AT - 600.0)  # it has rested, and nothing says that it works
    play.exits(1, Ending.SOURCE_REFUSED).then(start(2, "b"), stop(1))
    play.goes_live().after(4.0).lists(2).answers("a")
    play.exits(2, Ending.SOURCE_REFUSED).then(start(3, "a"), stop(2), phase=Phase.SWITCHING)
    play.exits(3, Ending.SOURCE_REFUSED).then(start(4, "c"), stop(2), stop(3), phase=Phase.SWITCHING)
    play.engine_answers().exits(4, Ending.SOURCE_REFUSED).then(stop(4), phase=Phase.UNAVAILABLE)


def test_of_several_that_are_held_off_and_answer_the_first_of_the_line_up_is_tried() -> None:
    """However long each of them is held off: a source of the channel itself comes before another channel."""
    play = Playbook("a", "b", behind="x").live()
    for name, failures in (("b", 3), ("x", 1)):
        play.source(name, **FAILED | {"failures_in_a_row": failures}, last_failed_at=REQUESTED_AT + 55.0).answers(name)
    play.exits(1, Ending.SOURCE_ENDED).then(start(2, "b"), stop(1))


def test_while_nothing_works_a_probe_that_succeeds_ends_a_hold_off() -> None:
    play = Playbook("a", "b").unavailable()
    play.source("b", failures_in_a_row=6).after(0.1).answers("b")
    play.then(start(play.session.last_attempt + 1, "b"))


def test_a_removed_source_is_not_swapped_for_one_that_is_held_off() -> None:
    play = Playbook("a", "b").live().source("a", status=SourceStatus.DISABLED)
    play.source("b", status=SourceStatus.RECOVERED, failures_in_a_row=1, last_failed_at=REQUESTED_AT + play.elapsed)
    play.nothing()
    play.after(10.1).lists(1).then(start(2, "b"))


def test_an_incident_of_many_sources_burns_none_twice() -> None:
    play = Playbook("a", "b", "c", behind="xy").live()
    decisions = []
    while play.session.attempt is not None:
        play.exits(play.session.attempt.number, Ending.SOURCE_REFUSED)
        decisions.append(play.look())
        play.engine_answers(*([play.session.attempt.number] if play.session.attempt else []))
    assert blames(decisions) == [*"abcxy"]


# --- probation --------------------------------------------------------------------------------------------------------


def test_a_source_on_probation_comes_behind_the_healthy_ones() -> None:
    play = Playbook("a", "b", "c").live().source("b", **FAILED, last_failed_at=REQUESTED_AT).answers("b")
    play.exits(1, Ending.SOURCE_ENDED).then(start(2, "c"), stop(1))


def test_a_source_that_stayed_good_has_passed_its_probation() -> None:
    play = Playbook("a", "b", "c").live().source("b", **FAILED, last_failed_at=REQUESTED_AT).answers("b")
    play.after(60.0).lists(1).answers("b")
    play.exits(1, Ending.SOURCE_ENDED).then(start(2, "b"), stop(1))


def test_a_source_on_probation_comes_before_one_that_nobody_has_seen() -> None:
    play = Playbook("a", "b", "c").live().source("b", **FAILED, last_failed_at=REQUESTED_AT).answers("b")
    play.source("c", status=SourceStatus.UNKNOWN, last_checked_at=None)
    play.exits(1, Ending.SOURCE_ENDED).then(start(2, "b"), stop(1))


@pytest.mark.parametrize(("failures", "then"), [(0, 2), (1, 2), (3, 4)])
def test_a_failure_on_probation_doubles_the_hold_off_at_once(failures: int, then: int) -> None:
    play = Playbook("a").source("a", status=SourceStatus.PROBLEMATIC, last_failed_at=REQUESTED_AT - 500.0).starting()
    play.source("a", failures_in_a_row=failures)
    play.exits(1, Ending.SOURCE_ENDED)
    assert blamed("a", "source ended", in_a_row=then) in play.look().records


# --- a session starts -------------------------------------------------------------------------------------------------


def remembered(play: Playbook, name: str, **changes: Any) -> Playbook:
    """The channel's last good source, seen healthy an hour ago."""
    play.last_good = name
    return play.source(name, **{"status": SourceStatus.HEALTHY, "last_checked_at": REQUESTED_AT - 3600.0} | changes)


def test_the_last_good_source_is_taken_when_no_probe_has_answered_within_the_patience() -> None:
    play = remembered(Playbook("a", "b"), "b")
    play.then(probe("a", "b"), wake_in=play.policy.probe_patience_s)
    play.at(0.75).then(start(1, "b"), probe("a"), phase=Phase.STARTING)


def test_a_probe_that_answers_knows_better_than_memory() -> None:
    play = remembered(Playbook("a", "b", "c"), "b")
    play.look()
    play.at(0.3).answers("c").then(probe("a", "b"))
    play.at(0.75).then(start(1, "c"), probe("a"))


@pytest.mark.parametrize(
    "changes",
    [
        {"status": SourceStatus.PROBLEMATIC, "last_failed_at": REQUESTED_AT - 600.0},
        {"status": SourceStatus.RECOVERED, "failures_in_a_row": 6, "last_failed_at": REQUESTED_AT - 100.0},
        {"status": SourceStatus.UNKNOWN},
        {"status": SourceStatus.DISABLED},
    ],
    ids=["problematic", "held off", "at another address", "disabled"],
)
def test_a_last_good_source_that_something_speaks_against_is_not_taken_without_an_answer(changes: dict[str, Any]) -> None:
    play = remembered(Playbook("a", "b"), "b", **changes)
    play.look()
    play.at(0.75)
    assert not [each for each in play.look().actions if each != probe("a", "b") and each != probe("a")]
    assert play.session.phase is Phase.REQUESTED


def test_a_new_session_takes_a_source_that_is_held_off_only_where_no_other_one_works() -> None:
    for works in (True, False):
        play = Playbook("a", "b").source("a", **FAILED, last_failed_at=REQUESTED_AT - 3.0)
        play.look()
        play.at(0.05).answers("a").then(probe("b"), wake_in=0.7)
        if works:
            play.at(0.1).answers("b").then(start(1, "b"))
        else:
            play.at(0.1).fails_probe("b", "404").then(start(1, "a"))


def test_a_source_that_is_held_off_but_answers_is_taken_rather_than_let_the_viewer_wait() -> None:
    play = Playbook("a", "b").source("a", **FAILED, last_failed_at=REQUESTED_AT - 3.0)
    play.look()
    play.at(0.05).answers("a").look()
    play.at(0.75).then(start(1, "a"), probe("b"))


def test_a_hold_off_is_nothing_where_nothing_failed() -> None:
    assert held_off_until(Source(id="a", channel_id="c", url="http://a/", last_failed_at=5.0), POLICY) == 0.0
