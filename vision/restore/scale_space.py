"""Gaussian scale space."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def blurred(picture: Tensor, sigma: float) -> Tensor:
    """(images, 1, H, W) convolved with a Gaussian of `sigma` pixels, edges replicated."""
    radius = max(1, int(3.0 * sigma + 0.5))
    at = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-at.square() / (2.0 * sigma * sigma))
    kernel = kernel / kernel.sum()
    rows = F.pad(picture, (radius, radius, 0, 0), mode="replicate")
    rows = F.conv2d(rows, kernel.view(1, 1, 1, -1))
    columns = F.pad(rows, (0, 0, radius, radius), mode="replicate")
    return F.conv2d(columns, kernel.view(1, 1, -1, 1))
