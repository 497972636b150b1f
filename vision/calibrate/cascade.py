"""Calibration maps of one tap: closed-form estimates of what noise took from the features.

    X' = X + g * sum_k p_k W_k phi(X),    W_k = argmin |(X_0 - X_k) - W phi(X_k)|^2 + lambda |W|^2

X are the patch tokens, standardised channel by channel on clean references, X_0 those of the clean
image and X_k those under class k; p_k is the posterior and g the step size. phi concatenates a
token with its neighbours' mean, its position, the image's mean, and CLS if there is one
(`vision.calibrate.token_context`). `vision.calibrate.moments` fits the maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vision.calibrate.moments import FittedMap
from vision.calibrate.token_context import FeatureScaler
from vision.encoder.token_layout import POSITION_FEATURES, TokenLayout, infer_layout
from vision.encoder.token_statistics import token_statistics

DROP_BELOW = 0.03
"""Probabilities below this are set to zero, and the others renormalised to sum one."""

STEP_SIZES = (1.0, 0.5)
"""Values of g that are tried, largest first, until one brings the features nearer to clean."""


@dataclass(frozen=True)
class CleanDistance:
    """Mahalanobis distance of a tap's token statistics to those of clean references.

    Measured only in directions in which noise moves the class means.
    """

    project: Tensor
    """(statistics, q) projection to whitened coordinates of the clean references."""
    centre: Tensor
    """(q,) mean of the clean references in those coordinates."""
    band: float
    """0.95 quantile of the distances of calibrated references: at most this counts as clean."""

    def __call__(self, features: Tensor, layout: TokenLayout) -> Tensor:
        """Distances (images,) of (images, tiles, tokens, dim) features; about 1 for clean."""
        return self.of(token_statistics(features, layout))

    def of(self, statistics: Tensor) -> Tensor:
        """Distances (n,) of token statistics (n, statistics)."""
        reduced = statistics @ self.project - self.centre
        return reduced.square().mean(dim=1).sqrt()

    def accepts(self, before: Tensor, after: Tensor) -> Tensor:
        """Whether each change is kept, (images,) bool: the distance fell, or is within `band`.

        A least-squares map also shrinks the variation among clean features, so that correctly
        calibrated features keep a small distance: the band.
        """
        return (after < before) | (after <= self.band)


_BAND = 0.95
"""Quantile of the distances of calibrated references that sets the band."""

_DIRECTIONS = 24
"""Most directions that the distance is measured in."""


def fit_distance(clean: Tensor, calibrated: Tensor, noisy_means: Tensor) -> CleanDistance:
    """Fit the distance in the directions in which noise moves the class means.

    Args:
        clean: (n, s) statistics of clean references.
        calibrated: (m, s) statistics of noisy draws after calibration; they set the band.
        noisy_means: (k, s) mean statistics of the noisy classes.
    """
    exact, shifted = clean.double(), noisy_means.double()
    mean = exact.mean(0)
    spread = exact.std(0)
    # A statistic that hardly varies over clean images (air around the body) would dominate.
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
    """The calibration maps of one tap, and the distance that accepts or rejects a change.

    The low-rank maps of all classes are concatenated: class k's take `ranks[k]` columns of `left`
    and rows of `right`, after those of the classes before it. A class without a map has rank 0.
    """

    scaler: FeatureScaler
    distance: CleanDistance
    ranks: Tensor
    """(classes,) int64 rank of each noisy class's map; last that of the map of all classes."""
    left: Tensor
    """(context, sum of ranks)."""
    right: Tensor
    """(sum of ranks, dim)."""
    cap: float
    """Largest |X' - X| / |X| of standardised features; larger changes are scaled down to it."""

    @classmethod
    def of(
        cls, scaler: FeatureScaler, distance: CleanDistance, maps: Sequence[FittedMap], cap: float
    ) -> TapMaps:
        """From the maps of every class; the last is that of all classes."""
        return cls(
            scaler,
            distance,
            torch.tensor([one.rank for one in maps]),
            torch.cat([one.left for one in maps], dim=1),
            torch.cat([one.right for one in maps]),
            cap,
        )

    @property
    def is_empty(self) -> bool:
        """Whether no class has a map here: the tap is measured, never changed."""
        return len(self.right) == 0

    def has_map_for(self, weights: Tensor) -> Tensor:
        """(images,) bool: whether a class with a nonzero weight (images, classes) has a map."""
        return (weights[:, self.ranks > 0] != 0.0).any(dim=1)

    def change(self, features: Tensor, layout: TokenLayout, weights: Tensor) -> Tensor:
        """The change sum_k p_k W_k phi, scaled down to the cap; (images, tiles, tokens, dim).

        Args:
            features: (images, tiles, tokens, dim).
            layout: of the tokens; prefix tokens (CLS, registers) are not changed.
            weights: (images, classes) of the noisy classes and, last, of `unknown`.
        """
        context = self.scaler.context(features, layout)
        patches = self.scaler.patches(features, layout)
        residual = torch.zeros_like(patches)
        shares = weights.repeat_interleave(self.ranks, dim=1)
        for image, share in enumerate(shares):
            used = share.nonzero().flatten()
            if len(used):
                reduced = (context[image] @ self.left[:, used]) * share[used]
                residual[image] = (reduced @ self.right[used])[0]
        norm = patches.flatten(1).norm(dim=1)
        size = residual.flatten(1).norm(dim=1)
        shrink = (self.cap * norm / size.clamp_min(1e-9)).clamp_max(1.0)
        residual = residual * shrink[:, None, None, None] * self.scaler.scale
        change = torch.zeros(features.shape, dtype=torch.float32, device=features.device)
        change[:, :, layout.prefix :] = residual
        return change

    def to_tensors(self) -> dict[str, Tensor]:
        """Every array by name."""
        return {
            "centre": self.scaler.centre,
            "scale": self.scaler.scale,
            "distance_project": self.distance.project,
            "distance_centre": self.distance.centre,
            "ranks": self.ranks,
            "left": self.left,
            "right": self.right,
            "limits": torch.tensor([self.cap, self.distance.band]),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], classes: int) -> TapMaps:
        """Rebuild from `to_tensors` for this number of classes; arrays of format 2 are converted.

        Raises KeyError where an array is missing, ValueError where shapes do not agree.
        """
        if "ranks" not in tensors:
            tensors = _concatenated(tensors)
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
        return cls(FeatureScaler(centre, tensors["scale"]), distance, ranks, left, right, cap)


def _statistics(dim: int) -> int:
    """Number of token statistics of features with `dim` channels."""
    return token_statistics(torch.zeros(1, 1, 16, dim), infer_layout(16)).shape[1]


def _concatenated(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Arrays of format 2, (classes, context, rank), in the layout of this format.

    Format 2 had a map of full rank for every class, and the position last in the context.
    """
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
    """Weights of the maps, (images, classes + 1), from posteriors (images, 1 + classes + 1).

    Probabilities below `DROP_BELOW` are set to zero and the others renormalised. The column of
    clean, whose map is zero, is dropped after that.
    """
    kept = torch.where(posterior < DROP_BELOW, torch.zeros_like(posterior), posterior)
    total = kept.sum(dim=1, keepdim=True)
    # All below the threshold: nothing to renormalise, the posterior is used as it is.
    kept = torch.where(total > 0, kept / total.clamp_min(1e-12), posterior)
    return kept[:, 1:].float()
