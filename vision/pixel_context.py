"""What a pixel's restoration may look at: its neighbourhood, bands of detail, the whole image.

Every channel is fixed; only the linear readout over them is fitted (`vision.restorer`). Details are
split into bands and, softly, by how much of the band there is nearby and by how bright it is there,
so that a linear readout can shrink a band where it is weak and keep it where it is strong, as
wavelet shrinkage does (Donoho and Johnstone 1994; Chang et al. 2000), with thresholds that are
fitted instead of derived. Two channels are means of like neighbourhoods (non-local means: Buades et
al. 2005), which a readout of bands cannot make.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

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
"""Furthest displacement, in pixels, of a like neighbourhood."""
_LEAST_NOISE = 0.004
"""One grey level of 256."""
_LAPLACIAN = ((1.0, -2.0, 1.0), (-2.0, 4.0, -2.0), (1.0, -2.0, 1.0))

CHANNELS = (
    PATCH * PATCH
    + len(BLURS)
    + 2
    + _BANDS * (len(ENERGIES) + len(LEVELS))
    + len(MEANS)
    + len(_QUANTILES)
    + 3
)


def pixel_context(grey: Tensor) -> Tensor:
    """(images, H, W) grey in [0, 1] -> (images, CHANNELS, H, W); H and W at least 8."""
    picture = grey[:, None].float()
    images, _, height, width = picture.shape
    radius = PATCH // 2
    around = F.unfold(F.pad(picture, (radius,) * 4, mode="reflect"), PATCH)
    scales = [picture, *(blurred(picture, sigma) for sigma in BLURS)]
    medians = [_median(picture, 3), _median(picture, 5)]
    details = [fine - coarse for fine, coarse in zip(scales[:-2], scales[1:-1], strict=True)]
    details += [picture - median for median in medians]
    levels = _soft(scales[2], LEVELS, _LEVEL_WIDTH)
    channels = [around.view(images, PATCH * PATCH, height, width), *scales[1:], *medians]
    for detail in details:
        energy = 0.5 * torch.log(blurred(detail.square(), _ENERGY_BLUR).clamp_min(_FLOOR))
        channels += [detail * _soft(energy, ENERGIES, _ENERGY_WIDTH), detail * levels]
    channels += [mean - picture for mean in _non_local_means(picture)]
    channels.append(_whole(picture).expand(-1, -1, height, width))
    return torch.cat(channels, dim=1)


def blurred(picture: Tensor, sigma: float) -> Tensor:
    """(images, 1, H, W) under a Gaussian of `sigma` pixels, edges replicated."""
    radius = max(1, int(3.0 * sigma + 0.5))
    at = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-at.square() / (2.0 * sigma * sigma))
    kernel = kernel / kernel.sum()
    rows = F.pad(picture, (radius, radius, 0, 0), mode="replicate")
    rows = F.conv2d(rows, kernel.view(1, 1, 1, -1))
    columns = F.pad(rows, (0, 0, radius, radius), mode="replicate")
    return F.conv2d(columns, kernel.view(1, 1, -1, 1))


def _median(picture: Tensor, side: int) -> Tensor:
    """Of the side x side neighbourhood, exactly; edges replicated.

    By forgetful selection over displaced pictures (Devillard 1998): of half the planes and two the
    least and the greatest cannot be the median; they go, the next plane comes. Several times
    quicker than sorting every neighbourhood.
    """
    radius = side // 2
    padded = F.pad(picture, (radius,) * 4, mode="replicate")
    height, width = picture.shape[2:]
    planes = [
        padded[:, :, top : top + height, left : left + width]
        for top in range(side)
        for left in range(side)
    ]
    held = len(planes) // 2 + 2
    live, coming = planes[:held], planes[held:]
    while len(live) > 1:
        _least_first_greatest_last(live)
        live = [*live[1:-1], *coming[:1]]
        coming = coming[1:]
    return live[0]


def _least_first_greatest_last(planes: list[Tensor]) -> None:
    """Exchange pixels between planes, in place, until the first holds the least of each."""
    last = len(planes) - 1

    def exchange(low: int, high: int) -> None:
        one, other = planes[low], planes[high]
        planes[low], planes[high] = torch.minimum(one, other), torch.maximum(one, other)

    for place in range(len(planes) // 2):
        exchange(place, last - place)
    for place in range(1, (len(planes) + 1) // 2):
        exchange(0, place)
    for place in range(len(planes) // 2, last):
        exchange(place, last)


def _non_local_means(picture: Tensor) -> list[Tensor]:
    """(images, 1, H, W) averaged over neighbourhoods that are alike, at each strength of `MEANS`.

    Squared differences of 3x3 neighbourhoods count beyond what noise alone makes of them.
    """
    noise = _noise_level(picture)[:, None, None, None]
    power = noise.square()
    padded = F.pad(picture, (_REACH,) * 4, mode="reflect")
    height, width = picture.shape[2:]
    sums = [picture.clone() for _ in MEANS]
    totals = [torch.ones_like(picture) for _ in MEANS]
    for down in range(-_REACH, _REACH + 1):
        for right in range(-_REACH, _REACH + 1):
            if (down, right) == (0, 0):
                continue
            top, left = _REACH + down, _REACH + right
            moved = padded[:, :, top : top + height, left : left + width]
            unlike = F.avg_pool2d(F.pad((picture - moved).square(), (1,) * 4, mode="reflect"), 3, 1)
            excess = (unlike - 2.0 * power).clamp_min(0.0) / power
            for strength, total, summed in zip(MEANS, totals, sums, strict=True):
                weight = torch.exp(-excess / strength**2)
                total += weight
                summed += weight * moved
    return [summed / total for summed, total in zip(sums, totals, strict=True)]


def _noise_level(picture: Tensor) -> Tensor:
    """(images,) standard deviation of fine-grained noise (Immerkaer 1996, by quantiles): of half
    the pixels, or where air takes that half, of three quarters."""
    kernel = torch.tensor(_LAPLACIAN)[None, None] / 6.0
    residual = F.conv2d(picture, kernel).abs().flatten(1)
    half, most = torch.quantile(residual, torch.tensor([0.5, 0.75]), dim=1)
    return torch.maximum(half / 0.674, 0.7 * most / 1.15).clamp_min(_LEAST_NOISE)


def _soft(values: Tensor, centres: tuple[float, ...], width: float) -> Tensor:
    """Soft membership of (images, 1, H, W) in each centre: (images, centres, H, W), sum one."""
    at = torch.tensor(centres).view(1, -1, 1, 1)
    inside = values.clamp(centres[0], centres[-1])
    return torch.softmax(-((inside - at) / width).square(), dim=1)


def _whole(picture: Tensor) -> Tensor:
    """Quantiles, mean, spread and a constant of each image: (images, 6, 1, 1)."""
    flat = picture.flatten(1)
    quantiles = torch.quantile(flat, torch.tensor(_QUANTILES), dim=1).T
    moments = torch.stack([flat.mean(1), flat.std(1), torch.ones(len(flat))], dim=1)
    return torch.cat([quantiles, moments], dim=1)[:, :, None, None]
