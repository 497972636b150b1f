"""Accuracy against severity, a panel for each noise. Needs matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imc_bench.metrics.bootstrap import LEAST_DROP
from imc_bench.report.cells import Cell
from imc_bench.report.picture import Caption, Drawing, Picture
from imc_bench.report.report import Report
from imc_bench.report.results import BASE, CLEAN, SIDES, kind_of, severity_of, side_of
from imc_bench.report.shares import LEAST_COUNT
from imc_bench.report.style import EMPTY, colour_of, legend_height, marker_of, method_legend
from imc_bench.report.wording import SIDE_WORDS, joined, setting

PANELS_A_ROW = 4
SHIFT, SPREAD = 0.12, 0.5
"""Severities between two methods' marks, and at most between the first and the last: intervals lie
side by side."""
THIN, WIDE = 1.0, 3.4
"""Points of the lines of the first and the last method."""


def accuracy_plot(report: Report) -> Picture | None:
    """A panel for each noise: accuracy of each method against severity, from clean at 0."""
    by_kind: dict[str, dict[str, list[Cell]]] = {}
    for cell in report.cells:
        if side_of(cell.condition) in SIDES:
            by_kind.setdefault(kind_of(cell.condition), {}).setdefault(cell.method, []).append(cell)
    if not by_kind:
        return None
    clean = {cell.method: cell for cell in report.cells if cell.condition == CLEAN}
    across = min(PANELS_A_ROW, len(by_kind))
    down = math.ceil(len(by_kind) / across)
    width = 3.0 * across + 0.3
    drawing = Drawing(
        width,
        2.3 * down + 0.4 + legend_height(width, report.results.methods),
        Caption(
            "Accuracy under each noise, by severity (0: clean), with 95 % intervals",
            setting(report.results),
            _verdict(report),
        ),
    )
    panels = drawing.body.subplots(down, across, sharey=True, sharex=True, squeeze=False)
    highest = max(100 * cell.accuracy.high for cell in report.cells)
    levels = sorted({0.0, *(severity_of(cell.condition) for cell in report.cells)})
    for panel, (kind, by_method) in zip(panels.flat, by_kind.items(), strict=False):
        _draw_lines(panel, report.results.methods, by_method, clean)
        first = next(iter(by_method.values()))[0]
        items = min(cell.accuracy.items for cells in by_method.values() for cell in cells)
        side = SIDE_WORDS[_side(first)]
        panel.set_title(f"{kind}\non the {side}, n = {items:,}", fontsize=9)
        _mark_no_loss(panel, by_method.get(BASE, []))
        panel.set_xticks(levels, [f"{level:g}" for level in levels])
        panel.set_ylim(0, min(105, 10 * math.ceil((highest + 0.1) / 10)))
        panel.grid(alpha=0.25, linewidth=0.5)
    for place, panel in enumerate(panels.flat):
        panel.set_visible(place < len(by_kind))
        # the lowest of its column, though not of the figure, has the column's numbers
        panel.tick_params(labelbottom=place + across >= len(by_kind), labelsize=8)
    drawing.body.supxlabel("severity (0: clean)", fontsize=9)
    drawing.body.supylabel("accuracy %", fontsize=9)
    method_legend(drawing, panels.flat[0], report.results.methods)
    return drawing.picture()


def _side(cell: Cell) -> Any:
    return side_of(cell.condition)


def _draw_lines(
    panel: Any,
    methods: Sequence[str],
    by_method: Mapping[str, Sequence[Cell]],
    clean: Mapping[str, Cell],
) -> None:
    """Wide lines below, narrow ones above: where methods agree, all of them are still seen."""
    last = max(1, len(methods) - 1)
    step = min(SHIFT, SPREAD / last)
    for place, method in reversed(list(enumerate(methods))):
        cells = sorted(by_method.get(method, []), key=lambda one: severity_of(one.condition))
        line = [*([clean[method]] if method in clean else []), *cells]
        if not line:
            continue
        shift = (place - last / 2) * step
        value = np.array([100 * one.accuracy.value for one in line])
        low = value - np.array([100 * one.accuracy.low for one in line])
        high = np.array([100 * one.accuracy.high for one in line]) - value
        panel.errorbar(
            [severity_of(one.condition) + shift for one in line],
            value,
            # a resampled interval may leave its own estimate just outside
            yerr=[np.maximum(low, 0), np.maximum(high, 0)],
            label=method,
            color=colour_of(place),
            marker=marker_of(place),
            markersize=3.5,
            linewidth=THIN + (WIDE - THIN) * place / last,
            elinewidth=0.7,
            capsize=1.5,
            zorder=3 - place / len(methods),
        )


def _mark_no_loss(panel: Any, cells: Sequence[Cell]) -> None:
    """Say so where the noise costs the model as it is nothing, or where there are few questions."""
    notes = []
    if cells and max(cell.drop.value for cell in cells) < LEAST_DROP:
        notes.append(f"costs under {100 * LEAST_DROP:.0f} points:\nnothing to recover")
    if cells and min(cell.accuracy.items for cell in cells) < LEAST_COUNT:
        notes.append("few questions:\nread the intervals")
    if notes:
        panel.set_facecolor(EMPTY)
        panel.text(
            *(0.5, 0.08, "\n".join(notes)),
            transform=panel.transAxes,
            ha="center",
            va="bottom",
            fontsize=8,
            color="#444444",
        )


def _verdict(report: Report) -> str:
    """The costliest condition and the best method there, and the noises that cost nothing."""
    base = [
        cell for cell in report.cells if cell.method == BASE and side_of(cell.condition) in SIDES
    ]
    worst = max(base, key=lambda cell: cell.drop.value)
    if worst.drop.value <= 0:
        return "No noise costs accuracy at any severity."
    clean = worst.accuracy.value + worst.drop.value
    said = (
        f"Costliest: {worst.condition}, where accuracy is {100 * worst.accuracy.value:.1f} % "
        f"({100 * clean:.1f} % on clean inputs)"
    )
    others = [
        cell for cell in report.cells if cell.condition == worst.condition and cell.method != BASE
    ]
    if others:
        best = max(others, key=lambda cell: cell.accuracy.value)
        said += f"; with {best.method} it is {100 * best.accuracy.value:.1f} %"
    drops: dict[str, float] = {}
    for cell in base:
        kind = kind_of(cell.condition)
        drops[kind] = max(drops.get(kind, -1.0), cell.drop.value)
    free = [kind for kind, drop in drops.items() if drop < LEAST_DROP]
    if free:
        cost = "costs" if len(free) == 1 else "cost"
        said += f"; {joined(free)} {cost} under {100 * LEAST_DROP:.0f} points at every severity"
    return f"{said}."
