"""The slate, as stories: when it goes on, what it changes (nothing but the picture), and how it ends."""

from __future__ import annotations

import pytest

from orchestrator.core.model import (
    SLATE,
    Absent,
    ChannelPolicy,
    Desired,
    EventType,
    Fields,
    Happened,
    Phase,
    SourceStatus,
    StopAttempt,
)
from orchestrator.core.policy import Policy
from tests.orchestrator.core.playbook import (
    FINISH,
    MEDIA,
    Playbook,
    blamed,
    blames,
    desired_stop,
    ended,
    start,
    started,
    stop,
    told,
    went_live,
)
from transcoder.ending import Ending


def playbook(*names: str) -> Playbook:
    play = Playbook(*names, policy=Policy(slate_spread_s=0.0))
    play.channel_policy = ChannelPolicy(slate=True)
    return play


def dark(*names: str) -> Playbook:
    """Live on the first source, then all have refused: nothing runs, the slate is due. The last attempt has been number
    `len(names)`."""
    play = playbook(*names).unavailable()
    assert play.session.attempt is None
    return play


def shown(*names: str, retry_in_s: float = 30.0) -> Playbook:
    """The slate plays alone, as attempt `len(names) + 1`; the next retry is `retry_in_s` away."""
    play = dark(*names)
    play.look()
    number = play.session.last_attempt
    play.retries_in(retry_in_s)
    play.engine_answers(number).after(0.4).lists(number).look()
    assert play.session.attempt is not None
    assert (play.session.attempt.source_id, play.session.phase) == (SLATE, Phase.UNAVAILABLE)
    assert play.session.attempt.live_at == play.now
    return play


# --- it goes on -------------------------------------------------------------------------------------------------------


def test_where_nothing_works_viewers_are_told_once_and_the_slate_goes_on() -> None:
    play = playbook("a").live()
    play.exits(1, Ending.SOURCE_REFUSED)
    fields: Fields = {"reason": "source refused", "sources": {"a": "source refused"}, "slate": True}
    play.then(
        stop(1),
        records=[ended(1, 11, "source refused"), blamed("a", "source refused"), told(EventType.STREAM_UNAVAILABLE, fields)],
        phase=Phase.UNAVAILABLE,
    )
    play.has_gone(1).then(
        start(2, SLATE), records=[started(2, SLATE, "source refused")], phase=Phase.UNAVAILABLE, on=(2, SLATE)
    )
    play.runs(2).after(0.3).lists(2)
    play.then(records=[went_live(2, SLATE)], phase=Phase.UNAVAILABLE, on=(2, SLATE))


def test_without_the_policy_nothing_is_shown_and_nothing_told() -> None:
    play = Playbook("a").live()
    play.exits(1, Ending.SOURCE_REFUSED)
    fields = play.of(EventType.STREAM_UNAVAILABLE, play.look())
    assert "slate" not in fields
    play.has_gone(1).nothing()
    play.after(0.5).then(start(2, "a"))


def test_a_session_that_never_was_live_has_none() -> None:
    play = playbook("a").starting()
    play.exits(1, Ending.SOURCE_REFUSED)
    assert "slate" not in play.of(EventType.STREAM_UNAVAILABLE, play.look())
    play.has_gone(1).nothing()
    play.after(0.5).then(start(2, "a"), phase=Phase.UNAVAILABLE)
    assert play.previous is None


def test_it_waits_for_an_engine_and_for_a_store_that_do_not_answer() -> None:
    play = dark("a").retries_in(20.0)
    play.engine_is_silent().nothing()
    play.engine_answers().store_is_silent()
    decision = play.nothing()
    assert decision.wake_at == play.now + play.policy.look_again_s
    play.after(2.0).lists(1).then(start(2, SLATE))


def test_a_playlist_that_has_gone_cannot_go_on() -> None:
    play = dark("a").retries_in(20.0)
    play.playlist = Absent()
    play.nothing()


def test_its_silence_is_judged_by_the_target_duration_alone() -> None:
    play = shown("a")
    play.source("a", media=MEDIA.__class__(video="h264", cadence_s=12.0))
    limit_s = play.policy.stall_limit_s(play.session.target_duration_s or 0)
    play.after(limit_s - 0.1).nothing()
    play.after(0.2)
    decision = play.look()
    assert decision.records == (ended(2, None, "playlist stalled"),)


# --- sources are tried beside it --------------------------------------------------------------------------------------


def test_a_source_is_tried_while_it_publishes_and_takes_over_with_its_first_segment() -> None:
    play = shown("a", retry_in_s=5.0).after(5.0).lists(2)
    play.then(start(3, "a"), records=[started(3, "a", "source refused")], phase=Phase.UNAVAILABLE, on=(3, "a"))
    play.runs(3).after(0.2).lists(2).nothing()
    play.after(0.2).lists(3, gap_s=0.5)
    recovered = told(
        EventType.STREAM_RECOVERED,
        {"from": "a", "to": "a", "reason": "source refused", "attempt": 3, "gap_ms": 500},
    )
    play.then(
        stop(2),
        records=[went_live(3, "a"), recovered, ended(2, None, "replaced: source refused")],
        phase=Phase.LIVE,
        on=(3, "a"),
    )
    assert (play.previous, play.session.unavailable_since) == (None, None)


def test_a_retry_that_fails_is_the_sources_fault_and_the_slate_goes_on() -> None:
    play = shown("a", "b", retry_in_s=5.0).after(5.0).lists(3)
    play.then(start(4, "a"), on=(4, "a"))
    before = play.session.retries
    play.runs(4).exits(4, Ending.SOURCE_STALLED).after(3.0).lists(3)
    play.then(
        stop(4), records=[ended(4, 13, "source stalled"), blamed("a", "source stalled", stalled=True, in_a_row=2)],
        phase=Phase.UNAVAILABLE, on=(3, SLATE),
    )  # fmt: skip
    assert play.session.retries == before + 1
    assert play.retry_at == play.now + play.policy.retry_delay_s(before)
    assert play.previous is None


def test_retries_beside_the_slate_keep_growing_delays_and_take_turns() -> None:
    """As without it (test_decide): the same sources at the same distances."""

    def tried(play: Playbook) -> list[tuple[float, str]]:
        trials: list[tuple[float, str]] = []
        while len(trials) < 6:
            attempt = play.session.attempt
            if attempt is not None and attempt.source_id == SLATE:
                play.lists(attempt.number)
            play.look()
            attempt = play.session.attempt
            if attempt is not None and attempt.source_id != SLATE:
                trials.append((round(play.elapsed, 2), attempt.source_id))
                play.exits(attempt.number, Ending.SOURCE_REFUSED).look()
                play.has_gone(attempt.number)
            elif attempt is not None:
                play.runs(attempt.number)
            play.after(0.05)
        return trials

    plain, with_slate = Playbook("a", "b").unavailable(), dark("a", "b")
    expected, found = tried(plain), tried(with_slate)
    assert [source for _, source in found] == [source for _, source in expected]
    assert [at for at, _ in found] == pytest.approx([at for at, _ in expected], abs=0.5)


def test_a_retry_that_fails_by_our_fault_blames_nobody_and_the_slate_goes_on() -> None:
    play = shown("a", retry_in_s=5.0).after(5.0).lists(2)
    play.then(start(3, "a"))
    play.refuses(3, "no space left").after(0.1)
    decision = play.then(stop(3), phase=Phase.UNAVAILABLE, on=(2, SLATE))
    assert blames([decision]) == []


def test_a_retry_that_lists_nothing_is_given_up_after_its_budget() -> None:
    play = shown("a", retry_in_s=5.0).after(5.0).lists(2)
    play.then(start(3, "a"))
    play.runs(3).after(play.policy.start_budget_s + 0.1).lists(2)
    play.then(stop(3), records=[ended(3, None, "no segment within the start budget")], on=(2, SLATE))


def test_a_source_that_a_probe_found_to_work_is_tried_at_once() -> None:
    play = dark("a", "b")
    play.then(start(3, SLATE))
    play.runs(3).after(0.1).lists(3).look()
    play.after(0.1).answers("b").then(start(4, "b"), on=(4, "b"))
    assert play.previous is not None
    assert play.previous.source_id == SLATE


def test_while_it_plays_a_switch_is_the_next_try() -> None:
    play = shown("a", "b").wants(switch_to="b")
    play.then(start(4, "b"), records=[started(4, "b", "operator")], phase=Phase.UNAVAILABLE, on=(4, "b"))
    assert play.session.switch_to is None
    play.runs(4).after(0.3).lists(4)
    fields = play.of(EventType.STREAM_RECOVERED, play.look())
    assert (fields["from"], fields["to"], fields["reason"]) == ("a", "b", "operator")


def test_a_switch_to_the_next_one_passes_no_source_over() -> None:
    play = shown("a").wants(switch_to="next")
    play.then(start(3, "a"))


def test_the_first_retry_does_not_wait_for_the_slate_to_be_seen() -> None:
    play = dark("a")
    play.then(start(2, SLATE))
    play.runs(2).after(0.5).then(start(3, "a"), on=(3, "a"))
    play.runs(3).after(0.1).lists(2)
    play.then(records=[went_live(2, SLATE)], on=(3, "a"))
    assert play.previous is not None
    assert play.previous.live_at == play.now


# --- it fails ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exit_code", [137, Ending.SOURCE_STALLED, Ending.FFMPEG_CRASHED, Ending.BAD_JOB, 1])
def test_a_slate_that_dies_is_nobodys_fault_and_is_started_again(exit_code: int) -> None:
    play = shown("a").after(20.0)
    before, retry_at = play.session, play.retry_at
    play.exits(2, exit_code)
    decision = play.then(stop(2), phase=Phase.UNAVAILABLE)
    (record,) = decision.records
    assert record == ended(2, exit_code, record.why.text)  # type: ignore[union-attr]
    after = play.session
    assert (after.retries, play.retry_at, after.faults, after.tried) == (
        before.retries, retry_at, before.faults, before.tried,
    )  # fmt: skip
    play.has_gone(2).then(start(3, SLATE), on=(3, SLATE))


def test_a_slate_that_dies_again_and_again_is_started_with_growing_delays() -> None:
    play = shown("a", retry_in_s=1000.0)
    delays = []
    for _ in range(8):
        number = play.session.last_attempt
        play.exits(number, Ending.FFMPEG_CRASHED).look()
        play.has_gone(number)
        died_at = play.elapsed
        while play.session.attempt is None:
            decision = play.look()
            if play.session.attempt is None:
                assert decision.wake_at is not None
                play.after(decision.wake_at - play.now)
        delays.append(round(play.elapsed - died_at, 1))
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_slate_that_hangs_is_found_by_its_playlist() -> None:
    play = shown("a").after(20.0).lists(2).after(6.0)
    play.then(stop(2), records=[ended(2, None, "playlist stalled")])
    play.has_gone(2).then(start(3, SLATE))


def test_a_slate_that_lists_nothing_is_given_up() -> None:
    play = dark("a").retries_in(60.0)
    play.then(start(2, SLATE))
    play.runs(2).after(play.policy.start_budget_s + 0.1)
    play.then(stop(2), records=[ended(2, None, "no segment within the start budget")])


def test_a_slate_that_dies_while_a_source_is_tried_leaves_the_try_alone() -> None:
    play = shown("a", retry_in_s=5.0).after(5.0).lists(2)
    play.then(start(3, "a"))
    play.runs(3).exits(2, 137).nothing()
    play.after(1.0).exits(3, Ending.SOURCE_REFUSED)
    records = [ended(2, 137, "container killed"), ended(3, 11, "source refused"), blamed("a", "source refused", in_a_row=2)]
    left = play.then(stop(2), stop(3), records=records, phase=Phase.UNAVAILABLE)
    assert left.session.attempt is None
    play.has_gone(2, 3).after(0.5)
    decision = play.look()
    assert play.session.attempt is not None
    assert play.session.attempt.source_id == SLATE
    assert blames([decision]) == []


def test_a_slate_that_dies_while_the_source_takes_over_is_no_news() -> None:
    play = shown("a", retry_in_s=5.0).after(5.0).lists(2)
    play.then(start(3, "a"))
    play.runs(3).exits(2, Ending.FENCED).after(0.2).lists(3)
    decision = play.then(stop(2), phase=Phase.LIVE, on=(3, "a"))
    assert ended(2, None, "replaced: source refused") in decision.records


# --- everything else goes on as ever ----------------------------------------------------------------------------------


def test_while_it_plays_alone_nothing_follows() -> None:
    play = shown("a").after(1.0).lists(2)
    decision = play.nothing()
    assert decision.wake_at is not None
    assert play.now < decision.wake_at <= play.now + play.policy.stall_limit_s(play.session.target_duration_s or 0)


def test_a_stop_ends_it() -> None:
    play = shown("a").wants(**desired_stop())
    play.then(StopAttempt(2), phase=Phase.UNAVAILABLE)
    play.has_gone(2).then(FINISH)
    play.lists(2, done=True)
    play.then(records=[ended(2, None, "stopped"), told(EventType.SESSION_ENDED, reason="stopped")], phase=Phase.ENDED)


def test_a_channel_that_is_disabled_ends_it() -> None:
    play = shown("a")
    play.channel_enabled = False
    play.look()
    assert (play.session.desired, play.session.end_reason) == (Desired.STOP, "channel_disabled")
    play.then(StopAttempt(2))


def test_it_is_renewed_before_its_signatures_run_out() -> None:
    play = shown("a").retries_in(1e7)
    play.after(play.policy.attempt_life_s).lists(2)
    play.then(start(3, SLATE), records=[started(3, SLATE, "signatures run out")], phase=Phase.UNAVAILABLE, on=(3, SLATE))
    assert play.reason == "source refused"
    play.runs(3).after(0.3).lists(3)
    play.then(stop(2), records=[went_live(3, SLATE), ended(2, None, "replaced: signatures run out")], on=(3, SLATE))
    assert play.previous is None


def test_a_renewal_that_fails_goes_back_to_the_old_one() -> None:
    play = shown("a").retries_in(1e7)
    play.after(play.policy.attempt_life_s).lists(2)
    play.then(start(3, SLATE))
    play.exits(3, 137).after(0.2)
    play.then(stop(3), records=[ended(3, 137, "container killed")], on=(2, SLATE))
    play.has_gone(3).lists(2).nothing()


def test_while_no_source_is_left_at_all_it_plays_and_waits_for_one() -> None:
    play = shown("a", retry_in_s=5.0)
    play.sources.clear()
    play.after(6.0).lists(2).nothing()
    play.sources |= Playbook("b").sources
    play.after(1.0).lists(2).then(start(3, "b"))


def test_switched_off_while_it_plays_it_ends_and_retries_go_on() -> None:
    play = shown("a", retry_in_s=5.0)
    play.channel_policy = ChannelPolicy(slate=False)
    play.then(stop(2), records=[ended(2, None, "slate switched off")], phase=Phase.UNAVAILABLE, wake_in=4.6)
    play.has_gone(2).nothing()
    play.after(4.6).then(start(3, "a"))
    assert play.previous is None


def test_switched_on_while_nothing_works_it_starts() -> None:
    play = Playbook("a", policy=Policy(slate_spread_s=0.0)).unavailable()
    play.channel_policy = ChannelPolicy(slate=True)
    play.then(start(2, SLATE))


def test_it_is_started_anew_in_the_next_outage() -> None:
    play = shown("a", retry_in_s=1.0).after(1.0).lists(2)
    play.then(start(3, "a"))
    play.goes_live()
    play.after(60.0).exits(3, Ending.SOURCE_ENDED)
    assert play.of(EventType.STREAM_UNAVAILABLE, play.look())["slate"] is True
    play.has_gone(3).then(start(4, SLATE))


def test_no_event_is_told_of_the_slate_itself() -> None:
    play = dark("a")
    decisions = [play.look()]
    play.engine_answers(2).after(0.3).lists(2)
    decisions.append(play.look())
    play.exits(2, 137)
    decisions.append(play.look())
    play.has_gone(2).after(1.0)
    decisions.append(play.look())
    assert not [record for each in decisions for record in each.records if isinstance(record, Happened)]
    assert play.sources["a"].status is SourceStatus.PROBLEMATIC


def test_sessions_that_lose_their_sources_together_do_not_start_their_slates_together() -> None:
    waited_s = set()
    for name in ("s-1", "s-2", "s-3", "s-4"):
        play = Playbook("a", policy=Policy(slate_spread_s=2.0)).unavailable()
        play.channel_policy = ChannelPolicy(slate=True)
        play.retries_in(60.0).wants(id=name)
        began = play.now
        while play.look().actions == ():
            play.after(0.1)
        assert play.session.attempt is not None
        assert play.session.attempt.source_id == SLATE
        waited_s.add(round(play.now - began, 1))
    assert max(waited_s) <= 2.1
    assert len(waited_s) > 2
