"""Pictures of a report as PNG bytes, drawn without a display. Needs matplotlib."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from imc_bench.report.cells import Cell
from imc_bench.report.document import Report
from imc_bench.report.maps import confusion_map, heat_map, png_of, severity_maps, state_map
from imc_bench.report.reliability_plots import gate_plot
from imc_bench.report.results import BASE, CLEAN, SIDES, kind_of, severity_of, side_of

COLOURS = "#4d4d4d #0072b2 #d55e00 #009e73 #cc79a7 #e69f00 #56b4e9 #a6761d #7570b3 #b2182b".split()
"""Told apart by colour-blind eyes too (Okabe and Ito's first); one a method, `none` grey."""
MARKERS = "osD^vPX*<>"
PANELS_A_ROW = 4


def make_plots(report: Report) -> dict[str, bytes]:
    """Every picture that the run has figures for, by name: PNG bytes."""
    found = report.perception
    drawn: dict[str, bytes | None] = {
        "severity": accuracy_by_severity(report),
        "recovery": recovery_map(report),
        "matrix": state_map(report),
        "confusion": confusion_map(report),
        "severities": severity_maps(report),
        "reliability": None if found is None or found.gate is None else gate_plot(found.gate),
        "cost": cost_and_gain(report),
    }
    return {name: png for name, png in drawn.items() if png is not None}


def accuracy_by_severity(report: Report) -> bytes | None:
    """A panel for each noise: accuracy of each method against severity, from clean at 0."""
    by_kind: dict[str, dict[str, list[Cell]]] = {}
    clean = {cell.method: cell for cell in report.cells if cell.condition == CLEAN}
    for cell in report.cells:
        if side_of(cell.condition) in SIDES:
            by_kind.setdefault(kind_of(cell.condition), {}).setdefault(cell.method, []).append(cell)
    if not by_kind:
        return None
    across = min(PANELS_A_ROW, len(by_kind))
    down = math.ceil(len(by_kind) / across)
    figure = Figure(figsize=(3.1 * across + 0.4, 2.5 * down + 0.7), layout="constrained")
    panels: NDArray[Any] = figure.subplots(down, across, sharey=True, sharex=True, squeeze=False)
    methods = report.results.methods
    spread = 0.08 / max(1, len(methods) - 1) * 2
    for panel, (kind, by_method) in zip(panels.flat, by_kind.items(), strict=False):
        for place, method in enumerate(methods):
            cells = sorted(by_method.get(method, []), key=lambda one: severity_of(one.condition))
            line = [*([clean[method]] if method in clean else []), *cells]
            if not line:
                continue
            # side by side, so that intervals do not hide each other
            shift = (place - (len(methods) - 1) / 2) * spread
            value = np.array([100 * one.accuracy.value for one in line])
            low = value - np.array([100 * one.accuracy.low for one in line])
            high = np.array([100 * one.accuracy.high for one in line]) - value
            panel.errorbar(
                [severity_of(one.condition) + shift for one in line],
                value,
                # a resampled interval may leave its own estimate just outside
                yerr=[np.maximum(low, 0), np.maximum(high, 0)],
                label=method,
                color=COLOURS[place % len(COLOURS)],
                marker=MARKERS[place % len(MARKERS)],
                markersize=4,
                linewidth=1.3,
                elinewidth=0.7,
                capsize=2,
            )
        panel.set_title(kind, fontsize=10)
        panel.grid(alpha=0.25, linewidth=0.5)
        levels = sorted({0.0, *(severity_of(cell.condition) for cell in report.cells)})
        panel.set_xticks(levels, [f"{level:g}" for level in levels])
    for place, panel in enumerate(panels.flat):
        panel.set_visible(place < len(by_kind))
        # the lowest of its column, though not of the figure, has the column's numbers
        panel.tick_params(labelbottom=place + across >= len(by_kind))
    figure.supxlabel("severity (0: clean)", fontsize=10)
    figure.supylabel("accuracy %, with 95 % interval", fontsize=10)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=min(10, len(labels)), frameon=False
    )
    return png_of(figure)


def recovery_map(report: Report) -> bytes | None:
    """Methods by conditions: the recovered share of what noise cost, grey where it is suppressed.

    Where noise costs answers but not accuracy, the share of flips removed is the figure to read.
    """
    methods = [name for name in report.results.methods if name != BASE]
    cells = {(cell.condition, cell.method): cell for cell in report.cells}
    conditions = [one for one in report.results.conditions if side_of(one) in SIDES]
    if not methods or not conditions:
        return None
    height = 0.28 * len(conditions) + 1.3
    figure = Figure(figsize=(2 * (0.75 * len(methods) + 1.4) + 1.4, height), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, title in zip(panels, ("recovered accuracy %", "flips removed %"), strict=True):
        shares = np.full((len(conditions), len(methods)), np.nan)
        for row, condition in enumerate(conditions):
            for column, method in enumerate(methods):
                cell = cells.get((condition, method))
                if cell is None:
                    continue
                if title.startswith("recovered"):
                    value = None if cell.recovered is None else cell.recovered.value
                else:
                    value = cell.flips_removed
                shares[row, column] = np.nan if value is None else value
        heat_map(panel, 100 * shares, [str(c) for c in conditions], methods, "RdBu", -100, 100)
        panel.set_title(title, fontsize=10)
    figure.supxlabel("grey: not shown (noise costs under 3 points, or flips nothing)", fontsize=8)
    return png_of(figure)


def cost_and_gain(report: Report) -> bytes | None:
    """For each side a panel: points won over `none` against milliseconds a question."""
    if not report.sides:
        return None
    figure = Figure(figsize=(3.4 * len(report.sides) + 0.3, 3.2), layout="constrained")
    panels = figure.subplots(1, len(report.sides), sharey=True, squeeze=False)[0]
    order = {name: place for place, name in enumerate(report.results.methods)}
    for panel, (side, summaries) in zip(panels, report.sides.items(), strict=True):
        panel.axhline(0, color="#999999", linewidth=0.7)
        for one in summaries:
            gain = 100 * one.gain.value
            place = order[one.method]
            panel.errorbar(
                [one.ms],
                [gain],
                yerr=[
                    [max(0.0, gain - 100 * one.gain.low)],
                    [max(0.0, 100 * one.gain.high - gain)],
                ],
                color=COLOURS[place % len(COLOURS)],
                marker=MARKERS[place % len(MARKERS)],
                capsize=2,
                elinewidth=0.8,
                linestyle="none",
                label=one.method,
            )
        panel.set_title(f"noise on {side}", fontsize=10)
        panel.set_xlabel("milliseconds a question")
        panel.set_xlim(left=0)
        panel.grid(alpha=0.25, linewidth=0.5)
    panels[0].set_ylabel("points over none, 95 % interval")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=min(10, len(labels)), frameon=False
    )
    return png_of(figure)
