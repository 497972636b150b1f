"""Pictures of few grey levels, as palettes and posterising leave them.

Their statistics are those of no noise that is known: the gaps between their levels are taken for a
stretched contrast, or for the counts of few photons, and what is "restored" then is ruined.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vision.reading.medical_image import MedicalImage

MOST_LEVELS = 32
"""More levels than these are not few."""
HELD = 0.9
"""Share of the pixels that the few hold: resizing and compression leave some in between."""
COARSE = 3
"""Levels are few where half of these pixels have no other of them nearer than this. A contrast that
is stretched twice leaves gaps of 2."""
FLAT = 0.2
"""Share of neighbouring pixels that are equal, from which gaps are not those of grain: of pictures
of few photons fewer are."""


def few_levels_declined(image: MedicalImage) -> str:
    """Why a picture is not restored, where its grey levels are few; empty otherwise."""
    levels = few_levels(image.rgb)
    what = f"nearly all pixels hold one of {levels} grey levels"
    return f"{what}: what lay between them cannot be told" if levels else ""


def few_levels(rgb: NDArray[np.uint8]) -> int:
    """How many grey levels hold nearly all of an (H, W, 3) picture, where they are few; else 0.

    Pixels at the darkest and the brightest level are not counted: there, clipping makes gaps and
    flat areas of its own.
    """
    grey = np.rint(rgb.mean(axis=2)).astype(np.int64)
    darkest, brightest = int(grey.min()), int(grey.max())
    if darkest == brightest:
        return 0
    inner = (grey > darkest) & (grey < brightest)
    counted = inner if inner.any() else np.ones_like(inner)
    counts = np.bincount(grey[counted], minlength=256)
    order = np.argsort(-counts, kind="stable")
    held = np.cumsum(counts[order]) / counts.sum()
    levels = np.sort(order[: 1 + int(np.searchsorted(held, HELD))])
    every = np.unique([darkest, *levels.tolist(), brightest])
    if len(every) > MOST_LEVELS:
        return 0
    gaps = np.diff(every)
    nearest = np.minimum(np.append(gaps[0], gaps), np.append(gaps, gaps[-1]))
    common = np.repeat(nearest[np.searchsorted(every, levels)], counts[levels])
    if np.median(common) < COARSE:
        return 0
    equal = (grey[:, 1:] == grey[:, :-1])[counted[:, 1:] | counted[:, :-1]]
    return len(every) if equal.size and equal.mean() >= FLAT else 0
