"""Failover channels, as stories: x, y and z are sources of channels behind the session's own."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from orchestrator.core.bounds import LINE_UP
from orchestrator.core.catalogue.failover_channels import behind
from orchestrator.core.model import EventType, Phase, SourceStatus
from tests.orchestrator.core.playbook import MEDIA, REQUESTED_AT, Playbook, blamed, ended, probe, start, started, stop, told
from transcoder.ending import Ending


def test_when_every_own_source_is_down_the_failover_channels_are_used_in_order() -> None:
    play = Playbook("a", "b", behind="xy").live()
    play.exits(1, Ending.SOURCE_ENDED).then(start(2, "b"), stop(1))
    play.exits(2, Ending.SOURCE_REFUSED).has_gone(1).then(
        start(3, "x"),
        stop(2),
        records=[ended(2, 11, "source refused"), blamed("b", "source refused"), started(3, "x", "source refused")],
        phase=Phase.SWITCHING,
    )
    play.exits(3, Ending.SOURCE_STALLED).has_gone(2).then(
        start(4, "y"),
        stop(3),
        records=[
            ended(3, 13, "source stalled"),
            blamed("x", "source stalled", stalled=True),
            started(4, "y", "source stalled"),
        ],
    )
    play.exits(4, Ending.SOURCE_ENDED).has_gone(3).then(stop(4), phase=Phase.UNAVAILABLE)


def test_an_own_source_on_probation_comes_before_another_channels_healthy_one() -> None:
    play = Playbook("a", "b", behind="x").live()
    play.source("b", status=SourceStatus.PROBLEMATIC, last_failed_at=REQUESTED_AT).answers("b")
    play.exits(1, Ending.SOURCE_ENDED).then(start(2, "b"), stop(1))


def test_an_own_source_that_is_held_off_comes_behind_a_failover_channel() -> None:
    play = Playbook("a", "b", behind="x").live()
    play.source("b", status=SourceStatus.RECOVERED, failures_in_a_row=3, last_failed_at=REQUESTED_AT + play.elapsed - 20.0)
    play.exits(1, Ending.SOURCE_ENDED).then(start(2, "x"), stop(1))


@pytest.mark.parametrize("what", ["disabled", "removed from the line-up"])
def test_a_playing_source_of_a_failover_channel_that_goes_is_left_without_a_gap(what: str) -> None:
    play = Playbook("a", behind="xy").live()
    play.exits(1, Ending.SOURCE_ENDED).look()
    play.goes_live().after(1.0).lists(2)
    if what == "disabled":
        play.source("x", status=SourceStatus.DISABLED)
    else:
        del play.sources["x"]
    play.then(start(3, "y"), records=[started(3, "y", "source removed")], phase=Phase.SWITCHING)
    play.runs(3).lists(2).nothing()


def test_the_target_duration_counts_all_sources_of_the_line_up() -> None:
    play = Playbook("a", behind="x").answers("a", "x").source("x", media=replace(MEDIA, cadence_s=9.5))
    play.then(start(1, "a"))
    assert play.session.target_duration_s == 10


def test_the_operator_may_switch_to_a_failover_channels_source() -> None:
    Playbook("a", behind="x").live().wants(switch_to="x").then(start(2, "x"))


# --- a session starts -------------------------------------------------------------------------------------------------


def test_own_sources_are_probed_first_and_failover_ones_once_no_own_one_works() -> None:
    play = Playbook("a", "b", behind="xy")
    play.then(probe("a", "b"), wake_in=play.policy.probe_patience_s)
    play.at(0.05).fails_probe("a", "404").then(probe("b"))
    play.at(0.1).fails_probe("b", "404").then(probe("x", "y"), wake_in=play.policy.probe_limit_s - 0.1)
    play.at(0.2).answers("x").then(start(1, "x"), phase=Phase.STARTING)


def test_while_own_probes_take_long_the_failover_ones_are_asked_but_not_yet_taken() -> None:
    play = Playbook("a", behind="x")
    play.look()
    play.at(0.75).then(probe("a", "x"), wake_in=play.policy.probe_limit_s - 0.75)
    play.at(0.9).answers("x").then(probe("a"), phase=Phase.REQUESTED)
    play.at(5.0).fails_probe("a", "no answer").then(start(1, "x"))


def test_a_failover_source_that_is_held_off_does_not_come_before_own_ones_that_take_long() -> None:
    play = Playbook("a", behind="xy")
    play.source("x", status=SourceStatus.RECOVERED, failures_in_a_row=2, last_failed_at=REQUESTED_AT - 3.0)
    play.source("x", last_checked_at=REQUESTED_AT - 1.0)
    play.then(probe("a"))
    play.at(0.75).then(probe("a", "x", "y"), phase=Phase.REQUESTED)
    play.at(1.0).answers("x").then(probe("a", "y"), phase=Phase.REQUESTED)
    play.at(1.5).fails_probe("a", "404").then(start(1, "x"))


def test_an_own_source_that_answers_late_still_comes_before_a_failover_one() -> None:
    play = Playbook("a", behind="x")
    play.look()
    play.at(0.75).look()
    play.at(0.9).answers("x").look()
    play.at(1.5).answers("a").then(start(1, "a"))


def test_a_better_failover_source_is_waited_for_only_within_the_patience() -> None:
    play = Playbook("a", behind="xy")
    play.look()
    play.at(0.1).fails_probe("a", "404").look()
    play.at(0.2).answers("y").then(probe("x"), wake_in=0.55)
    play.at(0.75).then(start(1, "y"))


def test_all_probes_share_one_limit_and_a_refusal_names_every_source() -> None:
    play = Playbook("a", behind="x")
    play.look()
    play.at(0.1).fails_probe("a", "404").look()
    play.at(play.policy.probe_limit_s)
    reasons = {"a": "404", "x": "did not answer the probe in time"}
    play.then(records=[told(EventType.SESSION_ENDED, {"reason": "no_healthy_source", "sources": reasons})], phase=Phase.ENDED)


def test_a_channel_without_own_sources_plays_its_failover_channels() -> None:
    play = Playbook(behind="x")
    play.then(probe("x"))
    play.at(0.1).answers("x").then(start(1, "x"))


# --- the line-up itself -----------------------------------------------------------------------------------------------


def test_behind_a_channel_stand_its_failovers_and_theirs_the_nearest_first() -> None:
    edges = {"a": ["b", "c"], "b": ["d"], "c": ["b", "e"], "d": ["a", "f"]}
    assert behind("a", edges) == ("a", "b", "c", "d", "e", "f")
    assert behind("e", edges) == ("e",)
    assert behind("x", {"x": ["x", "y", "y"]}) == ("x", "y")


def test_a_line_up_ends_somewhere() -> None:
    wide = {"a": [f"b{n}" for n in range(100)]}
    assert behind("a", wide) == ("a", *wide["a"])[:LINE_UP]
    deep = {f"{n}": [f"{n + 1}"] for n in range(100)}
    assert behind("0", deep) == tuple(f"{n}" for n in range(LINE_UP))
