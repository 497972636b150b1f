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

_OUTPUTS = 4
"""Output directions that are solved for, relative to the largest rank."""

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

    def to(self, device: torch.device) -> FittedMap:
        """The same on a device."""
        return FittedMap(self.left.to(device), self.right.to(device), self.gain)


class Moments:
    """Streaming sufficient statistics of one map, in two folds for cross-validation."""

    def __init__(
        self, context: int, dim: int, *, device: torch.device | str | None = None
    ) -> None:
        """Moments of a map from `context` entries of phi to `dim` channels, kept on `device`."""
        self.gram = torch.zeros(2, context, context, dtype=torch.float64, device=device)
        self.cross = torch.zeros(2, context, dim, dtype=torch.float64, device=device)
        self.power = torch.zeros(2, dtype=torch.float64, device=device)

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
        self.gram += other.gram.to(self.gram)
        self.cross += other.cross.to(self.cross)
        self.power += other.power.to(self.power)

    def solve(self, rank: int, *, min_gain: float = MIN_GAIN) -> FittedMap:
        """The map of at most `rank`, or of rank 0 where less than `min_gain` is explained.

        Only output directions that vary with phi at all are solved for, `_OUTPUTS` times `rank`.
        """
        outputs = _leading(self.cross.sum(0).T @ self.cross.sum(0), _OUTPUTS * rank)
        cross = self.cross @ outputs
        strength, explained = self._best_strength(cross, rank)
        gain, chosen = 0.0, 0
        if len(explained):
            by_rank = explained / max(float(self.power.sum()), 1e-12)
            most = float(by_rank.max())
            # a map may explain a little although its first directions explain nothing
            if most > 0.0:
                chosen = int((by_rank >= _RANK_TOLERANCE * most).nonzero()[0]) + 1
                gain = float(by_rank[chosen - 1])
        context, dim = self.cross.shape[1:]
        if gain < min_gain:
            return FittedMap(torch.zeros(context, 0), torch.zeros(0, dim), max(gain, 0.0))
        gram = self.gram.sum(0)
        full = _ridge(gram, cross.sum(0), strength)
        right = _leading(full.T @ gram @ full, rank)[:, :chosen]
        left = (full @ right).float().cpu()
        return FittedMap(left, (outputs @ right).T.contiguous().float().cpu(), gain)

    def _best_strength(self, cross: Tensor, rank: int) -> tuple[float, Tensor]:
        """(lambda, (rank,) residual explained by the first 1, 2, ... directions); empty if none.

        `cross` are the moments with the outputs solved for, (2, context, outputs).
        """
        best, strength, fitted = 0.0, LAMBDAS[0], list[Tensor]()
        last = -math.inf
        for one in LAMBDAS:
            maps = [_ridge(self.gram[fold], cross[fold], one) for fold in (0, 1)]
            explained = sum(
                float(self._steps(maps[fold], cross[1 - fold], 1 - fold).sum()) for fold in (0, 1)
            )
            if explained < last:
                break
            last = explained
            if explained > best:
                best, strength, fitted = explained, one, maps
        found = torch.zeros(0, dtype=torch.float64)
        for fold, full in enumerate(fitted):
            # orthonormal directions, so that explained residuals add up
            directions = _leading(full.T @ self.gram[fold] @ full, rank)
            projected = cross[1 - fold] @ directions
            steps = self._steps(full @ directions, projected, 1 - fold).cumsum(0).cpu()
            found = steps if not len(found) else found + steps
        return strength, found

    def _steps(self, full: Tensor, cross: Tensor, fold: int) -> Tensor:
        """(outputs,) residual of a fold that each output of a map explains."""
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


def _leading(second: Tensor, count: int) -> Tensor:
    """(n, at most count) leading eigenvectors of a positive (n, n) matrix, largest first.

    By randomised subspace iteration (Halko, Martinsson and Tropp 2011), always with the same draw.
    """
    kept = min(count, len(second))
    with torch.random.fork_rng(devices=[second.device] if second.is_cuda else []):
        torch.manual_seed(0)
        found: Tensor = torch.svd_lowrank(second, q=min(kept + 8, len(second)), niter=4)[0]
    return found[:, :kept]


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
