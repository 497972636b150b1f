"""What each method recovers, condition by condition. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from imc_bench.conditions import Condition
from imc_bench.metrics.bootstrap import LEAST_DROP
from imc_bench.report.cells import Cell
from imc_bench.report.heat_map import heat_map
from imc_bench.report.picture import Caption, Drawing, Picture
from imc_bench.report.report import Report
from imc_bench.report.results import BASE, SIDES, side_of
from imc_bench.report.shares import (
    LEAST_COUNT,
    NO_LOSS,
    is_number,
    shown_flips_removed,
    shown_recovered,
)
from imc_bench.report.wording import counted, setting

Rows = Sequence[Sequence[Cell]]
"""A row a condition, a cell a method, the first of them `none`."""


def recovery_plot(report: Report) -> Picture | None:
    """Methods by conditions: recovered accuracy and flips removed, beside what noise costs.

    A share of fewer than `LEAST_COUNT` answers is a word, not a number.
    """
    rows = _rows(report)
    methods = [cell.method for cell in rows[0][1:]] if rows else []
    if not methods:
        return None
    wide = 0.8 * len(methods)
    drawing = Drawing(
        2 * wide + 4.4,
        0.26 * len(rows) + 0.9,
        Caption(
            "Lost accuracy recovered, and answer flips removed, by each method",
            setting(report.results),
            f"{_verdict(rows)} Grey: {NO_LOSS}, noise costs under {100 * LEAST_DROP:.0f} points; "
            f"few (n), only n answers were lost or flipped, under {LEAST_COUNT}. Over 100: more "
            "right answers than on clean inputs; under 0: fewer than without the method.",
        ),
    )
    losses, accuracy, flips = drawing.body.subplots(
        1, 3, sharey=True, width_ratios=[1.7, wide, wide]
    )
    _draw_losses(losses, rows)
    _draw_shares(accuracy, rows, "recovered accuracy %", shown_recovered, _recovered)
    _draw_shares(flips, rows, "flips removed %", shown_flips_removed, _flips_removed)
    return drawing.picture()


def _rows(report: Report) -> Rows:
    """The conditions that every method has a cell of."""
    by_condition: dict[Condition, list[Cell]] = {}
    for cell in report.cells:
        if side_of(cell.condition) in SIDES:
            by_condition.setdefault(cell.condition, []).append(cell)
    most = max(map(len, by_condition.values()), default=0)
    return [
        cells for cells in by_condition.values() if len(cells) == most and cells[0].method == BASE
    ]


def _draw_losses(panel: Any, rows: Rows) -> None:
    """What there was to recover: two columns of figures without colour."""
    panel.set_xlim(-0.5, 1.5)
    panel.set_xticks([0, 1], ["points\nlost", "answers\nflipped"], fontsize=8)
    panel.set_yticks(range(len(rows)), [str(row[0].condition) for row in rows], fontsize=8)
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.tick_params(which="both", length=0)
    for place, (base, *_) in enumerate(rows):
        for column, text in enumerate((f"{100 * base.drop.value + 0:.1f}", f"{base.flipped}")):
            panel.text(column, place, text, ha="center", va="center", fontsize=7)
    panel.set_title(f"{rows[0][0].method}, n = {rows[0][0].accuracy.items:,}", fontsize=9)


def _draw_shares(
    panel: Any,
    rows: Rows,
    title: str,
    shown: Callable[[Cell], str],
    share: Callable[[Cell], float],
) -> None:
    """A heat map of shares; where a word is shown instead of a number the cell is grey."""
    words = [[shown(cell) for cell in row[1:]] for row in rows]
    values = np.array(
        [
            [100 * share(cell) if is_number(shown(cell)) else np.nan for cell in row[1:]]
            for row in rows
        ]
    )
    methods = [cell.method for cell in rows[0][1:]]
    heat_map(panel, values, None, methods, "RdBu", -100, 100, words=words)
    panel.set_title(title, fontsize=9)


def _recovered(cell: Cell) -> float:
    return float("nan") if cell.recovered is None else cell.recovered.value


def _flips_removed(cell: Cell) -> float:
    return float("nan") if cell.flips_removed is None else cell.flips_removed


def _verdict(rows: Rows) -> str:
    """The method that recovers most where there is something to recover, and its worst row."""
    costly = [row for row in rows if any(is_number(shown_recovered(cell)) for cell in row)]
    if not costly:
        return f"No noise costs {100 * LEAST_DROP:.0f} points and {LEAST_COUNT} answers or more."
    mean = {
        cells[0].method: float(np.mean([_recovered(cell) for cell in cells]))
        for cells in zip(*(row[1:] for row in costly), strict=True)
    }
    best = max(mean, key=lambda method: mean[method])
    own = [cell for row in costly for cell in row if cell.method == best]
    worst = min(own, key=_recovered)
    return (
        f"{best} recovers most: {100 * mean[best]:.0f} % on average over the "
        f"{counted(len(costly), 'condition')} that cost {100 * LEAST_DROP:.0f} points and "
        f"{LEAST_COUNT} answers or more, least under {worst.condition} "
        f"({100 * _recovered(worst):.0f} %)."
    )
