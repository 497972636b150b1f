"""From class scores to a posterior of {clean, kind x severity, unknown} and a p-value of clean."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import norm

from vision.perceive.noise_features import Gaussians, fit_gaussians
from vision.report import CLEAN, UNKNOWN, NoisePerception

Floats = NDArray[np.float64]

PRIOR_CLEAN = 0.5
"""Prior probability of clean; the rest is shared equally by the noisy classes."""

PRIOR_UNKNOWN = 0.02
_UNKNOWN_SPREAD = 3.0
"""Standard deviation of the unknown class around the nearest class mean, relative to a class's."""

MIN_CONFORMAL_SCORES = 200
"""With fewer held-out clean scores no conformal p-value reaches 0.005: then a normal approximation
of the scores is used."""


def log_priors(classes: int) -> Floats:
    """(classes,) log prior probabilities, clean first."""
    found = np.full(classes, np.log((1.0 - PRIOR_CLEAN) / max(classes - 1, 1)))
    found[0] = np.log(PRIOR_CLEAN)
    return found


@dataclass(frozen=True)
class NoisePosterior:
    """The noise found in one image."""

    probabilities: Floats
    """(classes + 1,) posterior of clean, every (kind, severity), and unknown (last)."""
    clean_p_value: float
    """p-value of "this image is clean"."""
    by_source: dict[str, Floats]
    """(classes + 1,) posterior from each source of statistics alone."""


@dataclass(frozen=True)
class NoiseDensity:
    """Gaussians of the classes over scores, and the non-conformity of held-out clean references."""

    gaussians: Gaussians
    clean_scores: Floats = field(default_factory=lambda: np.zeros(0))
    """(m,) sorted non-conformity scores."""

    @classmethod
    def fit(cls, scores: Floats, labels: NDArray[np.int64], classes: int) -> NoiseDensity:
        """Of scores (n, dims) that fits without their references gave, with class numbers (n,)."""
        density = cls(fit_gaussians(scores, labels, log_priors(classes)))
        return cls(density.gaussians, np.sort(density.nonconformity(scores[labels == 0])))

    def _log_joint(self, scores: Floats) -> Floats:
        """(n, classes + 1) log joint probability of every class and of `unknown` (last)."""
        density = self.gaussians
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

    def posterior(self, scores: Floats) -> Floats:
        """(n, classes + 1) from scores (n, dims)."""
        joint = self._log_joint(scores)
        return np.asarray(np.exp(joint - logsumexp(joint, axis=1, keepdims=True)))

    def nonconformity(self, scores: Floats) -> Floats:
        """Non-conformity to clean: log odds of "not clean", (n,), from scores (n, dims)."""
        joint = self._log_joint(scores)
        return np.asarray(logsumexp(joint[:, 1:], axis=1) - joint[:, 0])

    def p_values(self, scores: Floats) -> Floats:
        """p-values of "clean" (n,): conformal, or by a normal approximation of few scores."""
        known = self.clean_scores
        found = self.nonconformity(scores)
        if not self.is_approximate:
            at_least = len(known) - np.searchsorted(known, found, side="left")
            return np.asarray((1.0 + at_least) / (len(known) + 1.0))
        spread = max(float(known.std()), 1e-6)
        return np.asarray(norm.sf((found - known.mean()) / spread))

    @property
    def is_approximate(self) -> bool:
        """Whether p-values come from a normal approximation: fewer than 200 clean scores."""
        return len(self.clean_scores) < MIN_CONFORMAL_SCORES


@dataclass(frozen=True)
class NoiseClasses:
    """What posteriors are over, and how they are reported."""

    classes: tuple[tuple[str, int], ...]
    """Clean first, as ("clean", 0); then every (kind, severity)."""

    def report(self, posterior: NoisePosterior, *, alpha: float) -> NoisePerception:
        """The posterior in plain values; the kind is clean where the p-value is above `alpha`."""
        by_kind = self.by_kind(posterior.probabilities)
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
            witnesses={name: self.by_kind(one) for name, one in posterior.by_source.items()},
            alpha=alpha,
        )

    def most_likely_noise(self, probabilities: Floats) -> str:
        """The most probable kind other than clean, with its severity, as `low_contrast 4`."""
        by_kind = self.by_kind(probabilities)
        kind = max((k for k in by_kind if k != CLEAN), key=lambda k: by_kind[k])
        return f"{kind} {self._severity(probabilities, kind)}"

    def by_kind(self, probabilities: Floats) -> dict[str, float]:
        """Probability of clean, of every kind (summed over severities) and of unknown."""
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
