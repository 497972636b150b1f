"""The noises that the ablations put on: a grid, mixtures, and severities that a bank may lack."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imc_noise import CORE_IMAGE, apply_image, noise_rng


@dataclass(frozen=True)
class Cell:
    """Noises put on one after the other; none for clean."""

    noises: tuple[tuple[str, float], ...] = ()
    """(kind, severity) each."""

    @property
    def name(self) -> str:
        """`gaussian 3`, `low_contrast 3 then gaussian 4`, or empty for clean."""
        return " then ".join(f"{kind} {severity:g}" for kind, severity in self.noises)

    def corrupt(self, rgb: NDArray[np.uint8], image: str) -> NDArray[np.uint8]:
        """Pixels (H, W, 3) under the noises; each draws by the image's name alone."""
        for kind, severity in self.noises:
            rgb = apply_image(kind, rgb, severity, noise_rng(f"ablation {image}", kind, severity))
        return rgb


def _grid(severities: tuple[float, ...]) -> tuple[Cell, ...]:
    return tuple(Cell(((kind, severity),)) for kind in CORE_IMAGE for severity in severities)


CLEAN = Cell()
GRID = _grid((3, 5))
MIXED = (
    Cell((("low_contrast", 3), ("gaussian", 4))),
    Cell((("bias_field", 3), ("ghosting", 3))),
)
BETWEEN = _grid((2, 4))
"""Severities that a bank of 1, 3 and 5 lacks."""
OFF_GRID = _grid((1.5, 2.5, 3.5, 4.5))
EVERY = (CLEAN, *GRID, *MIXED)
"""What a row is measured on unless it says otherwise."""


def of_kind(kind: str) -> tuple[Cell, ...]:
    """The grid's cells of one kind."""
    return tuple(cell for cell in GRID if cell.noises[0][0] == kind)
