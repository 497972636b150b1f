"""The page of all tables."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from ablations.cells import GRID, MIXED
from ablations.figures import Figures
from ablations.plan import Part

_WITH_KINDS = frozenset("abc")
"""Parts whose rows are shown by kind, too."""


def make_page(figures: Figures, parts: Sequence[Part], *, command: str, bank: str) -> str:
    """Markdown: what was measured and how, then a table for each part."""
    measurement = figures.setup.measurement
    counts = f"{len(measurement.items)} questions on {len(measurement.clusters)} images"
    mixed = "; ".join(cell.name for cell in MIXED)
    lines = [
        "# Ablations of PDC",
        "",
        f"{datetime.date.today().isoformat()}, by `{command}`: the embedded model, {bank}.",
        "",
        f"SLAKE validation, {counts}; noise at",
        f"the model's input resolution, seed 0; {len(GRID)} cells (six core kinds at severities 3",
        f"and 5) unless a table says otherwise. Of two noises: {mixed}.",
        "Intervals are 95 %, bootstrapped by image (Wilson's for images touched).",
        "",
        "*Recovered*: of the accuracy that noise costs, over those cells together that lost three",
        "points or more. *Flips*: answers unlike the model's own on the clean image; *restored*:",
        "the share of them that is gone, net of those that the row makes.",
        "",
    ]
    for part in parts:
        lines += [figures.table(part).markdown()]
        if part.letter in _WITH_KINDS:
            lines += [figures.by_kind(part).markdown()]
    return "\n".join(lines)
