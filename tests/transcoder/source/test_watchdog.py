"""The watchdog's rules, one situation each."""

from __future__ import annotations

from typing import Any

import pytest

from transcoder.ending import Ending
from transcoder.ffmpeg.fault_messages import SourceFault
from transcoder.source.watchdog import RunObservation, RunOutcome, SilenceLimits, judge, once_more, patience_s, second_chance

LIMITS = SilenceLimits(start_s=8.0, stall_s=3.0)
REFUSED = SourceFault(Ending.SOURCE_REFUSED, "HTTP error 404 Not Found")
UNREACHABLE = SourceFault(Ending.SOURCE_UNREACHABLE, "Connection refused")


def seen(**changes: Any) -> RunObservation:
    """A source that has been playing for a minute, and is well."""
    well = RunObservation(
        now_s=1060.0,
        started_s=1000.0,
        first_media_s=1000.2,
        silent_s=0.5,
        lag_s=0.5,
        cadence_s=2.0,
        soundless_s=0.0,
        fault=None,
        playlists_lost=0,
        segments_lost=0,
        lost=0.0,
        closed=False,
        exit_code=None,
    )
    return well._replace(**changes)


def ending(**changes: Any) -> Ending | None:
    outcome = judge(seen(**changes), LIMITS)
    return outcome.ending if outcome else None


def test_a_source_that_plays_goes_on() -> None:
    assert ending() is None


@pytest.mark.parametrize(
    ("cadence_s", "still_well_s", "stalled_s"),
    [
        (0.0, 2.9, 3.1),  # continuous: the limit itself
        (1.0, 2.9, 3.1),
        (2.0, 3.2, 3.4),  # FFmpeg asks for a playlist that was late once more half a segment later
        (10.0, 15.2, 15.4),
    ],
)
def test_a_stall_is_a_silence_that_the_cadence_does_not_explain(
    cadence_s: float, still_well_s: float, stalled_s: float
) -> None:
    assert ending(cadence_s=cadence_s, silent_s=still_well_s) is None
    assert ending(cadence_s=cadence_s, silent_s=stalled_s) is Ending.SOURCE_STALLED


@pytest.mark.parametrize(("cadence_s", "still_well_s", "stalled_s"), [(0.0, 2.9, 3.1), (2.0, 4.9, 5.1), (10.0, 15.2, 15.4)])
def test_a_source_that_sends_too_slowly_stalls_too(cadence_s: float, still_well_s: float, stalled_s: float) -> None:
    assert ending(cadence_s=cadence_s, lag_s=still_well_s) is None
    assert ending(cadence_s=cadence_s, lag_s=stalled_s) is Ending.SOURCE_STALLED


def test_a_stall_with_a_cause_is_called_by_it() -> None:
    outcome = judge(seen(lag_s=6.0, fault=REFUSED), LIMITS)
    assert outcome is not None
    assert outcome.ending is Ending.SOURCE_REFUSED
    assert "6.0 s behind" in outcome.reason
    assert "404" in outcome.reason


@pytest.mark.parametrize("fault", [REFUSED, UNREACHABLE])
def test_a_single_failed_reload_is_survived_two_in_a_row_are_not(fault: SourceFault) -> None:
    assert ending(fault=fault, playlists_lost=1) is None
    assert ending(fault=fault, playlists_lost=2) is fault.ending


def test_a_source_that_loses_much_of_its_media_on_the_way_is_left() -> None:
    assert ending(lost=0.2) is None
    assert ending(lost=0.4) is Ending.SOURCE_STALLED
    assert ending(lost=0.4, fault=UNREACHABLE) is Ending.SOURCE_UNREACHABLE


def test_announced_sound_that_does_not_come_is_a_stall() -> None:
    assert ending(soundless_s=2.9) is None
    assert ending(soundless_s=3.1) is Ending.SOURCE_STALLED
    assert ending(soundless_s=3.1, fault=REFUSED) is Ending.SOURCE_REFUSED


def test_nothing_ever_came() -> None:
    start = {"first_media_s": None, "now_s": 1007.9, "lag_s": 0.0}
    assert ending(**start) is None
    assert ending(**start | {"now_s": 1008.1}) is Ending.SOURCE_STALLED
    assert ending(**start | {"now_s": 1008.1, "fault": UNREACHABLE}) is Ending.SOURCE_UNREACHABLE
    assert ending(**start | {"segments_lost": 3, "fault": REFUSED}) is Ending.SOURCE_REFUSED, "at once"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"exit_code": 0}, Ending.SOURCE_ENDED),
        ({"exit_code": 0, "fault": REFUSED}, Ending.SOURCE_REFUSED),
        ({"exit_code": 8, "fault": REFUSED, "first_media_s": None}, Ending.SOURCE_REFUSED),
        ({"exit_code": 145, "fault": UNREACHABLE, "first_media_s": None}, Ending.SOURCE_UNREACHABLE),
        ({"exit_code": 0, "first_media_s": None}, Ending.SOURCE_UNDECODABLE),
        ({"exit_code": 251, "first_media_s": None, "closed": True}, Ending.SOURCE_UNDECODABLE),
        ({"exit_code": 251, "closed": True}, Ending.SOURCE_ENDED),
        ({"exit_code": 1}, Ending.FFMPEG_CRASHED),
        ({"exit_code": -11}, Ending.FFMPEG_CRASHED),
        ({"exit_code": -9, "fault": REFUSED}, Ending.FFMPEG_CRASHED),
    ],
)
def test_the_end_of_ffmpeg(changes: dict[str, Any], expected: Ending) -> None:
    assert ending(**changes) is expected
    assert not expected.blames_source or expected.value // 10 == 1


def test_a_source_that_was_playing_gets_a_second_chance_and_then_has_to_play_again() -> None:
    refused = RunOutcome(Ending.SOURCE_REFUSED, "")
    assert second_chance(refused, seen(), None)
    assert not second_chance(refused, seen(now_s=1009.0), None), "it has played for less than ten seconds"
    assert not second_chance(refused, seen(first_media_s=None), None), "it has not played"
    assert not second_chance(refused, seen(), 1055.0), "it had one five seconds ago"


@pytest.mark.parametrize("final", [Ending.SOURCE_ENDED, Ending.SOURCE_STALLED, Ending.FFMPEG_CRASHED])
def test_there_is_no_second_chance_for_an_end_a_stall_or_a_crash(final: Ending) -> None:
    assert not second_chance(RunOutcome(final, ""), seen(), None)


def test_patience_has_the_limit_as_its_least() -> None:
    assert patience_s(LIMITS, 0.0) == 3.0


def test_once_more_is_given_no_longer_than_a_silence_between_media() -> None:
    """Rubbish that FFmpeg reads for ever must not use up what a player has in store."""
    hung = seen(now_s=1004.0, first_media_s=None, cadence_s=0.0)
    assert judge(hung, LIMITS) is None
    assert judge(hung, once_more(LIMITS, 0.0)) == RunOutcome(Ending.SOURCE_STALLED, "no media within 3 s")
    assert once_more(LIMITS, 4.0).start_s == patience_s(LIMITS, 4.0), "a source in long segments is waited for"
    assert once_more(LIMITS, 10.0) == LIMITS, "never longer than at the start"
