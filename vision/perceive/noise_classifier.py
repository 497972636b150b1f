"""The noise classifier: posterior over kinds and severities of noise, and a conformal p-value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import norm

from vision.perceive.noise_features import (
    ClassScorer,
    Gaussians,
    Labels,
    fit_class_scorer,
    fit_gaussians,
)
from vision.perceive.statistics_network import StatisticsNetwork, fit_network
from vision.report import CLEAN, UNKNOWN, NoisePerception

Floats = NDArray[np.float64]

SOURCES = ("encoder", "pixels")
"""Sources of statistics: tokens at the perception tap, and the pixels."""

PRIOR_CLEAN = 0.5
"""Prior probability of clean; the rest is shared equally by the noisy classes."""

PRIOR_UNKNOWN = 0.02
_UNKNOWN_SPREAD = 3.0
"""Standard deviation of the unknown class around the nearest class mean, relative to a class's."""

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

_MIN_CONFORMAL_SCORES = 200
"""With fewer held-out clean scores no conformal p-value reaches 0.005: then a normal approximation
of the scores is used."""


@dataclass(frozen=True)
class NoisePosterior:
    """The noise classifier's result for one image."""

    probabilities: Floats
    """(classes + 1,) posterior of clean, every (kind, severity), and unknown (last)."""
    clean_p_value: float
    """p-value of "this image is clean"."""
    by_source: dict[str, Floats]
    """(classes + 1,) posterior from each source of statistics alone."""


@dataclass(frozen=True)
class NoiseClassifier:
    """Statistics of an image -> posterior over {clean, kind x severity, unknown}."""

    classes: tuple[tuple[str, int], ...]
    """Clean first, as ("clean", 0); then every (kind, severity)."""
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
        alone = {name: self._posterior(name, value) for name, value in scores.items()}
        if len(scores) == len(self.scorers) and len(scores) > 1:
            decisive = "joint"
            joint = np.concatenate([scores[name] for name in self._of(statistics)], axis=1)
        else:
            decisive = next(iter(scores))
            joint = scores[decisive]
        fused = self._posterior(decisive, joint)
        p_values = self._p_values(decisive, joint)
        return [
            NoisePosterior(fused[i], float(p_values[i]), {name: alone[name][i] for name in alone})
            for i in range(len(fused))
        ]

    def _of(self, statistics: Mapping[str, Floats]) -> list[str]:
        return [name for name in SOURCES if name in statistics and name in self.scorers]

    def _log_joint(self, name: str, scores: Floats) -> Floats:
        """(n, classes + 1) log joint probability of every class and of `unknown` (last)."""
        density = self.densities[name]
        squared = density.squared_distances(scores)
        known = density.log_joint(scores, squared)
        # The odds of `unknown` depend on the Gaussian densities alone, not on the scores.
        tempered = squared / float(density.temperature[0])
        unknown = (
            np.log(PRIOR_UNKNOWN)
            - scores.shape[1] * np.log(_UNKNOWN_SPREAD)
            - 0.5 * tempered.min(axis=1) / _UNKNOWN_SPREAD**2
        )
        odds = unknown - logsumexp(density.log_prior - 0.5 * tempered, axis=1)
        return np.concatenate([known, (logsumexp(known, axis=1) + odds)[:, None]], axis=1)

    def _posterior(self, name: str, scores: Floats) -> Floats:
        joint = self._log_joint(name, scores)
        return np.asarray(np.exp(joint - logsumexp(joint, axis=1, keepdims=True)))

    def nonconformity(self, name: str, scores: Floats) -> Floats:
        """Non-conformity to clean: log odds of "not clean", (n,), from scores (n, dims)."""
        joint = self._log_joint(name, scores)
        return np.asarray(logsumexp(joint[:, 1:], axis=1) - joint[:, 0])

    def _p_values(self, name: str, scores: Floats) -> Floats:
        """p-values of "clean" (n,): conformal, or by a normal approximation of few scores."""
        known = self.clean_scores[name]
        found = self.nonconformity(name, scores)
        if len(known) >= _MIN_CONFORMAL_SCORES:
            at_least = len(known) - np.searchsorted(known, found, side="left")
            return np.asarray((1.0 + at_least) / (len(known) + 1.0))
        spread = max(float(known.std()), 1e-6)
        return np.asarray(norm.sf((found - known.mean()) / spread))

    @property
    def p_values_are_approximate(self) -> bool:
        """Whether p-values come from a normal approximation: fewer than 200 clean scores."""
        return min(len(scores) for scores in self.clean_scores.values()) < _MIN_CONFORMAL_SCORES

    def report(self, posterior: NoisePosterior, *, alpha: float) -> NoisePerception:
        """The posterior in plain values; the kind is clean where the p-value is above `alpha`."""
        by_kind = self._by_kind(posterior.probabilities)
        if posterior.clean_p_value > alpha:
            kind, severity = CLEAN, 0
        else:
            kind = max((k for k in by_kind if k != CLEAN), key=lambda k: by_kind[k])
            severity = self._severity(posterior.probabilities, kind)
        return NoisePerception(
            kind=kind,
            severity=severity,
            probability=by_kind[kind],
            clean_p_value=posterior.clean_p_value,
            posterior=by_kind,
            witnesses={name: self._by_kind(one) for name, one in posterior.by_source.items()},
        )

    def most_likely_noise(self, probabilities: Floats) -> str:
        """The most probable kind other than clean, with its severity, as `low_contrast 4`."""
        by_kind = self._by_kind(probabilities)
        kind = max((k for k in by_kind if k != CLEAN), key=lambda k: by_kind[k])
        return f"{kind} {self._severity(probabilities, kind)}"

    def _by_kind(self, probabilities: Floats) -> dict[str, float]:
        by_kind: dict[str, float] = {}
        for (kind, _), probability in zip(self.classes, probabilities, strict=False):
            by_kind[kind] = by_kind.get(kind, 0.0) + float(probability)
        by_kind[UNKNOWN] = float(probabilities[-1])
        return by_kind

    def _severity(self, probabilities: Floats, kind: str) -> int:
        """Posterior mean severity of `kind`, rounded; over all kinds where it is unknown."""
        chosen = [
            (severity, float(probability))
            for (name, severity), probability in zip(self.classes, probabilities, strict=False)
            if severity > 0 and (name == kind or kind == UNKNOWN)
        ]
        total = sum(probability for _, probability in chosen)
        if total <= 0.0:
            return 3
        mean = sum(severity * probability for severity, probability in chosen) / total
        return min(5, max(1, round(mean)))


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
    log_prior = np.full(len(classes), np.log((1.0 - PRIOR_CLEAN) / max(len(classes) - 1, 1)))
    log_prior[0] = np.log(PRIOR_CLEAN)
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
