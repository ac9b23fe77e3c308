"""What a source's arrivals say: how far apart its bursts are, and how much never came."""

from __future__ import annotations

import pytest

from transcoder.source.arrival_pattern import ArrivalPattern


def arrivals(*bursts: tuple[float, float], pieces: int = 1, lost_share: float = 0.0) -> ArrivalPattern:
    """Bursts of so much media after so long a silence, each in so many pieces 10 ms apart."""
    seen = ArrivalPattern()
    now_s = newest_s = lost_s = 0.0
    for n, (silence_s, media_s) in enumerate(bursts):
        now_s += silence_s
        for _ in range(pieces):
            newest_s += media_s / pieces
            lost_s += media_s / pieces * lost_share
            seen.observe(now_s, media_s / pieces, newest_s, n if lost_share else 0, lost_s)
            now_s += 0.01
    return seen


def test_a_source_that_sends_steadily_has_no_cadence() -> None:
    assert arrivals(*[(0.1, 0.1)] * 300).cadence_s == 0.0
    assert arrivals(*[(0.04, 0.04)] * 300).cadence_s == 0.0


def test_neither_has_one_that_began_with_a_lead_a_while_ago() -> None:
    lead = [(0.0, 6.0)]
    assert arrivals(*lead, *[(0.1, 0.1)] * 30).cadence_s == pytest.approx(6.0, abs=0.5)
    assert arrivals(*lead, *[(0.1, 0.1)] * 300).cadence_s == 0.0


@pytest.mark.parametrize("pieces", [1, 10])
def test_a_source_in_bursts_may_be_silent_as_long_as_they_are(pieces: int) -> None:
    assert arrivals(*[(10.0, 10.0)] * 5, pieces=pieces).cadence_s == pytest.approx(10.0, abs=0.2)
    assert arrivals((0.0, 30.0), *[(6.0, 6.0)] * 3, pieces=pieces).cadence_s == pytest.approx(6.0, abs=0.2)


def test_what_is_usual_is_known_when_the_first_burst_is_forgotten() -> None:
    assert not arrivals((0.0, 30.0)).usual
    assert not arrivals((0.0, 30.0), (6.0, 6.0), (6.0, 6.0)).usual
    assert arrivals((0.0, 30.0), (6.0, 6.0), (6.0, 6.0), (6.0, 6.0)).usual


def test_a_trickle_explains_nothing() -> None:
    assert arrivals(*[(0.1, 0.016)] * 300).cadence_s == 0.0
    assert arrivals(*[(1.0, 0.16)] * 30).cadence_s == 0.0


def test_losses_are_a_share_of_the_newest_media() -> None:
    assert arrivals(*[(2.0, 2.0)] * 10).lost == 0.0
    assert arrivals(*[(2.0, 2.0)] * 10, lost_share=0.5).lost == pytest.approx(0.5)


def test_a_single_hole_is_an_accident() -> None:
    seen = ArrivalPattern()
    for n in range(20):
        seen.observe(n * 1.0, 1.0, n + 1.0, 1 if n > 10 else 0, 5.0 if n > 10 else 0.0)
    assert seen.lost == 0.0
