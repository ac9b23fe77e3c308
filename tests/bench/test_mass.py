"""The lateness that a whole provider's failure causes in one session."""

from __future__ import annotations

import pytest

from bench.mass import late_s
from lab.viewer import Listing
from transcoder.publish.media_playlist import ListedSegment


def listed(*moments: float) -> list[Listing]:
    """Segments of 2 s, listed at these moments."""
    return [Listing(at, ListedSegment(f"{at}.ts", 2.0, at, False), 1, None) for at in moments]


@pytest.mark.parametrize(
    ("listings", "late"),
    [
        (listed(10, 12, 14, 16), 0.0),
        (listed(10, 12, 14.5, 16.5), 0.5),
        (listed(10, 12.5, 14.5, 16.5), 0.0),  # before the failure
        (listed(10, 12, 14), 2.0),  # nothing comes any more: 16 was due, the watch ends at 18
        (listed(10, 10, 10, 14.5, 16.5), 2.5),  # what a player has in store does not count: 12 was due
    ],
)
def test_what_a_viewer_waits_for_after_the_failure(listings: list[Listing], late: float) -> None:
    assert late_s(listings, injured_at=13, until=18) == pytest.approx(late)
