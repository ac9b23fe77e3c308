"""What the bench's figures mean."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bench.table import Goal, Row, markdown, median, percentile, show


def row(values: list[float], goal: Goal, **more: object) -> Row:
    return Row("name", "what it is", "s", goal, values, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "per_cent", "expected"),
    [
        ([3.0], 50, 3.0),
        ([3.0], 95, 3.0),
        ([1.0, 2.0, 3.0, 4.0], 50, 2.0),
        ([5.0, 1.0, 3.0], 50, 3.0),
        ([float(n) for n in range(1, 21)], 95, 19.0),
        ([float(n) for n in range(1, 21)], 100, 20.0),
    ],
)
def test_a_percentile_is_one_of_the_measured_values(values: list[float], per_cent: float, expected: float) -> None:
    assert percentile(values, per_cent) == expected


def test_median_is_the_middle_one() -> None:
    assert median([9.0, 1.0, 2.0]) == 2.0


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (Goal(median=2.0), True),
        (Goal(median=1.9), False),
        (Goal(median=2.0, p95=2.9), False),
        (Goal(median=2.0, p95=3.0), True),
        (Goal(worst=2.9), False),
        (Goal(worst=3.0), True),
        (Goal(), True),
    ],
)
def test_a_goal_is_met_where_every_figure_is_within_it(goal: Goal, met: bool) -> None:
    assert row([1.0, 2.0, 3.0], goal).met is met


def test_nothing_measured_meets_no_goal() -> None:
    assert not row([], Goal(median=1.0)).met
    assert not row([], Goal()).met


def test_the_document_says_what_the_terminal_says() -> None:
    rows = [
        row([0.2, 0.4], Goal(median=0.3, p95=0.3), parts={"first part": [0.1, 0.1], "second part": [0.1, 0.3]}),
        row([12.5], Goal(worst=13.0), remark="a remark"),
    ]
    printed = io.StringIO()
    show(Console(file=printed, width=200, highlight=False), rows)
    written = markdown(rows, "a machine")
    for text in (printed.getvalue(), written):
        for figure in (
            "median 0.30 s, p95 0.30 s",
            "0.20 s",
            "0.40 s",
            "missed",
            "at most 13.0 s",
            "12.5 s",
            "met",
            "a remark",
        ):
            assert figure in text
        assert text.index("first part") < text.index("second part")
    assert written.startswith("a machine\n")


def test_a_row_without_values_is_shown() -> None:
    printed = io.StringIO()
    show(Console(file=printed, width=200), [row([], Goal(median=1.0), parts={})])
    assert "missed" in printed.getvalue()
