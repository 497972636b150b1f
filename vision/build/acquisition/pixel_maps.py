"""Moments of the pixel maps, by working scale and class, and their solution by ridge regression."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vision.acquisition.restorer import PIXEL_FEATURES, Prototypes, prototype_features
from vision.acquisition.scales import SCALES
from vision.build.acquisition.references import Draw, chosen_pixels
from vision.restore.pixel_context import pixel_context
from vision.restore.thumbnails import loss_in_cells, thumbnail_vectors
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


@dataclass(frozen=True)
class SomePixels:
    """Randomly chosen pixels of one plane of a draw, for the fit of a map."""

    noisy: Tensor
    """(1, H, W), the plane."""
    grey: Tensor
    """(1, H, W), the mean of all planes."""
    vectors: tuple[Tensor, Tensor]
    """Of its thumbnail, plain and logarithmic."""
    some: Tensor
    """(pixels,) flat indices."""
    context: Tensor
    """(1, CHANNELS, pixels)."""
    wanted: Tensor
    """(pixels,) what was taken from them."""

    @classmethod
    def of(cls, draw: Draw, count: int, rng: np.random.Generator) -> SomePixels:
        """`count` pixels of a plane, or all where there are fewer."""
        some = chosen_pixels(draw, count, rng)
        plane = int(rng.integers(len(draw.noisy)))
        noisy = draw.noisy[plane][None]
        wanted = (draw.clean[plane] - draw.noisy[plane]).flatten()[some]
        grey = draw.grey[None]
        context = pixel_context(noisy, some)
        return cls(noisy, grey, thumbnail_vectors(grey), some, context, wanted)

    def features(self, known: Prototypes, member: Tensor) -> Tensor:
        """phi of the pixels, (pixels, PIXEL_FEATURES), with what one member's prototypes predict.

        `member` is its index, (1,).
        """
        plain, logarithmic = self.vectors
        lost = loss_in_cells(known.additive(plain, member)[0])
        gain = known.gain(logarithmic, member)[0]
        from_prototypes = prototype_features(self.noisy, lost, gain).flatten(2)[:, :, self.some]
        chosen = self.noisy.flatten(1)[:, None, self.some]
        tones = tone_features(chosen, curve_covariates(self.grey, lost, gain))[:, :, 0]
        return torch.cat([self.context, from_prototypes, tones], dim=1)[0].T
