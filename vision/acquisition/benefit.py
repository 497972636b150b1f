"""The predicted benefit of a restoration, from the evidence on it, before it is kept or declined.

Two closed-form regressions on random Fourier features of the evidence, fitted on trial restorations
of references whose origin the restorer had not met: the probability that the picture becomes worse,
and the logarithm of the error that is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vision.perceive.fourier_ridge import FourierRegression

Floats = NDArray[np.float64]

WORSE = 1.02
"""A restored picture is worse where its squared error, with one grey level squared added above and
below, is more than this times the noisy one's."""


@dataclass(frozen=True)
class BenefitPredictor:
    """Evidence -> probability of harm, and share of the squared error that is removed."""

    regression: FourierRegression
    """Evidence (n, e) -> (n, 2): probability of "worse"; log of the error ratio."""
    most_harm: float
    """A restoration is kept where its probability of harm is below this; 0: none is."""

    def __call__(self, vectors: Floats) -> tuple[Floats, Floats]:
        """Probability of harm (n,), in [0, 1], and predicted share removed (n,), below 1."""
        found = self.regression(vectors)
        harm = np.clip(found[:, 0], 0.0, 1.0)
        return harm, 1.0 - np.exp(np.clip(found[:, 1], -6.0, 1.0))

    def to_tensors(self) -> dict[str, Tensor]:
        """Every array by name."""
        return self.regression.to_tensors()

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], most_harm: float) -> BenefitPredictor:
        """Rebuild; KeyError or ValueError where arrays are missing or do not fit."""
        regression = FourierRegression.from_tensors(tensors)
        if regression.weights.shape[1] != 2:
            raise ValueError("the benefit predictor has not two outputs")
        return cls(regression, most_harm)


def log_ratio(left_alone: Floats, restored: Floats) -> Floats:
    """Log of (restored + 1) / (left alone + 1), squared errors in grey levels squared."""
    return np.asarray(np.log((restored + 1.0) / (left_alone + 1.0)))
