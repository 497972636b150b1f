"""Distance of a tap's token statistics to those of clean references."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["CleanDistance", "fit_distance"]


@dataclass(frozen=True)
class CleanDistance:
    """Mahalanobis distance of a tap's token statistics to those of clean references.

    Measured only in directions in which noise moves the class means.
    """

    project: Tensor
    """(statistics, q) projection to whitened coordinates of the clean references."""
    centre: Tensor
    """(q,) mean of the clean references in those coordinates."""
    band: float
    """0.95 quantile of the distances of calibrated references: at most this counts as clean."""

    def to(self, device: torch.device) -> CleanDistance:
        """The same on a device."""
        return CleanDistance(self.project.to(device), self.centre.to(device), self.band)

    def of(self, statistics: Tensor) -> Tensor:
        """Distances (n,) of token statistics (n, statistics)."""
        reduced = statistics @ self.project - self.centre
        return reduced.square().mean(dim=1).sqrt()

    def accepts(self, before: Tensor, after: Tensor) -> Tensor:
        """Whether each change is kept, (images,) bool: the distance fell, or is within `band`.

        A least-squares map also shrinks the variation among clean features, so that correctly
        calibrated features keep a small distance: the band.
        """
        return (after < before) | (after <= self.band)


_BAND = 0.95
"""Quantile of the distances of calibrated references that sets the band."""

_DIRECTIONS = 24
"""Most directions that the distance is measured in."""


def fit_distance(clean: Tensor, calibrated: Tensor, noisy_means: Tensor) -> CleanDistance:
    """Fit the distance in the directions in which noise moves the class means.

    Args:
        clean: (n, s) statistics of clean references.
        calibrated: (m, s) statistics of noisy draws after calibration; they set the band.
        noisy_means: (k, s) mean statistics of the noisy classes.
    """
    exact, shifted = clean.double(), noisy_means.double()
    mean = exact.mean(0)
    spread = exact.std(0)
    # A statistic that hardly varies over clean images (air around the body) would dominate.
    spread = spread.clamp_min(float(0.2 * spread.median()))
    shifts = (shifted - mean) / spread
    directions = torch.linalg.svd(shifts, full_matrices=False).Vh[:_DIRECTIONS]
    project = (directions / spread).T
    centred = (exact - mean) @ project
    covariance = centred.T @ centred / max(len(exact) - 1, 1)
    # In these coordinates every statistic has spread one: the floor is a tenth of that.
    floor = 0.1 * torch.eye(len(covariance), dtype=covariance.dtype)
    values, vectors = torch.linalg.eigh(covariance + floor)
    whiten = project @ (vectors / values.sqrt())
    distance = CleanDistance(whiten.float(), (mean @ whiten).float(), 0.0)
    band = float(torch.quantile(distance.of(calibrated.float()), _BAND))
    return CleanDistance(distance.project, distance.centre, band)
