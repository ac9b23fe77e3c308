"""Stories of input switches: an attempt goes on with another granted source by itself, and the session follows its reports."""

from __future__ import annotations

import pytest
from msgspec import json
from msgspec.structs import replace

from orchestrator.core.model import (
    SLATE,
    UNKNOWN_INPUT,
    AttemptLive,
    Cause,
    ChannelPolicy,
    Desired,
    EventType,
    Happened,
    LegsChanged,
    Live,
    Phase,
    Session,
    SourceFailed,
    SourceStatus,
    Starting,
    Switching,
    Unavailable,
    Unknown,
)
from orchestrator.core.policy import Policy
from tests.orchestrator.core.playbook import (
    REQUESTED_AT,
    Playbook,
    at_work,
    blamed,
    blames,
    closed,
    ended,
    has_listed,
    opened,
    read,
    refused,
    start,
    started,
    stop,
    told,
    went_live,
)
from transcoder.ending import Ending

FAULTS = [each for each in Ending if each.blames_source]
SWITCH = EventType.STREAM_SWITCH


def live(*names: str, policy: Policy | None = None) -> Playbook:
    """Attempt 1, with orders, has been live for a minute on the first source."""
    return Playbook(*(names or "abcd"), policy=policy).switches_inputs().live()


def switching(*names: str, ending: Ending = Ending.SOURCE_ENDED, policy: Policy | None = None) -> Playbook:
    """The same; a moment ago it has left the first source for the second one, and its report was read."""
    play = live(*names, policy=policy).after(1.0)
    play.reports(1, 1, closed(1, "a", ending), opened(2, "b")).look()
    assert play.session.phase is Phase.SWITCHING
    return play


def events(records: object) -> list[Happened]:
    assert isinstance(records, tuple)
    return [each for each in records if isinstance(each, Happened)]


# --- what is granted ------------------------------------------------------------------------------------------------------


def test_an_attempt_is_granted_the_sources_behind_it() -> None:
    play = Playbook(*"abcde").switches_inputs().answers(*"abcde")
    play.then(start(1, "a", granted=("a", "b", "c", "d")))
    assert play.session.attempt is not None
    assert play.session.attempt.granted == ("a", "b", "c", "d")
    assert play.session.attempt.addresses["c"] == play.sources["c"].address


def test_without_the_switch_nothing_is_granted() -> None:
    play = Playbook(*"ab").answers(*"ab")
    play.then(start(1, "a"))
    assert play.session.attempt is not None
    assert play.session.attempt.granted == ()


def test_only_sources_that_may_be_opened_are_granted() -> None:
    play = Playbook(*"abcdef").switches_inputs().answers(*"abcdef")
    play.source("b", status=SourceStatus.DISABLED).connects(limited=frozenset({"a", "c"}))
    play.wants(refused=(play.sources["d"].address,))
    play.then(start(1, "a", granted=("a", "e", "f")))


def test_sources_that_have_failed_are_granted_last() -> None:
    play = Playbook(*"abcd").switches_inputs().answers(*"abcd")
    play.fails_probe("b", "unreachable")
    play.then(start(1, "a", granted=("a", "c", "d", "b")))


def test_what_plays_is_the_first_reserve_of_what_takes_over() -> None:
    play = live().wants(switch_to="c")
    play.then(start(2, "c", granted=("c", "a", "b", "d")))


# --- a source fails -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
def test_a_source_fails_and_the_attempt_goes_on_by_itself(fault: Ending) -> None:
    play = live().after(1.0)
    play.reports(1, 1, closed(1, "a", fault, age_s=0.4), opened(2, "b", age_s=0.3))
    stalled = fault is Ending.SOURCE_STALLED
    decision = play.then(phase=Phase.SWITCHING, on=(1, "b"))
    assert decision.records[1:] == (blamed("a", fault.words, stalled=stalled, at=play.elapsed - 0.4), read(1, 1))
    assert play.sources["a"].status is SourceStatus.PROBLEMATIC
    play.after(0.5).lists(1, leg=2, gap_s=0.2)
    legs = play.session.attempt and play.session.attempt.listed(play.now).legs
    play.then(
        records=[
            LegsChanged(1, legs or ()),
            went_live(1, "b"),
            told(SWITCH, {"from": "a", "to": "b", "reason": fault.words, "attempt": 1, "leg": 2, "gap_ms": 200, "by": "agent"}),
        ],
        phase=Phase.LIVE,
        on=(1, "b"),
    )
    assert play.sources["b"].status is SourceStatus.HEALTHY
    play.nothing()


def test_ffmpeg_crashes_and_nobody_is_blamed() -> None:
    play = live().after(1.0).reports(1, 1, closed(1, "a", Ending.FFMPEG_CRASHED), opened(2, "a"))
    assert not blames([play.look()])
    play.lists(1, leg=2)
    (event,) = events(play.look().records)
    assert (event.fields["from"], event.fields["to"], event.fields["reason"]) == ("a", "a", "ffmpeg crashed")


def test_one_source_after_the_other_is_blamed_once_each() -> None:
    play = switching(ending=Ending.SOURCE_REFUSED)
    play.after(0.3).reports(1, 2, closed(2, "b", Ending.SOURCE_REFUSED), opened(3, "c"))
    assert blames([play.look()]) == ["b"]
    play.lists(1, leg=3)
    (event,) = events(play.look().records)
    assert (event.fields["from"], event.fields["to"], event.fields["leg"]) == ("a", "c", 3)


def test_a_source_that_failed_in_the_same_attempt_before_begins_anew() -> None:
    play = switching()
    play.lists(1, leg=2).look()
    play.after(30.0).lists(1, leg=2).look()
    play.reports(1, 2, closed(2, "b", Ending.SOURCE_ENDED), opened(3, "a")).look()
    play.lists(1, leg=3).look()
    play.after(30.0).lists(1, leg=3).look()
    play.reports(1, 3, closed(3, "a", Ending.SOURCE_ENDED), opened(4, "c"))
    (failed,) = (each for each in play.look().records if isinstance(each, SourceFailed))
    assert (failed.source_id, failed.in_a_row) == ("a", 1)


def test_a_leg_proves_itself_by_its_own_time() -> None:
    play = live()
    play.source("b", failures_in_a_row=2, last_failed_at=play.now - 50.0)
    play.after(1.0).reports(1, 1, closed(1, "a", Ending.SOURCE_ENDED), opened(2, "b")).look()
    play.lists(1, leg=2).look()
    play.after(5.0).lists(1, leg=2).nothing()
    play.after(6.0).lists(1, leg=2).look()
    assert play.sources["b"].failures_in_a_row == 0


def test_the_way_back_waits_for_the_leg_not_for_the_attempt() -> None:
    policy = Policy(hold_off_s=1.0, hold_off_max_s=1.0)
    play = switching(policy=policy)
    play.channel_policy = replace(play.channel_policy, failback_stable_s=30.0)
    play.lists(1, leg=2).look()
    for _ in range(29):
        play.after(1.0).answers("a").lists(1, leg=2)
        assert not [each for each in play.look().actions if each == start(2, "a")]
        assert play.session.phase is Phase.LIVE
    play.after(10.0).answers("a").lists(1, leg=2).look()
    assert play.session.attempt is not None
    assert play.session.attempt.leg.why.cause is Cause.FAILBACK


def test_what_the_operator_has_chosen_is_not_chosen_after_it_failed() -> None:
    play = live().wants(chosen="a").after(1.0)
    play.reports(1, 1, closed(1, "a", Ending.SOURCE_ENDED), opened(2, "b")).look()
    assert play.session.chosen == "a"
    play.lists(1, leg=2).look()
    assert play.session.chosen is None


# --- the other states -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
def test_the_first_source_of_a_new_session_fails(fault: Ending) -> None:
    play = Playbook(*"abc").switches_inputs().starting().after(0.5)
    play.reports(1, 1, closed(1, "a", fault), opened(2, "b"))
    assert blames([play.then(phase=Phase.STARTING, on=(1, "b"))]) == ["a"]
    assert isinstance(play.session.state, Starting)
    assert (play.session.state.tried, play.session.state.from_source_id) == (("a",), "a")
    play.after(1.0).lists(1, leg=2)
    decision = play.then(phase=Phase.LIVE)
    assert play.of(EventType.SESSION_LIVE, decision)["source"] == "b"


def test_a_first_source_that_listed_and_failed_was_live() -> None:
    play = Playbook(*"abc").switches_inputs().starting().after(2.0).lists(1)
    play.reports(1, 1, closed(1, "a", Ending.SOURCE_ENDED), opened(2, "b"))
    assert play.of(EventType.SESSION_LIVE, play.look())["source"] == "a"
    assert blames([play.then(phase=Phase.SWITCHING, on=(1, "b"))]) == ["a"]
    assert play.sources["a"].status is SourceStatus.PROBLEMATIC


def test_the_playlist_is_seen_after_the_report_of_the_failure() -> None:
    play = Playbook(*"abc").switches_inputs().starting().after(2.0)
    play.reports(1, 1, closed(1, "a", Ending.SOURCE_ENDED), opened(2, "b")).look()
    play.lists(1, leg=1)
    decision = play.then(phase=Phase.SWITCHING, on=(1, "b"))
    assert play.of(EventType.SESSION_LIVE, decision)["source"] == "a"
    assert play.sources["a"].status is SourceStatus.PROBLEMATIC, "it listed before it failed"
    play.lists(1, leg=2)
    assert play.of(SWITCH, play.then(phase=Phase.LIVE))["from"] == "a"


def test_a_switching_session_follows() -> None:
    play = live().exits(1, 137).after(0.1)
    play.look()
    play.engine_answers(2).after(0.5).reports(2, 1, closed(1, "a", Ending.SOURCE_REFUSED), opened(2, "b"))
    assert blames([play.then(phase=Phase.SWITCHING, on=(2, "b"))]) == ["a"]
    assert isinstance(play.session.state, Switching)
    assert play.session.tried == ("a",)
    play.lists(2, leg=2)
    assert play.of(SWITCH, play.then(phase=Phase.LIVE))["to"] == "b"


def test_a_retry_goes_on_by_itself_beside_the_slate() -> None:
    play = Playbook(*"ab")
    play.channel_policy = ChannelPolicy(slate=True)
    play.live()
    for attempt in (1, 2):
        play.exits(attempt, 11).look()
    play.engine_answers().switches_inputs()
    while not isinstance(play.session.state, Unavailable) or play.session.state.shown is None:
        play.after(0.5).retries_in(50.0).look()
    slate = play.session.state.shown.number
    play.engine_answers(slate).lists(slate).look()
    play.retries_in(0.0).look()
    trying = play.session.attempt
    assert trying is not None
    assert trying.granted[0] == trying.leg.input != SLATE
    other = next(each for each in trying.granted if each != trying.leg.input)
    play.engine_answers(slate, trying.number)
    play.reports(trying.number, 1, closed(1, trying.leg.input, Ending.SOURCE_REFUSED), opened(2, other))
    assert blames([play.then(phase=Phase.UNAVAILABLE)]) == [trying.leg.input]
    assert isinstance(play.session.state, Unavailable)
    assert play.session.state.shown is not None, "the slate goes on"
    play.lists(trying.number, leg=2)
    decision = play.then(stop(slate), phase=Phase.LIVE)
    assert play.of(EventType.STREAM_RECOVERED, decision)["to"] == other


def nothing_left() -> Playbook:
    """Two granted sources have failed, and a report says that no other one can be opened now."""
    play = switching().after(0.3).reports(1, 2, closed(2, "b", Ending.SOURCE_REFUSED))
    play.then(phase=Phase.SWITCHING)
    play.nothing()  # the next one is opened at once, as a rule
    return play.after(0.2).reports(1, 3, at_work(2, "b"))


def test_an_attempt_has_nothing_left_to_open_and_another_source_is_there() -> None:
    play = nothing_left()
    play.then(records=[read(1, 3)])
    decision = play.then(start(2, "c", granted=("c", "d", "a", "b")), stop(1), phase=Phase.SWITCHING)
    assert decision.records == (ended(1, None, "source refused"), started(2, "c", "source refused"))
    assert play.session.tried == ("a", "b")


def test_an_attempt_has_nothing_left_to_open_and_no_source_works() -> None:
    play = switching("a", "b").after(0.3).reports(1, 2, closed(2, "b", Ending.SOURCE_REFUSED))
    play.then(phase=Phase.SWITCHING)
    decision = play.then(stop(1), phase=Phase.UNAVAILABLE)
    assert play.of(EventType.STREAM_UNAVAILABLE, decision)["reason"] == "source refused"
    assert blames([decision]) == []


def test_the_only_source_fails_and_the_session_is_unavailable_at_once() -> None:
    play = live("a").after(1.0).reports(1, 1, closed(1, "a", Ending.SOURCE_ENDED))
    assert blames([play.look()]) == ["a"]
    play.then(stop(1), records=None, phase=Phase.UNAVAILABLE)
    assert play.sources["a"].failure_count == 1


def test_a_first_leg_that_listed_while_nobody_looked_keeps_its_time() -> None:
    play = Playbook(*"ab").switches_inputs().starting().engine_is_silent().after(60.0)
    play.reports(1, 1, closed(1, "a", Ending.SOURCE_ENDED), opened(2, "b"), has_listed(2, "b"), posted_s_ago=30.0)
    play.look()
    play.lists(1, leg=2).reports(1, 2, has_listed(2, "b"), posted_s_ago=29.0)
    play.then(phase=Phase.LIVE, on=(1, "b"))
    play.look()
    assert play.session.attempt is not None
    assert play.session.attempt.leg.live_at == play.now, "the playlist has said so, and it was first seen now"


def test_an_attempt_that_waited_has_opened_another_source_after_all() -> None:
    play = nothing_left().reports(1, 4, opened(3, "c"))
    play.then(records=None, on=(1, "c"))
    play.nothing()
    play.lists(1, leg=3)
    play.then(phase=Phase.LIVE, on=(1, "c"))


# --- a gap has one owner --------------------------------------------------------------------------------------------------


def test_a_gap_is_the_attempts_while_it_reports() -> None:
    play = switching()
    play.after(14.0).nothing()
    play.reports(1, 2, at_work(2, "b")).look()
    play.after(14.0).nothing()
    decision = play.after(2.0).look()  # silent for longer than the start budget
    assert ended(1, None, "no segment within the start budget") in decision.records
    assert blames([decision]) == []


def test_a_leg_that_has_listed_is_judged_by_the_playlist_again() -> None:
    play = switching()
    play.lists(1, leg=2).look()
    play.after(5.4).nothing()
    assert ended(1, None, "playlist stalled") in play.after(0.2).look().records


def test_a_failed_attempt_without_orders_is_judged_as_ever() -> None:
    play = Playbook(*"ab").live()
    play.after(5.4).nothing()
    assert ended(1, None, "playlist stalled") in play.after(0.2).look().records


# --- the container dies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
def test_a_container_dies_in_an_input_switch(fault: Ending) -> None:
    play = switching(ending=fault)
    play.exits(1, 137)
    decision = play.then(start(2, "b", granted=("b", "c", "d", "a")), stop(1), phase=Phase.SWITCHING)
    assert decision.records == (ended(1, 137, "container killed"), started(2, "b", "container killed"))
    assert play.session.tried == ("a",)
    play.goes_live()
    assert play.sources["a"].failure_count + play.sources["a"].stall_count == 1


def test_a_container_dies_while_nothing_is_left_to_open() -> None:
    play = switching("a", "b").reports(1, 2, closed(2, "b", Ending.SOURCE_ENDED))
    play.look()
    play.exits(1, 137)
    decision = play.then(stop(1), phase=Phase.UNAVAILABLE)
    assert blames([decision]) == []


def test_the_report_is_read_before_the_death_is_judged() -> None:
    play = live().after(1.0)
    play.reports(1, 1, closed(1, "a", Ending.SOURCE_STALLED), opened(2, "b")).exits(1, 137)
    assert blames([play.then()]) == ["a"]
    play.then(start(2, "b", granted=("b", "c", "d", "a")), stop(1))


def test_a_report_of_a_dead_attempt_that_was_left_changes_nothing() -> None:
    play = live().exits(1, 137)
    play.look()
    play.engine_answers(2).reports(1, 1, closed(1, "a", Ending.SOURCE_STALLED), opened(2, "b"))
    play.nothing()


@pytest.mark.parametrize("fault", FAULTS)
def test_an_exit_code_blames_nobody_twice(fault: Ending) -> None:
    play = live().after(1.0).reports(1, 1, closed(1, "a", fault))
    assert blames([play.look()]) == ["a"]
    play.exits(1, fault)
    decision = play.then(start(2, "b", granted=("b", "c", "d", "a")), stop(1))
    assert blames([decision]) == []


def test_an_exit_code_blames_the_leg_that_played() -> None:
    play = switching()
    play.lists(1, leg=2).look()
    play.exits(1, Ending.SOURCE_ENDED)
    assert blames([play.look()]) == ["b"]


# --- reports are late, lost or forged -------------------------------------------------------------------------------------


def test_what_happened_while_nobody_looked_is_told_late_and_in_order() -> None:
    play = live().after(600.0)
    play.reports(1, 1, closed(1, "a", Ending.SOURCE_STALLED, age_s=1.0), opened(2, "b", age_s=1.0), posted_s_ago=500.0)
    play.reports(1, 2, has_listed(2, "b", gap_s=0.4), posted_s_ago=499.0)
    play.reports(1, 3, closed(2, "b", Ending.SOURCE_ENDED), opened(3, "c"), posted_s_ago=100.0)
    play.reports(1, 4, has_listed(3, "c"), posted_s_ago=99.5)
    play.lists(1, leg=3, gap_s=0.7)
    decision = play.then(phase=Phase.LIVE, on=(1, "c"))
    failed = [each for each in decision.records if isinstance(each, SourceFailed)]
    assert [(each.source_id, play.now - (each.at or 0.0)) for each in failed] == [("a", 501.0), ("b", 100.0)]
    told_of = [each.fields for each in events(decision.records)]
    assert [(each["from"], each["to"], each["leg"], each["gap_ms"], each["late"]) for each in told_of] == [
        ("a", "b", 2, 400, True),
        ("b", "c", 3, 0, True),
    ]
    assert [each["at"] for each in told_of] == [play.now - 499.0, play.now - 99.5]
    assert AttemptLive(1, "c") in decision.records
    assert AttemptLive(1, "b") not in decision.records, "it has failed since"
    play.nothing()


def test_old_mail_overwrites_nothing_newer() -> None:
    play = live().after(600.0).answers("a")
    play.reports(1, 1, closed(1, "a", Ending.SOURCE_STALLED), opened(2, "b"), posted_s_ago=500.0).look()
    assert play.sources["a"].status is SourceStatus.HEALTHY
    assert play.sources["a"].stall_count == 1


def test_a_leg_that_no_report_explains_is_nobodys_fault() -> None:
    play = live().after(1.0).lists(1, leg=2)
    play.then(records=[], phase=Phase.LIVE, wake_in=5.0)
    play.after(4.9).lists(1, leg=2).nothing()
    decision = play.after(0.1).look()
    assert play.session.attempt is not None
    assert play.session.attempt.leg.input == UNKNOWN_INPUT
    assert blames([decision]) == []
    play.look()
    assert play.session.phase is Phase.LIVE
    for _ in range(3):  # it plays on, whatever it is
        play.after(2.0).lists(1, leg=2).nothing()
    # The report comes after all
    play.reports(1, 1, closed(1, "a", Ending.SOURCE_ENDED, age_s=10.0), opened(2, "b", age_s=10.0))
    decision = play.then(phase=Phase.LIVE, on=(1, "b"))
    assert blames([decision]) == ["a"]
    assert play.of(SWITCH, decision)["to"] == "b"


def test_an_unknown_leg_ends_and_nobody_is_blamed() -> None:
    play = live().after(1.0).lists(1, leg=2)
    play.look()
    play.after(5.0).lists(1, leg=2).look()
    play.look()
    play.exits(1, Ending.SOURCE_ENDED)
    assert blames([play.look()]) == []


def test_a_report_explains_the_leg_in_time() -> None:
    play = live().after(1.0).lists(1, leg=2)
    play.look()
    play.after(3.0).lists(1, leg=2).reports(1, 1, closed(1, "a", Ending.SOURCE_ENDED), opened(2, "b")).look()
    play.then(phase=Phase.LIVE, on=(1, "b"))
    play.after(3.0).lists(1, leg=2).nothing()
    assert play.session.attempt is not None
    assert play.session.attempt.ahead_since is None


def test_a_source_that_was_not_granted_is_neither_played_nor_blamed() -> None:
    play = live("a", "b").after(1.0)
    play.reports(1, 1, opened(2, "z"), closed(1, "b", Ending.SOURCE_ENDED), closed(7, "a", Ending.SOURCE_ENDED))
    play.then(records=[read(1, 1)], on=(1, "a"))


def test_a_report_that_is_read_already_is_only_deleted() -> None:
    play = switching()
    play.reports(1, 1, closed(2, "b", Ending.SOURCE_ENDED))
    play.then(records=[read(1, 1)], on=(1, "b"))
    play.nothing()


def test_a_source_that_was_edited_since_the_grant_is_not_blamed() -> None:
    play = live().after(1.0).source("a", url="http://new/")
    play.reports(1, 1, closed(1, "a", Ending.SOURCE_ENDED), opened(2, "b"))
    assert blames([play.look()]) == []


def test_an_agent_that_is_distrusted_is_replaced_and_nobody_is_blamed() -> None:
    play = live().after(1.0).reports(1, 1, closed(1, "a", Ending.SOURCE_ENDED), opened(2, "b"))
    play.distrusted = frozenset({1})
    decision = play.then(start(2, "a", granted=("a", "b", "c", "d")), stop(1), phase=Phase.SWITCHING)
    assert decision.records == (ended(1, None, "agent distrusted"), started(2, "a", "agent distrusted"))


def test_reports_are_read_while_the_engine_is_silent() -> None:
    play = live().engine_is_silent().after(1.0)
    play.reports(1, 1, closed(1, "a", Ending.SOURCE_ENDED), opened(2, "b"))
    assert blames([play.then(on=(1, "b"))]) == ["a"]


def test_what_was_reported_is_recorded_before_the_session_ends() -> None:
    play = live().after(1.0).wants(desired=Desired.STOP)
    play.reports(1, 1, closed(1, "a", Ending.SOURCE_ENDED), opened(2, "b"))
    assert blames([play.then()]) == ["a"]
    play.then(stop(1))


# --- beside planned swaps -------------------------------------------------------------------------------------------------


def test_a_source_fails_while_a_planned_swap_is_under_way() -> None:
    play = live().wants(switch_to="c")
    play.look()
    play.runs(2).after(0.3).reports(1, 1, closed(1, "a", Ending.SOURCE_ENDED), opened(2, "b"))
    assert blames([play.look()]) == ["a"]
    play.lists(1, leg=2)
    assert play.of(SWITCH, play.look())["to"] == "b"
    assert isinstance(play.session.state, Live)
    assert play.session.state.successor is not None
    play.lists(2)
    fields = play.of(SWITCH, play.then(stop(1), phase=Phase.LIVE, on=(2, "c")))
    assert (fields["from"], fields["to"]) == ("b", "c")
    assert play.session.chosen == "c"


def test_the_operator_switches_while_an_input_switch_is_under_way() -> None:
    play = switching().wants(switch_to="c")
    play.then(start(2, "c", granted=("c", "b", "d", "a")), phase=Phase.SWITCHING)
    play.runs(2).after(0.3).lists(2)
    fields = play.of(SWITCH, play.then(stop(1), phase=Phase.LIVE))
    assert (fields["from"], fields["to"], fields["reason"]) == ("a", "c", "operator")


def test_what_the_operator_asked_for_fails_and_what_plays_plays_on() -> None:
    play = live().wants(switch_to="c")
    play.look()
    play.runs(2).after(0.3).reports(2, 1, closed(1, "c", Ending.SOURCE_REFUSED), opened(2, "a"))
    decision = play.then(phase=Phase.SWITCHING)
    assert blames([decision]) == ["c"]
    assert refused("c", "source refused") in decision.records
    decision = play.then(stop(2), records=[ended(2, None, "source refused")], phase=Phase.LIVE, on=(1, "a"))


def test_the_reserve_of_what_the_operator_asked_for_takes_over_first() -> None:
    play = live().wants(switch_to="c")
    play.look()
    play.runs(2).after(0.3).reports(2, 1, closed(1, "c", Ending.SOURCE_REFUSED), opened(2, "a")).lists(2, leg=2)
    assert refused("c", "source refused") in play.look().records
    play.then(stop(1), phase=Phase.LIVE, on=(2, "a"))
    assert play.session.chosen is None


# --- a restart ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
def test_an_orchestrator_that_starts_anew_goes_on_where_it_was(fault: Ending) -> None:
    play = switching(ending=fault)
    play.session = json.decode(json.encode(play.session), type=Session)
    play.engine_is_silent().store_is_silent()
    play.after(3.0).nothing()
    play.engine_answers(1).reports(1, 1, closed(1, "a", fault), opened(2, "b"))  # it was not deleted yet
    play.then(records=[read(1, 1)])
    play.lists(1, leg=2)
    assert blames([play.then(phase=Phase.LIVE, on=(1, "b"))]) == []


def test_nothing_is_concluded_of_a_switch_while_the_store_is_silent() -> None:
    play = switching().store_is_silent()
    play.after(60.0).nothing()
    assert isinstance(play.playlist, Unknown)


def test_an_age_that_is_older_than_the_attempt_is_ignored() -> None:
    play = live().after(1.0)
    play.reports(1, 1, closed(1, "a", Ending.SOURCE_ENDED, age_s=play.now - REQUESTED_AT + 3600.0))
    play.then(records=[read(1, 1)], on=(1, "a"))
