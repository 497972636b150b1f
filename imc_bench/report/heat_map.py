"""A heat map with its figures written in. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imc_bench.report.style import EMPTY


def heat_map(
    panel: Any,
    shown: NDArray[np.float64],
    rows: Sequence[str] | None,
    columns: Sequence[str],
    colours: str,
    low: float,
    high: float,
    *,
    words: Sequence[Sequence[str]] | None = None,
    slanted: bool = False,
) -> None:
    """Draw `shown`, (rows, columns), into a panel; NaN is grey.

    Args:
        panel: matplotlib axes.
        shown: colours a cell, and is written into it in whole numbers.
        rows: their labels; None: the panel shares those of another.
        columns: their labels.
        colours: name of a colour map.
        low: value of its first colour.
        high: of its last.
        words: written into cells that are NaN, (rows, columns).
        slanted: whether the columns' labels are, where they are long.
    """
    panel.set_facecolor(EMPTY)
    drawn = panel.imshow(
        np.ma.masked_invalid(shown), cmap=colours, vmin=low, vmax=high, aspect="auto"
    )
    panel.set_xticks(
        range(len(columns)),
        columns,
        rotation=40 if slanted else 0,
        ha="right" if slanted else "center",
        fontsize=8,
    )
    if rows is not None:
        panel.set_yticks(range(len(rows)), rows, fontsize=8)
    panel.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    panel.set_yticks(np.arange(shown.shape[0] + 1) - 0.5, minor=True)
    panel.grid(which="minor", color="white", linewidth=0.8)
    panel.tick_params(which="both", length=0)
    for row, column in np.ndindex(*shown.shape):
        value = shown[row, column]
        if np.isfinite(value):
            red, green, blue, _ = drawn.cmap(drawn.norm(value))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            text = f"{value + 0.0:.0f}" if abs(value) >= 0.5 else "0"
            panel.text(column, row, text, **_FIGURE, color="white" if dark else "black")
        elif words is not None:
            panel.text(column, row, words[row][column], **_FIGURE, color="#555555")


_FIGURE: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7}
