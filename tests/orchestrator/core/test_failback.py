"""Failback, and what else swaps a session that plays well: an address that was edited."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.model import Attempt, ChannelPolicy, EventType, Live, Observation, Phase, SourceStatus
from orchestrator.core.session.choice import failback_candidates
from tests.orchestrator.core.playbook import (
    REQUESTED_AT,
    Playbook,
    blamed,
    ended,
    start,
    started,
    steady,
    stop,
    told,
    went_live,
)
from transcoder.ending import Ending


def failed_over(*names: str, behind: str = "") -> Playbook:
    """Live on the second source for a minute, because the first one ended."""
    play = Playbook(*names, behind=behind).live()
    play.exits(1, Ending.SOURCE_ENDED).look()
    return play.goes_live().after(60.0).lists(2)


def probed(play: Playbook, name: str, for_s: float, every_s: float = 20.0) -> Playbook:
    """Time passes; the source answers a probe now and then, and at the end of it."""
    end = play.elapsed + for_s
    play.answers(name)
    while play.elapsed < end:
        play.at(min(end, play.elapsed + every_s)).lists(play.session.last_attempt).answers(name)
    return play


def test_a_better_source_that_has_been_healthy_for_long_enough_is_returned_to_without_a_gap() -> None:
    play = failed_over("a", "b")
    probed(play, "a", 59.0).nothing()
    play.after(1.0).answers("a")
    play.then(start(3, "a"), records=[started(3, "a", "failback")], phase=Phase.SWITCHING, on=(3, "a"))
    play.runs(3).after(1.0).lists(2).nothing()
    play.after(0.5).lists(3)
    switch: dict[str, Any] = {"from": "b", "to": "a", "reason": "failback", "attempt": 3, "gap_ms": 0}
    play.then(
        stop(2),
        records=[went_live(3, "a"), told(EventType.STREAM_SWITCH, switch), ended(2, None, "replaced: failback")],
        phase=Phase.LIVE,
    )
    play.has_gone(2).nothing()


def test_never_means_never() -> None:
    play = failed_over("a", "b")
    play.channel_policy = ChannelPolicy(failback="never")
    probed(play, "a", 600.0).nothing()


def test_the_channels_own_time_counts() -> None:
    play = failed_over("a", "b")
    play.channel_policy = ChannelPolicy(failback_stable_s=300.0)
    probed(play, "a", 299.0).nothing()
    play.after(1.0).answers("a").then(start(3, "a"))


def test_a_probe_that_fails_begins_the_time_anew() -> None:
    play = failed_over("a", "b")
    probed(play, "a", 50.0).after(1.0).fails_probe("a", "404")
    probed(play.after(1.0).lists(2), "a", 59.0).nothing()
    play.after(1.0).answers("a").then(start(3, "a"))


def test_a_source_that_nobody_has_probed_lately_is_not_known_to_be_stable() -> None:
    play = failed_over("a", "b")
    play.answers("a").after(61.0).lists(2).nothing()  # healthy since then, as far as anybody knows
    play.source("a", healthy_since=REQUESTED_AT - 500.0, healthy_at=REQUESTED_AT + play.elapsed - 61.0)
    play.source("a", last_checked_at=REQUESTED_AT + play.elapsed).nothing()  # it has been seen playing: that is no probe
    play.answers("a").then(start(3, "a"))


def test_of_several_the_best_one_that_is_stable_is_returned_to() -> None:
    play = Playbook("a", "b", "c").live()
    play.exits(1, Ending.SOURCE_ENDED).look()
    play.engine_answers(2).exits(2, Ending.SOURCE_ENDED).look()
    play.goes_live().after(30.0).lists(3)
    probed(play, "b", 40.0)
    play.answers("a")
    probed(play, "b", 20.0).then(start(4, "b"))
    play.runs(4).after(0.5).goes_live()
    play.after(12.0).lists(4).then(records=[steady(4, "b")])
    probed(play, "a", 47.0).nothing()
    probed(play, "a", 1.0).then(start(5, "a"))


def test_a_healthy_source_that_was_left_for_our_faults_is_not_returned_to_at_once() -> None:
    play = Playbook("a", "b").live()
    play.exits(1, 137).look()
    play.goes_live().exits(2, 137).then(start(3, "b"), stop(2))
    play.goes_live()
    probed(play, "a", 59.0).nothing()
    play.after(1.0).answers("a").then(start(4, "a"))


def test_a_worse_source_is_no_reason_to_leave() -> None:
    play = Playbook("a", "b").live()
    probed(play, "b", 600.0).nothing()


def test_from_a_failover_channel_back_to_the_channels_own_source() -> None:
    play = failed_over("a", behind="xy")
    assert play.session.attempt is not None
    assert play.session.attempt.source_id == "x"
    probed(play, "a", 60.0).then(start(3, "a"), records=[started(3, "a", "failback")])


def test_a_source_that_is_held_off_is_not_returned_to_however_stable_its_probes_are() -> None:
    play = failed_over("a", "b").source("a", failures_in_a_row=5)
    probed(play, "a", 80.0).nothing()
    probed(play, "a", 30.0).then(start(3, "a"))


def test_a_failback_that_fails_goes_back_and_holds_the_better_source_off() -> None:
    play = failed_over("a", "b")
    probed(play, "a", 60.0).look()
    play.exits(3, Ending.SOURCE_REFUSED)
    play.then(
        stop(3),
        records=[ended(3, 11, "source refused"), blamed("a", "source refused", in_a_row=2)],
        phase=Phase.LIVE,
        on=(2, "b"),
    )
    probed(play.has_gone(3), "a", 59.0).nothing()
    play.after(1.1).answers("a").then(start(4, "a"))


def test_a_failback_that_fails_by_our_fault_blames_nobody_and_is_not_tried_again_at_once() -> None:
    play = failed_over("a", "b")
    probed(play, "a", 60.0).look()
    play.refuses(3, "engine full").then(stop(3), records=[ended(3, None, "container refused: engine full")], on=(2, "b"))
    probed(play.has_gone(3), "a", 59.0).nothing()
    play.after(1.1).answers("a").then(start(4, "a"))


def test_failbacks_that_fail_again_and_again_become_few() -> None:
    play = failed_over("a", "b")
    waits_s = []
    for number in range(3, 9):
        probed(play, "a", 60.0)
        while not play.look().actions:
            probed(play, "a", 5.0)
        play.refuses(number, "no such image").look()
        play.has_gone(number)
        assert play.retry_at is not None
        waits_s.append(round(play.retry_at - REQUESTED_AT - play.elapsed, 6))
    assert waits_s == [60.0, 120.0, 240.0, 300.0, 300.0, 300.0]
    probed(play, "a", 300.0).then(start(9, "a"))
    play.runs(9).after(0.5).goes_live()
    assert play.session.retries == 0, "it can be done again"


def test_a_failback_that_failed_keeps_no_other_swap_waiting() -> None:
    play = failed_over("a", "b", "c")
    probed(play, "a", 60.0).look()
    play.refuses(3, "engine full").look()
    play.has_gone(3).source("b", status=SourceStatus.DISABLED).source("a", status=SourceStatus.DISABLED)
    play.then(start(4, "c"), records=[started(4, "c", "source removed")])


def test_what_the_operator_switched_to_is_not_taken_back() -> None:
    play = Playbook("a", "b").live().wants(switch_to="b")
    play.look()
    play.runs(2).after(0.5).goes_live()
    probed(play, "a", 600.0).nothing()
    play.exits(2, Ending.SOURCE_ENDED).then(start(3, "a"), stop(2))


def test_no_failback_while_the_engine_is_silent() -> None:
    play = failed_over("a", "b")
    probed(play, "a", 60.0).engine_is_silent().nothing()
    play.engine_answers(2).then(start(3, "a"))


def test_who_waits_for_which_source() -> None:
    play = failed_over("a", "b", "c")
    seen = Observation(sources=tuple(play.sources.values()))
    assert [each.id for each in failback_candidates(play.session, seen)] == ["a"]
    never = Observation(sources=seen.sources, channel_policy=ChannelPolicy(failback="never"))
    assert failback_candidates(play.session, never) == []
    assert failback_candidates(Playbook("a", "b").unavailable().session, seen) == []
    assert failback_candidates(Playbook("a", "b").starting().session, seen) == []


def test_a_source_that_is_moved_up_is_returned_to() -> None:
    play = Playbook("a", "b").live()
    play.sources = {name: play.sources[name] for name in ("b", "a")}
    probed(play, "b", 60.0).then(start(2, "b"), records=[started(2, "b", "failback")])


# --- the playing source's address is edited ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit", [{"url": "http://moved/", "status": SourceStatus.UNKNOWN}, {"headers": {"X": "1"}}, {"user_agent": "VLC"}]
)
def test_an_address_that_was_edited_is_taken_up_without_a_gap(edit: dict[str, Any]) -> None:
    play = Playbook("a", "b").live().source("a", **edit)
    play.then(start(2, "a"), records=[started(2, "a", "source changed")], phase=Phase.SWITCHING)
    play.runs(2).after(0.5).lists(1).nothing()
    play.after(0.5).lists(2).then(stop(1), phase=Phase.LIVE, on=(2, "a"))
    play.has_gone(1).nothing()


def test_a_new_address_that_does_not_work_leaves_the_old_attempt_playing() -> None:
    play = Playbook("a", "b").live().source("a", url="http://moved/", status=SourceStatus.UNKNOWN)
    play.look()
    play.exits(2, Ending.SOURCE_REFUSED).then(
        stop(2), records=[ended(2, 11, "source refused"), blamed("a", "source refused")], phase=Phase.LIVE, on=(1, "a")
    )
    play.has_gone(2).after(7.0).lists(1).nothing()
    play.after(3.1).lists(1).then(start(3, "a"))
    play.exits(3, Ending.SOURCE_REFUSED)
    assert blamed("a", "source refused", in_a_row=2) in play.look().records
    play.has_gone(3).after(15.0).lists(1).nothing()
    play.source("a", url="http://a/", status=SourceStatus.UNKNOWN, failures_in_a_row=0).nothing()


def test_what_the_old_address_did_is_not_the_new_ones_fault() -> None:
    play = Playbook("a", "b").live().source("a", url="http://moved/", status=SourceStatus.UNKNOWN)
    play.exits(1, Ending.SOURCE_ENDED)
    play.then(start(2, "b"), stop(1), records=[ended(1, 12, "source ended"), started(2, "b", "source ended")])


def test_an_attempt_of_an_earlier_release_is_left_where_it_is() -> None:
    play = Playbook("a").live()
    assert play.session.attempt is not None
    play.wants(state=Live(Attempt.on(1, "a", REQUESTED_AT, REQUESTED_AT + 0.3)))
    play.source("a", url="http://moved/").nothing()
