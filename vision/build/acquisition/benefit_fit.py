"""Fits the prediction of a restoration's benefit on trial restorations whose outcome is known."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from vision.acquisition.benefit import WORSE, BenefitPredictor, HarmDiscriminant, log_ratio
from vision.acquisition.half import ALPHA
from vision.build.acquisition.references import FOLDS
from vision.perceive.fourier_ridge import FoldMoments, FourierFeatures, FourierRegression

Floats = NDArray[np.float64]

HARM_ALLOWED = 0.06
"""Share of kept trial restorations, each origin counting alike, that may become worse."""
MOST_HARM = 0.5
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

    Of clean pictures nothing is learnt here: whether a picture is clean is the gate's question, and
    what is usual of clean ones (little novelty, a small change) is what is safe of noisy ones.

    Args:
        vectors: (n, evidence).
        errors: (n, 2) squared errors left alone and restored, in grey levels squared.
        p_values: (n,) of clean, of the picture that was restored.
        origins: (n,) each counts alike.
        folds: (n,).
        seed: of the random features.
    """
    noisy = (errors[:, 0] > 0.0) & (p_values <= ALPHA)
    if not noisy.any():
        noisy = np.ones(len(errors), dtype=bool)
    vectors, errors, origins, folds = vectors[noisy], errors[noisy], origins[noisy], folds[noisy]
    names, counts = np.unique(origins, return_counts=True)
    weights = np.asarray(1.0 / counts[np.searchsorted(names, origins)], dtype=np.float64)
    ratios = log_ratio(errors[:, 0], errors[:, 1])
    worse = ratios > np.log(WORSE)
    features = FourierFeatures.draw(
        torch.from_numpy(vectors), seed, cosines=_COSINES, length_scale=_LENGTH_SCALE
    )
    moments = FoldMoments(features.size, 1, FOLDS)
    transformed = features(torch.from_numpy(vectors))
    softened = np.sqrt(weights)
    moments.add(
        transformed,
        torch.from_numpy(np.clip(ratios, *_LOG_RATIOS)[:, None]).float(),
        torch.from_numpy(softened / softened.mean()).float(),
        torch.from_numpy(folds),
    )
    harm, left = np.zeros(len(worse)), np.zeros(len(worse))
    for fold in np.unique(folds).tolist():
        own = folds == fold
        solved = moments.solve((fold,), ridge=_RIDGE)
        left[own] = (transformed[torch.from_numpy(own)] @ solved)[:, 0].numpy()
        others = own if own.all() else ~own
        harm[own] = HarmDiscriminant.fit(vectors[others], worse[others], weights[others])(
            vectors[own]
        )
    better = left < 0.0
    most = harm_threshold(harm[better], worse[better], weights[better])
    return BenefitPredictor(
        HarmDiscriminant.fit(vectors, worse, weights),
        FourierRegression(features, moments.solve(ridge=_RIDGE)),
        most,
    )


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
