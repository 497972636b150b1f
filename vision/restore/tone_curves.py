"""Tone curves: a change that depends on a pixel's brightness alone, not on its position.

    c(x) = sum_j hat_j(x) sum_d u_jd z_d(picture)

hat_j are piecewise linear basis functions of brightness. The covariates z_d set the strength of
the picture's curve: its quantiles and spread, and the loss and gain that its prototypes predict
(`vision.restore.landmarks`). A gamma, a window that is too wide and a veil are such curves; the
features of `vision.restore.pixel_context` and `vision.restore.thumbnails` cannot express them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vision.restore.thumbnails import quantiles, thumbnail

KNOTS = (0.0, 0.03, 0.08, 0.16, 0.28, 0.44, 0.64, 0.84, 1.0)
"""Knots, in [0, 1]: brightness at which the slope may change; denser where pictures are dark."""
_QUANTILES = (0.01, 0.5, 0.99)

COVARIATES = 1 + len(_QUANTILES) + 1 + 2
"""A constant, quantiles, spread, and the predicted gain and contrast loss."""
TONE_FEATURES = len(KNOTS) * COVARIATES
"""Products of basis functions and covariates, knots first."""


def curve_covariates(grey: Tensor, lost: Tensor, gain: Tensor) -> Tensor:
    """Covariates z (images, COVARIATES).

    Args:
        grey: (images, H, W) in [0, 1].
        lost: (images, SIDE, SIDE) predicted additive loss in each cell of a thumbnail.
        gain: (images, coefficients) predicted log gain, its mean first.
    """
    flat = grey.flatten(1).float()
    cells = thumbnail(grey).flatten(1)
    cells = cells - cells.mean(dim=1, keepdim=True)
    # slope of the loss over brightness: the share of contrast that was lost
    contrast_loss = (lost.flatten(1) * cells).sum(dim=1) / cells.square().sum(dim=1).clamp_min(1e-3)
    rest = torch.stack([flat.std(dim=1), gain[:, 0], contrast_loss], dim=1)
    return torch.cat([flat.new_ones(len(grey), 1), quantiles(flat, _QUANTILES), rest], dim=1)


def tone_features(grey: Tensor, covariates: Tensor) -> Tensor:
    """(images, TONE_FEATURES, H, W): every basis function times every covariate, for a fit."""
    hats = _hats(grey)
    whole = hats[:, :, None] * covariates[:, None, :, None, None]
    return whole.flatten(1, 2)


def tone_change(grey: Tensor, covariates: Tensor, weights: Tensor) -> Tensor:
    """The curve's value at each pixel, (images, H, W), under weights (images, TONE_FEATURES).

    Equals `weights` times `tone_features`, without holding those in memory.
    """
    by_knot = weights.view(len(grey), len(KNOTS), COVARIATES)
    heights = torch.einsum("nkd,nd->nk", by_knot, covariates)
    at = heights.new_tensor(KNOTS)
    slopes = heights.diff(dim=1) / at.diff()
    bends = torch.cat([slopes[:, :1], slopes.diff(dim=1)], dim=1)
    inside = grey.clamp(0.0, 1.0)
    change = heights[:, :1, None].expand(grey.shape).clone()
    for knot, bend in zip(KNOTS, bends.T, strict=False):
        change += bend[:, None, None] * (inside - knot).clamp_min(0.0)
    return change


def _hats(grey: Tensor) -> Tensor:
    """Piecewise linear basis functions at each pixel, (images, knots, H, W); they sum to one."""
    at = torch.tensor(KNOTS)
    inside = grey.clamp(0.0, 1.0)
    upper = torch.bucketize(inside, at[1:-1], right=True)
    width = at.diff()[upper]
    share = (inside - at[upper]) / width
    hats = torch.zeros(grey.shape[0], len(KNOTS), *grey.shape[1:])
    hats.scatter_(1, upper[:, None], (1.0 - share)[:, None])
    return hats.scatter_(1, upper[:, None] + 1, share[:, None])
