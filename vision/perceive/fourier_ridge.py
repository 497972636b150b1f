"""Ridge regression on random Fourier features, in closed form, from moments summed fold by fold.

The features are a constant, the standardised and clipped statistics, and cosines of random
projections of them, whose inner products approximate a Gaussian kernel (Rahimi and Recht 2007). A
fit without a fold is the sum of the other folds' moments and one Cholesky solve, so leaving origins
out one at a time costs no second pass over the data.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]

FOURIER = 2000
"""Number of cosines."""
LENGTH_SCALE = 2.0
"""Length scale of the kernel in units of the square root of the number of statistics."""
CLIP = 8.0
"""Standard deviations at which a statistic is clipped."""
RIDGE = 1e-4
"""Penalty, relative to the mean of the moments' diagonal."""


@dataclass(frozen=True)
class FourierFeatures:
    """Statistics (n, p) -> features (n, 1 + p + cosines)."""

    centre: Tensor
    """(p,)."""
    scale: Tensor
    """(p,) standard deviations, floored."""
    frequencies: Tensor
    """(p, cosines)."""
    phases: Tensor
    """(cosines,)."""

    @classmethod
    def draw(
        cls,
        statistics: Tensor,
        seed: int,
        *,
        cosines: int = FOURIER,
        length_scale: float = LENGTH_SCALE,
    ) -> FourierFeatures:
        """Standardise by statistics (n, p), and draw the projections from `seed`."""
        rng = np.random.default_rng(seed)
        exact = statistics.double()
        size = exact.shape[1]
        frequencies = rng.normal(size=(size, cosines)) / (length_scale * np.sqrt(size))
        phases = rng.uniform(0.0, 2.0 * np.pi, size=cosines)
        return cls(
            exact.mean(0).float(),
            exact.std(0).clamp_min(1e-6).float(),
            torch.from_numpy(frequencies).float(),
            torch.from_numpy(phases).float(),
        )

    def __call__(self, statistics: Tensor) -> Tensor:
        """Features of statistics (n, p)."""
        standard = ((statistics.float() - self.centre) / self.scale).clamp(-CLIP, CLIP)
        waves = torch.cos(standard @ self.frequencies + self.phases)
        # as much power in the cosines as in the statistics: one penalty serves both
        waves = waves * (2.0 * standard.shape[1] / len(self.phases)) ** 0.5
        return torch.cat([standard.new_ones(len(standard), 1), standard, waves], dim=1)

    @property
    def size(self) -> int:
        """Number of features."""
        return 1 + len(self.centre) + len(self.phases)


@dataclass(frozen=True)
class FourierRegression:
    """Statistics (n, p) -> outputs (n, q)."""

    features: FourierFeatures
    weights: Tensor
    """(1 + p + cosines, q)."""

    def __call__(self, statistics: Floats) -> Floats:
        """Outputs (n, q) of statistics (n, p)."""
        found = self.features(torch.from_numpy(np.asarray(statistics))) @ self.weights
        return np.asarray(found.double().numpy())

    @property
    def centre(self) -> Tensor:
        """(p,) of the statistics."""
        return self.features.centre

    def to_tensors(self) -> dict[str, Tensor]:
        """Every array by name."""
        of = self.features
        return {
            "centre": of.centre,
            "scale": of.scale,
            "frequencies": of.frequencies,
            "phases": of.phases,
            "weights": self.weights,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> FourierRegression:
        """Rebuild from `to_tensors`.

        Raises KeyError where an array is missing, ValueError where shapes do not agree.
        """
        names = ("centre", "scale", "frequencies", "phases")
        features = FourierFeatures(*(tensors[name].float() for name in names))
        size, cosines = len(features.centre), len(features.phases)
        fits = features.scale.shape == (size,) and features.frequencies.shape == (size, cosines)
        weights = tensors["weights"].float()
        if not fits or weights.dim() != 2 or len(weights) != features.size:
            raise ValueError("the arrays of a regression do not fit together")
        return cls(features, weights)


class FoldMoments:
    """Weighted second moments of features and targets, by fold."""

    def __init__(self, size: int, outputs: int, folds: int) -> None:
        """Empty.

        Args:
            size: number of features.
            outputs: number of targets.
            folds: number of folds.
        """
        self.gram = torch.zeros(folds, size, size, dtype=torch.float64)
        self.cross = torch.zeros(folds, size, outputs, dtype=torch.float64)

    def add(self, features: Tensor, targets: Tensor, weights: Tensor, folds: Tensor) -> None:
        """Add rows: features (n, size), targets (n, outputs), weights (n,), folds (n,) int."""
        for fold in folds.unique().tolist():
            own = folds == fold
            weighted = features[own] * weights[own, None]
            self.gram[fold] += (weighted.T @ features[own]).double()
            self.cross[fold] += (weighted.T @ targets[own]).double()

    def solve(self, without: Collection[int] = (), *, ridge: float = RIDGE) -> Tensor:
        """Ridge weights (size, outputs) of all folds but those of `without`."""
        kept = [fold for fold in range(len(self.gram)) if fold not in without]
        gram, cross = self.gram[kept].sum(0), self.cross[kept].sum(0)
        gram.diagonal().add_(ridge * float(gram.diagonal().mean()) + 1e-12)
        return torch.cholesky_solve(cross, torch.linalg.cholesky(gram)).float()
