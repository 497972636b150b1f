"""The page of all tables."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from ablations.cells import GRID, MIXED
from ablations.figures import Figures
from ablations.plan import Part

_WITH_KINDS = frozenset("ad")
"""Parts whose rows are shown by kind, too."""


def make_page(figures: Figures, parts: Sequence[Part], *, command: str, halves: str) -> str:
    """Markdown: what was measured and how, then a table for each part."""
    measurement = figures.measurement
    mixed = "; ".join(cell.name for cell in MIXED)
    lines = [
        "# Ablations of PDC",
        "",
        f"{datetime.date.today().isoformat()}, by `{command}`:",
        f"{halves}.",
        "",
        f"SLAKE validation, {len(measurement.items)} questions on {figures.images} images; noise",
        f"at the model's input resolution, seed 0; {len(GRID)} conditions (six core kinds at",
        f"severities 3 and 5) unless a column says otherwise. Of two noises: {mixed}.",
        "Intervals are 95 %, bootstrapped by image (Wilson's for clean images changed).",
        "",
        "*Recovered*: of the accuracy that noise costs, over those conditions together that lost",
        "three points or more. *Flips*: answers unlike the model's own on the clean image;",
        "*restored*: the share of them that is gone, net of those that the row makes.",
        "",
    ]
    for part in parts:
        lines += [figures.table(part).markdown()]
        if part.letter in _WITH_KINDS:
            lines += [figures.by_kind(part).markdown()]
    return "\n".join(lines)
