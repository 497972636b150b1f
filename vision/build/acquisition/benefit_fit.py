"""Fits the prediction of a restoration's benefit on trial restorations whose outcome is known."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from vision.acquisition.benefit import WORSE, BenefitPredictor, log_ratio
from vision.acquisition.half import ALPHA
from vision.build.acquisition.references import FOLDS
from vision.perceive.fourier_ridge import FoldMoments, FourierFeatures, FourierRegression

Floats = NDArray[np.float64]

HARM_ALLOWED = 0.03
"""Share of kept trial restorations, each origin counting alike, that may become worse."""
MOST_HARM = 0.25
"""Upper bound of the probability of harm at which a restoration is kept."""
_SURE_FROM = 0.1
"""Share of the trials from which the share of harm is counted."""
_COSINES, _LENGTH_SCALE, _RIDGE = 400, 4.0, 1e-2
_LOG_RATIOS = (-4.0, 1.0)
"""Log error ratios are clipped to this before they are regressed on."""


def fit_benefit(
    vectors: Floats,
    errors: Floats,
    p_values: Floats,
    origins: NDArray[np.str_],
    folds: NDArray[np.int64],
    seed: int,
) -> BenefitPredictor:
    """Fit the predictor, and set its threshold on folds left out in turn.

    Args:
        vectors: (n, evidence).
        errors: (n, 2) squared errors left alone and restored, in grey levels squared.
        p_values: (n,) of clean, of the picture that was restored.
        origins: (n,) each counts alike.
        folds: (n,).
        seed: of the random features.
    """
    names, counts = np.unique(origins, return_counts=True)
    weights = np.asarray(counts[np.searchsorted(names, origins)] ** -0.5, dtype=np.float64)
    ratios = log_ratio(errors[:, 0], errors[:, 1])
    worse = ratios > np.log(WORSE)
    targets = np.stack([worse, np.clip(ratios, *_LOG_RATIOS)], axis=1)
    features = FourierFeatures.draw(
        torch.from_numpy(vectors), seed, cosines=_COSINES, length_scale=_LENGTH_SCALE
    )
    moments = FoldMoments(features.size, 2, FOLDS)
    transformed = features(torch.from_numpy(vectors))
    moments.add(
        transformed,
        torch.from_numpy(targets).float(),
        torch.from_numpy(weights / weights.mean()).float(),
        torch.from_numpy(folds),
    )
    predicted = np.zeros(targets.shape)
    for fold in np.unique(folds).tolist():
        rows = folds == fold
        solved = moments.solve((fold,), ridge=_RIDGE)
        predicted[rows] = (transformed[torch.from_numpy(rows)] @ solved).numpy()
    gated = (p_values <= ALPHA) & (predicted[:, 1] < 0.0)
    most = harm_threshold(predicted[gated, 0], worse[gated], weights[gated] ** 2)
    return BenefitPredictor(FourierRegression(features, moments.solve(ridge=_RIDGE)), most)


def harm_threshold(harm: Floats, worse: NDArray[np.bool_], weights: Floats) -> float:
    """Largest probability of harm at which at most `HARM_ALLOWED` of what is kept becomes worse."""
    if not len(harm):
        return 0.0
    order = np.argsort(harm)
    kept = np.cumsum(weights[order])
    share = np.cumsum(weights[order] * worse[order]) / kept
    # the first few say nothing of a share
    allowed = np.flatnonzero((share <= HARM_ALLOWED) & (kept >= _SURE_FROM * kept[-1]))
    if not len(allowed):
        return 0.0
    return float(np.clip(harm[order][allowed[-1]], 0.0, MOST_HARM))
