"""The noises of the ablations: a grid of kinds and severities, and two mixtures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imc_noise import CORE_IMAGE, apply_image, noise_rng


@dataclass(frozen=True)
class Cell:
    """Noises added one after the other; none for clean."""

    noises: tuple[tuple[str, int], ...] = ()
    """(kind, severity) each."""

    @property
    def name(self) -> str:
        """`gaussian 3`, `low_contrast 3 then gaussian 4`, or empty for clean."""
        return " then ".join(f"{kind} {severity}" for kind, severity in self.noises)

    def corrupt(self, rgb: NDArray[np.uint8], image: str) -> NDArray[np.uint8]:
        """Pixels (H, W, 3) with the noises added; each draw depends on the image's name alone."""
        for kind, severity in self.noises:
            rgb = apply_image(kind, rgb, severity, noise_rng(f"ablation {image}", kind, severity))
        return rgb


CLEAN = Cell()
GRID = tuple(Cell(((kind, severity),)) for kind in CORE_IMAGE for severity in (3, 5))
MIXED = (
    Cell((("low_contrast", 3), ("gaussian", 4))),
    Cell((("bias_field", 3), ("ghosting", 3))),
)
NOISY = (*GRID, *MIXED)
