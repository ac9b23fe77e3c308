"""What reports may change: whatever a container writes, in whatever order, however often.

No source outside the grant is blamed, each leg's failure is blamed once, all times lie in the attempt's life, the number of
reports read only grows, and reading them twice is the same as once.
"""

from __future__ import annotations

from math import inf, nan

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.core.model import UNKNOWN_INPUT, Attempt, Cause, Mail, Playlist
from orchestrator.core.session import mail
from orchestrator.core.session.mail import MOST_LEGS
from transcoder.ending import Ending
from transcoder.report import Happening, Report, What

STARTED_AT, NOW = 1000.0, 1100.0
GRANTED = ("a", "b", "c")
ATTEMPT = replace(Attempt.on(3, "a", STARTED_AT), granted=GRANTED, addresses={each: f"at {each}" for each in GRANTED})

ages_s = st.sampled_from((0.0, 0.2, 7.0, 90.0, 150.0, 1e9, -1e9, nan, inf, -inf)) | st.floats(allow_nan=True)
happenings = st.builds(
    Happening,
    what=st.sampled_from(What),
    age_s=ages_s,
    leg=st.integers(1, 6) | st.integers(1, 1 << 31),
    input=st.sampled_from((*GRANTED, "a", "d", "slate", UNKNOWN_INPUT)),
    ending=st.sampled_from(Ending),
    gap_s=st.floats(-10.0, 10.0),
)
letters = st.builds(
    Mail,
    attempt=st.sampled_from((3, 3, 3, 2, 4)),
    posted_at=st.floats(STARTED_AT - 200.0, NOW + 200.0),
    report=st.builds(Report, n=st.integers(1, 9), happenings=st.lists(happenings, max_size=6).map(tuple)),
)
batches = st.lists(st.tuples(st.lists(letters, max_size=4), st.integers(0, 7), st.floats(0.0, 30.0)), max_size=8)


@given(batches)
def test_whatever_is_reported_moves_nothing_that_it_should_not(batches: list[tuple[list[Mail], int, float]]) -> None:
    attempt, now = ATTEMPT, NOW
    blamed: list[int] = []
    for posted, shown, then_s in batches:
        before, now = attempt, now + then_s
        result = mail.read(before, posted, shown, now)
        attempt = result.attempt
        assert (result.read is None) == (not any(each.attempt == 3 for each in posted))
        assert attempt.reports_read >= before.reports_read
        assert (attempt.number, attempt.granted, attempt.started_at) == (3, GRANTED, STARTED_AT)
        for failed in result.failed:
            assert failed.leg.input in GRANTED
            assert failed.failure.blames_source
            assert STARTED_AT <= failed.at <= now
            blamed.append(failed.leg.number)
        numbers = [each.number for each in attempt.legs]
        assert numbers == sorted(set(numbers))
        assert len(numbers) <= MOST_LEGS
        for leg in attempt.legs:
            assert leg.input in GRANTED
            assert leg.address in (None, f"at {leg.input}")
            times = [each for each in (leg.started_at, leg.live_at, leg.ended_at) if each is not None]
            assert times == sorted(times)
            assert times[0] >= STARTED_AT
            assert times[-1] <= now
        listed = {each.number for each in attempt.legs if each.live_at} - {each.number for each in before.legs if each.live_at}
        assert all(number <= shown for number in listed), "only what the playlist shows has listed"
        assert all(each.ended is not None for each in attempt.legs[:-1])
        again = mail.read(attempt, posted, shown, now)
        assert (again.attempt, again.failed, again.listed) == (attempt, (), ())
    assert len(blamed) == len(set(blamed)), "each leg fails once"


@given(st.integers(1, 9), st.permutations((1, 2, 3, 4)))
def test_reports_that_are_found_together_are_read_in_their_order(shown: int, order: list[int]) -> None:
    reports = {
        1: (Happening(What.STARTED, 9.0, 1, "a"), Happening(What.LISTED, 8.0, 1, "a")),
        2: (Happening(What.ENDED, 4.0, 1, "a", Ending.SOURCE_STALLED), Happening(What.STARTED, 4.0, 2, "b")),
        3: (Happening(What.ENDED, 3.0, 2, "b", Ending.SOURCE_REFUSED), Happening(What.STARTED, 3.0, 3, "c")),
        4: (Happening(What.LISTED, 2.0, 3, "c", gap_s=1.5),),
    }
    result = mail.read(ATTEMPT, [Mail(3, NOW, Report(n, reports[n])) for n in order], shown, NOW)
    assert [each.input for each in result.attempt.legs] == ["a", "b", "c"]
    assert [(each.leg.input, each.failure.why.cause, NOW - each.at) for each in result.failed] == [
        ("a", Cause.SOURCE_STALLED, 4.0),
        ("b", Cause.SOURCE_REFUSED, 3.0),
    ]
    assert [each.why.cause for each in result.attempt.legs[1:]] == [Cause.SOURCE_STALLED, Cause.SOURCE_REFUSED]
    assert [each.leg.number for each in result.listed] == ([1, 3] if shown >= 3 else [1])
    assert result.read == result.attempt.reports_read == 4


def test_an_attempt_without_orders_has_nothing_to_report() -> None:
    alone = Attempt.on(3, "a", STARTED_AT)
    report = Report(1, (Happening(What.ENDED, 0.0, 1, "a", Ending.SOURCE_ENDED), Happening(What.STARTED, 0.0, 2, "b")))
    result = mail.read(alone, [Mail(3, NOW, report)], 1, NOW)
    assert (result.attempt.legs, result.failed, result.read) == (alone.legs, (), 1)


@given(st.integers(2, 1 << 31))
def test_legs_that_nobody_explains_are_nobodys_and_stay_few(shown: int) -> None:
    attempt = mail.with_unknown_legs(ATTEMPT, shown, NOW)
    assert attempt.leg.number == shown
    assert {each.input for each in attempt.legs[1:]} == {UNKNOWN_INPUT}
    assert len(attempt.legs) <= MOST_LEGS


def test_a_report_that_comes_late_explains_a_leg_and_blames_once() -> None:
    attempt = mail.with_unknown_legs(ATTEMPT, 2, NOW).listed(NOW, 2)
    late = Report(
        1, (Happening(What.ENDED, 9.0, 1, "a", Ending.SOURCE_STALLED, "no data"), Happening(What.STARTED, 9.0, 2, "b"))
    )
    result = mail.read(attempt, [Mail(3, NOW, late)], 2, NOW + 1.0)
    first, second = result.attempt.legs
    assert (first.ended_at, first.ended and first.ended.text) == (NOW - 9.0, "source stalled: no data")
    assert (second.input, second.address, second.live_at, second.why.text) == ("b", "at b", NOW, "source stalled")
    assert [each.leg.input for each in result.failed] == ["a"]


def test_which_leg_the_playlist_shows() -> None:
    assert mail.shown_leg(ATTEMPT, Playlist(attempt=3, changed_at=NOW, leg=2)) == 2
    assert mail.shown_leg(ATTEMPT, Playlist(attempt=2, changed_at=NOW, leg=2)) == 0
    assert mail.shown_leg(ATTEMPT, None) == 0
