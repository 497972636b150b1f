"""Statistics of a tap's tokens along the directions in which noise changes their variance.

Clean patches vary mostly in few directions: brightness, edges, what anatomy looks like. Noise is a
small part of any channel's variance and a large part of that along directions in which clean
patches hardly vary, so that a wide patch embedding hides, channel by channel, the noise that it
keeps. The directions are the common spatial patterns of clean and noisy patches (Koles, Lazar and
Zhou 1990; Ramoser et al. 2000): generalised eigenvectors of their covariances, those with the
largest and the smallest ratio for each kind of noise, and the leading principal components of clean
patches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vision.encoder.component_statistics import (
    FLOOR,
    band_energies,
    by_brightness,
    copies,
    grid_shape,
    log_quantiles,
    log_trend,
    quantiles,
    slow_trend,
)
from vision.encoder.token_layout import TokenLayout

LEADING = 24
"""Principal components of clean patches."""
BAND = 4
"""Directions whose energy is one statistic: single ones vary too much over images. The first eight
leading components, which are the most different from each other, are bands of their own."""
_SINGLE = 8
_FEW_KINDS = 8
"""With at most this many kinds, each has two bands of largest and two of smallest ratio; else one
each."""

_ROUNDING = 3e-6
"""Variance, relative to the mean square of a channel, that is added along every direction: twice
what bfloat16 rounds, so that a statistic is of the features and not of their rounding."""
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
_QUARTER_QUANTILES = _DIFFERENCE_QUANTILES = (0.1, 0.5, 0.9)
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
    return (full.T @ full).cpu().double()


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
    """Widths of consecutive bands of directions: of the leading components, then of each kind's
    patterns, those of largest ratio first."""

    @classmethod
    def fit(cls, clean: Tensor, noisy: Sequence[Tensor]) -> TokenSpectrum:
        """From `second_moments` of clean patches, and of noisy ones of each kind."""
        covariance, mean = _covariance(clean)
        power = covariance.diagonal().mean() + mean.square().mean()
        rounding = (_ROUNDING * power + 1e-30) * torch.eye(len(mean), dtype=mean.dtype)
        values, vectors = torch.linalg.eigh(covariance + rounding)
        whiten = vectors.flip(1) / values.flip(0).sqrt()
        found = [whiten[:, :LEADING]]
        leading = found[0].shape[1]
        bands = [1] * min(_SINGLE, leading) + _split(leading - min(_SINGLE, leading))
        width = min(BAND * (2 if len(noisy) <= _FEW_KINDS else 1), len(mean) // 2)
        for moments in noisy:
            other = whiten.T @ (_covariance(moments)[0] + rounding) @ whiten
            patterns = whiten @ torch.linalg.eigh(other).eigenvectors
            found += [patterns[:, -width:].flip(1), patterns[:, :width]]
            bands += 2 * _split(width)
        directions = torch.cat(found, dim=1)
        # the sign of an eigenvector is arbitrary; brightness is compared along the first
        signs = torch.where(directions.sum(0) < 0.0, -1.0, 1.0)
        return cls(mean.float(), (directions * signs).float(), tuple(bands))

    def statistics(self, features: Tensor, layout: TokenLayout) -> Tensor:
        """One vector per image, (images, s) float32, of features (images, tiles, tokens, dim).

        Of leading components: mean and quantiles over patches (brightness, contrast), slow trends
        over the grid (bias fields), and the regression of dark patches on displaced bright ones
        (ghosts). Of the energy in each band of directions: log quantiles over all patches, and,
        with the log mean, over quarters of them from dark to bright (noise that depends on the
        signal). Of the differences between neighbours along rows and columns: the same quantiles.
        Quantiles, because edges make up the mean energy of a picture and flat regions show noise.
        """
        patches = features[:, :, layout.prefix :].to(torch.float32)
        images, tiles, count, _ = patches.shape
        along = (patches - self.centre.to(patches)) @ self.directions.to(patches)
        flat = along.reshape(images, tiles * count, -1)
        leading = flat[:, :, :_LEVELS]
        energy = band_energies(flat, self.bands)
        parts = [leading.mean(dim=1), *quantiles(leading, _LEVEL_QUANTILES)]
        parts.append(log_quantiles(energy, _QUANTILES))
        for quarter in by_brightness(energy, flat[:, :, 0]):
            parts.append(torch.log(quarter.mean(dim=1) + FLOOR))
            parts.append(log_quantiles(quarter, _QUARTER_QUANTILES))
        grid = along.unflatten(2, grid_shape(layout))
        for axis in (2, 3):
            steps = band_energies(grid.diff(dim=axis).flatten(1, 3), self.bands)
            parts.append(log_quantiles(steps, _DIFFERENCE_QUANTILES))
        over_tiles = along.mean(dim=1)
        parts.append(slow_trend(over_tiles[..., :_SMOOTH], layout))
        parts.append(log_trend(over_tiles[..., 0], layout))
        parts.append(copies(over_tiles[..., :_COPIED], layout))
        return torch.cat(parts, dim=1)

    @property
    def size(self) -> int:
        """Number of statistics of an image."""
        layout = TokenLayout(16, 0, 4, 4)
        return self.statistics(torch.zeros(1, 1, 16, len(self.centre)), layout).shape[1]

    def to(self, device: torch.device) -> TokenSpectrum:
        """The same on a device."""
        return TokenSpectrum(self.centre.to(device), self.directions.to(device), self.bands)

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


def _split(directions: int) -> list[int]:
    """Widths of bands of at most `BAND` directions."""
    full, rest = divmod(directions, BAND)
    return [BAND] * full + [rest] * (rest > 0)
