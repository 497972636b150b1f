"""Kernel regression on prototypes: from a noisy thumbnail to the difference from its clean one.

Gaussian-kernel ridge regression over a fixed number of landmark prototypes (subset of regressors:
Smola and Schoelkopf 2000; Nystroem: Williams and Seeger 2001), with a weak linear part, in closed
form: the prediction is a mean of the prototypes' differences, weighted by similarity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

RIDGE = 0.1
"""Penalty on the function's norm; kernel values are at most one."""
WIDTH = 0.5
"""Squared kernel width over the median squared distance between landmarks."""
LINEAR = 0.05
"""Weight of the linear kernel beside the Gaussian one."""


@dataclass(frozen=True)
class LandmarkRegression:
    """Vectors (n, p) -> predictions (n, q)."""

    centre: Tensor
    """(p,)."""
    scale: Tensor
    """() one scale for all entries, so that their relative sizes are kept."""
    landmarks: Tensor
    """(m, p), standardised."""
    width: Tensor
    """() squared width of the kernel."""
    weights: Tensor
    """(m + p + 1, q)."""

    def __call__(self, vectors: Tensor) -> Tensor:
        """Predictions (n, q) for vectors (n, p)."""
        return self.transform(vectors) @ self.weights

    def transform(self, vectors: Tensor) -> Tensor:
        """Kernel values, linear part and a constant, (n, m + p + 1), for vectors (n, p)."""
        standard = (vectors - self.centre) / self.scale
        near = torch.exp(-_squared_distances(standard, self.landmarks) / self.width)
        linear = standard * (LINEAR / standard.shape[1]) ** 0.5
        return torch.cat([near, linear, standard.new_ones(len(standard), 1)], dim=1)

    def to_tensors(self) -> dict[str, Tensor]:
        """Every array by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> LandmarkRegression:
        """Rebuild from `to_tensors`; KeyError where an array is missing."""
        return cls(**{field.name: tensors[field.name] for field in fields(cls)})


def fit_landmarks(
    vectors: Tensor, targets: Tensor, folds: Tensor, landmarks: int, seed: int
) -> tuple[LandmarkRegression, list[LandmarkRegression]]:
    """Fit on all rows, and for each fold on the rows of the other folds.

    Args:
        vectors: (n, p).
        targets: (n, q).
        folds: (n,) fold numbers from 0; all rows of one image have the same.
        landmarks: most prototypes that are kept.
        seed: of their choice.

    Returns:
        The regression, and one per fold whose predictions for that fold are out of sample.
    """
    draw = torch.Generator().manual_seed(seed)
    centre = vectors.mean(dim=0)
    scale = vectors.std(dim=0).mean().clamp_min(1e-6)
    chosen = torch.randperm(len(vectors), generator=draw)[:landmarks]
    standardised = (vectors[chosen] - centre) / scale
    distances = _squared_distances(standardised, standardised)
    width = (WIDTH * distances[distances > 0].median()).clamp_min(1e-6)
    empty = torch.zeros(len(standardised) + vectors.shape[1] + 1, targets.shape[1])
    unfitted = LandmarkRegression(centre, scale, standardised, width, empty)
    penalty = RIDGE * torch.eye(len(empty), dtype=torch.float64)
    kernel = torch.exp(-distances.double() / width.double())
    m = len(standardised)
    penalty[:m, :m] = RIDGE * (kernel + 1e-6 * torch.eye(m, dtype=torch.float64))
    penalty[-1, -1] = 1e-6
    transformed = unfitted.transform(vectors).double()
    wanted = targets.double()
    count = int(folds.max()) + 1
    grams = [transformed[folds == fold].T @ transformed[folds == fold] for fold in range(count)]
    crosses = [transformed[folds == fold].T @ wanted[folds == fold] for fold in range(count)]
    gram, cross = torch.stack(grams).sum(0), torch.stack(crosses).sum(0)

    def fitted(left: Tensor, right: Tensor) -> LandmarkRegression:
        return replace(unfitted, weights=torch.linalg.solve(left + penalty, right).float())

    without = [fitted(gram - g, cross - c) for g, c in zip(grams, crosses, strict=True)]
    return fitted(gram, cross), without


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    return torch.cdist(a, b).square()
