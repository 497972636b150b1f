"""One calibration map in closed form: reduced-rank ridge regression from streaming moments.

    W = argmin |residual - W phi|^2 + lambda |W|^2, cut to a rank (Izenman 1975)

Only phi' phi and phi' residual are accumulated, in two folds of references, so that no features
are kept. Ridge strength, rank and whether there is a map at all are chosen by the residual that is
explained in the fold that was not fitted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vision.calibrate.token_context import Context

LAMBDAS = (10.0, 1.0, 1e-1, 1e-2, 1e-3)
"""Ridge strengths, relative to the mean diagonal of phi' phi: tried in turn while a weaker one
explains more, because solving for a large context is expensive."""

MIN_GAIN = 0.01
"""Share of the held-out residual that a map must explain to be kept."""

_RANK_TOLERANCE = 0.97
"""The rank is the smallest that explains this share of what the best rank explains."""


@dataclass(frozen=True)
class FittedMap:
    """A map phi -> phi @ left @ right; of rank 0 where it would explain too little."""

    left: Tensor
    """(context, rank)."""
    right: Tensor
    """(rank, dim)."""
    gain: float
    """Share of the held-out residual that it explains, at least 0; also for a map of rank 0, as
    measured before it was left out."""

    @property
    def rank(self) -> int:
        """Rank of the map; 0 means that there is none."""
        return len(self.right)


class Moments:
    """Streaming sufficient statistics of one map, in two folds for cross-validation."""

    def __init__(self, context: int, dim: int) -> None:
        self.gram = torch.zeros(2, context, context, dtype=torch.float64)
        self.cross = torch.zeros(2, context, dim, dtype=torch.float64)
        self.power = torch.zeros(2, dtype=torch.float64)

    def add(self, context: Context, residual: Tensor, folds: Tensor) -> None:
        """Add a batch.

        Args:
            context: phi of the noisy patches.
            residual: (images, tiles, patches, dim) clean minus noisy patches, standardised.
            folds: (images,) 0 or 1.
        """
        patches = context.varying.shape[2]
        for fold in (0, 1):
            chosen = folds == fold
            if not bool(chosen.any()):
                continue
            varying = context.varying[chosen].flatten(0, 2)
            constant = context.constant[chosen].flatten(0, 1)
            rest = residual[chosen]
            v = varying.shape[1]
            # The part that is constant over a tile's patches enters once a tile, not once a patch.
            across = context.varying[chosen].sum(2).flatten(0, 1).T @ constant
            gram, cross = self.gram[fold], self.cross[fold]
            gram[:v, :v] += varying.T @ varying
            gram[:v, v:] += across
            gram[v:, :v] += across.T
            gram[v:, v:] += patches * (constant.T @ constant)
            cross[:v] += varying.T @ rest.flatten(0, 2)
            cross[v:] += constant.T @ rest.sum(2).flatten(0, 1)
            self.power[fold] += rest.square().sum().double()

    def merge(self, other: Moments) -> None:
        """Add another map's moments (the map of all classes is fitted on the sum)."""
        self.gram += other.gram
        self.cross += other.cross
        self.power += other.power

    def solve(self, rank: int) -> FittedMap:
        """The map of at most `rank`, or of rank 0 where less than `MIN_GAIN` is explained."""
        strength, explained = self._best_strength()
        gain, chosen = 0.0, 0
        if len(explained):
            by_rank = explained[:rank] / self.power.sum().clamp_min(1e-12)
            most = float(by_rank.max())
            # a map may explain a little although its first directions explain nothing
            if most > 0.0:
                chosen = int((by_rank >= _RANK_TOLERANCE * most).nonzero()[0]) + 1
                gain = float(by_rank[chosen - 1])
        context, dim = self.cross.shape[1:]
        if gain < MIN_GAIN:
            return FittedMap(torch.zeros(context, 0), torch.zeros(0, dim), max(gain, 0.0))
        gram = self.gram.sum(0)
        full = _ridge(gram, self.cross.sum(0), strength)
        right = _directions(full, gram)[:, :chosen]
        return FittedMap((full @ right).float(), right.T.contiguous().float(), gain)

    def _best_strength(self) -> tuple[float, Tensor]:
        """(lambda, (dim,) residual explained by the first 1, 2, ... directions); empty if none."""
        best, strength, fitted = 0.0, LAMBDAS[0], list[Tensor]()
        last = -math.inf
        for one in LAMBDAS:
            maps = [_ridge(self.gram[fold], self.cross[fold], one) for fold in (0, 1)]
            explained = sum(float(self._steps(maps[fold], 1 - fold).sum()) for fold in (0, 1))
            if explained < last:
                break
            last = explained
            if explained > best:
                best, strength, fitted = explained, one, maps
        found = torch.zeros(0, dtype=torch.float64)
        for fold, full in enumerate(fitted):
            steps = self._steps(full, 1 - fold, _directions(full, self.gram[fold])).cumsum(0)
            found = steps if not len(found) else found + steps
        return strength, found

    def _steps(self, full: Tensor, fold: int, directions: Tensor | None = None) -> Tensor:
        """(dim,) residual of a fold that each direction of a map's output explains."""
        cross = self.cross[fold]
        if directions is not None:  # orthonormal, so that explained residuals add up
            full, cross = full @ directions, cross @ directions
        return (2.0 * full * cross - full * (self.gram[fold] @ full)).sum(0)

    def to_tensors(self) -> dict[str, Tensor]:
        """Every array by name."""
        return {"gram": self.gram, "cross": self.cross, "power": self.power}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Moments:
        """Rebuild from `to_tensors`; KeyError where an array is missing."""
        moments = cls(0, 0)
        moments.gram = tensors["gram"].clone()
        moments.cross = tensors["cross"].clone()
        moments.power = tensors["power"].clone()
        return moments


def _directions(full: Tensor, gram: Tensor) -> Tensor:
    """(dim, dim) orthonormal directions of the output, largest share of the fit first."""
    vectors: Tensor = torch.linalg.eigh(full.T @ gram @ full)[1]
    return vectors.flip(1)


def _ridge(gram: Tensor, cross: Tensor, strength: float) -> Tensor:
    penalty = strength * gram.diagonal().mean() + 1e-9
    while True:
        regular = gram.clone()
        regular.diagonal().add_(penalty)
        factor, failed = torch.linalg.cholesky_ex(regular)
        if not bool(failed) or not bool(torch.isfinite(penalty)):
            solved: Tensor = torch.cholesky_solve(cross, factor)
            return solved
        # Single-precision products leave a nearly singular gram slightly indefinite.
        penalty = penalty * 10.0
