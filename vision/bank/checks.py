"""Checks, when a bank is loaded, that its parts fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from vision.calibrate.cascade import TapMaps
from vision.encoder.token_layout import POSITION_FEATURES, infer_layout
from vision.encoder.token_statistics import token_statistics
from vision.perceive.acquisition_statistics import acquisition_statistics
from vision.perceive.noise_classifier import NoiseClassifier
from vision.restore.restorer import PixelRestorer

__all__ = ["check_classifiers", "check_maps", "check_restorer"]

_TRIAL_SIDE = 32
"""Side in pixels of the blank picture of the trial run."""


def check_classifiers(
    classifiers: Sequence[NoiseClassifier], maps: Mapping[str, TapMaps], perception_tap: str
) -> None:
    """Run each classifier once on statistics of zeros.

    Raises ValueError, IndexError or RuntimeError where parts do not fit.
    """
    ramp = np.linspace(0.0, 1.0, _TRIAL_SIDE)
    sizes = {"pixels": len(acquisition_statistics(np.outer(ramp, ramp)))}
    if perception_tap in maps:
        dim = len(maps[perception_tap].scaler.centre)
        sizes["encoder"] = token_statistics(torch.zeros(1, 1, 16, dim), infer_layout(16)).shape[1]
    for classifier in classifiers:
        _check_classifier(classifier, sizes)


def _check_classifier(classifier: NoiseClassifier, sizes: Mapping[str, int]) -> None:
    if "pixels" not in classifier.scorers or not set(classifier.scorers) <= set(sizes):
        raise ValueError(
            "its classifiers use statistics other than those of the pixels and of a tap with a map"
        )
    for name, scorer in classifier.scorers.items():
        if scorer.centre.shape != (sizes[name],):
            raise ValueError(
                f"its {name} scorer takes {len(scorer.centre)} statistics, not {sizes[name]}"
            )
    for name, scores in classifier.clean_scores.items():
        if scores.ndim != 1 or not len(scores):
            raise ValueError(f"it has no clean scores of {name!r}")
    with np.errstate(all="ignore"):
        found = classifier.predict({n: np.zeros((1, sizes[n])) for n in classifier.scorers})
    for one in found:
        if one.probabilities.shape != (len(classifier.classes) + 1,):
            raise ValueError("its posteriors are not over its classes")
        if not np.isfinite(one.probabilities).all() or not 0.0 <= one.clean_p_value <= 1.0:
            raise ValueError("its posteriors are not finite")


def check_restorer(restorer: PixelRestorer) -> None:
    """Restore a blank picture under every class. Raises as `check_classifiers`."""
    weights = torch.full((1, len(restorer.classes)), 1.0)
    change = restorer(torch.zeros(1, _TRIAL_SIDE, _TRIAL_SIDE), weights)
    if not bool(torch.isfinite(change).all()):
        raise ValueError("its pixel maps give no finite picture")


def check_maps(maps: Mapping[str, TapMaps]) -> None:
    """Change features of zeros under every class. Raises as `check_classifiers`."""
    for tap, one in maps.items():
        dim = len(one.scaler.centre)
        has_prefix = len(one.left) > 3 * dim + POSITION_FEATURES
        layout = infer_layout(17 if has_prefix else 16)
        weights = torch.full((1, len(one.ranks)), 1.0 / len(one.ranks))
        features = torch.zeros(1, 1, layout.tokens, dim)
        change = one.change(features, layout, weights)
        distance = one.distance(features, layout)
        if not bool(torch.isfinite(change).all()) or not bool(torch.isfinite(distance).all()):
            raise ValueError(f"its maps at {tap} give no finite features")
        if bool((one.scaler.scale <= 0.0).any()):
            raise ValueError(f"its features at {tap} have a scale that is not above 0")
