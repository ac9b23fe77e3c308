"""What `decide` does where a provider has no connection left, as stories."""

from __future__ import annotations

import pytest

from orchestrator.core.model import EventType, Phase, SourceStatus
from tests.orchestrator.core.playbook import Playbook, ended, probe, refused, start, started, stop, told
from transcoder.ending import Ending

FULL = "provider Acme TV: all 4 connections are in use"

# --- a session starts -------------------------------------------------------------------------------------------------


def test_a_source_without_a_connection_is_passed_over_and_the_reason_says_so() -> None:
    play = Playbook("a", "b").answers("a", "b").connects(full={"a": FULL})
    reason = f"requested; {FULL}"
    play.then(start(1, "b"), records=[started(1, "b", reason)], phase=Phase.STARTING)
    play.runs(1).after(0.3).lists(1)
    fields = play.of(EventType.SESSION_LIVE, play.look())
    assert fields == {"source": "b", "attempt": 1, "start_ms": 300, "reason": reason}


def test_a_source_without_a_connection_is_neither_probed_nor_waited_for_where_another_works() -> None:
    play = Playbook("a", "b").connects(full={"a": FULL})
    play.then(probe("b"), phase=Phase.REQUESTED)
    play.after(0.1).answers("b").then(start(1, "b"))


def test_a_worse_source_without_a_connection_is_no_reason() -> None:
    play = Playbook("a", "b").answers("a", "b").connects(full={"b": FULL})
    play.then(start(1, "a"), records=[started(1, "a", "requested")])


def test_a_problematic_source_without_a_connection_is_no_reason() -> None:
    play = Playbook("a", "b").fails_probe("a", "404 Not Found").answers("b").connects(full={"a": FULL})
    play.then(start(1, "b"), records=[started(1, "b", "requested")])


def test_where_nothing_else_is_left_a_connection_is_waited_for_and_then_the_request_is_refused() -> None:
    play = Playbook("a", "b").fails_probe("b", "404 Not Found").connects(full={"a": FULL})
    play.after(0.1).fails_probe("b", "404 Not Found")
    play.then(phase=Phase.REQUESTED, wake_in=play.policy.connection_patience_s - 0.1)
    play.at(play.policy.connection_patience_s)
    reasons: dict[str, str] = {"a": FULL, "b": "404 Not Found"}
    play.then(records=[told(EventType.SESSION_ENDED, {"reason": "no_healthy_source", "sources": reasons})], phase=Phase.ENDED)


def test_a_connection_that_becomes_free_in_time_is_taken() -> None:
    play = Playbook("a").connects(full={"a": FULL})
    play.then(phase=Phase.REQUESTED)
    play.after(1.0).connects(awaited={"a": FULL}).then(probe("a"))
    play.after(0.1).answers("a").then(start(1, "a"), records=[started(1, "a", "requested")])


def test_what_could_not_be_probed_for_want_of_a_connection_is_refused_for_that() -> None:
    play = Playbook("a", "b")
    play.look()
    play.at(0.1).fails_probe("a", "404 Not Found").connects(awaited={"b": FULL})
    play.then(probe("b"))
    play.at(play.policy.probe_limit_s)
    fields = play.of(EventType.SESSION_ENDED, play.look())
    assert fields["sources"] == {"a": "404 Not Found", "b": FULL}


# --- a source fails ---------------------------------------------------------------------------------------------------


def test_a_failover_passes_over_what_has_no_connection() -> None:
    play = Playbook("a", "b", "c").live().connects(full={"b": FULL})
    play.exits(1, Ending.SOURCE_REFUSED)
    reason = f"source refused; {FULL}"
    decision = play.then(start(2, "c"), stop(1), phase=Phase.SWITCHING)
    assert started(2, "c", reason) in decision.records
    assert play.sources["b"].status is SourceStatus.HEALTHY, "it is not blamed"
    fields = play.of(EventType.STREAM_SWITCH, play.engine_answers(2).lists(2).look())
    assert fields["reason"] == reason


def test_a_dead_containers_source_is_started_again_only_with_a_connection() -> None:
    play = Playbook("a", "b").live().connects(full={"a": FULL})
    play.exits(1, 137).then(start(2, "b"), stop(1))


def test_where_no_source_has_a_connection_the_event_names_the_provider_and_a_free_one_is_taken_at_once() -> None:
    play = Playbook("a", "b").live().connects(full={"b": FULL})
    play.exits(1, Ending.SOURCE_REFUSED)
    fields = play.of(EventType.STREAM_UNAVAILABLE, play.look())
    assert fields["sources"] == {"a": "source refused", "b": FULL}
    play.engine_answers()
    assert play.retry_at is not None
    play.retries_in(play.retry_at - play.now + 20.0)
    play.after(1.0).connects(full={"b": FULL}, awaited={"b": FULL}).nothing()
    play.after(1.0).connects(awaited={"b": FULL}).then(start(2, "b"), phase=Phase.UNAVAILABLE)


def test_a_retry_passes_over_what_has_no_connection() -> None:
    play = Playbook("a", "b").unavailable().connects(full={"a": FULL})
    play.after(30.0).then(start(3, "b"))
    play = Playbook("a").unavailable().connects(full={"a": FULL})
    play.after(30.0).nothing()


def test_a_hung_container_ends_before_its_successor_where_there_is_one_connection() -> None:
    play = Playbook("a").live().connects(handed_on=frozenset("a"))
    play.pauses(1).then(start(2, "a", after=(1,)), phase=Phase.SWITCHING)


# --- planned swaps ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["operator", "signatures run out", "source removed"])
def test_a_planned_swap_with_one_connection_ends_the_old_attempt_first(why: str) -> None:
    play = Playbook("a", "b").live()
    wanted = "b"
    match why:
        case "operator":
            play.wants(switch_to="b")
        case "source removed":
            play.source("a", status=SourceStatus.DISABLED)
        case _:
            wanted = "a"
            play.after(play.policy.attempt_life_s).lists(1)
    play.connects(handed_on=frozenset("ab"))
    play.then(
        start(2, wanted, after=(1,), grace_s=1.0),
        records=[ended(1, None, f"ended for its successor ({why}): no connection for both"), started(2, wanted, why)],
        phase=Phase.SWITCHING,
    )
    assert play.previous is None
    fields = play.of(EventType.STREAM_SWITCH, play.engine_answers(2).lists(2).look())
    assert (fields["from"], fields["to"], fields["reason"]) == ("a", wanted, why)


def test_a_planned_swap_to_a_source_without_a_connection_does_not_happen() -> None:
    play = Playbook("a", "b").live().wants(switch_to="b").connects(full={"b": FULL})
    play.then(records=[refused("b", FULL)], phase=Phase.LIVE, on=(1, "a"))
    assert play.session.switch_to is None


def test_a_switch_to_the_next_one_is_refused_where_none_of_the_others_has_a_connection() -> None:
    play = Playbook("a", "b", "c").live().wants(switch_to="next").connects(full={"b": FULL, "c": FULL})
    play.then(records=[refused("next", FULL)], on=(1, "a"))


def test_a_switch_is_not_taken_back_though_a_better_source_had_no_connection_then() -> None:
    play = Playbook("a", "b", "c").live().wants(switch_to="c").connects(full={"b": FULL})
    play.source("a", status=SourceStatus.PROBLEMATIC, last_failed_at=play.now)
    play.then(start(2, "c"), records=[started(2, "c", f"operator; {FULL}")])
    play.runs(2).after(1.0).lists(2).look()
    play.connects().has_gone(1).after(600.0).lists(2)
    play.source("b", healthy_since=play.now - 500.0, healthy_at=play.now, last_checked_at=play.now)
    play.nothing()
