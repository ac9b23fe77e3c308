"""Every rule of `decide`, as stories."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.core.model import (
    Absent,
    Corrupt,
    Desired,
    EventType,
    Fields,
    Happened,
    Media,
    Phase,
    Playlist,
    SourceStatus,
    StopAttempt,
)
from orchestrator.core.policy import Policy
from tests.orchestrator.core.playbook import (
    FINISH,
    MEDIA,
    REQUESTED_AT,
    Playbook,
    blamed,
    desired_stop,
    ended,
    probe,
    refused,
    start,
    started,
    stop,
    told,
    went_live,
)
from tests.words import why
from transcoder.ending import Ending

# --- a session starts -------------------------------------------------------------------------------------------------


def test_sources_never_seen_are_probed_all_at_once() -> None:
    play = Playbook("a", "b", "c")
    play.then(probe("a", "b", "c"), records=[], phase=Phase.REQUESTED, wake_in=play.policy.probe_limit_s)


def test_the_first_source_is_taken_as_soon_as_it_answers() -> None:
    play = Playbook("a", "b")
    play.look()
    play.at(0.05).answers("a")
    play.then(
        start(1, "a"), probe("b"), records=[started(1, "a", "requested")], phase=Phase.STARTING, on=(1, "a"), wake_in=15.0
    )


def test_a_healthy_source_waits_a_moment_for_a_better_one_whose_probe_is_under_way() -> None:
    play = Playbook("a", "b", "c")
    play.look()
    play.at(0.1).answers("c")
    play.then(probe("a", "b"), phase=Phase.REQUESTED, wake_in=0.65)
    play.at(0.2).answers("b")
    play.then(probe("a"), phase=Phase.REQUESTED, wake_in=0.55)
    play.at(0.75).then(start(1, "b"), probe("a"), phase=Phase.STARTING)


def test_a_better_source_that_failed_its_probe_is_not_waited_for() -> None:
    play = Playbook("a", "b")
    play.look()
    play.at(0.02).answers("b")
    play.then(probe("a"))
    play.at(0.03).fails_probe("a", "404 Not Found")
    play.then(start(1, "b"))


def test_a_source_seen_healthy_seconds_ago_is_not_probed_again() -> None:
    play = Playbook("a", "b")
    play.source("a", status=SourceStatus.HEALTHY, last_checked_at=REQUESTED_AT - 5.0)
    play.then(start(1, "a"), probe("b"), phase=Phase.STARTING)


def test_a_source_that_no_probe_can_judge_is_tried_and_left_alone_where_it_fails() -> None:
    """Its probe was made and gave no verdict (SRT, where ffprobe does not speak it): nothing but an attempt can tell."""
    play = Playbook("a", "b")
    play.look()
    play.at(0.1).answers("b").source("a", last_checked_at=play.now)
    play.then(start(1, "a"), phase=Phase.STARTING)
    play.exits(1, Ending.SOURCE_UNDECODABLE).then(start(2, "b"), stop(1))
    play.goes_live().after(5.0).source("a", status=SourceStatus.UNKNOWN, last_checked_at=play.now)
    for _ in range(20):
        play.after(20.0).answers("b").lists(2).look()
        assert play.session.last_attempt == 2, "no probe says that it is stable"


def test_a_source_seen_healthy_long_ago_is_probed() -> None:
    play = Playbook("a")
    play.source("a", status=SourceStatus.HEALTHY, last_checked_at=REQUESTED_AT - 3600.0)
    play.then(probe("a"), phase=Phase.REQUESTED)


def test_a_source_that_failed_seconds_ago_is_not_waited_for_where_another_works() -> None:
    play = Playbook("a", "b")
    play.source("a", status=SourceStatus.PROBLEMATIC, last_failed_at=REQUESTED_AT - 3.0)
    play.source("b", status=SourceStatus.HEALTHY, last_checked_at=REQUESTED_AT - 3.0)
    play.then(start(1, "b"))


def test_a_refusal_is_never_from_memory() -> None:
    """The only source failed a moment ago: it is asked again before a viewer is sent away."""
    play = Playbook("a")
    play.source("a", status=SourceStatus.PROBLEMATIC, last_failed_at=REQUESTED_AT - 3.0, last_failure=why("source ended"))
    play.then(probe("a"), phase=Phase.REQUESTED)
    play.at(0.1).answers("a")
    play.then(start(1, "a"), phase=Phase.STARTING)


def test_no_healthy_source_is_a_refusal_that_names_each_reason() -> None:
    play = Playbook("a", "b", "c")
    play.look()
    play.at(0.1).fails_probe("a", "404 Not Found").fails_probe("b", "connection refused")
    play.then(probe("c"), phase=Phase.REQUESTED)
    reasons: dict[str, str] = {"a": "404 Not Found", "b": "connection refused", "c": "did not answer the probe in time"}
    play.at(play.policy.probe_limit_s)
    play.then(records=[told(EventType.SESSION_ENDED, {"reason": "no_healthy_source", "sources": reasons})], phase=Phase.ENDED)
    assert play.session.desired is Desired.STOP
    assert play.session.end_reason == "no_healthy_source"


def test_a_request_that_waited_in_a_rush_has_its_probes_whole_time() -> None:
    """Nobody had asked its sources: that they have not answered says nothing of them."""
    play = Playbook("a")
    waited_s = play.policy.probe_limit_s + 5.0
    play.at(waited_s).is_looked_after()
    play.then(probe("a"), records=[], phase=Phase.REQUESTED, wake_in=play.policy.probe_limit_s)
    play.at(waited_s + play.policy.probe_limit_s)
    reasons = {"a": "did not answer the probe in time"}
    play.then(records=[told(EventType.SESSION_ENDED, {"reason": "no_healthy_source", "sources": reasons})], phase=Phase.ENDED)


def test_a_channel_without_a_source_that_may_be_used_is_refused_at_once() -> None:
    play = Playbook("a").source("a", status=SourceStatus.DISABLED)
    play.then(records=[told(EventType.SESSION_ENDED, reason="no_healthy_source", sources={})], phase=Phase.ENDED)


def test_disabled_sources_are_not_probed_nor_taken() -> None:
    play = Playbook("a", "b").source("a", status=SourceStatus.DISABLED)
    play.then(probe("b"))
    play.at(0.1).answers("b")
    play.then(start(1, "b"))


def test_the_line_ups_order_is_the_order_whatever_the_priorities() -> None:
    """A priority says something within one channel alone."""
    play = Playbook("a", "b").source("a", priority=2).source("b", priority=1).answers("a", "b")
    play.then(start(1, "a"))


def test_nothing_is_started_while_the_engine_does_not_answer() -> None:
    play = Playbook("a").answers("a").engine_is_silent()
    play.nothing()
    play.after(30.0).nothing()
    play.engine_answers().then(start(1, "a"))


def test_the_target_duration_is_fixed_at_the_first_attempt_and_covers_every_source() -> None:
    play = Playbook("a", "b").answers("a", "b").source("b", media=replace(MEDIA, cadence_s=9.5))
    play.look()
    assert play.session.target_duration_s == 10
    play.runs(1).source("b", media=MEDIA).exits(1, Ending.SOURCE_ENDED).look()
    assert play.session.attempt is not None
    assert play.session.attempt.source_id == "b"
    assert play.session.target_duration_s == 10, "law 5: it never changes"


@pytest.mark.parametrize(
    ("cadences", "target_duration_s"), [((), 3), ((2.0, 2.0), 3), ((6.006,), 7), ((300.0,), 12), ((float("inf"),), 12)]
)
def test_target_duration(cadences: tuple[float, ...], target_duration_s: int) -> None:
    play = Playbook(*(f"source-{n}" for n, _ in enumerate(cadences)))
    for name, cadence_s in zip(play.sources, cadences, strict=True):
        play.source(name, media=Media(cadence_s=cadence_s))
    assert Policy(segment_s=2.0).target_duration_s(tuple(play.sources.values())) == target_duration_s


# --- it goes live -----------------------------------------------------------------------------------------------------


def test_the_first_listed_segment_makes_a_session_live() -> None:
    play = Playbook("a").starting()
    play.after(0.3).lists(1)
    play.then(
        records=[went_live(1, "a"), told(EventType.SESSION_LIVE, source="a", attempt=1, start_ms=300)],
        phase=Phase.LIVE,
        on=(1, "a"),
        wake_in=play.policy.stall_limit_s(3),
    )
    assert play.session.attempt is not None
    assert play.session.attempt.live_at == REQUESTED_AT + 0.3


def test_while_nothing_is_wrong_nothing_follows() -> None:
    play = Playbook("a", "b").live()
    for _ in range(50):
        play.after(2.0).lists(1).nothing()


def test_the_next_look_is_when_silence_would_mean_something() -> None:
    play = Playbook("a").live()
    play.after(2.0)
    play.then(wake_in=play.policy.stall_limit_s(3) - 2.0)


# --- the source fails -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "reason", "stalled"),
    [
        (Ending.SOURCE_UNREACHABLE, "source unreachable", False),
        (Ending.SOURCE_REFUSED, "source refused", False),
        (Ending.SOURCE_ENDED, "source ended", False),
        (Ending.SOURCE_STALLED, "source stalled", True),
        (Ending.SOURCE_UNDECODABLE, "source undecodable", False),
    ],
)
def test_a_source_that_fails_is_marked_and_the_next_one_started(ending: Ending, reason: str, stalled: bool) -> None:
    play = Playbook("a", "b").live()
    play.exits(1, ending)
    play.then(
        start(2, "b"),
        stop(1),
        records=[ended(1, int(ending), reason), blamed("a", reason, stalled=stalled), started(2, "b", reason)],
        phase=Phase.SWITCHING,
        on=(2, "b"),
        wake_in=play.policy.start_budget_s,
    )
    play.runs(2).has_gone(1).after(0.35).lists(2, gap_s=-0.4)
    switch: dict[str, Any] = {"from": "a", "to": "b", "reason": reason, "attempt": 2, "gap_ms": -400}
    play.then(records=[went_live(2, "b"), told(EventType.STREAM_SWITCH, switch)], phase=Phase.LIVE)


def test_one_incident_moves_one_step_at_a_time() -> None:
    play = Playbook("a", "b", "c").live()
    play.exits(1, Ending.SOURCE_REFUSED).then(start(2, "b"), stop(1))
    play.runs(2).has_gone(1).nothing()
    play.exits(2, Ending.SOURCE_STALLED).then(start(3, "c"), stop(2))
    play.runs(3).has_gone(2).after(0.3).lists(3)
    fields = play.of(EventType.STREAM_SWITCH, play.look())
    assert (fields["from"], fields["to"]) == ("a", "c"), "the source that played, not the one that was only tried"


def test_sound_sources_come_before_problematic_ones() -> None:
    play = Playbook("a", "b", "c").live().source("b", status=SourceStatus.PROBLEMATIC, last_failed_at=REQUESTED_AT - 600.0)
    play.exits(1, Ending.SOURCE_ENDED).then(start(2, "c"), stop(1))
    play.exits(2, Ending.SOURCE_ENDED).has_gone(1).then(start(3, "b"), stop(2))


def test_a_source_that_failed_just_now_is_no_last_resort() -> None:
    play = Playbook("a", "b").live()
    play.source("b", status=SourceStatus.PROBLEMATIC, last_failed_at=REQUESTED_AT + play.elapsed - 5.0)
    play.exits(1, Ending.SOURCE_ENDED).then(stop(1), phase=Phase.UNAVAILABLE)


def test_a_recovered_source_is_chosen_like_a_healthy_one() -> None:
    play = Playbook("a", "b").live().source("b", status=SourceStatus.PROBLEMATIC, last_failed_at=REQUESTED_AT).answers("b")
    assert play.sources["b"].status is SourceStatus.RECOVERED
    play.exits(1, Ending.SOURCE_ENDED).then(start(2, "b"), stop(1))


def test_each_incident_starts_anew() -> None:
    """What was tried in the last incident may be tried in the next one."""
    play = Playbook("a", "b").live()
    play.exits(1, Ending.SOURCE_ENDED).look()
    play.goes_live().after(60.0).lists(2).answers("a")
    play.exits(2, Ending.SOURCE_ENDED).then(start(3, "a"), stop(2))


def test_a_source_may_fail_before_the_session_was_ever_live() -> None:
    play = Playbook("a", "b").starting()
    play.exits(1, Ending.SOURCE_UNDECODABLE).then(start(2, "b"), stop(1), phase=Phase.STARTING)
    play.runs(2).has_gone(1).after(0.5).lists(2)
    play.then(records=[went_live(2, "b"), told(EventType.SESSION_LIVE, source="b", attempt=2, start_ms=500)], phase=Phase.LIVE)


def test_an_attempt_that_lists_nothing_within_its_budget_has_failed_and_nobody_knows_by_whom() -> None:
    play = Playbook("a", "b").starting()
    play.after(15.0).nothing()
    play.after(0.1).then(
        start(2, "a"),
        stop(1),
        records=[
            ended(1, None, "no segment within the start budget"),
            started(2, "a", "no segment within the start budget"),
        ],
    )


# --- something else fails ---------------------------------------------------------------------------------------------

FAULTS: list[tuple[int | None, bool, str]] = [
    (137, False, "container killed"),
    (143, False, "container killed"),
    (-9, False, "container killed"),
    (137, True, "container out of memory"),
    (1, False, "container failed with 1"),
    (None, False, "container failed with None"),
    (Ending.BY_REQUEST, False, "container stopped"),
    (Ending.STORE_UNREACHABLE, False, "store unreachable"),
    (Ending.FENCED, False, "fenced"),
    (Ending.FFMPEG_CRASHED, False, "ffmpeg crashed"),
]


@pytest.mark.parametrize(("exit_code", "oom_killed", "reason"), FAULTS)
def test_what_is_not_the_sources_fault_is_tried_again_on_the_same_source(
    exit_code: int | None, oom_killed: bool, reason: str
) -> None:
    play = Playbook("a", "b").live()
    play.exits(1, exit_code, oom_killed=oom_killed)
    play.then(
        start(2, "a"),
        stop(1),
        records=[ended(1, exit_code, reason), started(2, "a", reason)],
        phase=Phase.SWITCHING,
    )


def test_every_exit_code_of_the_agent_is_told_in_these_tests() -> None:
    sources = {ending for ending in Ending if ending.blames_source}
    assert {code for code, _, _ in FAULTS if code in set(Ending)} == set(Ending) - sources - {Ending.BAD_JOB}, "test_refused.py"


def test_a_second_fault_within_a_minute_moves_on_to_the_next_source() -> None:
    play = Playbook("a", "b").live()
    play.exits(1, 137).then(start(2, "a"), stop(1))
    play.goes_live().after(50.0).lists(2)
    play.exits(2, 137).then(start(3, "b"), stop(2))


def test_a_second_fault_much_later_is_a_first_one() -> None:
    play = Playbook("a", "b").live()
    play.exits(1, 137).then(start(2, "a"), stop(1))
    play.goes_live().after(61.0).lists(2)
    play.exits(2, 137).then(start(3, "a"), stop(2))


def test_a_second_fault_with_one_source_alone_stays_on_it() -> None:
    play = Playbook("a").live()
    play.exits(1, 137).look()
    play.goes_live().exits(2, 137).then(start(3, "a"), stop(2))


def test_faults_that_go_on_are_retried_with_growing_delays() -> None:
    play = Playbook("a", "b").starting()
    for number in (1, 2):
        play.refuses(number, "no space left").look()
        play.engine_answers(number + 1)
    delays = []
    for number in range(3, 12):
        decision = play.refuses(number, "no space left").then(stop(number), phase=Phase.UNAVAILABLE)
        assert decision.wake_at is not None
        delays.append(decision.wake_at - REQUESTED_AT - play.elapsed)
        play.engine_answers().at(decision.wake_at - REQUESTED_AT)
        decision = play.look()
        assert [type(each).__name__ for each in decision.actions] == ["StartAttempt"]
    assert [round(delay, 6) for delay in delays] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_killed_again_and_again_but_steady_in_between_moves_between_sources_without_delay() -> None:
    play = Playbook("a", "b").live()
    places = []
    for number in range(1, 7):
        play.after(12.0).lists(number).exits(number, 137)
        play.look()
        assert play.session.attempt is not None
        places.append(play.session.attempt.source_id)
        play.goes_live()
    assert places == ["a", "b", "a", "b", "a", "b"]


@pytest.mark.parametrize("fault", ["paused", "gone", "refused"])
def test_a_container_that_is_no_use_is_replaced(fault: str) -> None:
    play = Playbook("a", "b").live()
    match fault:
        case "paused":
            play.pauses(1).then(
                start(2, "a"), stop(1), records=[ended(1, None, "container paused"), started(2, "a", "container paused")]
            )
        case "gone":
            play.has_gone(1).then(
                start(2, "a"), records=[ended(1, None, "container is gone"), started(2, "a", "container is gone")]
            )
        case "refused":
            reason = "container refused: no such image"
            play.refuses(1, "no such image").then(
                start(2, "a"), stop(1), records=[ended(1, None, reason), started(2, "a", reason)]
            )


def test_a_playlist_that_stops_while_the_agent_does_not_complain_blames_nobody() -> None:
    play = Playbook("a", "b").live()
    play.after(5.5).nothing()
    play.after(0.1).then(
        start(2, "a"), stop(1), records=[ended(1, None, "playlist stalled"), started(2, "a", "playlist stalled")]
    )


def test_silence_is_judged_by_the_sources_own_cadence() -> None:
    play = Playbook("a", "b").live().source("a", media=replace(MEDIA, cadence_s=10.0))
    play.after(15.9).nothing()
    play.after(0.2).then(start(2, "a"), stop(1))


def test_an_unhealthy_container_is_given_less_time() -> None:
    play = Playbook("a").live()
    play.runs(1, healthy=False).after(2.9).nothing()
    play.after(0.2).then(
        start(2, "a"), stop(1), records=[ended(1, None, "container unhealthy"), started(2, "a", "container unhealthy")]
    )


def test_an_unhealthy_container_whose_playlist_advances_plays_on() -> None:
    play = Playbook("a").live()
    for _ in range(10):
        play.after(2.0).runs(1, healthy=False).lists(1).nothing()


def test_a_live_sessions_playlist_that_has_gone_is_not_a_failure_at_once() -> None:
    """A LIST may miss a key; a start budget later it is meant."""
    play = Playbook("a").live()
    play.store_answers(Absent()).nothing()
    play.after(15.1).then(
        start(2, "a"), stop(1), records=[ended(1, None, "playlist is gone"), started(2, "a", "playlist is gone")]
    )


# --- Unknown is not Absent (law 3) ------------------------------------------------------------------------------------


def test_a_silent_engine_says_nothing() -> None:
    play = Playbook("a", "b").live().engine_is_silent()
    for _ in range(20):
        play.after(60.0).nothing()
    play.engine_answers(1).lists(1).nothing()


def test_a_silent_store_says_nothing() -> None:
    play = Playbook("a", "b").live().store_is_silent()
    for _ in range(20):
        decision = play.after(60.0).nothing()
        assert decision.wake_at == REQUESTED_AT + play.elapsed + play.policy.look_again_s


def test_after_an_outage_of_the_store_silence_counts_from_when_it_answers() -> None:
    play = Playbook("a").live()
    before = play.playlist
    assert isinstance(before, Playlist)
    play.after(1.0).store_is_silent().after(300.0).nothing()
    play.store_answers(before).nothing()
    play.after(5.5).nothing()
    play.after(0.1).then(start(2, "a"), stop(1))


def test_a_start_budget_does_not_run_while_the_store_does_not_answer() -> None:
    play = Playbook("a").starting().store_is_silent()
    play.after(100.0).nothing()
    play.store_answers(Absent()).nothing()
    play.after(15.0).nothing()
    play.after(0.1).then(start(2, "a"), stop(1))


def test_time_in_which_nobody_looked_is_no_silence() -> None:
    """The store hangs: the last LIST that it answered is from just after the last segment."""
    play = Playbook("a").live()
    play.playlist = Playlist(1, changed_at=REQUESTED_AT + play.elapsed, at=REQUESTED_AT + play.elapsed + 0.5)
    play.after(60.0)
    decision = play.nothing()
    assert decision.wake_at == REQUESTED_AT + play.elapsed + play.policy.look_again_s
    play.playlist = replace(play.playlist, at=inf)
    play.then(start(2, "a"), stop(1))


def test_a_dead_container_is_replaced_though_the_store_is_silent() -> None:
    play = Playbook("a", "b").live().store_is_silent()
    play.exits(1, Ending.SOURCE_ENDED).then(start(2, "b"), stop(1))


def test_a_session_goes_live_though_the_engine_is_silent() -> None:
    play = Playbook("a").starting().engine_is_silent().after(0.3).lists(1)
    play.then(phase=Phase.LIVE)


# --- nothing works, and then something does ---------------------------------------------------------------------------


def test_no_source_left_is_told_with_every_reason() -> None:
    play = Playbook("a", "b", "c").live().source("c", status=SourceStatus.DISABLED)
    play.exits(1, Ending.SOURCE_REFUSED).look()
    play.engine_answers().after(1.0).exits(2, Ending.SOURCE_ENDED)
    decision = play.then(stop(2), phase=Phase.UNAVAILABLE, wake_in=play.policy.retry_first_s)
    fields = play.of(EventType.STREAM_UNAVAILABLE, decision)
    assert fields == {"reason": "source ended", "sources": {"a": "source refused", "b": "source ended"}}
    assert play.session.attempt is None


def test_a_healthy_source_is_not_reported_with_an_old_reason() -> None:
    """Faults of ours make a session unavailable with healthy sources behind it."""
    play = Playbook("a", "b").starting().source("b", last_failure=why("something last week"))
    for number in (1, 2, 3):
        decision = play.refuses(number, "engine full").look()
        play.engine_answers(number + 1)
    fields = play.of(EventType.STREAM_UNAVAILABLE, decision)
    assert fields["sources"] == dict.fromkeys("ab", "container refused: engine full")


def test_unavailable_is_told_once_and_retried_with_growing_delays_source_by_source() -> None:
    play = Playbook("a", "b", "c").unavailable()
    delays, places = [], []
    for nth in range(9):
        assert play.retry_at is not None
        delays.append(round(play.retry_at - REQUESTED_AT - play.elapsed, 6))
        play.nothing()
        play.at(play.retry_at - REQUESTED_AT)
        decision = play.look()
        assert play.session.attempt is not None
        number, source = play.session.attempt.number, play.session.attempt.source_id
        places.append(source)
        assert decision.actions == (start(number, source),)
        assert play.session.phase is Phase.UNAVAILABLE
        decision = play.exits(number, Ending.SOURCE_UNREACHABLE).then(
            stop(number),
            records=[
                ended(number, 10, "source unreachable"),
                blamed(source, "source unreachable", in_a_row=2 + nth // 3),
            ],
            phase=Phase.UNAVAILABLE,
        )
        play.engine_answers()
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert [sorted(places[start : start + 3]) for start in (0, 3, 6)] == [[*"abc"]] * 3, "each once in a round"


def test_recovered_on_the_same_playlist() -> None:
    play = Playbook("a", "b").unavailable()
    play.after(0.5).look()
    assert play.session.attempt is not None
    number = play.session.attempt.number
    play.engine_answers(number).after(0.3).lists(number, gap_s=1.25)
    fields: dict[str, Any] = {"from": "a", "to": "a", "reason": "source refused", "attempt": number, "gap_ms": 1250}
    play.then(records=[went_live(number, "a"), told(EventType.STREAM_RECOVERED, fields)], phase=Phase.LIVE)
    assert play.session.unavailable_since is None


def test_a_probe_that_succeeds_ends_the_wait() -> None:
    play = Playbook("a", "b").unavailable()
    for _ in range(6):
        assert play.retry_at is not None
        play.at(play.retry_at - REQUESTED_AT).look()
        assert play.session.attempt is not None
        play.exits(play.session.attempt.number, Ending.SOURCE_REFUSED).look()
        play.engine_answers()
    play.after(1.0).nothing()
    play.answers("b")
    number = play.session.last_attempt + 1
    play.then(start(number, "b"))


def test_a_source_that_we_fail_on_does_not_keep_the_others_from_their_turn() -> None:
    """No source is to blame, so no status says whose turn it is."""
    play = Playbook("a", "b", "c").starting()
    number = 1
    places: list[str] = []
    while len(places) < 10:
        play.refuses(number, "engine full").look()
        play.engine_answers()
        if play.session.attempt is None:
            assert play.retry_at is not None
            play.at(play.retry_at - REQUESTED_AT).look()
        assert play.session.attempt is not None
        number = play.session.attempt.number
        places.append(play.session.attempt.source_id)
    assert places == [*"ab", *"ac", *"abc", *"abc"]


def test_what_was_tried_does_not_grow_for_ever() -> None:
    play = Playbook("a", "b").unavailable()
    for _ in range(50):
        assert play.retry_at is not None
        play.at(play.retry_at - REQUESTED_AT).look()
        assert play.session.attempt is not None
        play.exits(play.session.attempt.number, Ending.SOURCE_REFUSED).look()
        play.engine_answers()
        assert len(play.session.tried) <= 2


def test_a_source_that_plays_for_a_moment_and_dies_is_held_off_for_a_growing_time() -> None:
    play = Playbook("a").live()
    delays = []
    for _ in range(8):
        assert play.session.attempt is not None
        play.exits(play.session.attempt.number, Ending.SOURCE_ENDED).look()
        assert play.retry_at is not None
        delays.append(round(play.retry_at - REQUESTED_AT - play.elapsed, 6))
        play.engine_answers().at(play.retry_at - REQUESTED_AT).look()
        play.after(0.3).goes_live().after(1.0)
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    play.after(10.0).lists(play.session.last_attempt)
    play.exits(play.session.last_attempt, Ending.SOURCE_ENDED).then(stop(play.session.last_attempt), wake_in=0.5)


def test_no_source_at_all_waits_for_one() -> None:
    play = Playbook("a").unavailable().source("a", status=SourceStatus.DISABLED)
    play.after(0.5)
    assert play.nothing().wake_at == REQUESTED_AT + play.elapsed + play.policy.look_again_s
    play.after(100.0).source("a", status=SourceStatus.UNKNOWN).then(start(2, "a"))


def test_no_retry_while_the_engine_is_silent() -> None:
    play = Playbook("a").unavailable().engine_is_silent().after(60.0)
    play.nothing()
    play.engine_answers().then(start(2, "a"))


# --- planned swaps ----------------------------------------------------------------------------------------------------


def test_the_operators_switch_keeps_the_old_attempt_publishing_until_the_new_one_is_live() -> None:
    play = Playbook("a", "b").live().wants(switch_to="b")
    play.then(start(2, "b"), records=[started(2, "b", "operator")], phase=Phase.SWITCHING, on=(2, "b"))
    assert play.session.switch_to is None
    play.runs(2).after(1.0).lists(1).nothing()
    play.after(1.0).lists(2)
    switch: dict[str, Any] = {"from": "a", "to": "b", "reason": "operator", "attempt": 2, "gap_ms": 0}
    play.then(
        stop(1),
        records=[went_live(2, "b"), told(EventType.STREAM_SWITCH, switch), ended(1, None, "replaced: operator")],
        phase=Phase.LIVE,
    )


@pytest.mark.parametrize(("problematic", "expected"), [((), "b"), (("b",), "c"), (("b", "c"), "b")])
def test_switch_to_the_next_one(problematic: tuple[str, ...], expected: str) -> None:
    play = Playbook("a", "b", "c").live().wants(switch_to="next")
    for nth, name in enumerate(problematic):
        play.source(name, status=SourceStatus.PROBLEMATIC, last_failed_at=REQUESTED_AT + 1.0 + nth)
    play.then(start(2, expected))


def test_a_switch_to_the_playing_source_restarts_it() -> None:
    Playbook("a", "b").live().wants(switch_to="a").then(start(2, "a"))


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("unknown", "no longer a source of the channel, nor of those behind it"),
        ("disabled", "the source is disabled"),
        ("next", "no other source"),
    ],
)
def test_a_switch_to_nowhere_is_refused(asked: str, reason: str) -> None:
    play = Playbook("a", "disabled").live().source("disabled", status=SourceStatus.DISABLED).wants(switch_to=asked)
    play.then(records=[refused(asked, reason)], phase=Phase.LIVE, on=(1, "a"))
    assert play.session.switch_to is None
    play.nothing()


def test_while_nothing_works_a_switch_to_nowhere_is_refused_and_the_retries_go_on() -> None:
    play = Playbook("a").unavailable().wants(switch_to="b")
    retry_at = play.retry_at
    reason = "no longer a source of the channel, nor of those behind it"
    play.then(records=[refused("b", reason)], phase=Phase.UNAVAILABLE)
    assert play.retry_at == retry_at


def test_a_switch_waits_until_the_session_is_live() -> None:
    play = Playbook("a", "b").starting().wants(switch_to="b")
    play.nothing()
    play.after(0.3).lists(1).look()
    play.then(start(2, "b"), phase=Phase.SWITCHING)


def test_a_switch_waits_for_the_engine() -> None:
    play = Playbook("a", "b").live().wants(switch_to="b").engine_is_silent()
    play.nothing()
    play.engine_answers(1).then(start(2, "b"))


def test_while_nothing_works_a_switch_is_the_next_try() -> None:
    play = Playbook("a", "b", "c").unavailable().wants(switch_to="c")
    play.then(start(play.session.last_attempt + 1, "c"), phase=Phase.UNAVAILABLE)


@pytest.mark.parametrize(
    ("exit_code", "reason", "blame"),
    [(Ending.SOURCE_REFUSED, "source refused", ["b"]), (137, "container killed", [])],
)
def test_a_planned_swap_that_fails_goes_back_as_if_nothing_had_happened(exit_code: int, reason: str, blame: list[str]) -> None:
    play = Playbook("a", "b").live().wants(switch_to="b")
    play.look()
    play.exits(2, exit_code)
    play.then(
        stop(2),
        records=[ended(2, exit_code, reason), *(blamed(source, reason) for source in blame), refused("b", reason)],
        phase=Phase.LIVE,
        on=(1, "a"),
    )
    play.has_gone(2).after(1.0).lists(1).nothing()
    play.wants(switch_to="b").then(start(3, "b"))


def test_while_nothing_works_a_switch_that_fails_is_told_once() -> None:
    play = Playbook("a", "b", "c").unavailable().wants(switch_to="c")
    number = play.session.last_attempt + 1
    play.look()
    play.exits(number, Ending.SOURCE_REFUSED).then(
        stop(number),
        records=[
            ended(number, 11, "source refused"),
            blamed("c", "source refused", in_a_row=2),
            refused("c", "source refused"),
        ],
        phase=Phase.UNAVAILABLE,
    )
    assert play.retry_at is not None
    play.engine_answers().at(play.retry_at - REQUESTED_AT).look()
    decision = play.exits(number + 1, Ending.SOURCE_REFUSED).look()
    assert not [each for each in decision.records if isinstance(each, Happened)]


def test_a_source_that_the_operator_chose_and_that_played_fails_like_any_other() -> None:
    play = Playbook("a", "b").live().wants(switch_to="b")
    play.look()
    play.runs(2).after(1.0).lists(2).look()
    play.after(60.0).lists(2)
    decision = play.exits(2, Ending.SOURCE_REFUSED).look()
    assert not [each for each in decision.records if isinstance(each, Happened)]


def test_a_planned_swap_whose_attempt_lists_nothing_is_given_up_though_the_old_one_lists() -> None:
    play = Playbook("a", "b").live().wants(switch_to="b")
    play.look()
    play.runs(2)
    for _ in range(7):
        play.after(2.0).lists(1).nothing()
    play.after(1.5).lists(1).then(
        stop(2),
        records=[
            ended(2, None, "no segment within the start budget"),
            refused("b", "no segment within the start budget"),
        ],
        phase=Phase.LIVE,
        on=(1, "a"),
    )


def test_the_old_attempt_dies_in_a_planned_swap_and_the_new_one_goes_on() -> None:
    play = Playbook("a", "b").live().wants(switch_to="b")
    play.look()
    play.runs(2).exits(1, Ending.SOURCE_ENDED).nothing()
    play.after(0.5).lists(2).then(stop(1), phase=Phase.LIVE, on=(2, "b"))


def test_both_attempts_die_in_a_planned_swap() -> None:
    play = Playbook("a", "b", "c").live().wants(switch_to="b")
    play.look()
    play.exits(1, Ending.SOURCE_ENDED).exits(2, Ending.SOURCE_REFUSED)
    play.then(
        start(3, "a"),
        stop(1),
        stop(2),
        records=[
            ended(1, None, "replaced"),
            ended(2, 11, "source refused"),
            blamed("b", "source refused"),
            refused("b", "source refused"),
            started(3, "a", "source refused"),
        ],
    )


def test_a_playing_source_that_is_disabled_is_left_without_a_gap() -> None:
    play = Playbook("a", "b").live().source("a", status=SourceStatus.DISABLED)
    play.then(start(2, "b"), records=[started(2, "b", "source removed")], phase=Phase.SWITCHING)
    play.runs(2).lists(1).nothing()
    play.after(0.5).lists(2).then(stop(1), phase=Phase.LIVE)


def test_a_playing_source_that_is_deleted_is_left_without_a_gap() -> None:
    play = Playbook("a", "b").live()
    del play.sources["a"]
    play.then(start(2, "b"))


def test_a_playing_source_that_was_removed_plays_on_where_no_other_one_works() -> None:
    play = Playbook("a", "b").live().source("a", status=SourceStatus.DISABLED)
    play.source("b", status=SourceStatus.PROBLEMATIC, last_failed_at=REQUESTED_AT)
    play.nothing()
    play.answers("b").then(start(2, "b"))


def test_a_swap_away_from_a_removed_source_that_fails_by_our_fault_is_not_tried_again_at_once() -> None:
    """The engine refuses every new container: the old one plays on, and the refusals stay few."""
    play = Playbook("a", "b").live().source("a", status=SourceStatus.DISABLED)
    delays = []
    for _ in range(8):
        number = play.session.last_attempt + 1
        play.then(start(number, "b"))
        play.refuses(number, "no such image").then(stop(number), phase=Phase.LIVE, on=(1, "a"))
        play.has_gone(number).nothing()
        assert play.retry_at is not None
        delays.append(round(play.retry_at - REQUESTED_AT - play.elapsed, 6))
        play.at(play.retry_at - REQUESTED_AT).lists(1)
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_when_the_removed_source_dies_the_next_one_is_taken() -> None:
    play = Playbook("a", "b").live().source("a", status=SourceStatus.DISABLED)
    play.source("b", status=SourceStatus.PROBLEMATIC, last_failed_at=REQUESTED_AT)
    play.exits(1, 137).then(start(2, "b"), stop(1))


def test_an_attempt_is_renewed_before_its_signatures_run_out() -> None:
    play = Playbook("a", "b").live()
    play.at(play.policy.attempt_life_s - 1.0).lists(1).nothing()
    play.after(1.0).then(start(2, "a"), records=[started(2, "a", "signatures run out")], phase=Phase.SWITCHING)
    play.runs(2).lists(1).nothing()
    play.after(0.5).lists(2).then(stop(1), phase=Phase.LIVE, on=(2, "a"))
    play.has_gone(1).after(3600.0).lists(2).nothing()


def test_a_renewal_that_fails_is_tried_again_later_and_the_old_attempt_plays_on() -> None:
    play = Playbook("a").live().after(Policy().attempt_life_s).lists(1)
    for number, delay_s in ((2, 0.5), (3, 1.0), (4, 2.0)):
        play.then(start(number, "a"))
        play.refuses(number, "engine full").then(stop(number), phase=Phase.LIVE, on=(1, "a"))
        play.has_gone(number).nothing()
        play.after(delay_s).lists(1)


# --- the end ----------------------------------------------------------------------------------------------------------


def test_stop_then_containers_then_endlist_then_ended() -> None:
    play = Playbook("a").live().wants(**desired_stop("operator"))
    play.then(stop(1, 1.0), records=[], phase=Phase.LIVE)
    play.then(stop(1, 1.0), records=[])
    play.has_gone(1).then(FINISH, records=[], phase=Phase.LIVE)
    play.lists(1, done=True).then(
        records=[ended(1, None, "operator"), told(EventType.SESSION_ENDED, reason="operator")], phase=Phase.ENDED
    )
    assert play.session.ended_at == REQUESTED_AT + play.elapsed
    play.after(1000.0).nothing()


def test_every_container_of_the_session_is_stopped() -> None:
    play = Playbook("a", "b").live().wants(switch_to="b")
    play.look()
    play.runs(2).wants(**desired_stop())
    play.then(stop(1, 1.0), stop(2, 1.0))
    play.has_gone(1, 2).look()
    play.lists(1, done=True).then(
        records=[ended(1, None, "stopped"), ended(2, None, "stopped"), told(EventType.SESSION_ENDED, reason="stopped")]
    )


def test_a_session_that_never_listed_anything_ends_without_a_playlist() -> None:
    Playbook("a").wants(**desired_stop()).then(records=[told(EventType.SESSION_ENDED, reason="stopped")], phase=Phase.ENDED)


def test_a_stop_does_not_end_on_a_silent_engine_nor_on_a_silent_store() -> None:
    play = Playbook("a").live().wants(**desired_stop()).engine_is_silent()
    play.after(60.0).nothing()
    play.engine_answers().store_is_silent()
    assert play.after(60.0).nothing().wake_at == REQUESTED_AT + play.elapsed + play.policy.look_again_s
    play.store_answers(Playlist(1, changed_at=REQUESTED_AT)).then(FINISH)


def test_a_stop_does_not_wait_for_a_playlist_that_nobody_can_read() -> None:
    play = Playbook("a").live()
    play.playlist = Corrupt("half a disk")
    play.nothing()  # says nothing of the stream
    play.wants(**desired_stop()).then(stop(1, grace_s=1.0))
    play.has_gone(1).then(
        records=[ended(1, None, "stopped"), told(EventType.SESSION_ENDED, reason="stopped")], phase=Phase.ENDED
    )


def test_a_failure_after_the_stop_is_none() -> None:
    play = Playbook("a", "b").live().wants(**desired_stop()).exits(1, Ending.SOURCE_ENDED)
    play.then(stop(1, 1.0), records=[])


def test_a_channel_that_is_disabled_ends_its_sessions() -> None:
    play = Playbook("a").live()
    play.channel_enabled = False
    play.then(records=[])
    assert (play.session.desired, play.session.end_reason) == (Desired.STOP, "channel_disabled")
    play.then(stop(1, 1.0))
    play.has_gone(1).then(FINISH)
    play.lists(1, done=True).look()
    assert (play.session.phase, play.session.end_reason) == (Phase.ENDED, "channel_disabled")


def test_nothing_wakes_an_ended_session() -> None:
    play = Playbook("a").wants(**desired_stop())
    play.look()
    play.wants(switch_to="a").runs(7)
    play.then(stop(7), records=[], phase=Phase.ENDED)


# --- leftovers, fencing -----------------------------------------------------------------------------------------------


def test_containers_that_nobody_needs_are_stopped() -> None:
    play = Playbook("a", "b").live().runs(7).exits(5, 0)
    play.then(stop(7), stop(5), records=[], phase=Phase.LIVE)


def test_while_nothing_works_nothing_runs() -> None:
    play = Playbook("a").unavailable().runs(1)
    play.then(stop(1), records=[])


def test_leftovers_are_left_alone_while_the_engine_is_silent() -> None:
    assert Playbook("a").live().runs(7).engine_is_silent().look().actions == ()


def test_a_new_attempt_has_a_higher_number_than_anything_that_may_ever_have_run() -> None:
    """The rows were restored from a backup: the store and the engine know of later attempts."""
    play = Playbook("a", "b").live()
    play.lists(7).exits(1, Ending.FENCED).runs(9)
    play.then(start(10, "a"), stop(1), stop(9))
    assert play.session.last_attempt == 10


def test_an_attempt_that_lists_is_not_taken_for_a_later_one() -> None:
    play = Playbook("a", "b").live()
    play.exits(1, Ending.SOURCE_ENDED).look()
    play.runs(2).has_gone(1).lists(1).nothing()
    assert play.session.phase is Phase.SWITCHING


def test_a_stop_carries_its_grace_only_where_the_viewer_is_owed_the_last_segment() -> None:
    play = Playbook("a").live().runs(4)
    assert play.look().actions == (StopAttempt(4),)
    assert play.wants(**desired_stop()).look().actions == (StopAttempt(1, grace_s=1.0), StopAttempt(4, grace_s=1.0))


# --- rolled -----------------------------------------------------------------------------------------------------------


def test_a_roll_is_a_fresh_attempt_on_the_same_source_without_a_gap() -> None:
    play = Playbook("a", "b").live().wants(switch_to="same")
    play.source("a", status=SourceStatus.PROBLEMATIC, last_failed_at=play.now)
    play.then(start(2, "a"), records=[started(2, "a", "rolled")], phase=Phase.SWITCHING)
    assert play.session.switch_to is None
    play.runs(2).nothing()  # the old one publishes
    fields: Fields = {"from": "a", "to": "a", "reason": "rolled", "attempt": 2, "gap_ms": 0}
    play.after(0.5).lists(2).then(
        stop(1),
        records=[went_live(2, "a"), told(EventType.STREAM_SWITCH, fields), ended(1, None, "replaced: rolled")],
        on=(2, "a"),
    )


def test_a_roll_that_fails_leaves_everything_as_it_was() -> None:
    play = Playbook("a").live().wants(switch_to="same")
    play.then(start(2, "a"))
    play.exits(2, 30).then(
        stop(2),
        records=[ended(2, 30, "ffmpeg crashed"), refused("same", "ffmpeg crashed")],
        on=(1, "a"),
        phase=Phase.LIVE,
    )


@pytest.mark.parametrize("why", ["nothing plays", "the source is disabled"])
def test_a_roll_of_what_cannot_go_on_is_refused(why: str) -> None:
    play = Playbook("a").unavailable() if why == "nothing plays" else Playbook("a").live()
    if why == "the source is disabled":
        play.source("a", status=SourceStatus.DISABLED)
    play.wants(switch_to="same").then(records=[refused("same", why)])
    assert play.session.switch_to is None
    assert play.session.last_attempt == 1
