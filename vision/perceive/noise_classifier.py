"""The noise classifier: posterior over kinds and severities of noise, and a conformal p-value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.perceive.noise_density import (
    NoiseClasses,
    NoiseDensity,
    NoisePosterior,
    log_priors,
)
from vision.perceive.noise_features import (
    ClassScorer,
    Gaussians,
    Labels,
    fit_class_scorer,
    fit_gaussians,
)
from vision.perceive.statistics_network import StatisticsNetwork, fit_network

Floats = NDArray[np.float64]

__all__ = [
    "SCORER_TYPES",
    "SOURCES",
    "Floats",
    "NoiseClassifier",
    "NoisePosterior",
    "fit_noise_classifier",
]

SOURCES = ("encoder", "pixels")
"""Sources of statistics: tokens at the perception tap, and the pixels."""

Scorer = ClassScorer | StatisticsNetwork
SCORER_TYPES: Mapping[str, type[ClassScorer] | type[StatisticsNetwork]] = {
    "encoder": ClassScorer,
    "pixels": StatisticsNetwork,
}
"""By source: a kernel regression for the encoder's many statistics, a network for the few of the
pixels."""
_FITS: Mapping[str, Callable[..., Scorer]] = {"encoder": fit_class_scorer, "pixels": fit_network}

_FOLDS = 4
"""Folds of the references: the scores behind densities and p-values come from fits that did not
use the reference."""

@dataclass(frozen=True)
class NoiseClassifier(NoiseClasses):
    """Statistics of an image -> posterior over {clean, kind x severity, unknown}."""

    scorers: dict[str, Scorer]
    """By source; without `encoder` where the encoder has no readable tap."""
    densities: dict[str, Gaussians]
    """By source, and `joint` over the scores of both, concatenated."""
    clean_scores: dict[str, Floats]
    """Sorted non-conformity scores of held-out clean references, by source and `joint`."""

    def predict(self, statistics: Mapping[str, Floats]) -> list[NoisePosterior]:
        """Posteriors of n images from statistics (n, p) by source.

        A source may be missing; then the posterior and the p-value come from the other one.
        """
        scores = {name: self.scorers[name](statistics[name]) for name in self._of(statistics)}
        alone = {name: self._density(name).posterior(value) for name, value in scores.items()}
        if len(scores) == len(self.scorers) and len(scores) > 1:
            decisive = "joint"
            joint = np.concatenate([scores[name] for name in self._of(statistics)], axis=1)
        else:
            decisive = next(iter(scores))
            joint = scores[decisive]
        fused = self._density(decisive).posterior(joint)
        p_values = self._density(decisive).p_values(joint)
        return [
            NoisePosterior(fused[i], float(p_values[i]), {name: alone[name][i] for name in alone})
            for i in range(len(fused))
        ]

    def _of(self, statistics: Mapping[str, Floats]) -> list[str]:
        return [name for name in SOURCES if name in statistics and name in self.scorers]

    def _density(self, name: str) -> NoiseDensity:
        return NoiseDensity(self.densities[name], self.clean_scores[name])

    def nonconformity(self, name: str, scores: Floats) -> Floats:
        """Non-conformity to clean: log odds of "not clean", (n,), from scores (n, dims)."""
        return NoiseDensity(self.densities[name]).nonconformity(scores)

    @property
    def p_values_are_approximate(self) -> bool:
        """Whether p-values come from a normal approximation: fewer than 200 clean scores."""
        return any(self._density(name).is_approximate for name in self.densities)


def fit_noise_classifier(
    statistics: Mapping[str, Floats],
    labels: Labels,
    images: Labels,
    classes: Sequence[tuple[str, int]],
    rng: np.random.Generator,
) -> NoiseClassifier:
    """Fit scorers, densities and conformal scores, cross-fitted over references (Vovk 2015).

    Each reference, with all its noisy draws and clean views, is scored by a fit on the others.

    Args:
        statistics: (n, p) by source.
        labels: (n,) class numbers, 0 for clean.
        images: (n,) numbers of the references that the rows are versions of.
        classes: (kind, severity) by class number.
        rng: of the folds and of the scorers' random features and initial weights.
    """
    folds = rng.permutation(int(images.max()) + 1) % _FOLDS
    log_prior = log_priors(len(classes))
    scorers: dict[str, Scorer] = {}
    scores: dict[str, Floats] = {}
    for name, values in statistics.items():
        scores[name] = np.zeros((len(values), len(classes)))
        for fold in range(_FOLDS):
            held = folds[images] == fold
            part = _FITS[name](values[~held], labels[~held], len(classes), rng)
            scores[name][held] = part(values[held])
        scorers[name] = _FITS[name](values, labels, len(classes), rng)
    if len(scores) > 1:
        scores["joint"] = np.concatenate([scores[name] for name in SOURCES], axis=1)
    densities = {
        name: fit_gaussians(value, labels, log_prior, log_odds=name != "encoder")
        for name, value in scores.items()
    }
    classifier = NoiseClassifier(tuple(classes), scorers, densities, {})
    clean = labels == 0
    conformal = {
        name: np.sort(classifier.nonconformity(name, value[clean]))
        for name, value in scores.items()
    }
    return NoiseClassifier(tuple(classes), scorers, densities, conformal)
