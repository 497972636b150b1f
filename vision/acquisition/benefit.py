"""The predicted benefit of a restoration, from the evidence on it, before it is kept or declined.

Both parts are fitted in closed form on trial restorations of references whose origin the restorer
had not met. The probability that the picture becomes worse: a two-class Gaussian discriminant on
the mean of a few standardised entries of the evidence. Found on origins left out one at a time:
regressions on more of the evidence learn what holds for some origins alone, and rank restorations
worse. The error that is left: ridge regression of its logarithm on random Fourier features of all
the evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from vision.acquisition.evidence import EVIDENCE
from vision.perceive.fourier_ridge import FourierRegression

Floats = NDArray[np.float64]

WORSE = 1.02
"""A restored picture is worse where its squared error, with one grey level squared added above and
below, is more than this times the noisy one's."""
SPEAKS_OF_HARM = (
    "disagreement over change, fine",
    "disagreement over change",
    "novelty of the picture",
)
"""Entries of the evidence that grow with the probability of harm, whatever the origin."""
_COLUMNS = [EVIDENCE.index(name) for name in SPEAKS_OF_HARM]


@dataclass(frozen=True)
class HarmDiscriminant:
    """Evidence (n, e) -> probability that the picture becomes worse (n,)."""

    centre: Floats
    """(len(SPEAKS_OF_HARM),)."""
    scale: Floats
    """(len(SPEAKS_OF_HARM),) standard deviations."""
    line: Floats
    """(2,) log odds of harm: constant, and slope over the mean of the standardised entries."""

    @classmethod
    def fit(cls, vectors: Floats, worse: NDArray[np.bool_], weights: Floats) -> HarmDiscriminant:
        """Two Gaussians of one variance over the mean of the standardised entries.

        Args:
            vectors: (n, evidence).
            worse: (n,) whether each became worse.
            weights: (n,).
        """
        chosen = vectors[:, _COLUMNS]
        centre = chosen.mean(axis=0)
        scale = np.maximum(chosen.std(axis=0), 1e-6)
        score = ((chosen - centre) / scale).mean(axis=1)
        share = float(np.clip(np.average(worse, weights=weights), 1e-3, 1.0 - 1e-3))
        if not worse.any() or worse.all():
            return cls(centre, scale, np.array([np.log(share / (1.0 - share)), 0.0]))
        means = [float(np.average(score[some], weights=weights[some])) for some in (~worse, worse)]
        spread = score - np.where(worse, means[1], means[0])
        variance = max(float(np.average(spread**2, weights=weights)), 1e-6)
        # evidence that speaks the other way is chance: it must not make a doubtful case look safe
        slope = max((means[1] - means[0]) / variance, 0.0)
        constant = np.log(share / (1.0 - share)) - slope * (means[0] + means[1]) / 2.0
        return cls(centre, scale, np.array([constant, slope]))

    def __call__(self, vectors: Floats) -> Floats:
        """Probability of harm (n,) of evidence (n, e)."""
        score = ((vectors[:, _COLUMNS] - self.centre) / self.scale).mean(axis=1)
        return np.asarray(expit(self.line[0] + self.line[1] * score))


@dataclass(frozen=True)
class BenefitPredictor:
    """Evidence -> probability of harm, and share of the squared error that is removed."""

    harm: HarmDiscriminant
    regression: FourierRegression
    """Evidence (n, e) -> (n, 1): log of the error ratio."""
    most_harm: float
    """A restoration is kept where its probability of harm is below this; 0: none is."""

    def __call__(self, vectors: Floats) -> tuple[Floats, Floats]:
        """Probability of harm (n,), in [0, 1], and predicted share removed (n,), below 1."""
        left = self.regression(vectors)[:, 0]
        return self.harm(vectors), 1.0 - np.exp(np.clip(left, -6.0, 1.0))

    def to_tensors(self) -> dict[str, Tensor]:
        """Every array by name."""
        return {
            **{f"harm.{name}": torch.from_numpy(one) for name, one in vars(self.harm).items()},
            **self.regression.to_tensors(),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], most_harm: float) -> BenefitPredictor:
        """Rebuild; KeyError or ValueError where arrays are missing or do not fit."""
        regression = FourierRegression.from_tensors(tensors)
        names = ("centre", "scale", "line")
        harm = HarmDiscriminant(*(tensors[f"harm.{name}"].double().numpy() for name in names))
        size = (len(SPEAKS_OF_HARM),)
        shapes = (harm.centre.shape, harm.scale.shape, harm.line.shape)
        if shapes != (size, size, (2,)) or not (harm.scale > 0.0).all():
            raise ValueError("the discriminant of harm does not fit together")
        if regression.weights.shape[1] != 1:
            raise ValueError("the benefit predictor has not one output")
        return cls(harm, regression, most_harm)


def log_ratio(left_alone: Floats, restored: Floats) -> Floats:
    """Log of (restored + 1) / (left alone + 1), squared errors in grey levels squared."""
    return np.asarray(np.log((restored + 1.0) / (left_alone + 1.0)))
