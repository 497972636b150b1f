"""Statistics of a tap's tokens along the directions in which noise changes their variance.

Clean patches vary mostly in few directions: brightness, edges, what anatomy looks like. Noise is a
small part of any channel's variance and a large part of that along directions in which clean
patches hardly vary, so that channel by channel (`vision.encoder.token_statistics`) a wide patch
embedding hides the noise that it keeps. The directions are the common spatial patterns of clean and
noisy patches (Koles, Lazar and Zhou 1990; Ramoser et al. 2000): generalised eigenvectors of their
covariances, those with the largest and the smallest ratio for each kind of noise, and the leading
principal components of clean patches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vision.encoder.component_statistics import (
    FLOOR,
    autocorrelation,
    by_brightness,
    copies,
    grid_shape,
    log_trend,
    quantiles,
    slow_trend,
)
from vision.encoder.token_layout import TokenLayout

LEADING = 24
"""Principal components of clean patches."""
PATTERNS = 96
"""Directions of largest, and as many of smallest, ratio over all kinds together."""
_PER_KIND = (3, 8)
"""Fewest and most of them for one kind."""

_ROUNDING = 3e-6
"""Variance, relative to the mean square of a channel, that is added along every direction: twice
what bfloat16 rounds, so that a statistic is of the features and not of their rounding."""
_QUANTILES = (0.25, 0.5, 0.9)
_SMOOTH = 4
"""Leading components whose slow trend over the grid is measured (bias fields)."""
_LEVELS = 16
"""Leading components of which mean and extremes over patches are statistics (brightness)."""
_LEVEL_QUANTILES = (0.02, 0.1, 0.5, 0.9, 0.98)
_COPIED = 8
"""Leading components of which displaced copies in dark patches are looked for (ghosts)."""


def second_moments(patches: Tensor) -> Tensor:
    """(dim + 1, dim + 1) float64 moments of patches (..., dim) and a constant one.

    Additive over batches; last row and column hold the sums and the count. Products are taken in
    the patches' precision.
    """
    flat = patches.reshape(-1, patches.shape[-1])
    full = torch.cat([flat, flat.new_ones(len(flat), 1)], dim=1)
    return (full.T @ full).to("cpu", torch.float64)


def _covariance(moments: Tensor) -> tuple[Tensor, Tensor]:
    """(dim, dim) covariance and (dim,) mean."""
    mean = moments[:-1, -1] / moments[-1, -1]
    return moments[:-1, :-1] / moments[-1, -1] - torch.outer(mean, mean), mean


@dataclass(frozen=True)
class TokenSpectrum:
    """Directions of a tap's patches, and statistics along them."""

    centre: Tensor
    """(dim,) mean of clean patches."""
    directions: Tensor
    """(dim, directions), each divided by the standard deviation of clean patches along it."""
    bands: tuple[int, ...]
    """Widths of consecutive bands of directions: in three bands the leading components, then the
    patterns of each kind."""

    @classmethod
    def fit(cls, clean: Tensor, noisy: Sequence[Tensor]) -> TokenSpectrum:
        """From `second_moments` of clean patches, and of noisy ones of each kind."""
        covariance, mean = _covariance(clean)
        power = covariance.diagonal().mean() + mean.square().mean()
        rounding = (_ROUNDING * power + 1e-30) * torch.eye(len(mean), dtype=mean.dtype)
        values, vectors = torch.linalg.eigh(covariance + rounding)
        whiten = vectors.flip(1) / values.flip(0).sqrt()
        found, bands = [whiten[:, :LEADING]], _split(min(LEADING, len(mean)))
        least, most = _PER_KIND
        width = min(max(PATTERNS // max(len(noisy), 1), least), most, max(len(mean) // 2, 1))
        for moments in noisy:
            other = whiten.T @ (_covariance(moments)[0] + rounding) @ whiten
            patterns = whiten @ torch.linalg.eigh(other).eigenvectors
            found += [patterns[:, -width:].flip(1), patterns[:, :width]]
            bands += [width, width]
        directions = torch.cat(found, dim=1)
        # the sign of an eigenvector is arbitrary; brightness is compared along the first
        signs = torch.where(directions.sum(0) < 0.0, -1.0, 1.0)
        return cls(mean.float(), (directions * signs).float(), tuple(bands))

    def statistics(self, features: Tensor, layout: TokenLayout) -> Tensor:
        """One vector per image, (images, s) float32, of features (images, tiles, tokens, dim).

        Along each direction: the logarithms of standard deviation and of three quantiles of the
        absolute value over patches, and of the energy of differences between neighbours along rows
        and columns relative to the variance. Of leading components: mean and quantiles over patches
        (brightness, contrast), slow trends over the grid (bias fields), and the regression of dark
        patches on displaced bright ones (ghosts). In bands of directions: local energy in quarters
        of the patches from dark to bright (noise that depends on the signal), and the
        autocorrelation of the grid (displaced copies).
        """
        patches = features[:, :, layout.prefix :].to(torch.float32)
        images, tiles, count, _ = patches.shape
        along = (patches - self.centre.to(patches)) @ self.directions.to(patches)
        flat = along.reshape(images, tiles * count, -1)
        mean = flat.mean(dim=1)
        variance = (flat - mean[:, None]).square().mean(dim=1)
        log_variance = torch.log(variance + FLOOR)
        grid = (along - mean[:, None, None]).unflatten(2, grid_shape(layout))
        parts = [mean[:, :_LEVELS], *quantiles(flat[:, :, :_LEVELS], _LEVEL_QUANTILES)]
        parts.append(0.5 * log_variance)
        parts += [torch.log(q + FLOOR**0.5) for q in quantiles(flat.abs(), _QUANTILES)]
        for axis in (2, 3):
            energy = grid.diff(dim=axis).square().flatten(1, 3).mean(dim=1)
            parts.append(torch.log(energy.nan_to_num() + FLOOR) - log_variance)
        parts.append(by_brightness(flat, self.bands))
        unit = grid / (variance + FLOOR).sqrt()[:, None, None, None]
        parts.append(autocorrelation(unit, self.bands))
        parts.append(slow_trend(along[..., :_SMOOTH], layout))
        parts.append(log_trend(along[..., 0].mean(dim=1), layout))
        parts.append(copies(along.mean(dim=1)[..., :_COPIED], layout))
        return torch.cat(parts, dim=1)

    @property
    def size(self) -> int:
        """Number of statistics of an image."""
        layout = TokenLayout(16, 0, 4, 4)
        return self.statistics(torch.zeros(1, 1, 16, len(self.centre)), layout).shape[1]

    def to_tensors(self) -> dict[str, Tensor]:
        """Every array by name."""
        bands = torch.tensor(self.bands)
        return {"centre": self.centre, "directions": self.directions, "bands": bands}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> TokenSpectrum:
        """Rebuild from `to_tensors`; KeyError where an array is missing, ValueError for a shape."""
        centre, directions, bands = tensors["centre"], tensors["directions"], tensors["bands"]
        if directions.dim() != 2 or centre.shape != directions.shape[:1] or not directions.numel():
            raise ValueError(f"directions has the wrong shape {tuple(directions.shape)}")
        if bands.dim() != 1 or bool((bands < 1).any()) or int(bands.sum()) != directions.shape[1]:
            raise ValueError("bands do not add up to the directions")
        return cls(centre, directions, tuple(bands.tolist()))


def _split(leading: int) -> list[int]:
    """Widths of the bands of the leading components: the first, up to the eighth, the others."""
    edges = sorted({min(edge, leading) for edge in (0, 1, 8, LEADING)})
    return [after - before for before, after in zip(edges, edges[1:], strict=False)]
