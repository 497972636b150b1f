"""Kernel regression on prototypes: from a noisy thumbnail to the difference from its clean one.

Gaussian-kernel ridge regression over landmark prototypes (subset of regressors: Smola and
Schoelkopf 2000; Nystroem: Williams and Seeger 2001), with a weak linear part, in closed form: the
prediction is a mean of the prototypes' differences, weighted by similarity. A landmark is the mean
of the thumbnails of several pictures, so that it is nobody's picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

LINEAR = 0.05
"""Weight of the linear kernel beside the Gaussian one."""


@dataclass(frozen=True)
class LandmarkRegression:
    """Vectors (n, p) -> predictions (members, n, q): members were fitted on different origins."""

    centre: Tensor
    """(p,)."""
    scale: Tensor
    """() one scale for all entries, so that their relative sizes are kept."""
    landmarks: Tensor
    """(m, p), standardised; means of several pictures' vectors."""
    width: Tensor
    """() squared width of the kernel."""
    weights: Tensor
    """(members, m + p + 1, q)."""

    def __call__(self, vectors: Tensor, members: Tensor | None = None) -> Tensor:
        """Predictions (members, n, q) for vectors (n, p), of all members or of these indices."""
        weights = self.weights if members is None else self.weights[members]
        return self.transform(vectors) @ weights

    def transform(self, vectors: Tensor) -> Tensor:
        """Kernel values, linear part and a constant, (n, m + p + 1), for vectors (n, p)."""
        standard = (vectors - self.centre) / self.scale
        near = torch.exp(-squared_distances(standard, self.landmarks) / self.width)
        linear = standard * (LINEAR / standard.shape[1]) ** 0.5
        return torch.cat([near, linear, standard.new_ones(len(standard), 1)], dim=1)

    def mass(self, vectors: Tensor) -> Tensor:
        """Sum of the kernel over the landmarks, (n,): near zero for a picture unlike them all."""
        return self.transform(vectors)[:, : len(self.landmarks)].sum(dim=1)

    def of_members(self, members: Tensor) -> LandmarkRegression:
        """The same with the members of these indices alone."""
        return replace(self, weights=self.weights[members])

    def to(self, device: torch.device) -> LandmarkRegression:
        """The same on a device."""
        return LandmarkRegression(
            **{name: tensor.to(device) for name, tensor in self.to_tensors().items()}
        )

    def to_tensors(self) -> dict[str, Tensor]:
        """Every array by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], members: int) -> LandmarkRegression:
        """Rebuild from `to_tensors`.

        Raises KeyError where an array is missing, ValueError where shapes do not agree.
        """
        found = cls(**{field.name: tensors[field.name].float() for field in fields(cls)})
        size = len(found.centre)
        rows = len(found.landmarks) + size + 1
        if found.landmarks.shape[1:] != (size,) or found.weights.shape[:2] != (members, rows):
            raise ValueError("the arrays of a regression on prototypes do not fit together")
        return found


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """(n, m) squared Euclidean distances of rows."""
    return torch.cdist(a, b).square()
