"""Calibration maps of one tap: what each noise takes away from features, in closed form.

    X' = X + g * sum_k p_k W_k phi(X),    W_k = argmin |(X_0 - X_k) - W phi(X_k)|^2 + lambda |W|^2

X are the patch tokens, standardised channel by channel on clean references; phi stacks a token
with its neighbours' mean, position, the image's mean, and CLS if there is one
(`vision.calibrate.token_context`).
`vision.calibrate.moments` fits the maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vision.calibrate.moments import FittedMap
from vision.calibrate.token_context import Standard
from vision.encoder.token_layout import POSITION_FEATURES, TokenLayout, infer_layout
from vision.encoder.token_statistics import token_statistics

DROP_BELOW = 0.03
"""Posteriors under this are dropped and the rest brought back to sum one."""

STRENGTHS = (1.0, 0.5)
"""Values of g tried, strongest first, until one brings the features nearer to clean."""


@dataclass(frozen=True)
class CleanDistance:
    """Mahalanobis distance of a tap's statistics to clean, in the directions noise moves them."""

    project: Tensor
    """(statistics, q): statistics to whitened coordinates of the clean references."""
    centre: Tensor
    """(q,) clean mean there."""
    band: float
    """Distance that calibrated references stay under: nearer than this counts as clean."""

    def __call__(self, features: Tensor, layout: TokenLayout) -> Tensor:
        """Distances (images,) of (images, tiles, tokens, dim) features; about 1 for clean."""
        return self.of(token_statistics(features, layout))

    def of(self, statistics: Tensor) -> Tensor:
        """Distances (n,) of token statistics (n, statistics)."""
        reduced = statistics @ self.project - self.centre
        return reduced.square().mean(dim=1).sqrt()

    def accepts(self, before: Tensor, after: Tensor) -> Tensor:
        """Whether calibration brought features nearer to clean, or into the band (images,).

        A least-squares map also takes some of clean features' own spread, so that rightly
        calibrated features keep a small distance of their own: the band.
        """
        return (after < before) | (after <= self.band)


_BAND = 0.95
"""Quantile of calibrated references' distances that ends the band."""

_DIRECTIONS = 24
"""Most directions in which the distance looks."""


def fit_distance(clean: Tensor, calibrated: Tensor, noisy_means: Tensor) -> CleanDistance:
    """Fit from statistics of clean (n, s) and calibrated references (m, s), and noisy class means.

    Only the directions in which noise moves the class means (k, s) are looked at.
    """
    exact, shifted = clean.double(), noisy_means.double()
    mean = exact.mean(0)
    spread = exact.std(0)
    # What hardly varies over clean images (air around the body) would count without bound.
    spread = spread.clamp_min(float(0.2 * spread.median()))
    shifts = (shifted - mean) / spread
    directions = torch.linalg.svd(shifts, full_matrices=False).Vh[:_DIRECTIONS]
    project = (directions / spread).T
    centred = (exact - mean) @ project
    covariance = centred.T @ centred / max(len(exact) - 1, 1)
    # In these coordinates every statistic has spread one: the floor is a tenth of that.
    floor = 0.1 * torch.eye(len(covariance), dtype=covariance.dtype)
    values, vectors = torch.linalg.eigh(covariance + floor)
    whiten = project @ (vectors / values.sqrt())
    distance = CleanDistance(whiten.float(), (mean @ whiten).float(), 0.0)
    band = float(torch.quantile(distance.of(calibrated.float()), _BAND))
    return CleanDistance(distance.project, distance.centre, band)


@dataclass(frozen=True)
class TapMaps:
    """Everything calibration needs at one tap.

    Maps stand side by side: class k's are `ranks[k]` columns of `left` and rows of `right`, after
    those of the classes before it. A class that no map brings nearer to clean has rank 0.
    """

    standard: Standard
    distance: CleanDistance
    ranks: Tensor
    """(classes,) int64: one map per noisy class, the pooled map last."""
    left: Tensor
    """(context, all ranks together)."""
    right: Tensor
    """(all ranks together, dim)."""
    cap: float
    """Largest |X' - X| / |X| (standardised norms) that calibration may reach."""

    @classmethod
    def of(
        cls, standard: Standard, distance: CleanDistance, maps: Sequence[FittedMap], cap: float
    ) -> TapMaps:
        """From the maps of every class, the pooled map last."""
        return cls(
            standard,
            distance,
            torch.tensor([one.rank for one in maps]),
            torch.cat([one.left for one in maps], dim=1),
            torch.cat([one.right for one in maps]),
            cap,
        )

    @property
    def is_empty(self) -> bool:
        """Whether no class has a map here: the tap is looked at, never changed."""
        return len(self.right) == 0

    def reaches(self, weights: Tensor) -> Tensor:
        """(images,) whether weights (images, classes) are on any class that has a map."""
        return (weights[:, self.ranks > 0] != 0.0).any(dim=1)

    def change(self, features: Tensor, layout: TokenLayout, weights: Tensor) -> Tensor:
        """What to add to (images, tiles, tokens, dim): sum_k p_k W_k phi, capped.

        `weights` is (images, classes), the posteriors of the noisy classes and of `unknown`.
        """
        context = self.standard.context(features, layout)
        patches = self.standard.patches(features, layout)
        residual = torch.zeros_like(patches)
        shares = weights.repeat_interleave(self.ranks, dim=1)
        for image, share in enumerate(shares):
            used = share.nonzero().flatten()
            if len(used):
                told = (context[image] @ self.left[:, used]) * share[used]
                residual[image] = (told @ self.right[used])[0]
        norm = patches.flatten(1).norm(dim=1)
        size = residual.flatten(1).norm(dim=1)
        shrink = (self.cap * norm / size.clamp_min(1e-9)).clamp_max(1.0)
        residual = residual * shrink[:, None, None, None] * self.standard.scale
        change = torch.zeros(features.shape, dtype=torch.float32, device=features.device)
        change[:, :, layout.prefix :] = residual
        return change

    def to_tensors(self) -> dict[str, Tensor]:
        """Every array by name."""
        return {
            "centre": self.standard.centre,
            "scale": self.standard.scale,
            "distance_project": self.distance.project,
            "distance_centre": self.distance.centre,
            "ranks": self.ranks,
            "left": self.left,
            "right": self.right,
            "limits": torch.tensor([self.cap, self.distance.band]),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], classes: int) -> TapMaps:
        """Rebuild from `to_tensors` for so many classes; banks of format 2 are read too.

        KeyError where an array is missing, ValueError where shapes do not fit.
        """
        if "ranks" not in tensors:
            tensors = _side_by_side(tensors)
        centre, ranks = tensors["centre"], tensors["ranks"]
        left, right = tensors["left"], tensors["right"]
        dim, total = len(centre), int(ranks.sum())
        sizes = {2 * dim + POSITION_FEATURES + dim * parts for parts in (1, 2)}
        statistics = (_statistics(dim), *tensors["distance_centre"].shape)
        checks = {
            "ranks": ranks.shape == (classes,) and bool((ranks >= 0).all()),
            "scale": tensors["scale"].shape == centre.shape == (dim,),
            "distance_project": tensors["distance_project"].shape == statistics,
            "left": left.dim() == 2 and left.shape[1] == total and len(left) in sizes,
            "right": right.shape == (total, dim),
            "limits": tensors["limits"].shape == (2,),
        }
        for name, fits in checks.items():
            if not fits:
                raise ValueError(f"{name} has the wrong shape {tuple(tensors[name].shape)}")
        cap, band = tensors["limits"].tolist()
        distance = CleanDistance(tensors["distance_project"], tensors["distance_centre"], band)
        return cls(Standard(centre, tensors["scale"]), distance, ranks, left, right, cap)


def _statistics(dim: int) -> int:
    """How many statistics describe features of `dim` channels."""
    return token_statistics(torch.zeros(1, 1, 16, dim), infer_layout(16)).shape[1]


def _side_by_side(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Format 2 had a map of full rank for every class, and what varies last in the context."""
    left, right = tensors["left"], tensors["right"]
    if left.dim() != 3 or right.dim() != 3 or left.shape[::2] != right.shape[:2]:
        raise ValueError(f"left has the wrong shape {tuple(left.shape)}")
    dim = right.shape[2]
    order = torch.arange(left.shape[1])
    order = torch.cat([order[: 2 * dim], order[-POSITION_FEATURES:], order[2 * dim :]])
    order = order[: left.shape[1]]
    kept = left.flatten(1).any(dim=1)
    ranks = kept * left.shape[2]
    return {
        **tensors,
        "ranks": ranks,
        "left": left[kept][:, order].permute(1, 0, 2).flatten(1),
        "right": right[kept].flatten(0, 1),
    }


def calibration_weights(posterior: Tensor) -> Tensor:
    """Weights of the maps from posteriors (images, clean + classes + unknown).

    Small posteriors are dropped and the rest renormalised; clean keeps its share (its map is zero)
    and loses its column: (images, classes + unknown).
    """
    kept = torch.where(posterior < DROP_BELOW, torch.zeros_like(posterior), posterior)
    total = kept.sum(dim=1, keepdim=True)
    # All under the threshold: a posterior spread that thin names nothing; leave it as it is.
    kept = torch.where(total > 0, kept / total.clamp_min(1e-12), posterior)
    return kept[:, 1:].float()
