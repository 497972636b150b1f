"""The maps of one tap of a prototype bank, with the distance to clean that accepts a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vision.calibrate.class_maps import ClassMaps, calibration_weights, check_map_shapes
from vision.calibrate.moments import FittedMap
from vision.calibrate.token_context import FeatureScaler
from vision.encoder.token_layout import POSITION_FEATURES, TokenLayout, infer_layout
from vision.encoder.token_statistics import token_statistics

__all__ = ["STEP_SIZES", "CleanDistance", "TapMaps", "calibration_weights", "fit_distance"]

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
class TapMaps(ClassMaps):
    """The calibration maps of one tap, and the distance that accepts or rejects a change.

    Without a map the tap is measured, never changed.
    """

    distance: CleanDistance

    @classmethod
    def of(
        cls, scaler: FeatureScaler, distance: CleanDistance, maps: Sequence[FittedMap], cap: float
    ) -> TapMaps:
        """From the maps of every class; the last is that of all classes."""
        one = ClassMaps.of_maps(scaler, maps, cap)
        return cls(scaler, one.ranks, one.left, one.right, cap, distance)

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
        check_map_shapes(tensors, classes)
        statistics = (_statistics(len(tensors["centre"])), *tensors["distance_centre"].shape)
        for name, shape in (("distance_project", statistics), ("limits", (2,))):
            if tensors[name].shape != shape:
                raise ValueError(f"{name} has the wrong shape {tuple(tensors[name].shape)}")
        cap, band = tensors["limits"].tolist()
        distance = CleanDistance(tensors["distance_project"], tensors["distance_centre"], band)
        scaler = FeatureScaler(tensors["centre"], tensors["scale"])
        return cls(scaler, tensors["ranks"], tensors["left"], tensors["right"], cap, distance)


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
