"""Gaussian scale space."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

_DENSE_FROM = 12
"""Radius from which a product with the whole matrix is faster than a convolution."""


def blurred(picture: Tensor, sigma: float) -> Tensor:
    """(images, 1, H, W) convolved with a Gaussian of `sigma` pixels, edges replicated."""
    kernel = _kernel(sigma).to(picture.device)
    radius = len(kernel) // 2
    if radius >= _DENSE_FROM:
        down, along = (_matrix(size, sigma).to(picture.device) for size in picture.shape[2:])
        return down @ (picture @ along.T)
    rows = F.pad(picture, (radius, radius, 0, 0), mode="replicate")
    rows = convolved(rows, kernel.view(1, 1, 1, -1))
    columns = F.pad(rows, (0, 0, radius, radius), mode="replicate")
    return convolved(columns, kernel.view(1, 1, -1, 1))


def convolved(picture: Tensor, kernels: Tensor) -> Tensor:
    """(images, 1, H, W) with (c, 1, h, w), without borders: (images, c, H - h + 1, W - w + 1).

    As `conv2d` of the CPU on every device: on GPUs that rounds to ten bits (TF32).
    """
    if picture.device.type == "cpu":
        return F.conv2d(picture, kernels)
    return _unfolded(picture, kernels)


def _unfolded(picture: Tensor, kernels: Tensor) -> Tensor:
    size = kernels.shape[2:]
    found = kernels.flatten(1) @ F.unfold(picture, size)
    left = [whole - own + 1 for whole, own in zip(picture.shape[2:], size, strict=True)]
    return found.view(len(picture), len(kernels), *left)


def _kernel(sigma: float) -> Tensor:
    radius = max(1, int(3.0 * sigma + 0.5))
    at = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-at.square() / (2.0 * sigma * sigma))
    return kernel / kernel.sum()


@lru_cache(maxsize=32)
def _matrix(size: int, sigma: float) -> Tensor:
    """(size, size): the convolution along one axis, edges replicated."""
    kernel = _kernel(sigma)
    radius = len(kernel) // 2
    source = torch.arange(size)[:, None] + torch.arange(-radius, radius + 1)[None]
    rows = torch.zeros(size, size)
    return rows.scatter_add_(1, source.clamp(0, size - 1), kernel.expand(size, -1).contiguous())
