"""Calibration maps of one tap: what each noise takes away from features, in closed form.

    X' = X + g * sum_k p_k W_k phi(X),    W_k = argmin |(X_0 - X_k) - W phi(X_k)|^2 + lambda |W|^2

X are the patch tokens, standardised channel by channel on clean references; phi stacks a token
with its neighbours' mean, the image's mean, CLS if there is one, and position. Maps are fitted from
streaming sufficient statistics (phi' phi, phi' residual), so features are never stored, and are cut
to a rank by reduced-rank regression (Izenman 1975).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vision.layout import POSITION_FEATURES, TokenLayout, neighbour_mean, position_features
from vision.token_statistics import token_statistics

LAMBDAS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridge strengths tried, relative to the mean diagonal of phi' phi."""

_NEIGHBOURS, _IMAGE, _FIRST = 0.5, 0.1, 0.02
"""Sizes of the context's parts against the token itself: the smaller, the harder the ridge presses
on them. The image's mean and CLS vary over references, not over tokens, so that few references say
little about them (held-out gain on 224 references: at size one, they cost the other parts theirs).
"""

DROP_BELOW = 0.03
"""Posteriors under this are dropped and the rest brought back to sum one."""

STRENGTHS = (1.0, 0.5)
"""Values of g tried, strongest first, until one brings the features nearer to clean."""


@dataclass(frozen=True)
class Standard:
    """Channel-wise standardisation of a tap's patches, from clean references."""

    centre: Tensor
    """(dim,)."""
    scale: Tensor
    """(dim,)."""

    def patches(self, features: Tensor, layout: TokenLayout) -> Tensor:
        """Standardised patches (images, tiles, patches, dim) of (images, tiles, tokens, dim)."""
        return (features[:, :, layout.prefix :].to(torch.float32) - self.centre) / self.scale

    def context(self, features: Tensor, layout: TokenLayout) -> Tensor:
        """phi: (images, tiles * patches, context) of (images, tiles, tokens, dim)."""
        patches = self.patches(features, layout)
        images, tiles, count, dim = patches.shape
        parts = [patches, _NEIGHBOURS * neighbour_mean(patches, layout)]
        parts.append(_IMAGE * patches.mean(dim=(1, 2), keepdim=True).expand_as(patches))
        if layout.prefix:
            first = (features[:, :, :1].to(torch.float32) - self.centre) / self.scale
            parts.append(_FIRST * first.expand_as(patches))
        position = position_features(layout).to(patches.device)
        parts.append(position.expand(images, tiles, count, POSITION_FEATURES))
        return torch.cat(parts, dim=-1).reshape(images, tiles * count, -1)


class Moments:
    """Streaming sufficient statistics of one map, in two folds for cross-validation."""

    def __init__(self, context: int, dim: int) -> None:
        self.gram = torch.zeros(2, context, context, dtype=torch.float64)
        self.cross = torch.zeros(2, context, dim, dtype=torch.float64)
        self.power = torch.zeros(2, dtype=torch.float64)

    def add(self, context: Tensor, residual: Tensor, folds: Tensor) -> None:
        """Add (images, tokens, context) with (images, tokens, dim) residuals; folds (images,)."""
        for fold in (0, 1):
            chosen = folds == fold
            if not bool(chosen.any()):
                continue
            phi = context[chosen].reshape(-1, context.shape[-1])
            rest = residual[chosen].reshape(-1, residual.shape[-1])
            self.gram[fold] += (phi.T @ phi).double()
            self.cross[fold] += (phi.T @ rest).double()
            self.power[fold] += rest.square().sum().double()

    def merge(self, other: Moments) -> None:
        """Add another map's statistics (the pooled map is the merge of all)."""
        self.gram += other.gram
        self.cross += other.cross
        self.power += other.power

    def solve(self, rank: int) -> tuple[Tensor, Tensor, float]:
        """(left (context, rank), right (rank, dim), share of held-out residual it explains).

        Lambda is the one that explains most across the two folds; the map is zero where none
        explains anything.
        """
        gains = {strength: self._held_out_gain(strength) for strength in LAMBDAS}
        strength = max(gains, key=lambda key: gains[key])
        context, dim = self.cross.shape[1:]
        rank = min(rank, context, dim)
        if gains[strength] <= 0.0:
            return torch.zeros(context, rank), torch.zeros(rank, dim), 0.0
        gram = self.gram.sum(0)
        full = _ridge(gram, self.cross.sum(0), strength)
        _, vectors = torch.linalg.eigh(full.T @ gram @ full)
        right = vectors[:, -rank:]
        return (full @ right).float(), right.T.contiguous().float(), gains[strength]

    def _held_out_gain(self, strength: float) -> float:
        explained = 0.0
        for fold in (0, 1):
            fitted = _ridge(self.gram[fold], self.cross[fold], strength)
            gram, cross = self.gram[1 - fold], self.cross[1 - fold]
            explained += float(2.0 * (fitted * cross).sum() - (fitted * (gram @ fitted)).sum())
        return explained / max(float(self.power.sum()), 1e-12)


def _ridge(gram: Tensor, cross: Tensor, strength: float) -> Tensor:
    penalty = strength * gram.diagonal().mean() + 1e-9
    while True:
        regular = gram + penalty * torch.eye(len(gram), dtype=gram.dtype)
        factor, failed = torch.linalg.cholesky_ex(regular)
        if not bool(failed) or not bool(torch.isfinite(penalty)):
            return torch.cholesky_solve(cross, factor)
        # Single-precision products leave a nearly singular gram slightly indefinite.
        penalty = penalty * 10.0


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
    """Everything calibration needs at one tap."""

    standard: Standard
    distance: CleanDistance
    left: Tensor
    """(classes, context, rank): one map per noisy class, the pooled map last."""
    right: Tensor
    """(classes, rank, dim)."""
    cap: float
    """Largest |X' - X| / |X| (standardised norms) that calibration may reach."""

    def change(self, features: Tensor, layout: TokenLayout, weights: Tensor) -> Tensor:
        """What to add to (images, tiles, tokens, dim): sum_k p_k W_k phi, capped.

        `weights` is (images, classes), the posteriors of the noisy classes and of `unknown`.
        """
        context = self.standard.context(features, layout)
        patches = self.standard.patches(features, layout)
        residual = torch.zeros_like(patches)
        for image, mixture in enumerate(weights):
            for k in mixture.nonzero().flatten().tolist():
                part = (context[image] @ self.left[k]) @ self.right[k]
                residual[image] += mixture[k] * part.reshape(residual[image].shape)
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
            "left": self.left,
            "right": self.right,
            "limits": torch.tensor([self.cap, self.distance.band]),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> TapMaps:
        """Rebuild from `to_tensors`; KeyError where an array is missing."""
        cap, band = tensors["limits"]
        return cls(
            Standard(tensors["centre"], tensors["scale"]),
            CleanDistance(tensors["distance_project"], tensors["distance_centre"], float(band)),
            tensors["left"],
            tensors["right"],
            float(cap),
        )


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
