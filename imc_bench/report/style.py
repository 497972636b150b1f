"""Colours and marks of the methods, the same in every picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from imc_bench.report.picture import Drawing
from imc_bench.report.wording import method_label

COLOURS = "#222222 #0072b2 #d55e00 #009e73 #cc79a7 #e69f00 #56b4e9 #a6761d #7570b3 #b2182b".split()
"""Distinct for colour-blind readers too (Okabe and Ito's first); one a method, `none` black."""
MARKERS = "osD^vPX*<>"
EMPTY = "#ececec"
"""Where there is no figure."""


def colour_of(place: int) -> str:
    """Of the method at this place of the run."""
    return COLOURS[place % len(COLOURS)]


def marker_of(place: int) -> str:
    """Of the method at this place of the run."""
    return MARKERS[place % len(MARKERS)]


def legend_columns(width: float) -> int:
    """Methods side by side in a legend of a picture so many inches wide."""
    return 4 if width >= 9 else 2


def legend_height(width: float, methods: Sequence[str]) -> float:
    """Inches that a legend of these methods takes."""
    return 0.25 * math.ceil(len(methods) / legend_columns(width))


def method_legend(drawing: Drawing, panel: Any, methods: Sequence[str]) -> None:
    """A legend above the panels, in the order of `methods`: it covers no figure."""
    by_label = dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    labels = [name for name in methods if name in by_label]
    drawing.body.legend(
        [by_label[name] for name in labels],
        [method_label(name) for name in labels],
        loc="outside upper left",
        ncols=legend_columns(drawing.width),
        frameon=False,
        fontsize=9,
    )
