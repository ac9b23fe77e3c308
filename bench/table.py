"""Rows of figures: what was measured, what it should be, and the parts that it consists of. Pure but for the printing.

Percentiles are by nearest rank: every printed figure is one that was measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table


class Goal(NamedTuple):
    """At most so much; None: not asked for."""

    median: float | None = None
    p95: float | None = None
    worst: float | None = None


class Row(NamedTuple):
    """One line of the table. `parts` are in the same unit, in the order of time."""

    name: str
    what: str
    unit: str
    goal: Goal
    values: Sequence[float]
    parts: Mapping[str, Sequence[float]] = {}
    remark: str = ""

    @property
    def met(self) -> bool:
        """Whether the goal was reached by what was measured; nothing measured reaches no goal."""
        return bool(self.values) and all(
            goal is None or figure(self.values) <= goal for goal, figure in zip(self.goal, FIGURES, strict=True)
        )

    @property
    def goal_in_words(self) -> str:
        names = ("median", "p95", "at most")
        return ", ".join(
            f"{name} {shown(goal)} {self.unit}" for name, goal in zip(names, self.goal, strict=True) if goal is not None
        )


def percentile(values: Sequence[float], per_cent: float) -> float:
    """The nearest rank: the least value that at least `per_cent` of all values do not exceed."""
    return sorted(values)[max(0, math.ceil(per_cent / 100 * len(values)) - 1)]


def median(values: Sequence[float]) -> float:
    return percentile(values, 50)


FIGURES: tuple[Callable[[Sequence[float]], float], ...] = (median, lambda values: percentile(values, 95), max)


def show(console: Console, rows: Sequence[Row]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("what", "goal"):
        table.add_column(column)
    for column in ("median", "p95", "worst", "n"):
        table.add_column(column, justify="right")
    table.add_column("result")
    for row in rows:
        result = "[green]met[/]" if row.met else "[red]missed[/]"
        table.add_row(row.what, row.goal_in_words, *_figures(row), str(len(row.values)), result)
    console.print(table)
    for row in rows:
        if row.parts:
            console.print(f"\n[bold]{row.what}[/], parts in {row.unit} (median, p95)")
            for name, values in row.parts.items():
                console.print(f"  {name:<44} {shown(median(values)):>7} {shown(percentile(values, 95)):>7}")
        if row.remark:
            console.print(f"  [dim]{row.remark}[/]", soft_wrap=True)


def markdown(rows: Sequence[Row], machine: str) -> str:
    """The same for a document."""
    lines = [machine, "", "| what | goal | median | p95 | worst | n | |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        cells = (row.what, row.goal_in_words, *_figures(row), str(len(row.values)), "met" if row.met else "**missed**")
        lines.append(f"| {' | '.join(cells)} |")
    for row in rows:
        if row.parts or row.remark:
            lines += ["", f"**{row.what}**{': ' + row.remark if row.remark else ''}"]
        if row.parts:
            lines += ["", f"| part, in {row.unit} | median | p95 |", "|---|---|---|"]
            lines += [f"| {name} | {shown(median(each))} | {shown(percentile(each, 95))} |" for name, each in row.parts.items()]
    return "\n".join(lines) + "\n"


def _figures(row: Row) -> tuple[str, ...]:
    return tuple(f"{shown(figure(row.values))} {row.unit}" if row.values else "-" for figure in FIGURES)


def shown(value: float) -> str:
    """Three figures are as many as a measurement is good for, and two decimals."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
