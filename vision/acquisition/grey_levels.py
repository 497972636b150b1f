"""Pictures of few grey levels, as palettes and posterising leave them.

Their statistics are those of no noise that is known: the gaps between their levels are taken for a
stretched contrast, or for the counts of few photons, and what is "restored" then is ruined.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COARSE = 3
"""Levels are few where half of the pixels have no other level nearer than this. A contrast that is
stretched twice leaves gaps of 2."""
FLAT = 0.2
"""Share of neighbouring pixels that are equal, from which gaps are not those of grain: of pictures
of few photons at most .14 are."""


def few_levels(rgb: NDArray[np.uint8]) -> int:
    """The number of grey levels of an (H, W, 3) picture, where they are few; 0 otherwise.

    Pixels at the darkest and the brightest level are not counted: there, clipping makes gaps and
    flat areas of its own.
    """
    grey = np.rint(rgb.mean(axis=2)).astype(np.int64)
    levels = np.unique(grey)
    if len(levels) < 2:
        return 0
    gaps = np.diff(levels)
    nearest = np.minimum(np.append(gaps[0], gaps), np.append(gaps, gaps[-1]))
    inner = (grey > levels[0]) & (grey < levels[-1])
    counted = inner if inner.any() else np.ones_like(inner)
    if np.median(nearest[np.searchsorted(levels, grey[counted])]) < COARSE:
        return 0
    equal = (grey[:, 1:] == grey[:, :-1])[counted[:, 1:] | counted[:, :-1]]
    return len(levels) if equal.size and equal.mean() >= FLAT else 0
