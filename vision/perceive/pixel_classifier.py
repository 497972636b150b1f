"""The noise classifier of pixels: statistics of one picture -> posterior and p-value of clean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.perceive.fourier_ridge import FourierRegression
from vision.perceive.noise_density import NoiseClasses, NoiseDensity, NoisePosterior

Floats = NDArray[np.float64]

PIXELS = "pixels"
"""Name of this source of statistics among a posterior's witnesses."""


@dataclass(frozen=True)
class PixelClassifier(NoiseClasses):
    """Statistics of pictures -> posterior over {clean, kind x severity, unknown}."""

    scorer: FourierRegression
    """Statistics (n, p) -> scores (n, classes)."""
    density: NoiseDensity
    """Of the scores."""

    def predict(self, statistics: Floats) -> list[NoisePosterior]:
        """Posteriors of n pictures from statistics (n, p)."""
        return self.from_scores(self.scorer(statistics))

    def from_scores(self, scores: Floats) -> list[NoisePosterior]:
        """Posteriors of n pictures from class scores (n, classes)."""
        posteriors = self.density.posterior(scores)
        p_values = self.density.p_values(scores)
        return [
            NoisePosterior(one, float(p_value), {PIXELS: one})
            for one, p_value in zip(posteriors, p_values, strict=True)
        ]

    def nonconformity(self, statistics: Floats) -> Floats:
        """Non-conformity to clean (n,) of statistics (n, p)."""
        return self.density.nonconformity(self.scorer(statistics))
