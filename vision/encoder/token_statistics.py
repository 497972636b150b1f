"""Statistics of a tap's tokens, for the noise classifier.

Noise hardly changes mean features; it changes second moments and differences between neighbouring
tokens, channel by channel.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vision.encoder.token_layout import TokenLayout, neighbour_mean

_FLOOR = 1e-6
"""Added under logarithms of energies of standardised features."""


def token_statistics(features: Tensor, layout: TokenLayout) -> Tensor:
    """One vector per image, (images, 6 * dim + 15) float32, of (images, tiles, tokens, dim).

    Per channel: the mean over patches, the log standard deviation, the log energy of the
    differences along rows, along columns and of the second difference (along the sequence where
    there is no grid), and the log lower quartile of the distance to the neighbours' mean, which is
    the noise floor of the homogeneous part of the image. Then scalars: quantiles over patches of
    that distance's norm, the autocorrelation of the token grid at a half and a third of its height
    and width (ghosts), and the spread of the token norms.
    """
    patches = features[:, :, layout.prefix :, :].to(torch.float32)
    images, tiles, count, dim = patches.shape
    flat = patches.reshape(images, tiles * count, dim)
    mean = flat.mean(dim=1)
    centred = flat - mean[:, None, :]
    variance = centred.square().mean(dim=1)
    energies = [variance, *_differences(patches, layout)]
    logs = [0.5 * torch.log(energy + _FLOOR) for energy in energies]
    local = (patches - neighbour_mean(patches, layout)).reshape(flat.shape)
    floor = torch.log(_lower_quartile(local.abs()) + _FLOOR**0.5)
    norms = torch.log(local.square().mean(dim=2) + _FLOOR)
    shares = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9], device=norms.device)
    scalars = [
        torch.quantile(norms, shares, dim=1).T,
        _shift_correlation(centred.reshape(patches.shape), variance, layout),
        _norms(flat),
    ]
    return torch.cat([mean, *logs, floor, *scalars], dim=1)


def _lower_quartile(values: Tensor) -> Tensor:
    """Lower quartile over the second axis of (images, tokens, dim), without interpolation.

    By selection along contiguous memory: several times faster than `Tensor.kthvalue`.
    """
    rank = max(values.shape[1] // 4, 1)
    lying = values.transpose(1, 2).contiguous().cpu().numpy()
    found = np.partition(lying, rank - 1, axis=2)[:, :, rank - 1]
    return torch.from_numpy(np.ascontiguousarray(found)).to(values.device)


def _energy(difference: Tensor) -> Tensor:
    """Mean square over everything between images (first axis) and channels (last axis)."""
    flat = difference.reshape(difference.shape[0], -1, difference.shape[-1])
    return flat.square().mean(dim=1)


def _differences(patches: Tensor, layout: TokenLayout) -> tuple[Tensor, Tensor, Tensor]:
    images, tiles, count, dim = patches.shape
    if layout.has_grid and layout.height > 2 and layout.width > 2:
        grid = patches.reshape(images, tiles, layout.height, layout.width, dim)
        along_columns = grid.diff(dim=3)
        along_rows = grid.diff(dim=2)
        return _energy(along_columns), _energy(along_rows), _energy(along_columns.diff(dim=2))
    if count > 4:
        step = patches.diff(dim=2)
        return (
            _energy(step),
            _energy(patches[:, :, 2:] - patches[:, :, :-2]),
            _energy(step.diff(dim=2)),
        )
    nothing = torch.zeros(images, dim, device=patches.device)
    return nothing, nothing, nothing


def _shift_correlation(centred: Tensor, variance: Tensor, layout: TokenLayout) -> Tensor:
    """Correlation of the token grid with itself at ghost shifts and one step, (images, 6)."""
    images, tiles, _, dim = centred.shape
    if not layout.has_grid:
        return torch.zeros(images, 6, device=centred.device)
    grid = centred / (variance[:, None, None, :] + _FLOOR).sqrt()
    grid = grid.reshape(images, tiles, layout.height, layout.width, dim)
    shifts = [
        (axis, max(size // part, 1))
        for axis, size in ((2, layout.height), (3, layout.width))
        for part in (2, 3, size)
    ]
    return torch.stack(
        [(grid * grid.roll(shift, axis)).mean(dim=(1, 2, 3, 4)) for axis, shift in shifts], dim=1
    )


def _norms(flat: Tensor) -> Tensor:
    """Mean, spread and extremes of the logarithm of the token norms, (images, 4)."""
    norms = torch.log(flat.norm(dim=2) + _FLOOR)
    return torch.stack([norms.mean(1), norms.std(1), norms.amax(1), norms.amin(1)], dim=1)
