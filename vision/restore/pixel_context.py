"""Context of a pixel for its restoration: neighbourhood, bands of detail, the whole image.

The channels are fixed; only the linear weights over them are fitted
(`vision.acquisition.restorer`). Detail is split into bands, and each band into soft classes of its
local energy and of the local brightness. So linear weights can shrink a band where it is weak and
keep it where it is strong, as wavelet shrinkage does (Donoho and Johnstone 1994; Chang et al.
2000), with fitted thresholds. Two channels are non-local means (Buades et al. 2005), which are not
linear in the bands; ten are displaced copies (`vision.restore.ghosts`).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from vision.perceive.medians import median
from vision.restore.ghosts import GHOSTS, ghost_context
from vision.restore.scale_space import blurred, convolved
from vision.restore.thumbnails import quantiles

PATCH = 9
"""Side of the raw neighbourhood in pixels."""
BLURS = (0.7, 1.4, 2.8, 5.6, 11.2)
"""Standard deviations of the Gaussian scale space, in pixels."""
LEVELS = (0.05, 0.3, 0.6, 0.9)
"""Centres of the soft brightness classes, full scale 1."""
ENERGIES = (-6.0, -5.0, -4.0, -3.2, -2.4, -1.6)
"""Centres of the soft classes of a band's local root mean square, natural logarithm."""

MEANS = (1.2, 2.0)
"""Filter strengths of the non-local means, in standard deviations of the noise."""

_BANDS = len(BLURS) + 1
_LEVEL_WIDTH = 0.2
_ENERGY_WIDTH = 0.6
_ENERGY_BLUR = 1.4
_FLOOR = 1e-8
_QUANTILES = (0.5, 0.9, 0.99)

_REACH = 3
"""Largest displacement, in pixels, of a neighbourhood in the non-local means."""
_HALF = tuple(
    (down, right)
    for down in range(_REACH + 1)
    for right in range(-_REACH, _REACH + 1)
    if (down, right) > (0, 0)
)
"""Half of the displacements; the others are their negatives."""
_LEAST_NOISE = 0.004
"""One grey level of 256."""
_LAPLACIAN = ((1.0, -2.0, 1.0), (-2.0, 4.0, -2.0), (1.0, -2.0, 1.0))

CHANNELS = (
    PATCH * PATCH
    + len(BLURS)
    + 2
    + _BANDS * (len(ENERGIES) + len(LEVELS))
    + GHOSTS
    + len(MEANS)
    + len(_QUANTILES)
    + 3
)


def pixel_context(grey: Tensor, some: Tensor | None = None) -> Tensor:
    """Channels (images, CHANNELS, H, W) of grey pictures.

    Args:
        grey: (images, H, W) in [0, 1]; H and W at least 16.
        some: flat indices of pixels; then only theirs, (images, CHANNELS, len(some)).
    """
    picture = grey[:, None].float()
    images, _, height, width = picture.shape
    around = F.unfold(F.pad(picture, (PATCH // 2,) * 4, mode="reflect"), PATCH)

    def chosen(channels: Tensor) -> Tensor:
        return channels if some is None else channels[..., some]

    parts = [chosen(around)]
    for factor, channels in _beyond_the_patch(picture):
        parts.append(chosen(factor.flatten(2)) * chosen(channels.flatten(2)))
    parts.append(_whole(picture).flatten(2).expand(-1, -1, parts[0].shape[2]))
    whole = torch.cat(parts, dim=1)
    return whole if some is not None else whole.view(images, CHANNELS, height, width)


def weighted_context(grey: Tensor, weights: Tensor) -> Tensor:
    """Sums of the channels of (images, H, W) under several weights each: (images, members, H, W).

    Equals `weights` (images, members, CHANNELS) times `pixel_context`, without holding its about
    150 channels in memory; the channels are computed once for all members.
    """
    picture = grey[:, None].float()
    images, members = weights.shape[:2]
    shape = (images, members, *grey.shape[1:])
    patch, rest = weights[..., : PATCH * PATCH], weights[..., PATCH * PATCH :]
    padded = F.pad(picture, (PATCH // 2,) * 4, mode="reflect")
    kernels = patch.reshape(images, members, 1, PATCH, PATCH)
    # one by one: a grouped convolution is three times slower
    change = torch.cat([convolved(padded[i : i + 1], kernels[i]) for i in range(images)])
    for factor, channels in _beyond_the_patch(picture):
        own, rest = rest[..., : channels.shape[1]], rest[..., channels.shape[1] :]
        change += factor * torch.bmm(own, channels.flatten(2)).view(shape)
    return change + (rest @ _whole(picture)[:, :, 0])[..., None]


def _beyond_the_patch(picture: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Channels after the patch, as products of (images, 1, H, W) and (images, c, H, W)."""
    one = torch.ones_like(picture)
    scales = [picture, *(blurred(picture, sigma) for sigma in BLURS)]
    medians = [median(picture, 3), median(picture, 5)]
    yield one, torch.cat([*scales[1:], *medians], dim=1)
    details = [fine - coarse for fine, coarse in zip(scales[:-2], scales[1:-1], strict=True)]
    details += [picture - middle for middle in medians]
    levels = _soft(scales[2], LEVELS, _LEVEL_WIDTH)
    for detail in details:
        energy = 0.5 * torch.log(blurred(detail.square(), _ENERGY_BLUR).clamp_min(_FLOOR))
        yield detail, torch.cat([_soft(energy, ENERGIES, _ENERGY_WIDTH), levels], dim=1)
    yield one, ghost_context(picture[:, 0])
    yield one, torch.cat([mean - picture for mean in _non_local_means(picture)], dim=1)


def _non_local_means(picture: Tensor) -> list[Tensor]:
    """Non-local means of (images, 1, H, W), one at each strength of `MEANS`.

    Weights fall with the mean squared difference of 3x3 neighbourhoods, less the expected part of
    the noise. The difference is symmetric, so each weight is computed once and used for a
    displacement and its negative.
    """
    power = _noise_level(picture)[:, None, None, None].square()
    padded = F.pad(picture, (2 * _REACH + 1,) * 4, mode="reflect")
    height, width = picture.shape[2:]

    def moved(plane: Tensor, margin: int, down: int, right: int) -> Tensor:
        rows = slice(margin + down, margin + down + height)
        return plane[:, :, rows, margin + right : margin + right + width]

    tall, wide = height + 2 * _REACH + 2, width + 2 * _REACH + 2
    here = padded[:, :, _REACH : _REACH + tall, _REACH : _REACH + wide]
    sums = [picture.clone() for _ in MEANS]
    totals = [torch.ones_like(picture) for _ in MEANS]
    for down, right in _HALF:
        top, left = _REACH + down, _REACH + right
        there = padded[:, :, top : top + tall, left : left + wide]
        difference = _box(here - there)
        excess = (difference - 2.0 * power).clamp_min_(0.0) / power
        for strength, total, summed in zip(MEANS, totals, sums, strict=True):
            weights = torch.exp(excess * (-1.0 / strength**2))
            for sign in (1, -1):
                # for the negative: the weight of the pair whose first pixel is that neighbour
                weight = moved(weights, _REACH, *((0, 0) if sign == 1 else (-down, -right)))
                total += weight
                summed += weight * moved(padded, 2 * _REACH + 1, sign * down, sign * right)
    return [summed / total for summed, total in zip(sums, totals, strict=True)]


def _box(difference: Tensor) -> Tensor:
    """Mean square over 3x3 neighbourhoods, without the border.

    Separable sums are much faster than pooling.
    """
    power = difference.square() / 9.0
    rows = power[:, :, :-2] + power[:, :, 1:-1] + power[:, :, 2:]
    return rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]


def _noise_level(picture: Tensor) -> Tensor:
    """(images,) standard deviation of fine-grained noise (Immerkaer 1996, by quantiles).

    From the median, or from the 0.75 quantile where air fills half of the picture.
    """
    kernel = picture.new_tensor(_LAPLACIAN)[None, None] / 6.0
    residual = convolved(picture, kernel).abs().flatten(1)
    half, most = quantiles(residual, (0.5, 0.75)).T
    return torch.maximum(half / 0.674, 0.7 * most / 1.15).clamp_min(_LEAST_NOISE)


def _soft(values: Tensor, centres: tuple[float, ...], width: float) -> Tensor:
    """Soft membership of (images, 1, H, W) in classes: (images, centres, H, W), summing to one."""
    at = values.new_tensor(centres).view(1, -1, 1, 1)
    inside = values.clamp(centres[0], centres[-1])
    return torch.softmax(-((inside - at) / width).square(), dim=1)


def _whole(picture: Tensor) -> Tensor:
    """Quantiles, mean, spread and a constant of each image: (images, 6, 1, 1)."""
    flat = picture.flatten(1)
    moments = torch.stack([flat.mean(1), flat.std(1), flat.new_ones(len(flat))], dim=1)
    return torch.cat([quantiles(flat, _QUANTILES), moments], dim=1)[:, :, None, None]
