"""Thumbnails: inputs of the landmark regressions, and their targets, loss and smooth gain."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 14
"""Cells along each side of a thumbnail."""
ORDERS = 4
"""Cosine orders of a gain field along each axis."""
LOSS_ORDERS = 6
"""Cosine orders of an additive loss along each axis of a thumbnail."""

_FLOOR = 0.02
"""Added under logarithms: five grey levels of 256, so that air has a finite logarithm."""
_QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
_MOST_GAIN = 3.0
"""Largest absolute log gain that is applied."""
_SATURATED = 0.999


def thumbnail(grey: Tensor) -> Tensor:
    """(images, H, W) -> (images, SIDE, SIDE) means of cells."""
    return F.adaptive_avg_pool2d(grey[:, None].float(), SIDE)[:, 0]


def enlarged(thumbnails: Tensor, shape: tuple[int, int]) -> Tensor:
    """(images, SIDE, SIDE) -> (images, H, W), bicubic."""
    large = F.interpolate(thumbnails[:, None], size=shape, mode="bicubic", align_corners=False)
    return large[:, 0]


def thumbnail_vectors(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Thumbnail and quantiles of (images, H, W), as grey and as log grey: (images, p) each."""
    flat = grey.flatten(1).float()
    plain = torch.cat([thumbnail(grey).flatten(1), quantiles(flat, _QUANTILES)], dim=1)
    return plain, torch.log(plain.clamp_min(0.0) + _FLOOR)


def quantiles(values: Tensor, shares: Sequence[float]) -> Tensor:
    """(images, n) -> (images, shares), as `torch.quantile`, by selection instead of sorting."""
    if values.device.type != "cpu":
        return torch.quantile(values, values.new_tensor(shares), dim=1).T
    found = np.quantile(values.numpy(), shares, axis=1)
    return torch.from_numpy(np.ascontiguousarray(found.T)).float()


def additive_loss(clean: Tensor, noisy: Tensor) -> Tensor:
    """Cosine coefficients (images, LOSS_ORDERS ** 2) of the mean of clean minus noisy by cell."""
    return thumbnail(clean - noisy).flatten(1) @ _loss_basis().T


def loss_in_cells(coefficients: Tensor) -> Tensor:
    """(images, LOSS_ORDERS ** 2) coefficients -> (images, SIDE, SIDE) loss in each cell."""
    return (coefficients @ _loss_basis().to(coefficients.device)).reshape(-1, SIDE, SIDE)


@cache
def _loss_basis() -> Tensor:
    """(LOSS_ORDERS ** 2, SIDE ** 2) orthonormal products of cosines."""
    orders = torch.arange(LOSS_ORDERS, dtype=torch.float32)[:, None]
    along = torch.cos(torch.pi * orders * (torch.arange(SIDE) + 0.5) / SIDE)
    along = along / along.norm(dim=1, keepdim=True)
    return torch.einsum("ay,bx->abyx", along, along).reshape(LOSS_ORDERS**2, SIDE**2)


def log_gain(clean: Tensor, noisy: Tensor) -> Tensor:
    """Cosine coefficients (images, ORDERS ** 2) of the smooth log gain from noisy to clean.

    Weighted least squares over pixels: weights follow the brightness of the clean picture, and are
    a tenth of that where the noisy one is saturated.
    """
    images, height, width = clean.shape
    basis = _basis(height, width).double()
    weight = clean.reshape(images, -1).double().clamp(0.0, 1.0) + 1e-3
    weight = torch.where(noisy.reshape(images, -1) >= _SATURATED, 0.1 * weight, weight)
    wanted = torch.log(clean.double() + _FLOOR) - torch.log(noisy.double() + _FLOOR)
    weighted = basis[None] * weight[:, None]
    gram = weighted @ basis.T
    ridge = 1e-3 * weight.sum(dim=1)[:, None, None] * torch.eye(len(basis), dtype=torch.float64)
    cross = weighted @ wanted.reshape(images, -1, 1)
    solved: Tensor = torch.linalg.solve(gram + ridge, cross)
    return solved[:, :, 0].float()


def apply_gain(grey: Tensor, coefficients: Tensor) -> Tensor:
    """(images, H, W) times the gain of (images, ORDERS ** 2) coefficients, clipped to [0, 1]."""
    images, height, width = grey.shape
    basis = _basis(height, width).to(grey.device)
    logarithm = (coefficients @ basis).clamp(-_MOST_GAIN, _MOST_GAIN)
    return (grey * torch.exp(logarithm).reshape(images, height, width)).clamp(0.0, 1.0)


def _basis(height: int, width: int) -> Tensor:
    """(ORDERS ** 2, height * width) products of cosines on [0, 1]."""
    orders = torch.arange(ORDERS, dtype=torch.float32)[:, None]
    rows = torch.cos(torch.pi * orders * (torch.arange(height) + 0.5) / height)
    columns = torch.cos(torch.pi * orders * (torch.arange(width) + 0.5) / width)
    return torch.einsum("ay,bx->abyx", rows, columns).reshape(ORDERS**2, height * width)
