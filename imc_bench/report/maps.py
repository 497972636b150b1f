"""Heat maps of a report as PNG bytes: states, kinds and severities. Needs matplotlib."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from imc_bench.report.document import Report
from imc_bench.report.severity import PREDICTED_SEVERITIES
from imc_bench.statistics import IMAGE_STATES, TEXT_STATES

DPI = 150
PANELS_A_ROW = 4
LABEL_INCHES = 4.6
"""What the label under the panels of `severity_maps` takes."""


def state_map(report: Report) -> bytes | None:
    """The 3 x 3 matrix of image and text states."""
    figure = Figure(figsize=(3.8, 3.1), layout="constrained")
    panel = figure.subplots()
    shown = 100 * report.matrix
    spread = float(np.nanmax(shown) - np.nanmin(shown)) or 1.0
    heat_map(
        panel,
        shown,
        [f"image {state}" for state in IMAGE_STATES],
        [f"text {state}" for state in TEXT_STATES],
        "viridis",
        float(np.nanmin(shown)) - 0.1 * spread,
        float(np.nanmax(shown)) + 0.1 * spread,
    )
    panel.set_title("accuracy %", fontsize=10)
    return png_of(figure)


def confusion_map(report: Report) -> bytes | None:
    """Kinds of image noise and what they were taken for, each row in percent of its images."""
    found = report.perception
    if found is None:
        return None
    counts = found.kinds.astype(np.float64)
    rows = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = (0.55 * len(found.predicted) + 2.2, 0.4 * len(found.truth) + 1.8)
    figure = Figure(figsize=size, layout="constrained")
    panel = figure.subplots()
    heat_map(panel, rows, list(found.truth), list(found.predicted), "Blues", 0, 100)
    panel.set_ylabel("noise put on")
    panel.set_title("perceived as (% of images)", fontsize=10)
    return png_of(figure)


def severity_maps(report: Report) -> bytes | None:
    """A panel for each kind: severity put on, and what it was taken for where the kind was named.

    Each row in percent of its images; empty where no image of it was named.
    """
    found = report.perception
    if found is None or not found.severities:
        return None
    across = min(PANELS_A_ROW, len(found.severities))
    down = math.ceil(len(found.severities) / across)
    wide = max(LABEL_INCHES, 2.3 * across + 0.4)
    figure = Figure(figsize=(wide, 1.9 * down + 0.5), layout="constrained")
    panels: NDArray[Any] = figure.subplots(down, across, squeeze=False)
    for panel, one in zip(panels.flat, found.severities, strict=False):
        named = one.counts.sum(axis=1, keepdims=True)
        shown = np.full(one.counts.shape, np.nan)
        np.divide(100.0 * one.counts, named, out=shown, where=named > 0)
        columns = [str(severity) for severity in PREDICTED_SEVERITIES]
        heat_map(panel, shown, [f"{true:g}" for true in one.true], columns, "Blues", 0, 100)
        panel.tick_params(axis="x", rotation=0)
        panel.set_title(one.kind, fontsize=9)
    for panel in panels.flat[len(found.severities) :]:
        panel.set_visible(False)
    figure.supxlabel("perceived severity (% of images whose kind was named)", fontsize=9)
    figure.supylabel("severity put on", fontsize=9)
    return png_of(figure)


def heat_map(
    panel: Any,
    shown: NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    colours: str,
    low: float,
    high: float,
) -> None:
    """A heat map with its figures written in; NaN is grey and empty."""
    panel.set_facecolor("#e4e4e4")
    drawn = panel.imshow(
        np.ma.masked_invalid(shown), cmap=colours, vmin=low, vmax=high, aspect="auto"
    )
    panel.set_xticks(range(len(columns)), columns, rotation=45, ha="right", fontsize=8)
    panel.set_yticks(range(len(rows)), rows, fontsize=8)
    for row, column in np.argwhere(np.isfinite(shown)):
        value = shown[row, column]
        red, green, blue, _ = drawn.cmap(drawn.norm(value))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        panel.text(
            column,
            row,
            f"{value + 0.0:.0f}" if abs(value) >= 0.5 else "0",
            ha="center",
            va="center",
            fontsize=7,
            color="white" if dark else "black",
        )


def png_of(figure: Figure) -> bytes:
    """Without a date or a version, so that the same figures are the same bytes."""
    FigureCanvasAgg(figure)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    return out.getvalue()
