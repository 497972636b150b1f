"""Moments of the pixel maps, by working scale and class, and their solution by ridge regression."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vision.acquisition.restorer import PIXEL_FEATURES, prototype_features
from vision.acquisition.scales import SCALES
from vision.restore.tone_curves import curve_covariates, tone_features

RIDGE = 1e-4
"""Ridge of the maps, relative to the mean square of each feature."""
OTHER_SCALES = 24.0
"""The other working scales' pictures count in a scale's map as this many of its own."""


@dataclass
class MapMoments:
    """Moments of the pixel maps, by working scale and class; the last class is of all kinds."""

    gram: Tensor
    """(scales, classes + 1, features, features)."""
    cross: Tensor
    """(scales, classes + 1, features)."""
    power: Tensor
    """(scales, classes + 1) number of pictures."""

    @classmethod
    def empty(cls, classes: int, scales: int = len(SCALES)) -> MapMoments:
        """No rows yet."""
        shape = (scales, classes + 1)
        return cls(
            torch.zeros(*shape, PIXEL_FEATURES, PIXEL_FEATURES),
            torch.zeros(*shape, PIXEL_FEATURES),
            torch.zeros(shape),
        )

    def merge(self, other: MapMoments) -> None:
        """Add another's rows."""
        self.gram += other.gram
        self.cross += other.cross
        self.power += other.power

    def add(self, scale: int, label: int, features: Tensor, wanted: Tensor) -> None:
        """Add pixels (n, features) of one picture with their changes (n,)."""
        self.gram[scale, label] += features.T @ features
        self.cross[scale, label] += features.T @ wanted
        self.power[scale, label] += 1.0


def solve_maps(by_fold: Sequence[MapMoments], without: Collection[int]) -> Tensor:
    """(scales, classes, features) ridge maps from moments by fold, without some folds.

    A scale's own pictures, and those of the other scales with the weight of `OTHER_SCALES`.
    """
    kept = [one for fold, one in enumerate(by_fold) if fold not in without]
    moments = torch.stack([one.gram for one in kept]).sum(0)
    targets = torch.stack([one.cross for one in kept]).sum(0)
    pictures = torch.stack([one.power for one in kept]).sum(0)
    share = OTHER_SCALES / pictures.sum(0).clamp_min(1.0)
    pooled = share[:, None, None] * moments.sum(0)
    pooled_targets = share[:, None] * targets.sum(0)
    solved = []
    for scale in range(len(moments)):
        whole = (moments[scale] + pooled).double()
        wanted = (targets[scale] + pooled_targets).double()
        power_of = whole.diagonal(dim1=1, dim2=2).clamp_min(1e-12)
        floor = 1e-8 * power_of.mean(dim=1, keepdim=True) + 1e-9
        whole = whole + torch.diag_embed(RIDGE * power_of + floor)
        factor = torch.linalg.cholesky(whole)
        solved.append(torch.cholesky_solve(wanted[..., None], factor)[..., 0].float())
    return torch.stack(solved)


def pixel_features(
    context: Tensor, noisy: Tensor, grey: Tensor, some: Tensor, lost: Tensor, gain: Tensor
) -> Tensor:
    """phi of some pixels of one plane, (pixels, PIXEL_FEATURES).

    Args:
        context: (1, CHANNELS, pixels) of the plane.
        noisy: (1, H, W), the plane.
        grey: (1, H, W), the mean of all planes.
        some: (pixels,) flat indices of pixels.
        lost: (1, SIDE, SIDE) predicted additive loss in each cell.
        gain: (1, ORDERS ** 2) coefficients of the predicted log gain.
    """
    from_prototypes = prototype_features(noisy, lost, gain).flatten(2)[:, :, some]
    chosen = noisy.flatten(1)[:, None, some]
    tones = tone_features(chosen, curve_covariates(grey, lost, gain))[:, :, 0]
    return torch.cat([context, from_prototypes, tones], dim=1)[0].T
