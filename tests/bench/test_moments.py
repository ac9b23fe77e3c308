"""What is read from an agent's log, and what the parts of a time are."""

from __future__ import annotations

import pytest

from bench.moments import Parts, moment, of_log


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T00:00:01.250Z", 1.25),
        ("1970-01-01T00:01:00.123456789Z", 60.123456789),
    ],
)
def test_a_moment_has_any_number_of_decimals(timestamp: str, seconds: float) -> None:
    assert moment(timestamp) == pytest.approx(seconds)


def test_the_parts_of_a_run_add_up_to_it() -> None:
    parts = Parts({"row": "to the row", "decided": "to the decision", "seen": "to the viewer"})
    parts.add(100.0, {"seen": 103.0, "row": 100.5, "decided": 102.0, "of no interest": 1.0})
    assert parts.of() == {"to the row": [0.5], "to the decision": [1.5], "to the viewer": [1.0]}


def test_the_time_to_an_unknown_moment_is_the_next_parts() -> None:
    parts = Parts({"row": "to the row", "decided": "to the decision", "seen": "to the viewer"})
    parts.add(100.0, {"row": 101.0, "seen": 103.0})
    assert parts.of() == {"to the row": [1.0], "to the viewer": [2.0]}


def test_a_log_without_moments_tells_none() -> None:
    assert of_log("") == {}
    assert of_log("2026-01-01T00:00:00.000Z ffmpeg: source stalled (13): quoted\n") == {}
