"""When a segment counts as late."""

from __future__ import annotations

import pytest

from lab.viewer import Listing, lateness_s
from transcoder.publish.media_playlist import ListedSegment


def listed(*moments: tuple[float, float]) -> list[Listing]:
    """(when, how long)"""
    return [Listing(at, ListedSegment(f"{at}.ts", duration_s, at, False), 1, None) for at, duration_s in moments]


@pytest.mark.parametrize(
    ("listings", "late_s"),
    [
        (listed((10, 2), (12, 2), (14, 2)), 0.0),
        (listed((10, 2), (12.5, 2), (14.5, 2)), 0.5),
        (listed((10, 2), (12.5, 2), (15.5, 2)), 1.0),
        (listed((10, 2), (11, 2)), -1.0),
        # What came early is still to be shown: nothing is missed before 14.
        (listed((10, 2), (11, 2), (14.25, 2)), 0.25),
        (listed((10, 2), (10, 2), (10, 2), (15, 2)), -1.0),
        (listed((10, 2), (12.25, 0.5), (13, 2)), 0.25),
    ],
)
def test_a_segment_is_due_when_the_one_before_has_been_shown(listings: list[Listing], late_s: float) -> None:
    assert lateness_s(listings) == pytest.approx(late_s)


def test_one_listing_tells_nothing() -> None:
    with pytest.raises(ValueError):
        lateness_s(listed((10, 2)))
