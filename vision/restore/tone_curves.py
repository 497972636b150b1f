"""Tone: what a noise did to grey levels alike wherever they stand, as a curve of brightness.

    c(x) = sum_j hat_j(x) sum_d u_jd drive_d(picture)

with hat_j piecewise linear over brightness and drives that say how strong this picture's curve is:
its own quantiles and spread, and what prototypes tell (`vision.restore.landmarks`). A gamma, a
window too wide, a veil are such curves; neighbourhoods and smooth gains
(`vision.restore.pixel_context`, `vision.restore.thumbnails`) are not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vision.restore.thumbnails import quantiles, thumbnail

KNOTS = (0.0, 0.03, 0.08, 0.16, 0.28, 0.44, 0.64, 0.84, 1.0)
"""Brightness at which a curve may bend: closer where pictures are dark."""
_QUANTILES = (0.01, 0.5, 0.99)

DRIVES = 1 + len(_QUANTILES) + 1 + 2
"""A constant, quantiles, spread; the gain and the stretch that prototypes tell."""
TONES = len(KNOTS) * DRIVES
"""Entries of a readout: knots, then drives."""


def drives(grey: Tensor, lost: Tensor, gain: Tensor) -> Tensor:
    """(images, DRIVES) of pictures (images, H, W) and what prototypes told of them.

    Args:
        grey: in [0, 1].
        lost: (images, cells) the additive loss in each cell of a thumbnail.
        gain: (images, coefficients) of the smooth log gain, its mean first.
    """
    flat = grey.flatten(1).float()
    cells = thumbnail(grey).flatten(1)
    cells = cells - cells.mean(dim=1, keepdim=True)
    stretch = (lost * cells).sum(dim=1) / cells.square().sum(dim=1).clamp_min(1e-3)
    told = torch.stack([flat.std(dim=1), gain[:, 0], stretch], dim=1)
    return torch.cat([torch.ones(len(grey), 1), quantiles(flat, _QUANTILES), told], dim=1)


def tone_context(grey: Tensor, driven: Tensor) -> Tensor:
    """(images, TONES, H, W): every hat times every drive, for fitting a readout."""
    hats = _hats(grey)
    whole = hats[:, :, None] * driven[:, None, :, None, None]
    return whole.flatten(1, 2)


def toned(grey: Tensor, driven: Tensor, read: Tensor) -> Tensor:
    """(images, H, W): the curves that readouts (images, TONES) make, at each pixel.

    The same as `read` on `tone_context`, without holding it.
    """
    heights = torch.einsum("nkd,nd->nk", read.view(len(grey), len(KNOTS), DRIVES), driven)
    at = torch.tensor(KNOTS)
    slopes = heights.diff(dim=1) / at.diff()
    bends = torch.cat([slopes[:, :1], slopes.diff(dim=1)], dim=1)
    inside = grey.clamp(0.0, 1.0)
    change = heights[:, :1, None].expand(grey.shape).clone()
    for knot, bend in zip(KNOTS, bends.T, strict=False):
        change += bend[:, None, None] * (inside - knot).clamp_min(0.0)
    return change


def _hats(grey: Tensor) -> Tensor:
    """(images, knots, H, W): piecewise linear memberships in each knot, sum one."""
    at = torch.tensor(KNOTS)
    inside = grey.clamp(0.0, 1.0)
    upper = torch.bucketize(inside, at[1:-1], right=True)
    width = at.diff()[upper]
    share = (inside - at[upper]) / width
    hats = torch.zeros(grey.shape[0], len(KNOTS), *grey.shape[1:])
    hats.scatter_(1, upper[:, None], (1.0 - share)[:, None])
    return hats.scatter_(1, upper[:, None] + 1, share[:, None])
