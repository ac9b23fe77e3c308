"""The target duration that a session begins with."""

from __future__ import annotations

import pytest

from transcoder.media.target_duration import TargetDuration


@pytest.mark.parametrize(
    ("apart_s", "decided_s"), [(0.0, 3), (2.0, 3), (3.4, 3), (3.6, 4), (10.0, 10), (10.04, 10), (11.9, 12), (25.0, 12)]
)
def test_it_fits_the_keyframes_up_to_the_cap(apart_s: float, decided_s: int) -> None:
    reach = TargetDuration(3, 8.0, first=True)
    assert reach.target_duration_s == 12, "as long as nobody knows, no segment is cut for want of length"
    reach.look(None, 1.0)
    assert not reach.decided
    reach.look(apart_s, 1.0)
    assert (reach.decided, reach.target_duration_s) == (True, decided_s)


def test_without_a_second_keyframe_the_longest_is_taken_before_patience_ends() -> None:
    reach = TargetDuration(3, 8.0, first=True)
    reach.look(None, 10.9)
    assert not reach.decided
    reach.look(None, 11.1)
    assert (reach.decided, reach.target_duration_s) == (True, 12)


def test_a_playlist_that_is_there_has_decided() -> None:
    reach = TargetDuration(3, 8.0, first=False)
    assert (reach.decided, reach.target_duration_s) == (False, 3)
    reach.follow(7)
    assert (reach.decided, reach.target_duration_s) == (True, 7)


def test_a_job_may_ask_for_more_than_the_cap() -> None:
    reach = TargetDuration(20, 8.0, first=True)
    reach.look(2.0, 0.1)
    assert reach.target_duration_s == 20
