"""Fits the regressions on prototypes: landmarks that are nobody's picture, one member per fold."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vision.restore.landmarks import LandmarkRegression, squared_distances

LANDMARKS = 512
"""Most landmarks of a kind that changes the tone of a picture: prototypes are what restores it."""
FEW_LANDMARKS = 128
"""Most landmarks of another kind."""
PICTURES_EACH = 5
"""Least number of different references whose thumbnails a landmark is the mean of."""
ROWS_EACH = 8
"""Rows for each landmark that is begun with; those that gather too few pictures are dropped."""
RIDGE = 0.1
"""Penalty on the function's norm; kernel values are at most one."""
WIDTH = 0.5
"""Squared kernel width over the median squared distance between landmarks."""
_PASSES = 6
"""Passes of Lloyd's algorithm (k-means)."""


def fit_landmarks(
    vectors: Tensor,
    targets: Tensor,
    pictures: Tensor,
    folds: Tensor,
    members: Sequence[Sequence[int]],
    seed: int,
    *,
    most: int = LANDMARKS,
) -> LandmarkRegression:
    """Fit one member for each set of folds that is left out.

    Args:
        vectors: (n, p).
        targets: (n, q).
        pictures: (n,) numbers of the references.
        folds: (n,) their folds.
        members: folds that each member leaves out.
        seed: of the first landmarks.
        most: landmarks.
    """
    centre = vectors.mean(dim=0)
    scale = vectors.std(dim=0, correction=0).mean().clamp_min(1e-6)
    landmarks = _landmarks((vectors - centre) / scale, pictures, seed, most)
    distances = squared_distances(landmarks, landmarks)
    apart = distances[distances > 0]
    width = (WIDTH * apart.median()).clamp_min(1e-6) if len(apart) else torch.tensor(1.0)
    size = len(landmarks) + vectors.shape[1] + 1
    empty = torch.zeros(len(members), size, targets.shape[1])
    unfitted = LandmarkRegression(centre, scale, landmarks, width, empty)
    kernel = torch.exp(-distances.double() / width.double())
    m = len(landmarks)
    penalty = RIDGE * torch.eye(size, dtype=torch.float64)
    penalty[:m, :m] = RIDGE * (kernel + 1e-6 * torch.eye(m, dtype=torch.float64))
    penalty[-1, -1] = 1e-6
    transformed, wanted = unfitted.transform(vectors).double(), targets.double()
    count = int(folds.max()) + 1
    grams = torch.stack([transformed[folds == f].T @ transformed[folds == f] for f in range(count)])
    crosses = torch.stack([transformed[folds == f].T @ wanted[folds == f] for f in range(count)])
    weights = []
    for without in members:
        kept = [fold for fold in range(count) if fold not in without]
        factor = torch.linalg.cholesky(grams[kept].sum(0) + penalty)
        weights.append(torch.cholesky_solve(crosses[kept].sum(0), factor).float())
    return LandmarkRegression(centre, scale, landmarks, width, torch.stack(weights))


def _landmarks(standard: Tensor, pictures: Tensor, seed: int, most: int) -> Tensor:
    """Means of clusters of (n, p), each of rows of at least `PICTURES_EACH` references; maybe none.

    Clusters with fewer are dropped together and their rows dealt to those that are left, until all
    have enough; where none has, there are no landmarks.
    """
    draw = torch.Generator().manual_seed(seed)
    count = max(1, min(most, len(standard) // ROWS_EACH))
    means = standard[torch.randperm(len(standard), generator=draw)[:count]]
    for _ in range(_PASSES):
        means = _means(standard, squared_distances(standard, means).argmin(dim=1), len(means))
    while len(means):
        nearest = squared_distances(standard, means).argmin(dim=1)
        gathered = [len(pictures[nearest == j].unique()) for j in range(len(means))]
        if min(gathered) >= PICTURES_EACH:
            return _means(standard, nearest, len(means))
        keep = torch.tensor([number >= PICTURES_EACH for number in gathered])
        if not bool(keep.any()):
            break
        means = means[keep]
    return standard[:0]


def _means(standard: Tensor, nearest: Tensor, count: int) -> Tensor:
    """(count, p) means of the rows by cluster; clusters without rows are left out."""
    summed = torch.zeros(count, standard.shape[1]).index_add_(0, nearest, standard)
    rows = torch.bincount(nearest, minlength=count)
    return summed[rows > 0] / rows[rows > 0, None]
