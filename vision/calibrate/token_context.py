"""Inputs of the calibration maps: standardised features of a tap, and phi of each patch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vision.encoder.token_layout import (
    POSITION_FEATURES,
    TokenLayout,
    neighbour_mean,
    position_features,
)

_NEIGHBOURS, _IMAGE, _FIRST = 0.5, 0.1, 0.02
"""Scales of the neighbours' mean, the image's mean and CLS, relative to the token: the smaller, the
stronger their ridge penalty. The image's mean and CLS vary over references only, not over tokens,
so that few references determine their weights badly (on 224 references, at scale one they lowered
the held-out gain of the other parts)."""


@dataclass(frozen=True)
class Context:
    """phi of every patch, in two parts: varying over a tile's patches, and constant over them."""

    varying: Tensor
    """(images, tiles, patches, v): the token, its neighbours' mean, its position."""
    constant: Tensor
    """(images, tiles, c): the image's mean, and CLS if there is one."""

    @property
    def size(self) -> int:
        """Entries of phi: v + c."""
        return self.varying.shape[-1] + self.constant.shape[-1]

    def __getitem__(self, rows: int | list[int]) -> Context:
        """The context of the images `rows`."""
        chosen = [rows] if isinstance(rows, int) else rows
        return Context(self.varying[chosen], self.constant[chosen])

    def __matmul__(self, left: Tensor) -> Tensor:
        """phi @ left: (images, tiles, patches, rank) for left (v + c, rank)."""
        v = self.varying.shape[-1]
        return self.varying @ left[:v] + (self.constant @ left[v:])[:, :, None]


@dataclass(frozen=True)
class FeatureScaler:
    """Channel-wise standardisation of a tap's patches, fitted on clean references."""

    centre: Tensor
    """(dim,) mean."""
    scale: Tensor
    """(dim,) standard deviation, floored."""

    def to(self, device: torch.device) -> FeatureScaler:
        """The same on a device."""
        return FeatureScaler(self.centre.to(device), self.scale.to(device))

    def patches(self, features: Tensor, layout: TokenLayout) -> Tensor:
        """Standardised patches (images, tiles, patches, dim) of (images, tiles, tokens, dim)."""
        return (features[:, :, layout.prefix :].to(torch.float32) - self.centre) / self.scale

    def context(
        self, features: Tensor, layout: TokenLayout, *, size: int | None = None
    ) -> Context:
        """phi of (images, tiles, tokens, dim) features.

        Args:
            features: (images, tiles, tokens, dim).
            layout: of the tokens.
            size: entries of phi that are wanted: without the parts that are constant over a tile
                where it is that of the varying part; None: all.
        """
        patches = self.patches(features, layout)
        images, tiles, count, _ = patches.shape
        position = position_features(layout).to(patches.device)
        varying = [
            patches,
            _NEIGHBOURS * neighbour_mean(patches, layout),
            position.expand(images, tiles, count, POSITION_FEATURES),
        ]
        if size == sum(part.shape[-1] for part in varying):
            return Context(torch.cat(varying, dim=-1), patches.new_zeros(images, tiles, 0))
        mean = _IMAGE * patches.mean(dim=(1, 2))
        constant = [mean[:, None].expand(images, tiles, -1)]
        if layout.prefix:
            first = (features[:, :, 0].to(torch.float32) - self.centre) / self.scale
            constant.append(_FIRST * first)
        return Context(torch.cat(varying, dim=-1), torch.cat(constant, dim=-1))


def channel_sums(patches: Tensor) -> Tensor:
    """Sum, sum of squares and count of patches (..., dim): (3, dim), additive over batches."""
    flat = patches.reshape(-1, patches.shape[-1]).double()
    count = torch.full((flat.shape[1],), float(len(flat)), dtype=torch.float64)
    return torch.stack([flat.sum(0), flat.square().sum(0), count])


def fit_scaler(sums: Tensor) -> FeatureScaler:
    """The scaler from `channel_sums`, added over clean references."""
    first, second, count = sums
    centre = first / count
    scale = (second / count - centre.square()).clamp_min(1e-12).sqrt()
    # A channel that hardly varies would be amplified: floor at 0.01 of the median deviation.
    floor = float(0.01 * scale.median())
    return FeatureScaler(centre.float(), scale.clamp_min(max(floor, 1e-6)).float())
