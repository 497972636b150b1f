"""Checks, when a bank is loaded, that its parts fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from vision.encoder.token_layout import infer_layout
from vision.encoder.token_statistics import token_statistics
from vision.perceive.acquisition_statistics import acquisition_statistics

if TYPE_CHECKING:
    from vision.bank.prototype_bank import PrototypeBank
    from vision.perceive.noise_classifier import NoiseClassifier

_SIDES = (16, 4096)
"""Smallest and largest `side` of a bank."""
_TRIAL_SIDE = 32
"""Side in pixels of the blank picture of the trial run."""


def check_fit(bank: PrototypeBank) -> None:
    """Run classification, restoration and distances once on a blank picture.

    Raises ValueError, IndexError or RuntimeError where parts do not fit.
    """
    if not _SIDES[0] <= bank.side <= _SIDES[1]:
        raise ValueError(f"side {bank.side} is not between {_SIDES[0]} and {_SIDES[1]}")
    kinds = {kind for kind, _ in bank.noise_classifier.classes}
    if len(bank.noise_classifier.classes) < 2 or bank.noise_classifier.classes[0] != ("clean", 0):
        raise ValueError("its classes do not begin with clean")
    if not set(bank.kinds) <= kinds:
        raise ValueError("it names kinds that have no class")
    for classifier in (bank.noise_classifier, bank.residual_classifier):
        if classifier is not None:
            _check_classifier(bank, classifier)
    if bank.restorer is not None:
        weights = torch.full((1, len(bank.restorer.classes)), 1.0)
        bank.restorer(torch.zeros(1, _TRIAL_SIDE, _TRIAL_SIDE), weights)


def _check_classifier(bank: PrototypeBank, classifier: NoiseClassifier) -> None:
    ramp = np.linspace(0.0, 1.0, _TRIAL_SIDE)
    sizes = {"pixels": len(acquisition_statistics(np.outer(ramp, ramp)))}
    if bank.perception_tap in bank.maps:
        dim = len(bank.maps[bank.perception_tap].scaler.centre)
        sizes["encoder"] = token_statistics(torch.zeros(1, 1, 16, dim), infer_layout(16)).shape[1]
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
    for one in classifier.predict({n: np.zeros((1, sizes[n])) for n in classifier.scorers}):
        if one.probabilities.shape != (len(classifier.classes) + 1,):
            raise ValueError("its posteriors are not over its classes")
